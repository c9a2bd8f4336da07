"""Commands about one's own devices: `holdfast device …`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from holdfast.cli.calls import with_node
from holdfast.cli.contacts import agree
from holdfast.cli.own import passphrase_of
from holdfast.cli.say import Exit, Trouble, show, tell
from holdfast.node.client import Client
from holdfast.node.schema import Device, Linking, LinkingChanged

OVER = ("done", "cancelled", "mismatch", "expired")
SAYS = {
    "done": "Linked.",
    "cancelled": "Not linked: it was cancelled. Nothing was given.",
    "mismatch": "Not linked: the emoji were not the same. Nothing was given; somebody else may have"
    " used the code.",
    "expired": "Not linked: nobody used the code in time. Nothing was given.",
}


def _line(one: Device) -> str:
    what = ["first"] * one.first + ["this one"] * one.here
    since = time.strftime("%Y-%m-%d", time.localtime(one.since / 1000)) if one.since else ""
    return "  ".join(filter(None, [one.id, one.name or "-", since, ", ".join(what)]))


def _show(asked: argparse.Namespace, found: list[Device]) -> None:
    for one in found:
        show(one, asked.json, _line(one))


def listed(asked: argparse.Namespace) -> int | None:
    """All of this person's."""

    async def work(client: Client) -> None:
        _show(asked, await client.node.devices())

    return with_node(asked, work)


def link(asked: argparse.Namespace) -> int | None:
    """Show a code, compare, link."""

    async def work(client: Client) -> int:
        await client.node.listen()
        now = await client.node.link_device(not asked.from_now_on)
        return await _follow(client, asked, now)

    return with_node(asked, work)


def join(asked: argparse.Namespace) -> int | None:
    """Use a code on a fresh node."""
    code = sys.stdin.readline().strip() if asked.code == "-" else asked.code
    word = passphrase_of(asked.passphrase_file) if asked.passphrase_file else None

    async def work(client: Client) -> int:
        await client.node.listen()
        now = await client.node.join_device(code, asked.name, word)
        return await _follow(client, asked, now)

    return with_node(asked, work)


async def _follow(client: Client, asked: argparse.Namespace, now: Linking) -> int:
    events, shown, answered = client.events(), False, False
    while now.state not in OVER:
        if now.state == "waiting" and now.code and not shown:
            shown = True
            show(now, asked.json, now.code)
            tell("Use it on the new device within 15 minutes. Give it to nobody else.")
        if now.state == "compare" and not answered:
            answered = True
            words = "   ".join(f"{symbol} {word}" for symbol, word in now.emoji)
            show(now, asked.json, words)
            ask = "Does the other device, which you see yourself, show the same?"
            now = await client.node.confirm_link(asked.yes or await agree(ask))
            continue
        async with asyncio.timeout(asked.timeout):
            event = await anext(events, None)
        if event is None:
            raise Trouble("the node went away", Exit.NOT_RUNNING)
        if isinstance(event, LinkingChanged) and event.linking is not None:
            now = event.linking
    show(now, asked.json, SAYS[now.state])
    return Exit.OK if now.state == "done" else Exit.REFUSED


def status(asked: argparse.Namespace) -> int | None:
    """How far a linking is."""

    async def work(client: Client) -> None:
        now = await client.node.linking()
        if now is None:
            raise Trouble("no device is being linked", Exit.NOT_FOUND)
        words = "   ".join(f"{symbol} {word}" for symbol, word in now.emoji)
        show(now, asked.json, "  ".join(filter(None, [now.state, now.code, words])))

    return with_node(asked, work)


def cancel(asked: argparse.Namespace) -> int | None:
    """Stop linking."""

    async def work(client: Client) -> None:
        await client.node.cancel_link()

    return with_node(asked, work)


def rename(asked: argparse.Namespace) -> int | None:
    """Call a device something."""

    async def work(client: Client) -> None:
        _show(asked, await client.node.rename_device(asked.device, asked.name))

    return with_node(asked, work)


def remove(asked: argparse.Namespace) -> int | None:
    """End a device."""

    async def work(client: Client) -> None:
        found = {one.id: one for one in await client.node.devices()}
        one = found.get(asked.device)
        if one is None:
            raise Trouble("there is no such device; `device list` has the ids", Exit.NOT_FOUND)
        if not asked.yes and not await agree(f"Remove {one.name or one.id} for good?"):
            raise Trouble("nothing was removed; --yes removes without asking", Exit.REFUSED)
        _show(asked, await client.node.remove_device(one.id))

    return with_node(asked, work)
