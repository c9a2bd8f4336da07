"""The observatory without its port: journal, ledger, engine, editors, and the clock's steps.

Reports are durable before `settled` hears of them. A step is closed when its five minutes are
over and everything admitted in them is durable; its rollup goes to the ledger and to the
engine. After a crash the ledger is gone on with from the journal, and the engine is made
again from all of the ledger: the same events, to the byte. Reports are taken meanwhile.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import report
from holdfast.watch import merging
from holdfast.watch.edits import BadEdit, Edit, Edits
from holdfast.watch.engine import Engine
from holdfast.watch.event import Event, encode
from holdfast.watch.journal import DAY, STEP, Entry, Journal, Settled
from holdfast.watch.ledger import Ledger, append, divide, mend, raw
from holdfast.watch.merging import HOLD, Peer, Peers
from holdfast.watch.places import Places
from holdfast.watch.rollup import Rollup, Row, Sums, rollups

MONTH: Final = 32


def month_of(at: int) -> int:
    """Months since 1970."""
    return report.window("alive", at)


class Station:
    """One observatory's state. Everything but the journal's writing is on one thread."""

    def __init__(
        self,
        data: Path,
        places: Places,
        name: str,
        key: Ed25519PrivateKey,
        editors: frozenset[bytes],
        post: Callable[[Callable[[], object]], object],
        simulated: bool = False,
        peers: tuple[Peer, ...] = (),
        reach: Callable[[str, int, int], int | None] = lambda region, month, count: None,
    ) -> None:
        """`reach`: what is told of a region's installations of a month. Raises `BadRollup`."""
        self.data = data
        self.places = places
        self.name = name
        self.key = key
        self.public = raw(key)
        self.simulated = simulated
        self.played = 0.0 if simulated else 1.0
        """Share of the past, be it simulated or one's own, that was played in."""
        self.engine = Engine(places)
        self.ledger = Ledger(data / "ledger")
        self.alive = Ledger(data / "alive")
        self.peers = Peers(data / "peers", peers, places, self.public)
        self._reach = reach
        self.journal = Journal(data / "journal", post)
        self.edits = Edits(data / "edits", editors)
        self.spent: set[bytes] = set()
        self.changed: list[Callable[[Event], object]] = []
        """Called with each public event that is new or other than before."""
        self.pretended: Callable[[int], list[Row]] | None = None
        """Rows that are added to each step, where a country is simulated."""
        self._open: dict[int, Sums] = {}
        self._waiting: dict[int, int] = {}
        """Entries under way to the disk, by step."""
        self._closed: deque[Rollup] = deque()
        """Steps that others are waited for."""
        self._unlogged: list[bytes] = []
        self._logged = 0
        """Changes in the log that were not played again yet."""
        self._next = self._month = self._here = 0

    def start(self, now: int) -> None:
        """Go on with what is on the disk: reports can be submitted from now on, and steps be closed
        once the past was played."""
        self.ledger.mend()
        self.alive.mend()
        divide(self.ledger, self.alive, self.key)
        mend(self.data / "events")
        last = self.ledger.last()
        if last >= 0:
            self._next, self._month, self.played = last + STEP, month_of(last), 0.0
        today = now // DAY
        for day in self.journal.days():
            if day < today - MONTH and (day + 1) * DAY <= self._next:
                continue
            entries = list(self.journal.read(day))
            self._remember(entries, now)
            for at, rows in rollups(entries).items():
                if at >= self._next:
                    self._open[at] = Sums()
                    self._open[at].merge(rows)
        if self._next == 0:
            self._next = min([*self._open, now // STEP * STEP])
        self._here = now // STEP * STEP

    def play(self) -> Iterator[float]:
        """The past, step by step: the share of it that was played in."""
        log = self.data / "events"
        self._logged = log.read_bytes().count(b"\n") if log.exists() else 0
        begins = -1
        for one in merging.steps(self.data, self.places):
            self._note(self.engine.tick(one.at, one.rows, one.watches))
            begins = one.at if begins < 0 else begins
            yield (one.at - begins) / (self._next - begins)
        self.played = 1.0

    def _remember(self, entries: list[Entry], now: int) -> None:
        for entry in entries:
            if entry.spent and entry.window + 1 >= report.window(entry.kind, now):
                self.spent.add(entry.spent)

    def submit(self, entries: tuple[Entry, ...], settled: Settled) -> None:
        """Make a report durable, count it, and say so."""
        at = entries[0].at
        self._waiting[at] = self._waiting.get(at, 0) + 1

        def written(why: str) -> None:
            self._waiting[at] -= 1
            if not why:
                sums = self._open.setdefault(at, Sums())
                for entry in entries:
                    sums.add(entry)
            settled(why)

        self.journal.append(entries, written)

    def advance(self, now: int) -> None:
        """Close the steps that are over, as far as the disk takes them; it is tried again."""
        with contextlib.suppress(OSError):
            while self._next + STEP <= now and not self._waiting.get(self._next):
                # Steps in which the watch was away stay out of the ledger: nothing was heard of
                # anybody, and that says nothing.
                if self._next >= self._here or self._next in self._open:
                    self._close(self._next)
                else:
                    self._next += STEP
            self._log()
        while self._closed:
            at = self._closed[0].at
            if not self.peers.complete(at) and now < at + STEP + HOLD:
                break
            self._tick(self._closed.popleft())

    @property
    def behind(self) -> bool:
        """Whether it does not know yet what goes on: its own past is being played."""
        return self.played < 1 and not self.simulated

    @property
    def due(self) -> int:
        """The first step of which the engine was not told yet."""
        return self._closed[0].at if self._closed else self._next

    def current(self, region: str, function: str) -> int:
        """Complaints in the step that is open."""
        return sum(
            row.seen
            for sums in self._open.values()
            for row in sums.rows()
            if row.source in "cf" and (row.region, row.function) == (region, function)
        )

    def feed(self, one: Rollup) -> None:
        """A closed step. Raises OSError if the disk does not take it."""
        public = [row for row in one.rows if row.source != "a"]
        if private := [row for row in one.rows if row.source == "a"]:
            self.alive.append(Rollup(one.at, private), self.key)
        if month_of(one.at) != self._month:
            public = sorted([*public, *self._reached(one.at)], key=lambda row: row.key)
        self.ledger.append(Rollup(one.at, public), self.key)
        self._month = month_of(one.at)
        self._next = max(self._next, one.at + STEP)
        if self.peers.all:
            self._closed.append(one)
        else:
            self._tick(one)

    def reached(self, month: int) -> dict[str, int]:
        """Installations of a month by region, blurred, none under 50."""
        return {
            code: told
            for code, place in self.engine.regions.items()
            if (told := self._reach(code, month, place.alive.get(month, 0)))
        }

    def _reached(self, at: int) -> Iterator[Row]:
        """For other watches: what there was in the month before."""
        for code, told in self.reached(month_of(at) - 1).items():
            yield Row("r", code, "", "", told)

    def _close(self, at: int) -> None:
        sums = Sums()
        sums.merge(self._open.get(at, Sums()).rows())
        if self.pretended is not None:
            sums.merge(self.pretended(at))
        self.feed(Rollup(at, sums.rows()))
        self._open.pop(at, None)
        self._waiting.pop(at, None)

    def _tick(self, one: Rollup) -> None:
        step = merging.step(one.at, one.rows, self.peers.take(one.at))
        events = self.engine.tick(step.at, step.rows, step.watches)
        self._note(events)
        with contextlib.suppress(OSError):
            self._log()
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self.visible(event):
            for call in self.changed:
                call(event)

    def edit(self, one: Edit) -> None:
        """Keep what an editor says. Raises `BadEdit`, OSError."""
        event = next((event for event in self.engine.events if event.id == one.event), None)
        if event is None:
            raise BadEdit("there is no such event")
        self.edits.add(one)
        self._tell(event)

    def _note(self, events: list[Event]) -> None:
        """Changes to be logged, but for what was before a crash."""
        self._unlogged += map(encode, events[self._logged :])
        self._logged = max(0, self._logged - len(events))

    def _log(self) -> None:
        """Each change of an event as it was: what a replay has to give again."""
        if self._unlogged:
            append(self.data / "events", b"".join(line + b"\n" for line in self._unlogged))
            self._unlogged = []

    def visible(self, event: Event) -> bool:
        """Whether the public sees it: signals agree, or an editor confirmed it."""
        return bool(event.published) or self.edits.verdict(event.id) == "confirm"

    def public_events(self) -> list[Event]:
        """The newest first."""
        found = [event for event in self.engine.events if self.visible(event)]
        return sorted(found, key=lambda event: (-event.started, event.id))

    def going(self) -> list[Event]:
        """Public ones that are not over, and that no editor rejected; the newest first."""
        return [event for event in self.public_events() if not event.ended
                and self.edits.verdict(event.id) != "reject"]  # fmt: skip

    def event(self, name: str) -> Event | None:
        """A public event by its id."""
        found = (event for event in self.engine.events if event.id == name and self.visible(event))
        return next(found, None)

    def close(self) -> None:
        """Write what was taken."""
        self.journal.close()
