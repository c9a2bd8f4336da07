"""From rollups to events. Pure and deterministic: the same rollups give the same events.

An event is public when independent signals agree, never on complaints from one operator alone:
measurements of which more than half failed within an hour, beside complaints or by themselves;
complaints at several operators; or reports that stay away at several operators at once; of each
more than a tenth of the region's credentials could make up. Multiplicity is
controlled by what the statistics are: logarithms of likelihood ratios, which add up over
independent operators and whose threshold bounds the rate of false alarms over all cells and steps.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.watch import judging
from holdfast.watch.cells import LEARNED, Cell, Voice
from holdfast.watch.creeping import Creeping
from holdfast.watch.detect.counts import FEWER, NOTICE, Counts
from holdfast.watch.detect.season import DAY, HOUR
from holdfast.watch.event import Event
from holdfast.watch.journal import STEP
from holdfast.watch.places import Places
from holdfast.watch.rollup import Row

MOMENTS: Final = 2 * DAY // STEP
HOURS: Final = 45 * 24
LEAST: Final = 2
"""Steps and hours that are remembered for charts."""


@dataclass
class Moment:
    """One function of a region in one span: for charts and the visitor's question."""

    at: int
    complaints: int = 0
    expected: float = 0.0
    failed: int = 0
    seen: int = 0
    rate: int = 0
    control: int = 0
    rated: int = 0
    grade: int = 0
    graded: int = 0
    share: int = 0
    """As in `Row`, like those before."""

    def add(self, other: Moment | Row) -> None:
        """Measurements of the same function, of another span or operator."""
        self.failed += other.failed
        self.seen += other.seen
        if other.rated:
            self.rate += other.rate
            self.control += other.control
            self.rated += other.rated
            self.share += other.share
        if other.graded:
            self.grade += other.grade
            self.graded += other.graded


@dataclass
class Place:
    """One region."""

    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    """By function and operator."""
    by_function: dict[str, list[tuple[str, Cell]]] = field(default_factory=dict)
    """The same by function: operators and cells, in order."""
    pooled: dict[str, Counts] = field(default_factory=dict)
    """Complaints of all operators, by function."""
    expected: dict[str, float] = field(default_factory=dict)
    """Complaints in a step of the current hour, by function."""
    hot: set[str] = field(default_factory=set)
    """Functions that are worth judging."""
    voices: dict[str, Voice] = field(default_factory=dict)
    """By operator."""
    quiet: Counts = field(default_factory=lambda: Counts(FEWER))
    """Silence of all operators together."""
    alive: dict[int, int] = field(default_factory=dict)
    """Installations that said so, by month."""
    recent: dict[str, deque[Moment]] = field(default_factory=dict)
    hours: dict[str, deque[Moment]] = field(default_factory=dict)
    creeping: Creeping = field(default_factory=Creeping)
    event: Event | None = None
    calm: dict[str, int] = field(default_factory=dict)
    """Since when a function of the event has been well."""

    def measured(self, function: str) -> list[Moment]:
        """All that is remembered of it: hours, and steps of the last two days."""
        recent = list(self.recent.get(function, ()))
        first = recent[0].at // HOUR * HOUR if recent else 0
        hours = [one for one in self.hours.get(function, ()) if not recent or one.at < first]
        return hours + recent

    def cell(self, function: str, operator: str) -> Cell:
        """The cell, made when it is first needed."""
        key = (function, operator)
        if key not in self.cells:
            self.cells[key] = Cell()
            cells = [*self.by_function.get(function, ()), (operator, self.cells[key])]
            cells.sort(key=lambda pair: pair[0])
            self.by_function = dict(sorted({**self.by_function, function: cells}.items()))
            self.pooled.setdefault(function, Counts())
            self.expected.setdefault(function, 0.0)
        return self.cells[key]


