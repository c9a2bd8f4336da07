"""Commands about the node itself."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from pathlib import Path

import msgspec

from holdfast.cli.calls import with_node
from holdfast.cli.say import Exit, Trouble, safe, show
from holdfast.node.client import Client
from holdfast.node.schema import KnownNetwork, Relay, Settings, Status


def passphrase_of(file: Path | None, question: str = "Passphrase: ") -> str:
    """From a file's first line, HOLDFAST_PASSPHRASE, or asked: without echo, or in a pipe."""
    if file is not None:
        try:
            return file.read_text().split("\n", 1)[0]
        except (OSError, UnicodeDecodeError) as error:
            raise Trouble(f"cannot read the passphrase: {error}", Exit.USAGE) from None
    return os.environ.get("HOLDFAST_PASSPHRASE") or _asked(question)


def _asked(question: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(question)
    if not (line := sys.stdin.readline()):
        raise Trouble("there is no passphrase; nobody is there to type it", Exit.USAGE)
    return line.rstrip("\n")


def _status(status: Status) -> str:
    lines = [f"{status.name or 'No name yet'}: {status.phase}, {status.verdict}"]
    lines += [_relay(one) for one in status.relays]
    if status.waiting:
        lines.append(f"  {status.waiting} messages wait for a relay")
    return "\n".join(lines)


TROUBLES = {
    "slow": "slower than the others",
    "behind": "brings late what others bring",
    "refuses": "full",
    "strange": "brings what nobody wrote",
}


def _relay(one: Relay) -> str:
    said = [f"  {one.id}  {one.label}  {'off' if one.off else one.state}"]
    if not one.mine and one.contacts:
        said.append(f"({safe(', '.join(one.contacts))})")
    said.append(one.why or TROUBLES.get(one.trouble, ""))
    return "  ".join(filter(None, said))


def status(asked: argparse.Namespace) -> int | None:
    """What works now."""

    async def work(client: Client) -> None:
        found = await client.node.status()
        show(found, asked.json, _status(found))

    return with_node(asked, work)


NETWORKS = {
    "clear": "Nothing is done to your connections.",
    "freeze": "This network freezes connections after some kilobytes. Small exchanges are used.",
    "fingerprint": "One kind of connection is cut here; another kind gets through.",
    "name-block": "Connections that name your relay are cut.",
    "dns-block": "The name of your relay is not found here, though others are.",
    "address-block": "Nothing reaches the address of your relay, though others can be reached.",
    "allowlist": "Only listed places can be reached from here.",
    "throttled": "Your relay is much slower than other places.",
    "udp-block": "UDP to your relay is lost here, TCP passes: calls go by TCP.",
    "away": "The relay's machine answers, but no relay runs there.",
    "impostor": "Somebody else answers in your relay's place. Nothing was said to them.",
    "portal": "Something answers in the place of all your relays. Often it is the login page of a"
    " Wi-Fi: open a browser and sign in.",
    "learned": "One relay was cut off after it had worked; another one works.",
    "offline": "Nothing can be reached: this machine is offline, or the network is shut down.",
    "unknown": "There is nothing to say yet.",
}


def doctor(asked: argparse.Namespace) -> int | None:
    """What the network does to connections, and what says so."""

    async def work(client: Client) -> None:
        found = await client.node.diagnose()
        facts = [f"  {fact}" for fact in found.evidence]
        show(found, asked.json, "\n".join([NETWORKS[found.network], *facts]))

    return with_node(asked, work)


def networks(asked: argparse.Namespace) -> int | None:
    """What was learnt of networks, or forget it."""

    async def work(client: Client) -> None:
        if asked.forget:
            await client.node.forget_networks()
        found = await client.node.known_networks()
        if not found and not asked.json:
            show([], False, "Nothing is remembered")
        for one in found:
            show(one, asked.json, _network(one))

    return with_node(asked, work)


def _network(known: KnownNetwork) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(known.seen / 1000))
    lines = [f"{known.id}  {'this one' if known.current else f'until {when}'}"]
    for one in known.relays:
        lines.append(f"  {one.relay}  {one.path or 'not reached'}")
        lines += [f"    {trouble}" for trouble in one.trouble]
    return "\n".join(lines)


def simulate(asked: argparse.Namespace) -> int | None:
    """Show or turn the switches of the pretended censor."""

    async def work(client: Client) -> None:
        if asked.switch is None:
            found = await client.node.simulator()
        else:
            found = await client.node.simulate(asked.switch, not asked.off)
        lines = [f"{one.name:10} {'on' if one.on else 'off'}" for one in found.switches]
        show(found, asked.json, "\n".join(lines))

    return with_node(asked, work)


