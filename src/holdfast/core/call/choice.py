"""Which rung to speak on: down at once when a queue stands, up when it has been good for long.

A network that delays unevenly has no queue: what counts is the least delay of the last moments.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from holdfast.core.call.frames import HEAD
from holdfast.core.call.rungs import LOSSY, LOSSY_THIN, RUNGS, Rung, wire_bits
from holdfast.core.call.story import Why

BAD: Final = 120
"""Milliseconds of a queue that stands."""
GOOD: Final = 50
LOOK: Final = 600
"""Milliseconds that are looked at."""
RATE: Final = 1_500
"""Milliseconds over which is counted what gets through."""
SETTLE: Final = 500
"""Milliseconds after a change, beside the way there and back, before the next one down."""
START: Final = 400
"""Before a step up at the start of a call;"""
PATIENCE: Final = 5_000
AGAIN: Final = 1_200
"""After a step up that went well the next one may follow sooner."""
MOST_PATIENCE: Final = 60_000
PROVED: Final = 8_000
"""So long after a step up it has gone well."""
LOSING: Final = 4
"""Of a hundred, from which on frames carry copies."""
HOLDING: Final = 2
CALM: Final = 15_000
ROOM: Final = 0.85
AWFUL: Final = 700
"""Milliseconds of a queue for which no step down is too large."""
FELL: Final = 3_000
"""So long after a step down what is late is taken to be late, and not lost."""
LIMITED: Final = 30_000
"""So long no rung is tried that needs more than what got through when a queue stood."""
LONG: Final = 3_000
"""After so long with a queue a step is taken whatever gets through,"""
SHRINKS: Final = 0.15
"""but not while it becomes shorter by so much of the time."""


class Choice:
    """Of one sender. `why` says what the last change was for."""

    def __init__(self) -> None:
        self.index = 0
        self.why = Why("start")
        self.exhausted_since = 0
        """Since when there is no lower rung and a queue stands; 0: that is not so."""
        self._copies = False
        self._queues: deque[tuple[int, int]] = deque()
        self._through: deque[tuple[int, int]] = deque()
        self._changed = 0
        self._stood = 0
        """Milliseconds of queue at the last step down."""
        self._good_since = 0
        self._stands_since = 0
        self._lossless_since = 0
        self._patience = PATIENCE
        self._climbed = 0
        self._starting = False
        self.fell = -FELL
        """When a lower rung was chosen last."""
        self._limit: tuple[float, int] | None = None
        """Bit/s that got through where a queue stood, and when."""

    @property
    def rung(self) -> Rung:
        """To speak on now."""
        if self._copies and self.index < 4:
            return LOSSY if self.index < 2 else LOSSY_THIN
        return RUNGS[self.index]

    def begin_at(self, index: int, now: int, start: bool = False) -> None:
        """After something that says nothing of this way: go on there. At the `start` of a call it
        rises soon, until a queue stands for the first time."""
        self._starting = start
        self.index, self._changed, self._good_since = index, now, now
        self._queues.clear()
        self._through.clear()
        self.exhausted_since = 0
        self._limit = None
        self._stood = 0

    def moved(self) -> None:
        """It goes on by another way: what the last one carried says nothing of this one."""
        self._limit = None

    def through(self, size: int, now: int) -> None:
        """So many bytes on the wire are known to have arrived."""
        self._through.append((now, size))

    def consider(
        self, queue: int, waiting: int, lost: int, trip: int, datagrams: bool, now: int
    ) -> bool:
        """A report came, with the queue on the way; `waiting`: milliseconds of what waits here.
        Whether the rung is another now."""
        before = self.rung
        latest = max(queue, waiting)
        self._queues.append((now, latest))
        while self._queues[0][0] < now - LOOK:
            self._queues.popleft()
        while self._through and self._through[0][0] < now - RATE:
            self._through.popleft()
        self._lose(lost, datagrams, now)
        stands = min(queue for _, queue in self._queues)
        long = now - self._queues[0][0] >= LOOK // 3
        # A frame's own time on a thin line is no queue.
        if stands > BAD + self.rung.ms and long:
            self._good_since = 0
            if now - self._changed >= SETTLE + trip:
                self._fall(stands, datagrams, now)
        elif stands < GOOD + self.rung.ms * 2 // 5 and not (self._starting and latest > BAD):
            self.exhausted_since = self._stands_since = 0
            self._rise(trip, datagrams, now)
        else:
            self._good_since = self.exhausted_since = 0
        return self.rung is not before

    def _fall(self, stands: int, datagrams: bool, now: int) -> None:
        since = self._through[0][0] if self._through else now
        bits = sum(size for _, size in self._through) * 8000 / max(300, now - since)
        self._stands_since = self._stands_since or now
        fits = wire_bits(RUNGS[self.index], HEAD, datagrams) < bits * ROOM
        shrinks = stands < self._stood - SHRINKS * (now - self._changed)
        if shrinks or (fits and now - self._stands_since < LONG):
            return  # what stood is being worked off
        if self.index == len(RUNGS) - 1:
            self.exhausted_since = self.exhausted_since or now
            return
        # Less than the lowest rung needs is a stall, and says nothing of the line.
        if now - since >= LOOK and bits >= wire_bits(RUNGS[-1], HEAD, datagrams):
            self._limit = bits, now
        index = self.index + 1
        last = len(RUNGS) - 1 if stands > AWFUL else min(len(RUNGS) - 1, self.index + 3)
        while index < last and wire_bits(RUNGS[index], HEAD, datagrams) > bits * ROOM:
            index += 1
        self.index = index
        self._changed, self._stood = now, stands
        self._queues.clear()
        self._stands_since = 0
        if self._climbed and now - self._climbed < PROVED and not self._starting:
            self._patience = min(MOST_PATIENCE, self._patience * 2)
        self._climbed = 0
        self._starting = False
        self.fell = now
        self.why = Why("queue", (stands, round(bits / 1000)))

    def _rise(self, trip: int, datagrams: bool, now: int) -> None:
        self._good_since = self._good_since or now
        if self._climbed and now - self._climbed >= PROVED:
            self._patience = max(PATIENCE, self._patience // 2)
        proved = self._climbed and self._patience == PATIENCE
        again = max(AGAIN, 3 * trip + 2 * self.rung.ms)
        patience = max(START, 2 * trip) if self._starting else again if proved else self._patience
        if self.index and self._limit is not None and not self._starting:
            most, at = self._limit
            if now - at < LIMITED and wire_bits(RUNGS[self.index - 1], HEAD, datagrams) > most:
                return
        if self.index and now - max(self._good_since, self._changed) >= patience:
            self.index -= 1
            self._changed = self._climbed = now
            self._stood = 0
            self.why = Why("calm", (patience,))

    def _lose(self, lost: int, datagrams: bool, now: int) -> None:
        if lost >= LOSING and datagrams:
            self._lossless_since = 0
            if not self._copies:
                self._copies = True
                self.why = Why("lost", (lost,))
        elif self._copies and (lost < HOLDING or not datagrams):
            self._lossless_since = self._lossless_since or now
            if not datagrams or now - self._lossless_since >= CALM:
                self._copies = False
                self.why = Why("lost-no-more")
        else:
            self._lossless_since = 0
