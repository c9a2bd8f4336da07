"""Throttling that creeps in over weeks: events of their own, judged once a day.

What is compared is throughput over that of a control in the same region and through the same
operator, so the control is the second signal. Of each measurement the share of the control's
counts that the service reached, 1 at most, so that nobody's weighs more than another's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from holdfast.watch.detect.slow import Slow
from holdfast.watch.event import Event, Fact, Hurt
from holdfast.watch.rollup import THOUSAND, Row

LEAST: Final = 12
"""Rated measurements that a day needs to count."""
HOURS: Final = 24
SHARE: Final = 0.2
"""Of a region's measurements of a day that has to be lost where it is not known how many
credentials there are."""


@dataclass
class Series:
    """One function at one operator in one region."""

    slow: Slow = field(default_factory=lambda: Slow(0))
    share: float = 0.0
    rated: int = 0
    """Of today, as `days`."""
    days: int = 0
    lost: float = 0.0
    """Measurements of the last day, as many as would be lost whole if others had lost nothing."""

    def end(self) -> None:
        """A day is over."""
        mean = self.share / self.rated if self.rated >= LEAST else 0.0
        self.slow.add(mean or None, [])
        fallen = self.slow.fallen if self.slow.slow else 0.0
        self.lost = self.rated * mean * fallen / max(1 - fallen, 0.01)
        self.days += 1
        self.share, self.rated = 0.0, 0


@dataclass
class Creeping:
    """One region."""

    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    """By function and operator."""
    event: Event | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """Measurements of one step."""
        for row in rows:
            if row.source == "m" and row.rated:
                one = self.series.setdefault((row.function, row.operator), Series())
                one.share += row.share / THOUSAND
                one.rated += row.rated

    def day(self, region: str, now: int, quorum: float) -> Event | None:
        """A day is over at `now`: the event if it began, spread, became public or ended. `quorum`:
        measurements that hostile credentials cannot make up in an hour; 0 if that is not known."""
        enough = quorum * HOURS or SHARE * sum(one.rated for one in self.series.values())
        for one in self.series.values():
            one.end()
        slow = {key: one for key, one in sorted(self.series.items()) if one.slow.slow}
        event = self.event
        if event is not None and not slow:
            for each in event.hurt:
                each.until = each.until or now
            event.ended = now
            self.event = None
            return event
        if not slow:
            return None
        before = None if event is None else (event.published, event.hurt)
        since = {key: now - (one.days - one.slow.since) * 86_400 for key, one in slow.items()}
        if event is None:
            first = min(since.values())
            stamp = time.strftime("%Y%m%d-%H%M", time.gmtime(first))
            event = self.event = Event(f"{stamp}-{region}", region, "throttling", first, now)
        event.hurt = _hurt(event.hurt, since, now)
        event.operators = tuple(sorted({operator for _, operator in slow}))
        seen = {operator for function, operator in self.series if function in event.functions}
        event.unaffected = tuple(sorted(seen - set(event.operators)))
        fallen = sum(one.slow.fallen for one in slow.values()) / len(slow)
        event.confidence = "medium" if len(event.operators) >= 2 else "low"
        event.reasons = (
            Fact("slower", names=event.operators, seen=round(100 * fallen)),
            Fact("operators", names=event.operators, seen=len(event.unaffected)),
        )
        alone = len(event.operators) == 1
        event.against = (Fact("one-operator", names=event.operators),) if alone else ()
        lost: dict[str, float] = {}
        for (function, _), one in slow.items():
            lost[function] = lost.get(function, 0.0) + one.lost
        if not event.published and max(lost.values()) > enough:
            event.published = now
        return event if before != (event.published, event.hurt) else None


def _hurt(known: tuple[Hurt, ...], since: dict[tuple[str, str], int], now: int) -> tuple[Hurt, ...]:
    """What is slow by now, and what was."""
    found = {each.function: each for each in known}
    for function in sorted({function for function, _ in since}):
        operators = tuple(operator for name, operator in since if name == function)
        old = found.get(function)
        begun = min(at for (name, _), at in since.items() if name == function)
        begun = begun if old is None or old.until else old.since
        found[function] = Hurt(function, begun, 0, operators)
    for function, each in found.items():
        if not each.until and not any(name == function for name, _ in since):
            found[function] = Hurt(function, each.since, now, each.operators)
    return tuple(found[function] for function in sorted(found))
