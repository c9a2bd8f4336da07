"""What one connection may ask of a relay, and the bucket that counts it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection at a relay."""

    handles: int = 4_096
    """Logs attached at once."""
    creates: int = 1_000
    """Logs made over the connection's life."""
    appends_per_second: int = 2_000
    bytes_per_second: int = 128 * 1024 * 1024
    burst_seconds: int = 4
    """Both rates may be used up to so many seconds ahead."""
    held_bytes: int = 4 * 1024 * 1024
    """Frames that wait behind an unanswered create, attach, trim or drop."""
    unsettled_bytes: int = 8 * 1024 * 1024
    """Appended bytes that are not on the disk yet."""
    max_body: int = 66_000
    max_lifetime: int = 90 * 86_400
    """Seconds; records that ask for more are kept so long."""


class Bucket:
    """A token bucket: `rate` a second, at most `burst` saved up. Time in milliseconds."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate / 1000
        self._burst = burst
        self._level = burst
        self._at = 0

    def take(self, amount: float, now: int) -> bool:
        """Take `amount` if it is there; a clock that goes backwards adds nothing."""
        level = self._level
        if now != self._at:
            if now > self._at:
                level = min(self._burst, level + (now - self._at) * self._rate)
            self._at = now
        if amount > level:
            self._level = level
            return False
        self._level = level - amount
        return True
