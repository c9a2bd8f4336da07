"""A scenario played: two people, their relays, a censor between one of them and the world.

Everything is real but the network: relays and nodes are processes, all on loopback. What is
measured is seconds from a person's wish to its end at the other, None if it did not come.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import os
import time
from array import array
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from holdfast.lab.box import Box
from holdfast.lab.rules import Rule
from holdfast.lab.scenarios import Parameters, Scenario, World
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import FileKind, Message
from holdfast.sound.call import talk
from holdfast.sound.opus import RATE
from holdfast.testing.processes import NodeProgram, Processes

RELAYS: Final = ("relay-one.test", "relay-two.test")
SITES: Final = {"domestic": "domestic.test", "foreign": "foreign.test"}
"""Places that nobody blocks by name; the first is on every list."""
PAGE: Final = 256 * 1024
"""Bytes of their page."""
PORT: Final = 443
GLANCE: Final = 0.05
MEETING: Final = 60.0
CALM: Final = 10.0
"""Seconds of a call after the censor began in which it must still be heard at the end."""
SLOWEST: Final = 2_000
"""Bytes a second that a file must make."""
CONCLUDED: Final = 12.0
"""Seconds after arriving when the node is asked for its verdict, or later."""
HOPELESS: Final = 5.0
"""Seconds for anything when there was no connection at all."""
LAST: Final = 150
"""Frames at the end of that of which half must be sound."""
LOUD: Final = 8_000


@dataclass(frozen=True)
class Patience:
    """Seconds that each thing may take before it counts as not arrived."""

    connect: float = 60
    text: float = 30
    voice: float = 60
    file: float = 60
    """And beyond that what the size takes at `SLOWEST`."""
    call: float = 45


@dataclass
class Row:
    """What came of one scenario."""

    id: str
    parameters: Parameters
    seconds: dict[str, float | None] = field(default_factory=dict)
    """By column; of a call in progress the share that is heard."""
    verdict: str = ""
    expected: str = ""
    evidence: list[str] = field(default_factory=list)


COLUMNS: Final = ("connect", "text", "voice", "file", "call", "in call")


class Stage:
    """Two people who have met, one behind a box."""

    def __init__(self, box: Box, anna: NodeProgram, boris: NodeProgram) -> None:
        self.box = box
        self.world = World(RELAYS, (SITES["domestic"],))
        self._anna, self._boris = anna, boris

    @contextlib.asynccontextmanager
    async def people(self) -> AsyncIterator[tuple[Client, Client]]:
        """Connected to both."""
        async with (
            Client.connect(self._anna.directory) as anna,
            Client.connect(self._boris.directory) as boris,
        ):
            yield anna, boris

    async def arrive(self, rules: list[Rule]) -> None:
        """Be on this network from now on, with a node that knows nothing of any."""
        await asyncio.to_thread(self._anna.stop)
        self.box.rules = rules
        await asyncio.to_thread(self._anna.start)


@contextlib.asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """Everything started, on an open network."""
    with Processes(directory) as run:
        async with Box({}) as box, Box({}) as abroad:
            addresses = []
            for name in RELAYS:
                relay = await asyncio.to_thread(
                    run.relay, name.split(".")[0], f"{name}:{PORT}", abroad.url
                )
                addresses.append(relay.address)
                for middle in (box, abroad):
                    middle.places[name, PORT] = "127.0.0.1", relay.port
            for name in SITES.values():
                pages = directory / name / "site"
                pages.mkdir(parents=True)
                (pages / "index.html").write_bytes(os.urandom(PAGE))
                site = await asyncio.to_thread(run.relay, name, f"{name}:{PORT}")
                box.places[name, PORT] = "127.0.0.1", site.port
            looks = [f"{kind}={name}" for kind, name in SITES.items()]
            anna = await asyncio.to_thread(
                run.node, "Anna", *addresses, proxy=box.url, controls=looks
            )
            boris = await asyncio.to_thread(run.node, "Boris", *addresses, proxy=abroad.url)
            made = Stage(box, anna, boris)
            async with asyncio.timeout(MEETING), made.people() as (one, other):
                await _meet(one, other)
            yield made


async def _meet(one: Client, other: Client) -> None:
    invitation = await one.node.create_invitation()
    while invitation.state == "preparing":
        await asyncio.sleep(GLANCE)
        (invitation,) = await one.node.invitations()
    await other.node.accept_invitation(invitation.link)
    for client in (one, other):
        await _contact(client)


async def _contact(client: Client) -> str:
    while True:
        for found in await client.node.contacts():
            if found.state == "active":
                return found.id
        await asyncio.sleep(GLANCE)


async def timed(act: Callable[[], Awaitable[object]], seconds: float) -> float | None:
    """How long it took; None if it was not done in time."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            await act()
    except (TimeoutError, ApiError):
        return None
    return time.monotonic() - began


