"""A clock that moves when the test says so."""

from __future__ import annotations

START = 1_800_000_000_000
"""Milliseconds since 1970 at which a `Clock` starts: early in 2027."""


class Clock:
    """Call it for the time in milliseconds; `advance` moves it."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> int:
        """Let time pass and return the new time. Raises ValueError for going back."""
        if milliseconds < 0:
            raise ValueError("time goes forward; set `now` for a clock that was put back")
        self.now += milliseconds
        return self.now
