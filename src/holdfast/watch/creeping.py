"""Throttling that creeps in over weeks: events of their own, judged once a day.

What is compared is throughput over that of a control in the same region and through the same
operator, so the control is the second signal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from holdfast.watch.detect.slow import Slow
from holdfast.watch.event import Event, Fact, Hurt
from holdfast.watch.rollup import Row

LEAST: Final = 12
"""Rated measurements that a day needs to count."""
FUNCTION: Final = "media"


@dataclass
class Operator:
    """One operator in one region."""

    slow: Slow = field(default_factory=lambda: Slow(1))
    rate: int = 0
    control: int = 0
    rated: int = 0
    days: int = 0


@dataclass
class Creeping:
    """One region."""

    operators: dict[str, Operator] = field(default_factory=dict)
    event: Event | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """Measurements of one step."""
        for row in rows:
            if row.source == "m" and row.rated:
                one = self.operators.setdefault(row.operator, Operator())
                one.rate += row.rate
                one.control += row.control
                one.rated += row.rated

    def day(self, region: str, now: int) -> Event | None:
        """A day is over at `now`: the event if it began, spread or ended."""
        for _, one in sorted(self.operators.items()):
            if one.rated >= LEAST and one.rate and one.control:
                one.slow.add(one.rate / one.rated, [one.control / one.rated])
            else:
                one.slow.add(None, [None])
            one.days += 1
            one.rate = one.control = one.rated = 0
        slow = sorted(name for name, one in self.operators.items() if one.slow.slow)
        event = self.event
        if event is not None and not slow:
            event.ended = event.hurt[0].until = now
            self.event = None
            return event
        if not slow:
            return None
        changed = event is None or event.operators != tuple(slow)
        if event is None:
            since = min(now - (one.days - one.slow.since) * 86_400
                        for name, one in self.operators.items() if name in slow)  # fmt: skip
            stamp = time.strftime("%Y%m%d-%H%M", time.gmtime(since))
            event = self.event = Event(f"{stamp}-{region}", region, "throttling", since, now, now)
            event.hurt = (Hurt(FUNCTION, since),)
        event.operators = event.hurt[0].operators = tuple(slow)
        event.unaffected = tuple(sorted(set(self.operators) - set(slow)))
        event.confidence = "medium" if len(slow) >= 2 else "low"
        fallen = sum(self.operators[name].slow.fallen for name in slow) / len(slow)
        event.reasons = (
            Fact("slower", names=tuple(slow), seen=round(100 * fallen)),
            Fact("operators", names=tuple(slow), seen=len(event.unaffected)),
        )
        event.against = (Fact("one-operator", names=tuple(slow)),) if len(slow) == 1 else ()
        return event if changed else None
