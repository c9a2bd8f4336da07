"""Calls on networks that are made worse while somebody speaks: real programs, real speech.

`python bench/calls.py [WORLD...]`. Anna's node is behind a middlebox (`holdfast.lab.box`), which
both ways of her line share; Boris's is behind one that does nothing. Both speak recordings of a
voice. Whole clips are compared with what was heard, each with one lag for all of it (STOI); delays
are from mouth to ear, framing and coding included, devices not.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from holdfast.core.call.story import sentence
from holdfast.lab.box import Box
from holdfast.lab.rules import Flow, Freeze, Police, Rough, Rule
from holdfast.node.client import Client
from holdfast.node.schema import CallChanged, CallStory
from holdfast.sound import wav
from holdfast.sound.call import Heard, talk
from holdfast.sound.coding import FRAME_BYTES
from holdfast.sound.opus import RATE, SAMPLE
from holdfast.testing.listening import Samples, align, samples, speech, stoi
from holdfast.testing.processes import Processes

LEAD, PAUSE = 5.0, 0.5
"""Seconds of silence before the first clip, and between two."""
PLACE = ("relay.test", 443)
TRIP = 0.06
"""Seconds there and back, beside what the machine takes."""
PATIENCE = 60
SETTLE = 25.0
"""Seconds that a call is given to find what a thin line carries."""


@dataclass
class Hang(Rule):
    """Nothing passes until a time; then all that waited does."""

    until: float = 0

    def delay(self, flow: Flow, now: float) -> float:
        return max(0.0, self.until - now)


@dataclass
class World:
    """A network for a call, and what happens in it."""

    name: str
    rules: list[Rule] = field(default_factory=list)
    lead: float = LEAD
    act: Callable[[Box, list[Rule]], Awaitable[None]] | None = None
    """What happens, beginning when it is spoken."""


def line(bits: float = 0, seed: int = 1) -> list[Rule]:
    """A line of 60 ms there and back; `bits` a second each way."""
    rules: list[Rule] = [Rough(TRIP / 2 - 0.002, 0.004, 0, 0, 0, Random(seed))]
    return [*rules, Police((), bits * 2)] if bits else rules


async def hang(box: Box, rules: list[Rule]) -> None:
    """Nothing for five seconds, in the middle of the first clip."""
    await asyncio.sleep(LEAD + 3)
    stop = Hang(time.monotonic() + 5)
    box.rules = [*rules, stop]
    await asyncio.sleep(5.5)
    box.rules = rules


async def freeze(box: Box, rules: list[Rule]) -> None:
    """Connections begin to freeze after 16 KB."""
    await asyncio.sleep(LEAD)
    box.rules = [*rules, Freeze(16_000, 25, 1.0, Random(1))]


WORLDS = [
    World("60 ms there and back", line()),
    *(World(f"{kbit} kbit/s", line(kbit * 1000), SETTLE) for kbit in (24, 16, 12, 8, 4)),
    World("nothing for 5 s", line(), act=hang),
    World("frozen after 16 KB", line(), 40.0, freeze),
]


def monologue(clips: list[Path], lead: float) -> tuple[bytes, list[tuple[int, Samples]]]:
    """The clips with pauses; where each begins, and what it sounds like."""
    spoken, parts = bytes(int(lead * RATE) * SAMPLE), []
    for clip in clips:
        pcm = b"".join(wav.read(clip, format="g722"))
        parts.append((len(spoken) // SAMPLE, samples(pcm)))
        spoken += pcm + bytes(int(PAUSE * RATE) * SAMPLE)
    return spoken, parts


def pieces(pcm: bytes) -> Iterator[bytes]:
    """For the microphone."""
    for at in range(0, len(pcm), FRAME_BYTES):
        yield pcm[at : at + FRAME_BYTES]


async def meet(anna: Client, boris: Client) -> str:
    """They become contacts; Anna's name for Boris."""
    made = await anna.node.create_invitation(False, 24, "")
    async with asyncio.timeout(PATIENCE):
        while made.state != "open":
            await asyncio.sleep(0.05)
            made = next(one for one in await anna.node.invitations() if one.id == made.id)
        await boris.node.accept_invitation(made.link)
        while True:
            found = await anna.node.contacts()
            if found and found[0].state == "active":
                return found[0].id
            await asyncio.sleep(0.05)


