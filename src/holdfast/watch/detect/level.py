"""A level that falls away: connectivity or traffic of a region, a value a step.

What is usual is the median of the same hour on the days before. A fall is a value below half
of that which is also far outside of how such values scatter, or two in a row that are less far;
two values near the usual end it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from holdfast.watch.detect.season import DAY

DEPTH: Final = 0.5
BACK: Final = 0.7
ALONE: Final = 6.0
AGAIN: Final = 4.0
"""Scatters below the usual that one value has to be, or each of two in a row."""
LEAST_SCATTER: Final = 0.05
DAYS: Final = 14
TINY: Final = 1e-6
LEAST_DAYS: Final = 3
NEW_NORMAL: Final = 28 * DAY
"""Seconds after which a level that stays down is the usual one."""


@dataclass(frozen=True)
class Fall:
    """A level fell away at second `at`, or came back; `ratio` of what is usual."""

    down: bool
    at: int
    ratio: float


class Level:
    """One region's level, `step` seconds apart. None is a value that is missing."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._forget()

    def _forget(self) -> None:
        count = max(1, DAY // self._step)
        self._slots: list[deque[float]] = [deque(maxlen=DAYS) for _ in range(count)]
        self._scatter: deque[float] = deque(maxlen=7 * count)
        self._back = self._low = self._since = 0
        self.down = False

    def usual(self, at: int) -> float:
        """The usual value at second `at`; 0: not known yet."""
        slot = self._slots[at // self._step % len(self._slots)]
        return median(slot) if len(slot) >= LEAST_DAYS else 0.0

    def add(self, at: int, value: float | None) -> Fall | None:
        """The value at second `at`; the change this decides."""
        if value is None:
            return None
        usual = self.usual(at)
        ratio = value / usual if usual > 0 else 1.0
        fall = self._judge(at, ratio)
        if not self.down and ratio >= DEPTH:
            # A median does not mind a fall among its values; a long one would still teach it.
            self._slots[at // self._step % len(self._slots)].append(value)
            if usual > 0:
                self._scatter.append(abs(math.log(max(ratio, TINY))))
        elif self.down and at - self._since > NEW_NORMAL:
            self._forget()
        return fall

    def _judge(self, at: int, ratio: float) -> Fall | None:
        if self.down:
            self._back = self._back + 1 if ratio >= BACK else 0
            if self._back >= 2:
                self.down = False
                return Fall(False, at - self._step, ratio)
            return None
        scatter = self._spread()
        self._low = self._low + 1 if ratio < min(DEPTH, math.exp(-AGAIN * scatter)) else 0
        if self._low >= 2 or ratio < min(DEPTH, math.exp(-ALONE * scatter)):
            fall = Fall(True, at - (self._low - 1) * self._step, ratio)
            self.down, self._back, self._low, self._since = True, 0, 0, at
            return fall
        return None

    def _spread(self) -> float:
        """Scatter as of a normal distribution, from its middle or, if wider, from its tail."""
        if len(self._scatter) < 12:
            return LEAST_SCATTER
        ordered = sorted(self._scatter)
        middle, tail = ordered[len(ordered) // 2], ordered[len(ordered) * 19 // 20]
        return max(1.4826 * middle, tail / 1.96, LEAST_SCATTER)
