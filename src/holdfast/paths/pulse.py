"""A look at every connection of a loop now and then, by one timer for all of them.

A timer, a task and a coroutine for each would take more memory than the session of an idle
connection.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final, Protocol

SLOTS: Final = 16
"""Seconds; no look is later than the last of them."""


class Member(Protocol):
    """Whoever is looked at."""

    slot: set[Member] | None
    """The wheel's own."""

    def look(self) -> int:
        """See how it is; in how many seconds (under `SLOTS`) to look again, 0 for never."""


class Wheel:
    """Of seconds: in each of them those are looked at whose turn it is."""

    def __init__(self) -> None:
        self._slots: list[set[Member]] = [set() for _ in range(SLOTS)]
        self._now = 0

    def add(self, member: Member, seconds: int) -> None:
        """Look at it in so many seconds."""
        member.slot = self._slots[(self._now + seconds) % SLOTS]
        member.slot.add(member)

    def turn(self) -> None:
        """A second has passed."""
        self._now += 1
        due = self._slots[self._now % SLOTS]
        for member in list(due):
            if member in due:  # one may end another
                due.discard(member)
                member.slot = None
                if seconds := member.look():
                    self.add(member, seconds)

    @property
    def empty(self) -> bool:
        """Whether nobody is left."""
        return not any(self._slots)


class _Pulse:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.wheel = Wheel()
        self.goes = False

    def turn(self) -> None:
        self.goes = not self.wheel.empty
        if self.goes:
            self.loop.call_later(1, self.turn)
            self.wheel.turn()


class _Thread(threading.local):
    pulse: _Pulse | None = None


_thread = _Thread()


def watch(member: Member, seconds: int) -> None:
    """Look at it in so many seconds, and on, on the running loop."""
    loop = asyncio.get_running_loop()
    pulse = _thread.pulse
    if pulse is None or pulse.loop is not loop:
        pulse = _thread.pulse = _Pulse(loop)
    pulse.wheel.add(member, seconds)
    if not pulse.goes:
        pulse.goes = True
        loop.call_later(1, pulse.turn)


def forget(member: Member) -> None:
    """Do not look any more."""
    if member.slot is not None:
        member.slot.discard(member)
        member.slot = None