class Engine:
    """All regions. `tick` takes the rollup of one step after the other, empty ones too: a step
    that is left out is one in which the observatory itself was away."""

    def __init__(self, places: Places, public: float = judging.PUBLIC) -> None:
        self.places = places
        self.public = public
        self.regions: dict[str, Place] = {each.code: Place() for each in places.regions}
        self.events: list[Event] = []
        """In the order in which they were detected."""
        self.now = 0
        """Second at which the last step ended."""
        self.began = 0
        self.watches = 1
        """Somebody may be counted by each of them, so what one credential can do is so many times
        as much."""
        self._hour_of = self._heard = self._day = 0
        self._holidays = frozenset(
            (datetime.date.fromisoformat(day) - datetime.date(1970, 1, 1)).days
            for day in places.holidays
        )

    def tick(self, at: int, rows: Iterable[Row], watches: int = 1) -> list[Event]:
        """The step that began at `at`, as so many watches tell it; the events that changed."""
        if self.now and at < self.now:
            return []
        self.watches = max(self.watches, watches)
        return self._step(at, tuple(rows))

    def _step(self, at: int, rows: Sequence[Row]) -> list[Event]:
        if not self.began:
            self.began = at
        if at // HOUR != self._hour_of:
            if self._hour_of:
                self._begin_hour(at, self._heard * STEP == HOUR and at % HOUR == 0)
            self._hour_of, self._heard = at // HOUR, 0
        self._heard += 1
        by_region: dict[str, list[Row]] = {}
        for row in rows:
            by_region.setdefault(row.region, []).append(row)
        expected = 0.0
        for code, place in self.regions.items():
            self._take(place, at, by_region.get(code, ()))
            for voice in place.voices.values():
                expected += voice.expected
        arrived = sum(row.seen for row in rows if row.source == "m" and row.function == "text")
        # A part that is missing everywhere is the watch's own trouble, or a release's.
        common = min(1.0, arrived / expected) if expected > 5 else 1.0
        self.now = at + STEP
        changed = []
        new_day = at // DAY != self._day
        self._day = at // DAY
        for code, place in self.regions.items():
            heard = by_region.get(code, ())
            if new_day:
                crept = place.creeping.day(code, at // DAY * DAY, judging.quorum(self, place))
                if crept is not None:
                    changed.append(crept)
                    if all(crept is not each for each in self.events):
                        self.events.append(crept)
            place.creeping.add(heard)
            self._listen(place, at, heard, max(common, 0.25))
            self._remember(place, at, heard)
            event = judging.judge(self, code, place)
            if event is not None:
                changed.append(event)
        return changed

    def _begin_hour(self, at: int, whole: bool) -> None:
        """A new hour; the one before teaches if it was `whole`."""
        for place in self.regions.values():
            hurt = place.event is not None or not whole
            for cell in place.cells.values():
                # What is unusual does not become usual while it goes on, nor for a month.
                cell.begin_hour(at, not hurt and not cell.complaints.evidence > 6, self._holidays)
            for voice in place.voices.values():
                strange = voice.silence.evidence > 6
                voice.begin_hour(at, not hurt and not strange, self._holidays)
            for function, cells in place.by_function.items():
                place.expected[function] = sum(cell.expected for _, cell in cells)

    def _take(self, place: Place, at: int, rows: Iterable[Row]) -> None:
        complaints: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            if row.source in "cf":
                pair = complaints.setdefault((row.function, row.operator), [0, 0])
                pair[row.source == "f"] += row.seen
            elif row.source == "m":
                place.cell(row.function, row.operator).measure(at, row)
            elif row.source in "ar":
                month = judging.month(at) - (row.source == "r")
                place.alive[month] = place.alive.get(month, 0) + row.seen
        totals: dict[str, int] = {}
        for (function, operator), (signed, unsigned) in complaints.items():
            place.cell(function, operator).complain(at, signed, unsigned)
            totals[function] = totals.get(function, 0) + signed + unsigned
        place.hot.clear()
        for function, cells in place.by_function.items():
            for operator, cell in cells:
                if cell.complaints.since and (function, operator) not in complaints:
                    cell.complain(at, 0, 0)
                recent = cell.recent
                if recent:
                    if cell.verdicts or recent[0][0] <= at + STEP - HOUR:
                        cell.age(at + STEP)
                    if cell.failed >= LEAST:
                        place.hot.add(function)
            pooled = place.pooled[function]
            if not (pooled.since or function in totals):
                continue
            if any(cell.season.hours >= LEARNED for _, cell in cells):
                count = totals.get(function, 0)
                dispersion = max(1.0, *(cell.season.dispersion for _, cell in cells))
                pooled.step(at, count, place.expected[function], dispersion)
                if pooled.evidence >= NOTICE:
                    place.hot.add(function)

    def _listen(self, place: Place, at: int, rows: Iterable[Row], common: float) -> None:
        """Count reports by operator: every measurement has text in it."""
        heard: dict[str, int] = {}
        for row in rows:
            if row.source == "m" and row.function == "text":
                heard[row.operator] = heard.get(row.operator, 0) + row.seen
        for operator in heard:
            if operator not in place.voices:
                place.voices[operator] = Voice()
        total = expected = 0.0
        for operator, voice in place.voices.items():
            count = heard.get(operator, 0)
            voice.hour += count
            if voice.season.hours >= LEARNED:
                usual = voice.expected * common
                voice.silence.step(at, count, usual, voice.season.dispersion)
                total += count
                expected += usual
        if expected:
            spread = max(voice.season.dispersion for voice in place.voices.values())
            place.quiet.step(at, total, expected, spread)

    def _remember(self, place: Place, at: int, rows: Iterable[Row]) -> None:
        now: dict[str, Moment] = {}
        for function in place.by_function:
            now[function] = Moment(at, expected=place.expected[function])
        for row in rows:
            moment = now.get(row.function)
            if moment is None:
                continue
            if row.source in "cf":
                moment.complaints += row.seen
            elif row.source == "m":
                moment.add(row)
        for function, moment in now.items():
            place.recent.setdefault(function, deque(maxlen=MOMENTS)).append(moment)
            hours = place.hours.setdefault(function, deque(maxlen=HOURS))
            if not hours or hours[-1].at != at // HOUR * HOUR:
                hours.append(Moment(at // HOUR * HOUR))
            last = hours[-1]
            last.complaints += moment.complaints
            last.expected += moment.expected
            last.add(moment)
