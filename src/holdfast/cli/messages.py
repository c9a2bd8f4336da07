"""Commands about messages."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from holdfast.cli import files
from holdfast.cli.calls import find, with_node
from holdfast.cli.say import Exit, Trouble, indent, show, size_text
from holdfast.node.client import Client
from holdfast.node.schema import Message, MessageChanged

REACHED = {
    "durable": {"waiting", "sent", "delivered", "read"},
    "sent": {"sent", "delivered", "read"},
    "delivered": {"delivered", "read"},
}


def _carried(one: Message) -> str:
    """A file or a call, in words."""
    if one.file is not None:
        return f"[{one.file.kind} {one.file.name}, {size_text(one.file.size)}, {one.file.state}]"
    if one.call is not None:
        return f"[call {one.call.outcome}, {one.call.duration // 1000} s]"
    return ""


def line(one: Message, names: dict[str, str] | None = None) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.at / 1000))
    who = "me" if one.mine else (names or {}).get(one.contact, "them")
    who = one.author.name if one.author else who
    text = "(deleted)" if one.deleted else _carried(one) or indent(one.text) or one.note
    if one.poll is not None and not one.deleted:
        text += "".join(
            f"\n    {n}. {option.text}: {option.votes}{' (mine)' if option.mine else ''}"
            for n, option in enumerate(one.poll.options, 1)
        )
    seen = "".join(f" {r.emoji}" for r in one.reactions)
    return f"{one.id}  {when}  {who}: {text}{seen}" + (f"  [{one.state}]" if one.mine else "")


def _text(asked: argparse.Namespace) -> str:
    return sys.stdin.read() if asked.text == ["-"] else " ".join(asked.text)


def send(asked: argparse.Namespace) -> int | None:
    """Write; ends when it is as far as `--wait` says."""
    attached = asked.file or asked.voice
    if not asked.text and not attached:
        raise Trouble("say what to send: a text, --file or --voice", Exit.USAGE)
    text = _text(asked)
    note = files.voice_note(asked.voice) if asked.voice else None

    async def work(client: Client) -> None:
        enough = REACHED[asked.wait]
        if asked.wait != "durable":
            await client.node.listen()
        if attached:
            carrying = await files.send(client, asked, note)
            show(carrying, asked.json, line(carrying))
        if not text:
            return
        one = await client.node.send(asked.contact, text, key=asked.key)
        async with asyncio.timeout(asked.timeout):
            while one.state not in enough:
                event = await anext(client.events(), None)
                if event is None:
                    raise Trouble("the node went away", Exit.NOT_RUNNING)
                if isinstance(event, MessageChanged) and event.message.id == one.id:
                    one = event.message
                if one.state == "unsent":
                    raise Trouble("it was not sent: the contact's key changed", Exit.REFUSED)
        show(one, asked.json, line(one))

    return with_node(asked, work)


def reply(asked: argparse.Namespace) -> int | None:
    """Answer one message."""

    async def work(client: Client) -> None:
        to = await find(client, asked.id)
        one = await client.node.send(to.contact, _text(asked), reply_to=to.id)
        show(one, asked.json, line(one))

    return with_node(asked, work)


def edit(asked: argparse.Namespace) -> int | None:
    """Change one of mine."""

    async def work(client: Client) -> None:
        one = await client.node.edit(asked.id, _text(asked))
        show(one, asked.json, line(one))

    return with_node(asked, work)


def delete(asked: argparse.Namespace) -> int | None:
    """Take one back, or remove it here."""

    async def work(client: Client) -> None:
        await client.node.delete(asked.id, not asked.here)
        show({"deleted": asked.id}, asked.json, f"Deleted {asked.id}.")

    return with_node(asked, work)


def react(asked: argparse.Namespace) -> int | None:
    """Set or remove a reaction."""

    async def work(client: Client) -> None:
        one = await client.node.react(asked.id, asked.emoji)
        show(one, asked.json, line(one))

    return with_node(asked, work)


def read(asked: argparse.Namespace) -> int | None:
    """Show a part of a conversation."""

    async def work(client: Client) -> None:
        node = client.node
        who = await node.contact(asked.contact)
        if asked.pinned:
            shown = await node.pinned(who.id)
        elif asked.around:
            shown = (await node.messages_around(who.id, asked.around, asked.limit)).messages
        else:
            shown = (await node.messages(who.id, asked.before, asked.limit)).messages
        for one in shown:
            show(one, asked.json, line(one, {who.id: who.name}))
        if asked.mark and shown:
            await node.mark_read(who.id, shown[-1].id)

    return with_node(asked, work)


def typing(asked: argparse.Namespace) -> int | None:
    """Say so once."""

    async def work(client: Client) -> None:
        await client.node.set_typing(asked.contact, not asked.stop)

    return with_node(asked, work)


def search(asked: argparse.Namespace) -> int | None:
    """Find messages, the newest first."""

    async def work(client: Client) -> None:
        for hit in await client.node.search(" ".join(asked.words), asked.contact, asked.limit):
            text = f"{hit.before}[{hit.match}]{hit.after}"
            show(hit, asked.json, f"{hit.message.id}  {indent(text)}")

    return with_node(asked, work)


def listen(asked: argparse.Namespace) -> int | None:
    """Print every event as JSON, or every message as text, until stopped."""

    async def work(client: Client) -> int:
        names = {one.id: one.name for one in await client.node.contacts()}
        await client.node.listen(asked.since)
        async for event in client.events():
            if asked.json:
                show(event, True, "")
            elif isinstance(event, MessageChanged):
                show(event, False, line(event.message, names))
        return Exit.NOT_RUNNING

    return with_node(asked, work)


def export(asked: argparse.Namespace) -> int | None:
    """Print a whole conversation."""

    async def work(client: Client) -> None:
        who = await client.node.contact(asked.contact)
        if asked.html:
            found = await client.node.export_page(who.id)
            show({"page": found}, asked.json, found)
            return
        for one in await client.node.export(who.id):
            show(one, asked.json, line(one, {who.id: who.name}))

    return with_node(asked, work)
