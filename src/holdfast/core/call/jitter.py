"""The jitter buffer: what the listener's sound card is given each time it asks.

The sound card is the clock. A frame that comes later than it is needed makes the buffer one
frame deeper, at the price of one concealed frame; when for a while more than one has been waiting
behind every frame, one is left out, sooner the more there are. So the depth is what the network of
the last seconds asks for, and two sound cards of unequal speed never drift apart. To leave a frame
out can be heard, so one frame always waits in hand: what it costs is 20 ms, what it saves is the
next late one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

DEEP: Final = 250
"""Frames waiting beyond the one in hand, added up over time, before one is left out: one too many
for five seconds, or five for one."""
MOST_DEEP: Final = 1_500
"""After frames came late the wait is longer, up to this."""
CONCEALED: Final = 5
"""Frames concealed in a row; what is missing longer is silence."""
START: Final = 2
"""Frames that are there when playing begins."""
SETTLING: Final = 100
"""Frames after a silence in which nothing old may pile up."""
SETTLING_DEPTH: Final = 3
REMEMBERED: Final = 250
"""Frames over which losses are counted."""


@dataclass(frozen=True, slots=True)
class Packet:
    """Play this."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Conceal:
    """A frame is missing: the decoder bridges it."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to play: silence."""


Pulled = Packet | Conceal | Nothing


class Jitter:
    """Frames of `frame_ms`; at most `most` wait, older ones are left out."""

    def __init__(self, frame_ms: int = 20, most: int = 15) -> None:
        self._frame_ms = frame_ms
        self._most = most
        self._frames: dict[int, bytes] = {}
        self._next: int | None = None
        """The frame to play next, once one has come."""
        self._missed = 0
        """Frames concealed in a row while nothing was there."""
        self._settling = 0
        self._deep = 0
        """Frames too many, added up since there were last none."""
        self._deep_needed = DEEP
        self._recent: deque[bool] = deque(maxlen=REMEMBERED)
        self._depth = 0.0
        self.late = 0
        """Frames that came after their time, or twice."""

    @property
    def depth_ms(self) -> int:
        """How long a frame waits here, lately."""
        return int(self._depth * self._frame_ms) + self._frame_ms // 2

    @property
    def lost(self) -> int:
        """Of a hundred frames asked for lately, how many were missing."""
        return 100 * sum(self._recent) // len(self._recent) if self._recent else 0

    def put(self, at: int, packet: bytes) -> None:
        """A frame came; `at` is its place in the order."""
        if at in self._frames or (self._next is not None and at < self._next):
            self.late += 1
            return
        self._frames[at] = packet
        self._keep(SETTLING_DEPTH if self._settling else self._most)

    def _keep(self, most: int) -> None:
        """Leave out the oldest beyond `most`."""
        newest = max(self._frames)
        if self._next is not None and newest - self._next < most:
            return
        first = newest - most + 1
        for at in [at for at in self._frames if at < first]:
            del self._frames[at]
        if self._next is not None:
            self._next = min(self._frames)

    def pull(self) -> Pulled:
        """What to play now."""
        if (self._next is None or self._missed >= CONCEALED) and not self._begin():
            if self._next is not None:
                self._recent.append(True)
            return Nothing()
        assert self._next is not None
        self._settling = max(0, self._settling - 1)
        while self._missed and self._frames and self._next not in self._frames:
            # It was concealed already while nothing was there.
            self._next += 1
            self._missed -= 1
        found = self._frames.pop(self._next, None)
        if found is None and not self._frames:
            return self._starve()
        self._missed = 0
        self._next += 1
        self._recent.append(found is None)
        self._depth += (len(self._frames) - self._depth) / 16
        self._shrink()
        return Conceal() if found is None else Packet(found)

    def _begin(self) -> bool:
        """Begin, or begin again after a silence, with what is said now, as soon as a second
        frame shows that more are coming: so the first uneven ones are not heard."""
        if len(self._frames) < START:
            return False
        self._next = sorted(self._frames)[-START]
        self._forget_before(self._next)
        self._settling, self._missed = SETTLING, 0
        return True

    def _starve(self) -> Pulled:
        """Nothing is there: wait for it, and be deeper from then on."""
        self._missed += 1
        self._deep = 0
        self._recent.append(True)
        self._deep_needed = min(MOST_DEEP, self._deep_needed * 2)
        return Conceal()

    def _shrink(self) -> None:
        """Leave a frame out if too many wait for long."""
        assert self._next is not None
        self._deep = self._deep + len(self._frames) - 1 if len(self._frames) > 1 else 0
        if self._deep < (DEEP // 25 if self._settling else self._deep_needed):
            return
        if not self._settling:
            self._deep_needed = max(DEEP, self._deep_needed * 3 // 4)
        self._deep = 0
        self._frames.pop(self._next, None)
        self._next += 1

    def _forget_before(self, first: int) -> None:
        for at in [at for at in self._frames if at < first]:
            del self._frames[at]
