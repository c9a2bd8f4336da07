"""Counts from outside that leap: mentions of a service, searches, queries to a resolver.

Such series are bursty without end, and a fixed number of standard deviations is met every
day. What is unusual is a record: an hour's count above the usual by clearly more than the
highest such excess of late, where a record fades with a half-life.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from typing import Final

BEYOND: Final = 1.25
"""Times the standing record that a new one has to be."""
HALF_LIFE: Final = 16
"""Days in which a record loses half its height."""
WINDOW: Final = 12
"""Steps that are added up: an hour of five minutes each."""
WARM: Final = 2
"""Days of learning before anything is said."""
QUIET: Final = 1
"""Days without a record before the next one is news."""


class Peaks:
    """One series of counts; `per_day` steps a day."""

    def __init__(
        self,
        per_day: int = 288,
        beyond: float = BEYOND,
        half_life: float = HALF_LIFE,
        window: int = WINDOW,
    ) -> None:
        self._per_day = per_day
        self._beyond = beyond
        self._fade = 0.5 ** (1 / (half_life * per_day))
        self._window: deque[float] = deque(maxlen=window)
        self._week: deque[float] = deque(maxlen=7 * per_day // window)
        self._sorted: list[float] = []
        self._warm: list[float] = []
        self._steps = 0
        self._last = -QUIET * per_day
        self.record = 0.0

    def add(self, count: float) -> bool:
        """One step; whether it is news."""
        self._window.append(count)
        total, size = sum(self._window), self._window.maxlen or 1
        if self._steps % size == 0:
            self._remember(total)
        usual = self._sorted[len(self._sorted) // 2]
        excess = (total - usual) / (usual + size / 2 + 3 * math.sqrt(size))
        self._steps += 1
        if self._steps <= WARM * self._per_day:
            self._warm.append(excess)
            self.record = sorted(self._warm)[-1 - len(self._warm) // 200] if self._learned else 0.0
            return False
        news = False
        self.record *= self._fade
        if excess > self._beyond * self.record:
            news = self._steps - self._last > QUIET * self._per_day
            self._last = self._steps
            # Learned slowly, so that one outburst does not deafen.
            self.record += (excess - self.record) * 0.02
        else:
            self.record = max(self.record, excess)
        self.record = max(self.record, 1e-3)
        return news

    @property
    def _learned(self) -> bool:
        return self._steps == WARM * self._per_day

    def _remember(self, total: float) -> None:
        if len(self._week) == self._week.maxlen:
            self._sorted.remove(self._week[0])
        self._week.append(total)
        insort(self._sorted, total)
