"""How often small exchanges are made, and how large each is. Pure."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

A_MINUTE: Final = 12
"""New connections within any minute."""
EAGER: Final = 6
"""Of them so many at once; the others are spread over the rest of the minute."""
FIRST: Final = 5_000
"""Bytes both ways of an exchange on a network of which nothing is known."""
MOST: Final = 12_500
LEAST: Final = 1_500
CLOSE: Final = 400
"""Bytes that are not worth a connection to find out about."""
TRUSTED: Final = 40
"""Exchanges of the largest size that pass before a larger one is tried again."""


class Rate:
    """When the next connection may be made. Times are seconds of any clock."""

    def __init__(self, a_minute: int = A_MINUTE) -> None:
        self._made: deque[float] = deque(maxlen=a_minute)
        self.turn = asyncio.Lock()
        """Held by whoever waits for the next."""

    def wait(self, now: float) -> float:
        """Seconds until then."""
        made = self._made
        if len(made) == made.maxlen and now - made[0] < 60:
            return made[0] + 60.5 - now
        recent = sum(now - one < 60 for one in made)
        if recent < EAGER or not made:
            return 0
        return max(0.0, made[-1] + 60 / (made.maxlen or 1) - now)

    def made(self, now: float) -> None:
        """A connection is made now."""
        self._made.append(now)


class Size:
    """How many bytes an exchange carries both ways: found between what passed and what did not, as
    few connections as possible being lost to finding it."""

    def __init__(self) -> None:
        self.now = FIRST
        self._passed = 0
        """The most that did."""
        self._top = MOST
        """More than that does not pass, as far as is known."""
        self._full = 0
        """Exchanges of that size since."""

    def passed(self, carried: int) -> None:
        """An exchange did, with so many bytes."""
        self._passed = min(MOST, max(self._passed, carried))
        if carried * 4 < self.now * 3:
            return
        if self.now < self._top:
            self.now = min(self._top, self.now * 3 // 2)
            return
        self._full += 1
        if self._full >= TRUSTED and self._top < MOST:
            self._full, self._top = 0, min(MOST, self._top * 5 // 4)

    def failed(self, carried: int) -> None:
        """One that carried so many bytes one way, or was to bring them, did not end."""
        carried = min(carried, MOST)
        self._full = 0
        if carried <= self._passed + CLOSE:  # what did pass does not any more
            self._passed = self._passed * 2 // 3
            self.now = max(LEAST, min(self.now, carried) * 2 // 3)
            self._top = max(self.now, min(self._top, carried - CLOSE))
            return
        between = (self._passed + carried) // 2
        self._top = max(LEAST, between if carried - self._passed > 2 * CLOSE else self._passed)
        self.now = max(LEAST, min(self._top, self._passed or carried * 2 // 3))
