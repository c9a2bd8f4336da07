"""How long a node takes to reach a relay where somebody blocks, on a network that is new to it and
on one that it knows: `python bench/arriving.py`.

Real paths, ladder and relays, two of them, both listed; the censor sits in a SOCKS5 proxy, with
parameters drawn afresh. Trials wait more than they work, so many are made at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from holdfast.core.caps import Caps, Home
from holdfast.core.ladder import PlaceMemory
from holdfast.drive.logs import LogEvent, Logs, Up
from holdfast.lab import documented, scenarios
from holdfast.lab.box import Box
from holdfast.lab.scenario import Scenario, World
from holdfast.node.program import monotonic_ms
from holdfast.node.ways import Ways, paths
from holdfast.testing.processes import Processes, RelayProgram

PATIENCE: Final = 60.0
STAYS: Final = 12.0
"""Seconds on a network before it is left: what is learnt until then is known when one returns."""
AWAY: Final = (0, 1_000, 600_000)
"""Milliseconds until one returns, one of them drawn; rests go on meanwhile."""
SHARE: Final = 0.95


@dataclass
class Arrival:
    """One trial: seconds until a relay was reached, on a new network and on the known one."""

    id: str
    seed: int
    new: float = PATIENCE
    known: float = PATIENCE
    away: int = 0
    trace: list[str] = field(default_factory=list)


class Traced(Ways):
    """Says what is tried, and what comes of it."""

    def __init__(self, box: Box, say: list[str]) -> None:
        super().__init__(paths(box.url), monotonic_ms)
        self._say, self._since = say, time.monotonic()

    def _note(self, *words: object) -> None:
        self._say.append(f"{time.monotonic() - self._since:6.2f} " + " ".join(map(str, words)))

    async def _try(self, path: str, home: Home, *about: Any) -> Any:
        place = home.host.split(".")[0]
        self._note(place, path, "begins")
        try:
            made = await super()._try(path, home, *about)
        except BaseException as error:
            self._note(place, path, getattr(error, "kind", "given up"))
            raise
        self._note(place, path, "stands")
        return made


async def arrive(
    box: Box, homes: list[Home], memory: dict[str, PlaceMemory], ago: int, stays: float
) -> tuple[float, dict[str, PlaceMemory], list[str]]:
    """Start, and stay a while: seconds until a relay was reached; what was learnt, and tried."""
    said: list[str] = []
    ways = Traced(box, said)
    ways.ladder.recall(memory, ago, monotonic_ms())
    ways.use_hops(homes)
    up = asyncio.Event()

    def hear(event: LogEvent) -> None:
        if isinstance(event, Up):
            up.set()

    began = time.monotonic()
    logs = Logs(ways.connect, monotonic_ms, os.urandom, hear)
    own = Caps.make(os.urandom(128))
    for home in homes:
        logs.create(own, home)
    seconds = PATIENCE
    try:
        async with asyncio.timeout(PATIENCE):
            await up.wait()
        seconds = time.monotonic() - began
        await asyncio.sleep(stays)
    except TimeoutError:
        pass
    learnt = ways.ladder.memory(monotonic_ms())
    await logs.stop()
    await ways.stop()
    return seconds, learnt, said


async def trial(
    relays: list[RelayProgram], abroad: Box, scenario: Scenario, seed: int, number: int
) -> Arrival:
    dice = Random(f"{scenario.id} {seed}")
    parameters = scenario.draw(dice)
    found = Arrival(scenario.id, seed, away=dice.choice(AWAY))
    async with Box({}) as box:
        homes = []
        for kind, relay in zip(("one", "two"), relays, strict=True):
            home = replace(Home.parse(relay.address), host=f"{kind}.t{number}.test", port=443)
            for middle in (box, abroad):
                middle.places[home.host, 443] = "127.0.0.1", relay.port
            homes.append(home)
        listed = tuple(home.host for home in homes)
        # On an allowlist one of them stands on listed ground.
        box.begin(scenario.stage(World(listed, (listed[1],)), seed, **parameters))
        found.new, memory, said = await arrive(box, homes, {}, 0, STAYS)
        found.trace += said
        box.cut()
        found.known, _, said = await arrive(box, homes, memory, found.away, 0)
        found.trace += ["", *said]
    return found


async def arrivals(ids: list[str], draws: int, at_once: int, seed: int) -> list[Arrival]:
    """All of them, some at a time."""
    gate = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory() as directory, Processes(Path(directory)) as run:
        async with Box({}) as abroad:
            relays = []
            for name in ("one", "two"):
                relay = await asyncio.to_thread(run.relay, name, f"{name}.test:443", abroad.url)
                relays.append(relay)

            async def one(id: str, seed: int, number: int) -> Arrival:
                async with gate:
                    return await trial(relays, abroad, scenarios.find(id), seed, number)

            work = [(id, seed + draw) for draw in range(draws) for id in ids]
            return await asyncio.gather(*(one(*about, n) for n, about in enumerate(work)))


def late(seconds: list[float]) -> float:
    """What 95 % took at most."""
    return sorted(seconds)[max(0, round(len(seconds) * SHARE) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", metavar="SCENARIO")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument(
        "--trace", type=float, metavar="S", help="what was tried, if it took so long"
    )
    asked = parser.parse_args()
    ids = asked.only or [one.id for one in documented.ALL if one.survives and not one.needs_packets]
    found = asyncio.run(arrivals(ids, asked.draws, asked.at_once, asked.seed))
    print("| scenario | new: half, most | known: half, most |\n|---|---|---|")
    for id in ids:
        new = [one.new for one in found if one.id == id]
        known = [one.known for one in found if one.id == id]
        sides = [f"{statistics.median(one):.1f}, {max(one):.1f} s" for one in (new, known)]
        print(f"| {id} | {sides[0]} | {sides[1]} |")
    sides = [
        f"{statistics.median(one):.1f}, {late(one):.1f} s"
        for one in ([one.new for one in found], [one.known for one in found])
    ]
    print(f"| all: half, 95 % | {sides[0]} | {sides[1]} |")
    for one in found:
        if asked.trace is not None and max(one.new, one.known) >= asked.trace:
            print(f"\n{one.id} {one.seed} away {one.away}: {one.new:.1f}, {one.known:.1f}")
            print("\n".join(one.trace))


if __name__ == "__main__":
    main()
