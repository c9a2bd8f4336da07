"""Commands about invitations."""

from __future__ import annotations

import argparse
import asyncio
import sys

from holdfast.cli.calls import with_node
from holdfast.cli.say import show, tell
from holdfast.node.client import Client
from holdfast.node.schema import Invitation, InvitationChanged


def _line(one: Invitation) -> str:
    return f"{one.id}  {one.state}  {one.link}  {one.label}".rstrip()


def invite(asked: argparse.Namespace) -> int | None:
    """Print a new link."""

    async def work(client: Client) -> None:
        node = client.node
        await node.listen()
        made = await node.create_invitation(asked.many, asked.hours, asked.label)
        events = client.events()
        try:
            async with asyncio.timeout(asked.timeout):
                while made.state == "preparing" and (event := await anext(events, None)):
                    if isinstance(event, InvitationChanged) and event.invitation.id == made.id:
                        made = event.invitation
        except TimeoutError:
            tell("no relay has it yet: the link works once this node reaches a relay")
        show(made, asked.json, made.link)

    return with_node(asked, work)


def accept(asked: argparse.Namespace) -> int | None:
    """Become contacts."""
    link = sys.stdin.readline().strip() if asked.link == "-" else asked.link

    async def work(client: Client) -> None:
        contact = await client.node.accept_invitation(link)
        show(contact, asked.json, f"{contact.id}  {contact.name}")

    return with_node(asked, work)


def invitations(asked: argparse.Namespace) -> int | None:
    """All that are open or ended lately."""

    async def work(client: Client) -> None:
        for one in await client.node.invitations():
            show(one, asked.json, _line(one))

    return with_node(asked, work)


def revoke(asked: argparse.Namespace) -> int | None:
    """End one."""

    async def work(client: Client) -> None:
        one = await client.node.revoke_invitation(asked.id)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def echo(asked: argparse.Namespace) -> int | None:
    """Add the contact that answers."""

    async def work(client: Client) -> None:
        contact = await client.node.add_echo()
        show(contact, asked.json, f"{contact.id}  {contact.name}")

    return with_node(asked, work)
