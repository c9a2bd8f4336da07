"""When packets of the microphone leave: at even times, whatever coding them took.

Speech takes longer to code than silence, by fractions of a millisecond, and a packet that leaves
when it is ready says so to whoever watches the wire. So each one waits for its place in a rhythm
of this machine, a little later than it usually comes; the rhythm follows the sound card's clock
so slowly that no single packet moves it. Source: spec/call.md, "On the wire".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.call.frames import FRAME_MS

MARGIN: Final = 4.0
"""Milliseconds that a packet waits on the average."""
FOLLOW: Final = 0.01
"""Of what a packet's wait differs from `MARGIN`, so much moves the rhythm."""
LOST: Final = 2 * FRAME_MS
"""A packet further from its place than this begins a new rhythm; so does one of another length."""


class Pace:
    """One microphone's rhythm. Times are milliseconds of any clock."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = 0.0
        self._ms = FRAME_MS

    def leaves(self, now: float, ms: int = FRAME_MS) -> float:
        """When the packet of `ms` that comes now is to leave: not before `now`, nor
        before the one that came before it."""
        if ms != self._ms:
            self._ms, self._due = ms, None
        due = now + MARGIN if self._due is None else self._due + ms
        wait = due - now
        if abs(wait - MARGIN) > LOST:
            due, wait = now + MARGIN, MARGIN
        self._due = due + (MARGIN - wait) * FOLLOW
        self._last = max(now, due, self._last)
        return self._last