async def play(
    made: Stage,
    scenario: Scenario,
    changed: Parameters | None = None,
    *,
    seed: int = 0,
    size: int = 10_000_000,
    patience: Patience | None = None,
    columns: tuple[str, ...] = COLUMNS,
    say: Callable[[str], object] = lambda text: None,
) -> Row:
    """One scenario in a world where everything worked before. Leaves the network open."""
    patience = patience or Patience()
    row = Row(scenario.id, scenario.usual | (changed or {}), expected=scenario.verdict)
    dice = Random(seed)
    await made.arrive(scenario.at(made.world, seed, **(changed or {})))
    began = time.monotonic()
    async with made.people() as (anna, boris):
        acts: dict[str, tuple[Callable[[], Awaitable[object]], float]] = {
            "connect": (lambda: _connected(anna), patience.connect),
            "text": (lambda: _text(anna, boris), patience.text),
            "voice": (lambda: _file(anna, boris, "voice", dice.randbytes(24_000)), patience.voice),
            "file": (
                lambda: _file(anna, boris, "file", dice.randbytes(size)),
                patience.file + size / SLOWEST,
            ),
            "call": (lambda: _call(anna, boris), patience.call),
        }
        for name in columns:
            if name in acts:
                say(f"{scenario.id}: {name}")
                act, seconds = acts[name]
                if row.seconds.get("connect", 0) is None:
                    seconds = min(seconds, HOPELESS)
                row.seconds[name] = await timed(act, seconds)
        await asyncio.sleep(max(0, began + CONCLUDED - time.monotonic()))
        found = await anna.node.diagnose()
        row.verdict, row.evidence = found.network, found.evidence
    if "in call" in columns:
        say(f"{scenario.id}: in call")
        await made.arrive([])
        async with made.people() as (anna, boris):
            row.seconds["in call"] = await _in_call(made, anna, boris, scenario, seed, patience)
    made.box.rules = []
    return row


async def _until(right: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await right():
            return
        await asyncio.sleep(GLANCE)


async def _connected(client: Client) -> None:
    while True:
        status = await client.node.status()
        if any(relay.state == "connected" for relay in status.relays):
            return
        await asyncio.sleep(GLANCE)


async def _text(anna: Client, boris: Client) -> None:
    word = os.urandom(8).hex()
    await anna.node.send(await _contact(anna), word)
    sender = await _contact(boris)

    async def there() -> bool:
        page = await boris.node.messages(sender)
        return any(message.text == word for message in page.messages)

    await _until(there)


async def _file(anna: Client, boris: Client, kind: FileKind, data: bytes) -> None:
    upload = await anna.upload(io.BytesIO(data), len(data))
    name = f"{os.urandom(8).hex()}.bin"
    sent = await anna.node.send_file(await _contact(anna), upload, name, kind=kind)
    try:
        sender = await _contact(boris)
        asked = False
        while True:
            page = await boris.node.messages(sender)
            got = next((m for m in page.messages if m.file and m.file.name == name), None)
            if got is not None and _state(got) == "whole":
                return
            if got is not None and _state(got) == "offered" and not asked:
                asked = True
                await boris.node.fetch_file(got.id)
            await asyncio.sleep(GLANCE)
    finally:
        with contextlib.suppress(ApiError):
            await anna.node.cancel_file(sent.id)


def _state(message: Message) -> str:
    return message.file.state if message.file else ""


async def _state_of_call(client: Client, id: str) -> str:
    return next((one.state for one in await client.node.calls() if one.id == id), "ended")


async def _talking(anna: Client, boris: Client) -> str:
    """Ring and answer; the call's id once both talk."""
    for client in (anna, boris):
        for one in await client.node.calls():
            if one.state != "ended":
                await client.node.hang_up(one.id)
    call = await anna.node.start_call(await _contact(anna))
    accepted = False
    while True:
        states = [await _state_of_call(client, call.id) for client in (anna, boris)]
        if states == ["talking", "talking"]:
            return call.id
        if states[1] == "ringing" and not accepted:
            accepted = True
            await boris.node.accept_call(call.id)
        if accepted and "ended" in states:
            raise ApiError("not-found", "the call ended")
        await asyncio.sleep(GLANCE)


async def _call(anna: Client, boris: Client) -> None:
    id = await _talking(anna, boris)
    await boris.node.hang_up(id)

    async def over() -> bool:
        return all(one.state == "ended" for one in await anna.node.calls())

    await _until(over)


async def _in_call(
    made: Stage, anna: Client, boris: Client, scenario: Scenario, seed: int, patience: Patience
) -> float | None:
    """Whether a call that stands when the censor begins is heard again at the end of a while."""
    try:
        async with asyncio.timeout(patience.connect + patience.call):
            await _connected(anna)
            id = await _talking(anna, boris)
    except (TimeoutError, ApiError):
        return None
    heard: deque[bytes] = deque(maxlen=LAST)
    event = asyncio.Event()
    event.set()
    seconds = CALM * 2
    both = [
        asyncio.create_task(talk(anna, id, _tone(), lambda pcm: None, event, seconds)),
        asyncio.create_task(talk(boris, id, _tone(), heard.append, event, seconds)),
    ]
    await asyncio.sleep(1)
    made.box.rules = scenario.at(made.world, seed)
    await asyncio.sleep(CALM)
    loud = sum(max(array("h", pcm), default=0) > LOUD // 4 for pcm in heard)
    for one in both:
        one.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    with contextlib.suppress(ApiError):
        await boris.node.hang_up(id)
    return loud / LAST if loud >= LAST // 2 else None


def _tone() -> Iterator[bytes]:
    """Something to be heard, for ever."""
    samples = RATE // 50
    wave = (round(LOUD * math.sin(2 * math.pi * 400 * at / RATE)) for at in range(samples))
    piece = array("h", wave).tobytes()
    while True:
        yield piece


def table(rows: list[Row]) -> str:
    """The survival matrix in Markdown."""
    lines = [
        "| scenario | " + " | ".join(COLUMNS) + " | verdict |",
        "|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for row in rows:
        cells = [_cell(name, row) for name in COLUMNS]
        verdict = row.verdict if row.verdict == row.expected else f"{row.verdict} ({row.expected})"
        lines.append(f"| {row.id} | " + " | ".join(cells) + f" | {verdict} |")
    return "\n".join(lines)


def _cell(name: str, row: Row) -> str:
    if name not in row.seconds:
        return ""
    found = row.seconds[name]
    if found is None:
        return "no"
    return "goes on" if name == "in call" else f"{found:.1f} s"
