"""Commands about contacts."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import threading

from holdfast.cli.calls import with_node
from holdfast.cli.say import Exit, Trouble, show
from holdfast.node.client import Client
from holdfast.node.schema import Contact, Verification, VerificationChanged

SAYS = {
    "done": "{} is verified.",
    "mismatch": "The emoji differ: somebody may stand between you. Meet in person.",
    "cancelled": "The comparison was cancelled.",
}
"""How a comparison can end."""


def _line(one: Contact) -> str:
    marks = [one.state, "verified" if one.verified else "not verified"]
    marks += ["asks to write"] if one.request else []
    marks += ["calls may go straight"] if one.direct else []
    marks += [f"{one.unread} unread"] if one.unread else []
    marks += [f"looks like {one.looks_like}"] if one.looks_like else []
    return f"{one.id}  {one.name}  {', '.join(marks)}"


def contacts(asked: argparse.Namespace) -> int | None:
    """List them, the newest conversation first."""

    async def work(client: Client) -> None:
        for one in await client.node.contacts():
            if asked.requests and not one.request:
                continue
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


def let_in(asked: argparse.Namespace) -> int | None:
    """Accept who came unasked."""

    async def work(client: Client) -> None:
        one = await client.node.accept_contact(asked.contact)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def block(asked: argparse.Namespace) -> int | None:
    """Stop reading, or read again."""

    async def work(client: Client) -> None:
        one = await client.node.block_contact(asked.contact, not asked.undo)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


def direct(asked: argparse.Namespace) -> int | None:
    """Let calls go straight, or by relays alone."""

    async def work(client: Client) -> None:
        one = await client.node.allow_direct(asked.contact, not asked.undo)
        show(one, asked.json, _line(one))

    return with_node(asked, work)


async def agree(question: str) -> bool:
    """Ask on stderr, since stdout is for results; no answer is no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def read() -> None:
        line = sys.stdin.readline()
        with contextlib.suppress(RuntimeError):  # the command was stopped meanwhile
            loop.call_soon_threadsafe(answer.set_result, line)

    # A daemon, so that Ctrl-C ends the command without waiting for a line.
    threading.Thread(target=read, daemon=True).start()
    return (await answer).strip().lower() in ("y", "yes", "д", "да")


def forget(asked: argparse.Namespace) -> int | None:
    """Delete contact, conversation, keys and logs."""

    async def work(client: Client) -> None:
        one = await client.node.contact(asked.contact)
        if not asked.yes and not await agree(f"Delete {one.name} for good?"):
            raise Trouble("nothing was deleted; --yes deletes without asking", Exit.REFUSED)
        await client.node.delete_contact(one.id)
        show({"deleted": one.id}, asked.json, f"Deleted {one.name}.")

    return with_node(asked, work)


def _words(one: Verification) -> str:
    return "   ".join(f"{symbol} {word}" for symbol, word in one.emoji) or one.state


def verify(asked: argparse.Namespace) -> int | None:
    """Compare seven emoji, which both read to each other by voice."""

    async def work(client: Client) -> int:
        one = await client.node.contact(asked.contact)
        if not asked.show:
            return await _compare(client, one, asked)
        now = await client.node.verification(one.id)
        if now is None:
            raise Trouble(f"no comparison with {one.name} is going on", Exit.NOT_FOUND)
        show(now, asked.json, _words(now))
        return Exit.OK

    return with_node(asked, work)


async def _compare(client: Client, one: Contact, asked: argparse.Namespace) -> int:
    node = client.node
    await node.listen()
    now = await node.start_verification(one.id)
    events = client.events()
    answered = False
    while now.state not in SAYS:
        if now.state == "compare" and not answered:
            answered = True
            show(now, asked.json, _words(now))
            ask = "Does the other side see the same, in this order?"
            now = await node.confirm_verification(one.id, asked.yes or await agree(ask))
            continue
        async with asyncio.timeout(asked.timeout):
            event = await anext(events, None)
        if event is None:
            raise Trouble("the node went away", Exit.NOT_RUNNING)
        if isinstance(event, VerificationChanged) and event.verification.contact == one.id:
            now = event.verification
    show(now, asked.json, SAYS[now.state].format(one.name))
    return Exit.OK if now.state == "done" else Exit.REFUSED
