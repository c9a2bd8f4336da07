"""Whether a node says what is done to it: many at once, each on a network of its own.

Each has the real paths, ladder and controls, two real relays, and a censor with fresh parameters,
or a network that is merely bad. It does what people do: it keeps connections, sends a line every
few seconds and now and then fetches a file. Asked every second, it is right if what it says in the
end is what was done; on a network that nobody blocks it must not say once that somebody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast.core.caps import Caps, Home
from holdfast.core.finding import Fact, Verdict
from holdfast.drive.logs import Appended, CaughtUp, LogEvent, Logs
from holdfast.lab import benign, documented, rules, scenarios
from holdfast.lab.box import Box
from holdfast.lab.rules import Rule
from holdfast.lab.scenario import Parameters, Scenario, Staging, Turn, World
from holdfast.node.controls import Controls
from holdfast.node.program import monotonic_ms
from holdfast.node.ways import Ways, paths
from holdfast.testing.processes import Processes, RelayProgram

BLOCKING: frozenset[Verdict] = frozenset(
    ("freeze", "fingerprint", "name-block", "dns-block", "address-block", "allowlist", "throttled",
     "learned", "impostor")
)  # fmt: skip
AT_ONCE = 50
LOOKED = 1.0
"""Seconds between two questions for the verdict."""
LASTS = 90.0
"""Seconds of a trial after the network became what it is."""
BEFORE = 8.0
"""Seconds of a good network before, in half of the trials."""
LINE_EVERY = 3.0
FILE_EVERY = 10.0
FILE = 24
"""Records of a file, of `RECORD` bytes each."""
RECORD = 16 * 1024
KEPT = 3_600
UNSEEN = {"voip-degrade": "calls", "voip-streams": "calls", "volume-ban": "gigabytes"}
"""What shows itself only in what these trials do not do."""
NOTICED = 5.0
"""Seconds after which a device has seen at the latest that it is on another network, or awake."""


@dataclass
class Found:
    """What came of one trial."""

    id: str
    parameters: Parameters
    seed: int
    late: bool
    expected: frozenset[str]
    said: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since it began, and each verdict that was new."""
    evidence: tuple[Fact, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the last word was."""
        return self.said[-1][1] in self.expected

    @property
    def accused(self) -> set[str]:
        """What it said that accuses somebody."""
        return {verdict for _, verdict in self.said} & BLOCKING

    def __str__(self) -> str:
        said = ", ".join(f"{at:.0f} s {verdict}" for at, verdict in self.said)
        when = "late" if self.late else "at once"
        values = " ".join(f"{name}={value:.3g}" for name, value in self.parameters.items())
        facts = "; ".join(map(str, self.evidence))
        return f"{self.id} ({self.seed}, {when}, {values}): {said} | {facts}"


class Town:
    """Relays and sites that all trials share, under names of their own in each."""

    def __init__(self, abroad: Box, relays: list[RelayProgram], sites: list[RelayProgram]) -> None:
        self._abroad = abroad
        self._relays, self._sites = relays, sites
        self.file = Caps.make(os.urandom(128))
        self._count = 0

    async def store(self) -> None:
        """Put the file on both relays."""
        waiting = {(n, index) for n in range(len(self._relays)) for index in range(FILE)}
        done = asyncio.Event()
        homes = [Home.parse(relay.address) for relay in self._relays]
        by_rid = {os.urandom(16): one for one in waiting}

        def hear(event: LogEvent) -> None:
            if isinstance(event, Appended):
                waiting.discard(by_rid[event.rid])
                if not waiting:
                    done.set()

        ways = Ways(paths(self._abroad.url), monotonic_ms)
        logs = Logs(ways.connect, monotonic_ms, os.urandom, hear)
        for home in homes:
            logs.create(self.file, home)
        for rid, (n, _) in by_rid.items():
            logs.append(self.file, homes[n], rid, os.urandom(RECORD), KEPT)
        async with asyncio.timeout(60):
            await done.wait()
        await logs.stop()

    def names(self, box: Box) -> tuple[list[Home], dict[str, str]]:
        """Fresh names for all of it, for this box: relays, and sites by kind."""
        self._count += 1
        homes, sites = [], {}
        for kind, relay in zip(("one", "two"), self._relays, strict=True):
            home = replace(Home.parse(relay.address), host=f"{kind}.t{self._count}.test", port=443)
            for middle in (box, self._abroad):
                middle.places[home.host, 443] = "127.0.0.1", relay.port
            homes.append(home)
        for kind, site in zip(("domestic", "foreign"), self._sites, strict=True):
            sites[kind] = f"{kind}.t{self._count}.test"
            box.places[sites[kind], 443] = "127.0.0.1", site.port
        return homes, sites

    def forget(self, homes: list[Home]) -> None:
        """These names are not used any more."""
        for home in homes:
            self._abroad.places.pop((home.host, 443), None)

    @contextlib.contextmanager
    def elsewhere(self, rule: Rule):
        """Something that is so for everybody, not on one's own line."""
        self._abroad.rules.append(rule)
        try:
            yield
        finally:
            self._abroad.rules.remove(rule)


@contextlib.asynccontextmanager
async def town(directory: Path) -> AsyncIterator[Town]:
    with Processes(directory) as run:
        async with Box({}) as abroad:
            started = []
            for name in ("one", "two"):
                home = f"{name}.test:443"
                relay = await asyncio.to_thread(run.relay, name, home, abroad.url)
                abroad.places[f"{name}.test", 443] = "127.0.0.1", relay.port
                started.append(relay)
            for name in ("domestic", "foreign"):
                (directory / name / "site").mkdir(parents=True)
                (directory / name / "site/index.html").write_bytes(os.urandom(256 * 1024))
                started.append(await asyncio.to_thread(run.relay, name, f"{name}.test:443"))
            made = Town(abroad, started[:2], started[2:])
            await made.store()
            yield made


class Person:
    """Somebody who writes a line now and then, and fetches a file."""

    def __init__(self, box: Box, homes: list[Home], sites: dict[str, str], file: Caps) -> None:
        self.ways = Ways(paths(box.url), monotonic_ms)
        self.ways.use_hops(homes)
        self._eyes = Controls(
            {"domestic": [(sites["domestic"], 443)], "foreign": [(sites["foreign"], 443)]},
            self.ways.control,
            box.url,
        )
        self.ways.use_controls(self._eyes.wanted)
        self._logs = Logs(self.ways.connect, monotonic_ms, os.urandom, self._hear)
        self._homes = homes
        self._file = file
        self._own = Caps.make(os.urandom(128))
        self._fetched = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Person:
        for home in self._homes:
            self._logs.create(self._own, home)
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._fetch())]
        return self

    async def __aexit__(self, *about: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._eyes.stop()
        await self._logs.stop()
        await self.ways.stop()

    def _hear(self, event: LogEvent) -> None:
        if isinstance(event, CaughtUp) and event.locator == self._file.locator:
            self._fetched.set()

    async def _write(self) -> None:
        while True:
            rid = os.urandom(16)
            for home in self._homes:
                self._logs.append(self._own, home, rid, os.urandom(600), KEPT)
            await asyncio.sleep(LINE_EVERY)

    async def _fetch(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(1)
            home = self._homes[turn % len(self._homes)]
            turn += 1
            self._fetched.clear()
            self._logs.follow(self._file, home, 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(4 * FILE_EVERY):
                    await self._fetched.wait()
            self._logs.unfollow(self._file, home)
            await asyncio.sleep(FILE_EVERY)


async def listen(person: Person, found: Found, seconds: float) -> None:
    """Ask every second."""
    began = time.monotonic()
    while (age := time.monotonic() - began) < seconds:
        finding = person.ways.finding()
        if not found.said or found.said[-1][1] != finding.verdict:
            found.said.append((age, finding.verdict))
        found.evidence = finding.evidence
        await asyncio.sleep(LOOKED)


async def trial(made: Town, scenario: Scenario, seed: int) -> Found:
    """One scenario, its parameters and what happens when drawn from the seed."""
    dice = Random(f"{scenario.id} {seed}")
    parameters = scenario.draw(dice)
    for name in parameters:
        if name.endswith("seconds") and "learn-list" in scenario.id:
            parameters[name] = dice.uniform(5, LASTS / 3)  # else it does not happen here
    late = "file" in scenario.onsets and dice.random() < 0.5
    words = scenario.verdict.split() if scenario.benign else scenario.verdicts
    found = Found(scenario.id, parameters, seed, late, frozenset(words))
    async with Box({}) as box, contextlib.AsyncExitStack() as stack:
        homes, sites = made.names(box)
        world = World(
            tuple(home.host for home in homes), (sites["domestic"],), portal=sites["domestic"]
        )
        staging = scenario.stage(world, seed, **parameters)
        if not late:
            await _begins(made, box, staging, stack)
        async with Person(box, homes, sites, made.file) as person:
            if late:
                await asyncio.sleep(BEFORE)
                await _begins(made, box, staging, stack)
                if scenario.on_handshakes or (not scenario.benign and dice.random() < 0.5):
                    box.cut()
            turns = asyncio.create_task(_turns(staging.turns, box, person, dice))
            await listen(person, found, LASTS)
            turns.cancel()
            await asyncio.gather(turns, return_exceptions=True)
        made.forget(homes)
    return found


async def _begins(made: Town, box: Box, staging: Staging, stack: contextlib.AsyncExitStack) -> None:
    box.rules = staging.rules
    for rule in staging.elsewhere:
        stack.enter_context(made.elsewhere(rule))


async def _turns(turns: list[Turn], box: Box, person: Person, dice: Random) -> None:
    """What happens to the device; of another network, and of having slept, it knows soon."""
    usual, began = box.rules, time.monotonic()
    for turn in turns:
        await asyncio.sleep(began + turn.at - time.monotonic())
        if turn.what in ("dark", "sleep"):
            box.rules = [*usual, rules.Dark()]
        elif turn.what in ("light", "wake"):
            box.rules = usual
        if turn.what in ("cut", "move", "wake"):
            box.cut()
        if turn.what in ("move", "wake"):
            asyncio.get_running_loop().call_later(dice.uniform(0, NOTICED), person.ways.move)


async def gathered(work: list, at_once: int = AT_ONCE) -> list[Found]:
    """Some at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(begin) -> Found:
        async with gate:
            return await begin()

    return await asyncio.gather(*(one(begin) for begin in work))


def _shows(one: Scenario) -> bool:
    return not one.needs_packets and one.id not in UNSEEN


def drawn(seed: int, count: int) -> list[Scenario]:
    """Every scenario in turn; every fourth one composed with another."""
    dice = random.Random(f"scenarios {seed}")
    single = [one for one in documented.ALL if _shows(one)]
    found = []
    for index in range(count):
        one = single[(seed + index) % len(single)]
        if index % 4 == 3:
            other = dice.choice([two for two in single if two.id != one.id])
            one = scenarios.find(f"{one.id}+{other.id}")
        found.append(one)
    return found


async def _recall(seed: int, count: int, directory: Path) -> list[Found]:
    async with town(directory) as made:
        return await gathered(
            [
                lambda one=one, n=n: trial(made, one, seed * 1_000 + n)
                for n, one in enumerate(drawn(seed, count))
            ]
        )


async def _benign(seed: int, count: int, directory: Path) -> list[Found]:
    worlds = [one for one in benign.ALL if _shows(one)]
    async with town(directory) as made:
        return await gathered(
            [
                lambda n=n: trial(made, worlds[(seed + n) % len(worlds)], seed * 1_000 + n)
                for n in range(count)
            ]
        )


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """What is said of `count` blocked networks; see `judge`."""
    found = asyncio.run(_recall(seed, count, directory))
    wrong = [one for one in found if not one.right]
    for one in wrong:
        print(one, flush=True)
    return {"right": len(found) - len(wrong), "of": len(found),
            "each": dict(Counter(_part(one) for one in found)),
            "wrong": dict(Counter(_part(one) for one in wrong))}  # fmt: skip


def _part(one: Found) -> str:
    return "two at once" if "+" in one.id else one.id


def judge(all: list[dict[str, Any]]) -> str:
    """Nineteen in twenty are right, and of each scenario nine in ten."""
    right, of = sum(one["right"] for one in all), sum(one["of"] for one in all)
    each, wrong = Counter[str](), Counter[str]()
    for one in all:
        each.update(one["each"])
        wrong.update(one["wrong"])
    figures = f"{right} of {of} right; wrong: {dict(wrong)}"
    assert right >= of * 0.95, figures
    low = [id for id, count in each.items() if wrong[id] > max(1, count / 10)]
    assert not low, f"{figures}; too often: {low}"
    return figures


def prove_benign(seed: int, count: int, directory: Path) -> dict[str, object]:
    """What is said of `count` networks that are merely bad; see `judge_benign`."""
    found = asyncio.run(_benign(seed, count, directory))
    accused = [one for one in found if one.accused]
    for one in accused:
        print(one, flush=True)
    return {"accusing": dict(Counter(one.id for one in accused)), "of": len(found)}


def judge_benign(all: list[dict[str, Any]]) -> str:
    """Nobody is accused on a network that is merely bad; once in a hundred at most."""
    accusing = Counter[str]()
    for one in all:
        accusing.update(one["accusing"])
    of = sum(one["of"] for one in all)
    figures = f"{accusing.total()} of {of} accuse somebody: {dict(accusing)}"
    assert accusing.total() <= max(1, of / 100), figures
    return figures


@pytest.mark.timeout(300)
async def test_a_sample_of_networks_that_are_blocked_and_of_merely_bad_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "LASTS", 50.0)
    both = await asyncio.gather(
        _recall(1, 8, tmp_path / "blocked"), _benign(1, 24, tmp_path / "bad")
    )
    blocked, bad = both
    assert sum(one.right for one in blocked) >= 7, "\n".join(map(str, blocked))
    accused = [one for one in bad if one.accused]
    assert len(accused) <= 1, "\n".join(map(str, accused))  # how many in all: `judge_benign`
