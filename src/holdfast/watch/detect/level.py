"""A level that falls away: connectivity or traffic of a region, a value a step.

What is usual is the median of the same hour of the week once that is known, of the same hour of
the day before; at the height of the last days, and no higher than at the same time a year ago.
A fall is a value below half of that which is also far outside of how values of that hour scatter,
or two in a row that are less far; two values near the usual end it. To both a tenth of the mean is
added, so that a quiet hour in which nothing happens is no fall.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import Final

from holdfast.watch.detect.season import DAY, EPOCH_WEEKDAY, SUNDAY

DEPTH: Final = 0.5
BACK: Final = 0.7
ALONE: Final = 6.0
AGAIN: Final = 4.0
"""Scatters below the usual that one value has to be, or each of two in a row."""
LEAST_SCATTER: Final = 0.05
DAYS: Final = 14
WEEKS: Final = 8
"""From which the median is taken."""
TINY: Final = 1e-6
LEAST_DAYS: Final = 3
LEAST_WEEKS: Final = 3
FLOOR: Final = 0.1
"""Of the mean, below which a value is as good as nothing."""
HEIGHT: Final = 3
"""Days whose median is the height of the season."""
SLOW: Final = math.log(2)
"""The most that the height may differ from the season's."""
YEAR: Final = 365
TELLING: Final = 5
"""Times that which is as good as nothing: hours that are usually quieter end no fall."""
NEW_NORMAL: Final = 28 * DAY
"""Seconds after which a level that stays down is the usual one."""


@dataclass(frozen=True)
class Fall:
    """A level fell away at second `at`, or came back; `ratio` of what is usual."""

    down: bool
    at: int
    ratio: float


class _Median:
    """The median of the last values."""

    __slots__ = ("_last", "_sorted")

    def __init__(self, size: int) -> None:
        self._last: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._last)

    def add(self, value: float) -> None:
        if len(self._last) == self._last.maxlen:
            self._sorted.remove(self._last[0])
        self._last.append(value)
        insort(self._sorted, value)

    def at(self, part: float) -> float:
        """The value below which `part` of them are."""
        return self._sorted[min(len(self._sorted) - 1, int(part * len(self._sorted)))]


class Level:
    """One region's level, `step` seconds apart. None is a value that is missing; `holidays` are
    days since 1970 that are Sundays."""

    def __init__(self, step: int, holidays: frozenset[int] = frozenset()) -> None:
        self._step = step
        self._holidays = holidays
        self._a_day = max(1, DAY // step)
        self._year: dict[int, float] = {}
        """By step: the logarithm of how the value was to the usual."""
        self._forget()

    def _forget(self) -> None:
        self._days = [_Median(DAYS) for _ in range(self._a_day)]
        self._weeks = [_Median(WEEKS) for _ in range(7 * self._a_day)]
        self._height = _Median(HEIGHT * self._a_day)
        self._scatter = _Median(4 * 7 * self._a_day)
        self._mean = _Median(7 * self._a_day)
        self._hours = [_Median(28) for _ in range(self._a_day)]
        self._back = self._low = self._since = 0
        self.down = False

    def _slots(self, at: int) -> tuple[int, int]:
        day = at // DAY
        slot = at // self._step % self._a_day
        weekday = SUNDAY if day in self._holidays else (day + EPOCH_WEEKDAY) % 7
        return slot, weekday * self._a_day + slot

    def usual(self, at: int) -> float:
        """The usual value at second `at`; 0: not known yet."""
        day, week = self._slots(at)
        if len(self._weeks[week]) >= LEAST_WEEKS:
            usual = self._weeks[week].at(0.5)
            height = self._height.at(0.5) if len(self._height) >= self._a_day else 0.0
            return usual * math.exp(max(-SLOW, min(SLOW, height)) + self._before(at))
        if len(self._days[day]) < LEAST_DAYS:
            return 0.0
        plain = self._days[day].at(0.5)
        return min(plain, self._weeks[week].at(1)) if len(self._weeks[week]) else plain

    def _before(self, at: int) -> float:
        """How low the same hour was a year ago: the lowest of three days, as a logarithm."""
        days = (at - (YEAR + n) * DAY for n in (-1, 0, 1))
        return min(0.0, *(self._year.get(each, 0.0) for each in days))

    def add(self, at: int, value: float | None) -> Fall | None:
        """The value at second `at`; the change this decides."""
        if value is None or value < 0:
            return None
        at -= at % self._step
        usual = self.usual(at)
        floor = FLOOR * self._mean.at(0.5) if len(self._mean) else 0.0
        ratio = (value + floor) / (usual + floor) if usual > 0 else 1.0
        fall = self._judge(at, ratio, usual >= TELLING * floor)
        if not self.down:
            self._learn(at, value, usual, floor)
        elif at - self._since > NEW_NORMAL:
            self._forget()
        # A median does not mind a fall, and a weekend that looked like one has to be learned.
        self._weeks[self._slots(at)[1]].add(value)
        return fall

    def _learn(self, at: int, value: float, usual: float, floor: float) -> None:
        day, week = self._slots(at)
        base = self._weeks[week].at(0.5) if len(self._weeks[week]) >= LEAST_WEEKS else 0.0
        if base > 0:
            off = math.log((value + floor + TINY) / (base + floor + TINY))
            self._height.add(off)
            self._year[at] = off - max(-SLOW, min(SLOW, self._height.at(0.5)))
            self._year.pop(at - (YEAR + 2) * DAY, None)
        self._days[day].add(value)
        self._mean.add(value)
        if usual > 0:
            off = abs(math.log((value + floor + TINY) / (usual + floor + TINY)))
            self._scatter.add(off)
            self._hours[day].add(off)

    def _judge(self, at: int, ratio: float, telling: bool) -> Fall | None:
        if self.down:
            if telling:
                self._back = self._back + 1 if ratio >= BACK else 0
            if self._back >= 2:
                self.down = False
                return Fall(False, at - self._step, ratio)
            return None
        scatter = self._spread(self._slots(at)[0])
        self._low = self._low + 1 if ratio < min(DEPTH, math.exp(-AGAIN * scatter)) else 0
        if self._low >= 2 or ratio < min(DEPTH, math.exp(-ALONE * scatter)):
            fall = Fall(True, at - (self._low - 1) * self._step, ratio)
            self.down, self._back, self._low, self._since = True, 0, 0, at
            return fall
        return None

    def _spread(self, day: int) -> float:
        """Scatter as of a normal distribution, from its middle or, if wider, from its tail: of
        this hour, or of all if that is wider."""
        found = LEAST_SCATTER
        for some in (self._scatter, self._hours[day]):
            if len(some) >= 12:
                found = max(found, 1.4826 * some.at(0.5), some.at(0.95) / 1.96)
        return found
