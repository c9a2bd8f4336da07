"""People at running nodes, through the public API alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from holdfast.node.client import Client
from holdfast.node.schema import Message
from holdfast.testing.processes import NodeProgram

PATIENCE = 120
"""Seconds for what always comes to come; reached only when something is broken."""
GLANCE = 0.05


async def contact(client: Client) -> str:
    """The id of the one contact, once it can be written to."""
    while True:
        for found in await client.node.contacts():
            if found.state == "active" and not found.echo:
                return found.id
        await asyncio.sleep(GLANCE)


async def link(client: Client) -> str:
    """A new invitation's link, once it works."""
    invitation = await client.node.create_invitation()
    while invitation.state == "preparing":
        await asyncio.sleep(GLANCE)
        (invitation,) = [
            each for each in await client.node.invitations() if each.id == invitation.id
        ]
    return invitation.link


async def meet(one: NodeProgram, other: NodeProgram) -> None:
    """One invites, the other accepts, both have a contact."""
    async with (
        asyncio.timeout(PATIENCE),
        Client.connect(one.directory) as inviter,
        Client.connect(other.directory) as acceptor,
    ):
        await acceptor.node.accept_invitation(await link(inviter))
        await contact(inviter)
        await contact(acceptor)


async def conversation(home: Path) -> list[Message]:
    """The whole conversation with the one contact, without notes, in its order."""
    async with Client.connect(home) as client:
        messages = await client.node.export(await contact(client))
    return sorted((m for m in messages if m.kind == "text"), key=lambda message: message.order)


async def has_all(home: Path, texts: list[str]) -> list[str]:
    """What came from the contact, once it is as many as `texts` or patience is over."""
    came: list[str] = []
    for _ in range(int(PATIENCE / (10 * GLANCE))):
        came = [message.text for message in await conversation(home) if not message.mine]
        if len(came) >= len(texts):
            break
        await asyncio.sleep(10 * GLANCE)
    return came
