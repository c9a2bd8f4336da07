"""What has come of the other side's frames, to be told to them."""

from __future__ import annotations

from typing import Final

from holdfast.core.call.frames import MASK, Report

LATE: Final = 3
"""Frames that may overtake one before it counts as lost."""
COUNTED: Final = 100
SILENT: Final = 700
"""Milliseconds without any frame that are an outage: what was lost in it says nothing of after."""
RECOVERED: Final = 2_000
"""Milliseconds after an outage in which its queue may stand."""
CROWD: Final = 100
WINDOW: Final = 15_000
"""Milliseconds over which the quickest frame is remembered, once or twice."""
_CLOCK: Final = 0x1_0000


class Receipts:
    """Of one sender."""

    def __init__(self) -> None:
        self.seen: int | None = None
        self.seen_at = 0
        self._came = 0
        """Bit i: the counter i below `seen`."""
        self._known = 0
        """Of so many bits something is known."""
        self._base: int | None = None
        self._least = [0, 0]
        """The quickest way of this window and of the one before, in milliseconds beyond `_base`."""
        self._turned = 0
        self._resumed = -RECOVERED
        self.queue = 0
        self._untimed = 0
        """Until then come frames of before a long outage, older than their clocks can say."""
        self._told: int | None = None

    @property
    def news(self) -> bool:
        """Whether something came that was not told yet."""
        return self.seen != self._told

    def frame(self, counter: int, clock: int, now: int) -> bool:
        """One came; whether it is newer than all before."""
        if self.seen is not None and counter <= self.seen:
            if self.seen - counter <= COUNTED + LATE:
                self._came |= 1 << (self.seen - counter)
            return False
        ahead = 1 if self.seen is None else counter - self.seen
        if now - self.seen_at > SILENT:
            self._known, self._resumed = 0, now
            if self.seen is not None and now - self.seen_at > _CLOCK // 4:
                self._untimed = now + RECOVERED
        self._known = min(COUNTED + LATE, self._known + ahead)
        self._came = (self._came << min(ahead, 256) | 1) & ((1 << (COUNTED + LATE + 1)) - 1)
        self.seen, self.seen_at = counter, now
        if now >= self._untimed:
            self._time(now - clock, now)
        return True

    def _time(self, way: int, now: int) -> None:
        if self._base is None:
            self._base, self._least, self._turned = way, [0, 0], now
        over = (way - self._base + _CLOCK // 2) % _CLOCK - _CLOCK // 2
        if now - self._turned > WINDOW:
            self._least, self._turned = [over, self._least[0]], now
        self._least[0] = min(self._least[0], over)
        self.queue = over - min(self._least)

    def crowded(self, now: int) -> bool:
        """Whether a queue stands that did not come of an outage, and something still comes."""
        steady = now - self._resumed >= RECOVERED and now - self.seen_at < SILENT
        return steady and self.queue > CROWD

    @property
    def lost(self) -> int:
        """Of a hundred frames lately, those that can be counted."""
        counted = self._known - LATE
        if counted < COUNTED // 4:
            return 0
        came = self._came >> LATE & ((1 << counted) - 1)
        return 100 * (counted - came.bit_count()) // counted

    def report(self, now: int) -> Report:
        """To be told now."""
        self._told = self.seen
        if self.seen is None:
            return Report()
        mask = self._came >> 1 & ((1 << MASK) - 1)
        return Report(self.seen, mask, now - self.seen_at, self.queue, self.lost)
