"""A scenario played for whoever is on stage: two people with one program, a censor near one.

Everything is real but the network. What is measured is the same for every peer: seconds from a
person's wish to its end at the other, and whether speech is understood at the end of a call.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from holdfast.lab import voice
from holdfast.lab.scenarios import Parameters, Scenario
from holdfast.sound.opus import RATE, SAMPLE

COLUMNS: Final = ("connect", "text", "voice", "file", "call", "again", "in file", "in call")
"""In a network where the censor is already: connecting, a text, a voice note, a large file, a call;
connecting again, now that this network is known. Then with a censor who begins in the middle."""
CALM: Final = 12.0
"""Seconds of a call, after it or the censor began, at the end of which speech is to be heard."""
CONCLUDED: Final = 12.0
"""Seconds after arriving when the node is asked for its verdict, or later."""
LEARNS: Final = 75.0
"""Seconds that it has at most, after arriving, to find the right one: some things show late."""
HOPELESS: Final = 5.0
"""Seconds for anything when there was no connection at all."""
NOTE: Final = 24_000
"""Bytes of a voice note."""
MIDDLE: Final = 0.1
"""Share of a file that has come when the censor begins."""
GLANCE: Final = 0.05
WORDS: Final = 2.0
"""Seconds of a call before the censor begins."""
Progress = Callable[[int], None]
Say = Callable[[str], object]


class Failed(Exception):
    """It did not come about, and waiting longer would not help."""


@dataclass(frozen=True)
class Patience:
    """Seconds that each thing may take before it counts as not arrived."""

    connect: float = 30
    text: float = 20
    voice: float = 30
    file: float = 120
    call: float = 30


@dataclass(frozen=True)
class Cell:
    """What came of one wish."""

    came: bool
    seconds: float
    share: float = 1
    """Of a file that did not come in time: how much had."""
    kept: bool = True
    """What had come of a file when the censor began was not sent again."""
    heard: float = 1
    """STOI of the last seconds of a call, at the side where it is worse."""


@dataclass
class Row:
    """What came of one scenario for one peer."""

    peer: str
    id: str
    parameters: Parameters
    expected: str
    cells: dict[str, Cell] = field(default_factory=dict)
    """By column; those that the peer does not have are missing."""
    verdict: str = ""
    evidence: list[str] = field(default_factory=list)


class Call(abc.ABC):
    """A call in which both talk; `voice.spoken` is what each says."""

    @abc.abstractmethod
    async def listen(self, seconds: float) -> list[bytes]:
        """What each hears from now on for so long. Less is not padded."""

    @abc.abstractmethod
    async def end(self) -> None:
        """Hang up."""


class Ground(Protocol):
    """Where they are, and the censor with them."""

    def begin(
        self, scenario: Scenario, changed: Parameters | None, seed: int, *, late: bool = False
    ) -> None:
        """The censor acts from now on; `late`: in the middle of something, and what it leaves alone
        while it stands is cut. Raises `CannotPlay` if it cannot, on this ground."""

    def calm(self) -> None:
        """There is no censor."""


class Stage(abc.ABC):
    """Two people who have met and use one program, the first where a censor can be."""

    peer: str
    columns: tuple[str, ...] = COLUMNS

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    @abc.abstractmethod
    async def leave(self, *, forget: bool = True) -> None:
        """The first one's program ends; `forget`: and knows nothing of any network any more."""

    @abc.abstractmethod
    async def arrive(self) -> None:
        """It is started."""

    @abc.abstractmethod
    async def connected(self) -> None:
        """Until it could send."""

    async def text(self) -> None:
        """Until a text has come to the other one. Raises `Failed`, as what follows does."""
        raise NotImplementedError

    async def file(self, kind: str, data: bytes, progress: Progress) -> None:
        """Until a file or voice note has. `progress` is told how many bytes of
        it have come so far."""
        raise NotImplementedError

    async def call(self) -> Call:
        """Ring, and answer. When cancelled, nothing of it is left."""
        raise NotImplementedError

    async def found(self) -> tuple[str, list[str]]:
        """What the program says of the network, and why; "" if it says nothing."""
        return "", []


async def timed(act: Awaitable[object], seconds: float) -> Cell:
    """How long it took."""
    began = time.monotonic()
    came = False
    try:
        async with asyncio.timeout(seconds):
            await act
        came = True
    except (TimeoutError, Failed):
        pass
    return Cell(came, round(time.monotonic() - began, 2))


