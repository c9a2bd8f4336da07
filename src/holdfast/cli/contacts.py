"""Commands about contacts."""

from __future__ import annotations

import argparse
import asyncio

from holdfast.cli.calls import with_node
from holdfast.cli.say import Exit, Trouble, show
from holdfast.node.client import Client
from holdfast.node.schema import Contact, VerificationChanged


def _line(one: Contact) -> str:
    marks = [one.state, "verified" if one.verified else "not verified"]
    marks += [f"{one.unread} unread"] if one.unread else []
    marks += [f"looks like {one.looks_like}"] if one.looks_like else []
    return f"{one.id}  {one.name}  {', '.join(marks)}"


def contacts(asked: argparse.Namespace) -> int | None:
    """List them, the newest conversation first."""

    async def work(client: Client) -> None:
        for one in await client.node.contacts():
            show(one, asked.json, _line(one))

    return with_node(asked, work)


def contact(asked: argparse.Namespace) -> int | None:
    """Show one."""

    async def work(client: Client) -> None:
        one = await client.node.contact(asked.contact)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def rename(asked: argparse.Namespace) -> int | None:
    """Give one a name."""

    async def work(client: Client) -> None:
        one = await client.node.rename_contact(asked.contact, asked.name)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def timer(asked: argparse.Namespace) -> int | None:
    """Set the lifetime of messages."""

    async def work(client: Client) -> None:
        one = await client.node.set_timer(asked.contact, asked.seconds)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def block(asked: argparse.Namespace) -> int | None:
    """Stop reading, or read again."""

    async def work(client: Client) -> None:
        one = await client.node.block_contact(asked.contact, not asked.undo)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def _agree(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes", "д", "да")
    except EOFError:
        return False


def forget(asked: argparse.Namespace) -> int | None:
    """Delete contact, conversation, keys and logs."""

    async def work(client: Client) -> None:
        one = await client.node.contact(asked.contact)
        if not asked.yes and not await asyncio.to_thread(_agree, f"Delete {one.name} for good?"):
            raise Trouble("nothing was deleted; --yes deletes without asking", Exit.REFUSED)
        await client.node.delete_contact(one.id)
        show({"deleted": one.id}, asked.json, f"Deleted {one.name}.")

    return with_node(asked, work)


def verify(asked: argparse.Namespace) -> int | None:
    """Compare seven emoji, which both read to each other by voice."""

    async def work(client: Client) -> int:
        node = client.node
        one = await node.contact(asked.contact)
        await node.listen()
        now = await node.start_verification(one.id)
        events = client.events()
        answered = False
        while now.state not in ("done", "mismatch", "cancelled"):
            if now.state == "compare" and not answered:
                answered = True
                words = "   ".join(f"{symbol} {word}" for symbol, word in now.emoji)
                show(now, asked.json, words)
                ask = "Does the other side see the same, in this order?"
                match = asked.yes or await asyncio.to_thread(_agree, ask)
                now = await node.confirm_verification(one.id, match)
                continue
            async with asyncio.timeout(asked.timeout):
                event = await anext(events, None)
            if event is None:
                raise Trouble("the node went away", Exit.NOT_RUNNING)
            if isinstance(event, VerificationChanged) and event.verification.contact == one.id:
                now = event.verification
        says = {
            "done": f"{one.name} is verified.",
            "mismatch": "The emoji differ: somebody may stand between you. Meet in person.",
            "cancelled": "The comparison was cancelled.",
        }
        show(now, asked.json, says[now.state])
        return Exit.OK if now.state == "done" else Exit.REFUSED

    return with_node(asked, work)