async def side(client: Client, call: str, said: bytes, after: float) -> tuple[Heard, Samples]:
    """One person's sound."""
    talking = asyncio.Event()

    async def watch() -> None:
        async for event in client.events():
            if isinstance(event, CallChanged) and event.call.state == "talking":
                talking.set()

    watching = asyncio.create_task(watch())
    out: list[bytes] = []
    spoken = pieces(said + bytes(int(after * RATE) * SAMPLE))
    heard = await talk(client, call, spoken, out.append, talking)
    watching.cancel()
    return heard, samples(b"".join(out))


async def call(
    anna: Client, boris: Client, contact: str, said: bytes, begin: Callable[[], None]
) -> list[tuple[Heard, Samples]]:
    """A call in which both say the same; what each heard."""
    made = await anna.node.start_call(contact)

    async def ringing() -> str:
        while True:
            for one in await boris.node.calls():
                if one.state == "ringing":
                    return one.id
            await asyncio.sleep(0.05)

    async with asyncio.timeout(PATIENCE):
        ring = await ringing()
    await boris.node.accept_call(ring)
    begin()
    sides = await asyncio.gather(side(anna, made.id, said, 8), side(boris, ring, said, 8))
    await anna.node.hang_up(made.id)
    return sides


async def story(client: Client) -> CallStory:
    """Of the last call."""
    async with asyncio.timeout(PATIENCE):
        while True:
            (contact, *_) = await client.node.contacts()
            for one in reversed((await client.node.messages(contact.id)).messages):
                if one.kind == "call":
                    return await client.node.call_story(one.id)
            await asyncio.sleep(0.1)


def scores(
    parts: list[tuple[int, Samples]], heard: Samples, apart: float
) -> list[tuple[float, float]]:
    """STOI and delay (ms) of each clip. `apart`: seconds by which the ear began later."""
    found: list[tuple[float, float]] = []
    for at, clip in parts:
        start = max(0, at - int(apart * RATE))
        piece = heard[start : start + len(clip) + 8 * RATE]
        if len(piece) < RATE:
            found.append((0.0, np.inf))
            continue
        lag = align(clip, piece)
        delay = (start - at + lag) * 1000 / RATE + apart * 1000
        found.append((stoi(clip, piece, lag), delay))
    return found


async def play(world: World, folder: Path, clips: list[Path]) -> list[tuple[float, float]]:
    """One call in this world: what each clip scored at both ends. Prints how it went."""
    said, parts = monologue(clips, world.lead)
    with Processes(folder) as run:
        relay = run.relay(advertise=":".join(map(str, PLACE)))
        real = {PLACE: ("127.0.0.1", relay.port)}
        async with Box(real) as hers, Box(real) as his:
            anna_node = run.node("Anna", relay.address, proxy=hers.url)
            boris_node = run.node("Boris", relay.address, proxy=his.url)
            async with (
                Client.connect(anna_node.directory) as anna,
                Client.connect(boris_node.directory) as boris,
            ):
                contact = await meet(anna, boris)
                hers.rules = world.rules
                acting: list[asyncio.Task[None]] = []

                def begin() -> None:
                    if world.act is not None:
                        acting.append(asyncio.ensure_future(world.act(hers, world.rules)))

                (one, one_sound), (other, other_sound) = await call(
                    anna, boris, contact, said, begin
                )
                for task in acting:
                    task.cancel()
                hers.rules = []
                told = await story(boris)
    apart = (other.started - one.started) / 1e9
    found = scores(parts, other_sound, apart) + scores(parts, one_sound, -apart)
    print(f"-- {world.name}: late {one.late} and {other.late} frames", file=sys.stderr)
    for moment in told.moments:
        why = sentence(moment.what, moment.of, moment.why, moment.figures, moment.again)
        print(f"   {moment.at / 1000:6.1f} {why}", file=sys.stderr)
    rungs = [f"{s.rung}/{s.way}/{s.delay}" for s in told.samples[::4]]
    print("  ", " ".join(rungs), file=sys.stderr)
    return found


def figures(*names: str) -> list[tuple[str, str]]:
    """Rows of the table in README."""
    rows = []
    clips = speech(2)
    for world in WORLDS:
        if names and world.name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            found = asyncio.run(play(world, Path(place), clips))
        heard = " ".join(f"{score:.2f}" for score, _ in found)
        delays = " ".join(f"{delay:.0f}" for _, delay in found)
        rows.append((f"Call, {world.name}: STOI of whole clips, both ends", heard))
        rows.append((f"Call, {world.name}: mouth to ear without devices, ms", delays))
    return rows


if __name__ == "__main__":
    for row in figures(*sys.argv[1:]):
        print(*row, sep=": ")
