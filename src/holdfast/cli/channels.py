"""Commands about channels. What is said in one is sent and read like any conversation."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from holdfast.cli.calls import with_node
from holdfast.cli.say import show
from holdfast.node.client import Client
from holdfast.node.schema import Channel, Contact


def _lines(one: Channel) -> str:
    said = [f"{one.title}: {one.posts} posts" + (", mine" if one.mine else "")]
    if one.open:
        name = f"you as {one.name}" if one.name else "you once you choose a name"
        said.append(f"  open: everybody who has the link writes; {name}")
    said += [f"  {one.about}"] if one.about else []
    if one.device:
        said.append(f"  yours; written on your device {one.device} (see `holdfast device list`)")
    if one.mine:
        said.append(f"  about {one.readers} readers")
    if one.first > 1:
        said.append(f"  begins here with post {one.first}; no relay brings those before")
    said += [
        f"  missing: post {gap.first}" + (f" to {gap.last}" if gap.last > gap.first else "")
        for gap in one.missing
    ]
    if one.forked:
        said.append(f"  FORKED: its key signed two different posts {one.forked}; do not rely on it")
    if one.quiet:
        said.append("  its owner's node was not heard for three days, or is withheld")
    if one.ended:
        said.append(f"  goes on elsewhere: {one.moved or 'ask its owner for the link'}")
    said += [f"  comments: {one.comments}"] if one.comments else []
    said += [f"  {one.link}"] + ([f"  {one.web}"] if one.web else [])
    return "\n".join(said)


def _contact(asked: argparse.Namespace, call: Callable[[Client], Awaitable[Contact]]) -> int | None:
    async def work(client: Client) -> None:
        one = await call(client)
        show(one, asked.json, f"{one.id}  {one.name}  channel{', mine' if one.leads else ''}")

    return with_node(asked, work)


def _shown(asked: argparse.Namespace, call: Callable[[Client], Awaitable[Channel]]) -> int | None:
    async def work(client: Client) -> None:
        one = await call(client)
        show(one, asked.json, _lines(one))

    return with_node(asked, work)


def create(asked: argparse.Namespace) -> int | None:
    """Begin one."""
    return _contact(
        asked, lambda client: client.node.create_channel(asked.title, asked.about, asked.open)
    )


def channel(asked: argparse.Namespace) -> int | None:
    """What it is, and its link."""
    return _shown(asked, lambda client: client.node.channel(asked.contact))


def follow(asked: argparse.Namespace) -> int | None:
    """Read one."""
    return _contact(asked, lambda client: client.node.follow_channel(asked.link, asked.name))


def change(asked: argparse.Namespace) -> int | None:
    """Say anew what it is."""
    return _shown(
        asked,
        lambda client: client.node.set_channel(
            asked.contact, asked.title, asked.about, asked.comments
        ),
    )


def move(asked: argparse.Namespace) -> int | None:
    """Go on in a new one."""
    return _contact(asked, lambda client: client.node.move_channel(asked.contact, asked.public))


def silence(asked: argparse.Namespace) -> int | None:
    """Leave out all of a writer's, for everybody."""

    async def work(client: Client) -> None:
        await client.node.silence_writer(asked.contact, asked.writer)

    return with_node(asked, work)


def leave(asked: argparse.Namespace) -> int | None:
    """Read it no longer, or end one's own."""

    async def work(client: Client) -> None:
        await client.node.delete_contact(asked.contact)

    return with_node(asked, work)
