"""The observatory without its port: journal, ledger, engine, editors, and the clock's steps.

Reports are durable before `settled` hears of them. A step is closed when its five minutes are
over and everything admitted in them is durable; its rollup goes to the ledger and to the
engine. After a crash the ledger is gone on with from the journal, and the engine is made
again from the ledger: the same events, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import report
from holdfast.watch.edits import Edits
from holdfast.watch.engine import Engine
from holdfast.watch.event import Event, encode
from holdfast.watch.journal import DAY, STEP, Entry, Journal, Settled
from holdfast.watch.ledger import Ledger, raw
from holdfast.watch.places import Places
from holdfast.watch.rollup import Rollup, Row, Sums, rollups

HISTORY: Final = 400 * DAY
"""Of the ledger, from which the engine is made again."""
MONTH: Final = 32


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
    ) -> None:
        self.data = data
        self.places = places
        self.name = name
        self.key = key
        self.public = raw(key)
        self.simulated = simulated
        self.played = 0.0 if simulated else 1.0
        """Share of a simulated past that was played in."""
        self.engine = Engine(places)
        self.ledger = Ledger(data / "ledger")
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
        self._next = 0

    def start(self, now: int) -> None:
        """Go on from what is on the disk."""
        self.ledger.mend()
        said: list[bytes] = []
        for one in self.ledger.read(now - HISTORY):
            said += map(encode, self.engine.tick(one.at, one.rows))
        log = self.data / "events"
        logged = log.read_bytes().count(b"\n") if log.exists() else 0
        self._log(said[logged:])  # a crash came between
        self._next = max(self.engine.now, 0)
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
        # Steps in which the watch was away stay out of the ledger: nothing was heard of
        # anybody, and that says nothing.
        for at in sorted(self._open):
            if at + STEP <= now:
                self._close(at)
        self._next = max(self._next, now // STEP * STEP)

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
        """Close the steps that are over."""
        while self._next + STEP <= now and not self._waiting.get(self._next):
            self._close(self._next)

    def current(self, region: str, function: str) -> int:
        """Complaints in the step that is open."""
        return sum(
            row.seen
            for sums in self._open.values()
            for row in sums.rows()
            if row.source in "cf" and (row.region, row.function) == (region, function)
        )

    def feed(self, one: Rollup) -> None:
        """A closed step from elsewhere: simulated, or merged."""
        self.ledger.append(one, self.key)
        self._tick(one)

    def _close(self, at: int) -> None:
        sums = self._open.pop(at, Sums())
        self._waiting.pop(at, None)
        if self.pretended is not None:
            sums.merge(self.pretended(at))
        self.feed(Rollup(at, sums.rows()))

    def _tick(self, one: Rollup) -> None:
        events = self.engine.tick(one.at, one.rows)
        self._log(list(map(encode, events)))
        self._next = max(self._next, one.at + STEP)
        for event in events:
            if self.visible(event):
                for call in self.changed:
                    call(event)

    def _log(self, lines: list[bytes]) -> None:
        """Each change of an event as it was: what a replay has to give again."""
        if lines:
            with (self.data / "events").open("ab") as file:
                file.write(b"".join(line + b"\n" for line in lines))

    def visible(self, event: Event) -> bool:
        """Whether the public sees it: signals agree, or an editor confirmed it."""
        return bool(event.published) or self.edits.verdict(event.id) == "confirm"

    def public_events(self) -> list[Event]:
        """The newest first."""
        found = [event for event in self.engine.events if self.visible(event)]
        return sorted(found, key=lambda event: (-event.started, event.id))

    def event(self, name: str) -> Event | None:
        """A public event by its id."""
        return next((event for event in self.public_events() if event.id == name), None)

    def close(self) -> None:
        """Write what was taken."""
        self.journal.close()