def open_interface(asked: argparse.Namespace) -> int | None:
    """A link that opens the interface once."""

    async def work(client: Client) -> None:
        link = await client.node.launch_link()
        show({"link": link}, asked.json, link)

    return with_node(asked, work)


def set_up(asked: argparse.Namespace) -> int | None:
    """Make the identity; a passphrase only if a file or the environment has one."""
    given = asked.passphrase_file is not None or "HOLDFAST_PASSPHRASE" in os.environ
    word = passphrase_of(asked.passphrase_file, "") if given else None

    async def work(client: Client) -> None:
        found = await client.node.set_up(asked.name, word)
        show(found, asked.json, _status(found))

    return with_node(asked, work)


def unlock(asked: argparse.Namespace) -> int | None:
    """Open the database."""
    word = passphrase_of(asked.passphrase_file, "Passphrase: ")

    async def work(client: Client) -> None:
        found = await client.node.unlock(word)
        show(found, asked.json, _status(found))

    return with_node(asked, work)


def back_up(asked: argparse.Namespace) -> int | None:
    """Write an encrypted copy of everything."""
    word = passphrase_of(asked.passphrase_file, "Passphrase of the backup: ")
    path = asked.file.absolute()

    async def work(client: Client) -> None:
        made = await client.node.back_up(word, str(path), not asked.no_files)
        text = f"{path}: {made.contacts} contacts, {made.messages} messages, {made.size:,} bytes"
        show(
            made, asked.json, f"{text}. Whoever has it and the passphrase is you: keep both apart."
        )

    return with_node(asked, work)


def restore(asked: argparse.Namespace) -> int | None:
    """Begin with a backup."""
    word = passphrase_of(asked.passphrase_file, "Passphrase of the backup: ")

    async def work(client: Client) -> None:
        found = await client.node.restore(word, str(asked.file.absolute()))
        show(found, asked.json, _status(found))

    return with_node(asked, work)


def passphrase(asked: argparse.Namespace) -> int | None:
    """Set, change or remove it."""

    async def work(client: Client) -> None:
        has = (await client.node.settings()).passphrase
        current = passphrase_of(asked.passphrase_file, "Passphrase now: ") if has else None
        new = None
        if not asked.remove:
            file = asked.new_passphrase_file
            new = passphrase_of(file, "New: ") if file else _asked("New: ")
            if not file and _asked("Again: ") != new:
                raise Trouble("the two were not the same; nothing was changed", Exit.USAGE)
        found = await client.node.set_passphrase(new, current)
        show(found, asked.json, "Passphrase is set" if found.passphrase else "No passphrase")

    return with_node(asked, work)


def name(asked: argparse.Namespace) -> int | None:
    """Change one's own name."""

    async def work(client: Client) -> None:
        found = await client.node.rename_me(asked.name)
        show(found, asked.json, _status(found))

    return with_node(asked, work)


def _changes(pairs: list[str]) -> dict[str, object]:
    """NAME=VALUE as the settings' types say."""
    raw = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := sorted(set(raw) - set(Settings.__struct_fields__) | set(raw) & {"passphrase"}):
        known = ", ".join(f for f in Settings.__struct_fields__ if f != "passphrase")
        raise Trouble(f"no setting {unknown[0]}; there are: {known}", Exit.USAGE)
    try:
        typed = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise Trouble(f"a setting does not fit: {error}", Exit.USAGE) from None
    return {key: getattr(typed, key) for key in raw}


def settings(asked: argparse.Namespace) -> int | None:
    """Show, or change what is given."""
    changes = _changes(asked.change)

    async def work(client: Client) -> None:
        found = await client.node.settings()
        if changes:
            found = await client.call("update_settings", changes)
        values = msgspec.to_builtins(found)
        show(found, asked.json, "\n".join(f"{key}={value}" for key, value in values.items()))

    return with_node(asked, work)


def relays(asked: argparse.Namespace) -> int | None:
    """List, add or remove relays, and choose among those of contacts."""
    if asked.what != "list" and not asked.relay:
        raise Trouble(f"say which relay to {asked.what}", Exit.USAGE)

    async def work(client: Client) -> None:
        if asked.what == "add":
            found = await client.node.add_relay(asked.relay)
        elif asked.what == "remove":
            found = await client.node.remove_relay(asked.relay)
        elif asked.what == "use":
            found = await client.node.set_relay(asked.relay, mine=True, off=False)
        elif asked.what in ("off", "on"):
            found = await client.node.set_relay(asked.relay, off=asked.what == "off")
        else:
            found = await client.node.status()
        for one in found.relays:
            show(one, asked.json, _relay(one).strip())

    return with_node(asked, work)