@dataclass
class _Play:
    """One scenario for one peer, being played."""

    stage: Stage
    scenario: Scenario
    changed: Parameters | None
    seed: int
    size: int
    patience: Patience
    row: Row
    say: Say
    dice: Random
    concluded: float

    async def go(self, columns: tuple[str, ...]) -> None:
        """Play these columns."""
        wanted = [name for name in columns if name in self.stage.columns]
        late = [name for name in wanted if name.startswith("in ")]
        begins = [name for name in late if name.removeprefix("in ") in self.scenario.onsets]
        if len(late) < len(wanted):
            await self._there_before([name for name in wanted if name not in late])
        for name in begins:
            self.say(f"{self.row.peer}: {self.scenario.id}: {name}")
            self.stage.ground.calm()
            await self.stage.leave()
            await self.stage.arrive()
            if not (await timed(self.stage.connected(), self.patience.connect)).came:
                raise Failed(f"{self.row.peer} does not connect where nobody hinders it")
            act = self._in_file if name == "in file" else self._in_call
            self.row.cells[name] = await act()
        self.stage.ground.calm()

    def _begin(self, *, late: bool) -> None:
        self.stage.ground.begin(self.scenario, self.changed, self.seed, late=late)

    async def _there_before(self, wanted: list[str]) -> None:
        acts: dict[str, Callable[[float], Awaitable[Cell]]] = {
            "text": lambda seconds: timed(self.stage.text(), seconds),
            "voice": lambda seconds: self._file("voice", NOTE, seconds),
            "file": lambda seconds: self._file("file", self.size, seconds),
            "call": self._call,
        }
        patience = {name: float(getattr(self.patience, name)) for name in acts}
        await self.stage.leave()
        self._begin(late=False)
        began = time.monotonic()
        await self.stage.arrive()
        self.say(f"{self.row.peer}: {self.scenario.id}: connect")
        connect = await timed(self.stage.connected(), self.patience.connect)
        if "connect" in wanted:
            self.row.cells["connect"] = connect
        for name in wanted:
            if name in acts:
                self.say(f"{self.row.peer}: {self.scenario.id}: {name}")
                seconds = patience[name] if connect.came else HOPELESS
                self.row.cells[name] = await acts[name](seconds)
        await asyncio.sleep(max(0, began + self.concluded - time.monotonic()))
        self.row.verdict, self.row.evidence = await self.stage.found()
        while connect.came and not self._knows and time.monotonic() < began + LEARNS:
            await asyncio.sleep(1)
            self.row.verdict, self.row.evidence = await self.stage.found()
        if "again" in wanted:
            await self.stage.leave(forget=False)
            await self.stage.arrive()
            seconds = self.patience.connect if connect.came else HOPELESS
            self.row.cells["again"] = await timed(self.stage.connected(), seconds)

    @property
    def _knows(self) -> bool:
        """Whether it says what is to be said, or is not asked."""
        return not self.row.verdict or self.row.verdict in self.scenario.verdicts

    async def _file(self, kind: str, size: int, seconds: float) -> Cell:
        done = 0

        def progress(bytes: int) -> None:
            nonlocal done
            done = bytes

        cell = await timed(self.stage.file(kind, self.dice.randbytes(size), progress), seconds)
        return Cell(cell.came, cell.seconds, 1 if cell.came else round(done / size, 3))

    async def _in_file(self) -> Cell:
        """A file that is under way when the censor begins."""
        done: list[int] = [0]
        data = self.dice.randbytes(self.size)
        sending = asyncio.create_task(self.stage.file("file", data, done.append))
        try:
            while done[-1] < self.size * MIDDLE:
                if sending.done():
                    raise Failed("the file was there before the censor")
                await asyncio.sleep(GLANCE / 10)
            had, before = done[-1], len(done)
            self._begin(late=True)
            cell = await timed(sending, self.patience.file)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        kept = min(done[before:], default=had) >= had
        return Cell(cell.came, cell.seconds, 1 if cell.came else done[-1] / self.size, kept)

    async def _call(self, seconds: float) -> Cell:
        return await self._talk(seconds, lambda: None, 0)

    async def _in_call(self) -> Cell:
        return await self._talk(self.patience.call, lambda: self._begin(late=True), WORDS)

    async def _talk(self, seconds: float, begin: Callable[[], None], after: float) -> Cell:
        """Call, and listen at the end of a while. The seconds are those until both talked."""
        call: Call | None = None

        async def ring() -> None:
            nonlocal call
            call = await self.stage.call()

        cell = await timed(ring(), seconds)
        if call is None:
            return Cell(False, cell.seconds, heard=0)
        try:
            await asyncio.sleep(after)
            begin()
            await asyncio.sleep(CALM - voice.SECONDS)
            whole = round(voice.SECONDS * RATE) * SAMPLE
            both = [one.ljust(whole, b"\0") for one in await call.listen(voice.SECONDS)]
            heard = min([await asyncio.to_thread(voice.understood, one) for one in both])
        finally:
            await call.end()
        return Cell(heard >= voice.ENOUGH, cell.seconds, heard=round(heard, 3))


async def play(
    stage: Stage,
    scenario: Scenario,
    changed: Parameters | None = None,
    *,
    seed: int = 0,
    size: int = 10_000_000,
    patience: Patience | None = None,
    columns: tuple[str, ...] = COLUMNS,
    say: Say = lambda text: None,
    concluded: float = CONCLUDED,
) -> Row:
    """One scenario in a world where everything worked before. Leaves the network open. Raises
    `Failed` if something does not work even there. `concluded`: see `CONCLUDED`."""
    row = Row(
        stage.peer, scenario.id, scenario.usual | (changed or {}), " ".join(scenario.verdicts)
    )
    one = _Play(
        stage,
        scenario,
        changed,
        seed,
        size,
        patience or Patience(),
        row,
        say,
        Random(seed),
        concluded,
    )
    try:
        await one.go(columns)
    finally:
        stage.ground.calm()
    return row
