"""A network between nodes and relays in one process, with weather: for a `VirtualLoop`.

Every line keeps the order of its frames, as TCP does, and takes as long as the weather says. A
line can be cut with what was on its way, an end held up, a relay or one way to it be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.testing.memory import MemoryChannel

if TYPE_CHECKING:
    from holdfast.paths.base import Channel, Handler

Accept = Callable[[str, "Channel"], "Handler"]
"""A relay's: a channel was established, by whom."""
CONNECT: Final = 0.2
"""Seconds that an attempt takes at most, beside twice the delay."""


class Line(MemoryChannel):
    """One end of a connection; `delay` in seconds, drawn for each batch of frames."""

    def __init__(self, weather: Weather, who: str, where: str) -> None:
        super().__init__()
        self._weather = weather
        self.who, self.where = who, where

    def _soon(self) -> None:
        if not self._running:
            self._running = True
            wait = self._weather.wait(self.who, self.where)
            asyncio.get_running_loop().call_later(wait, self._hand_over)

    def _end(self, reason: str) -> None:
        self._weather.lines.pop(self, None)
        super()._end(reason)


class Weather:
    """All lines. `accept` has the relays by name; `delays` seconds by person and relay."""

    def __init__(self, dice: Random) -> None:
        self.accept: dict[str, Accept] = {}
        self.lines: dict[Line, None] = {}
        """The nodes' ends."""
        self.blocked: set[tuple[str, str]] = set()
        """Person and relay between whom nothing passes."""
        self.delays: dict[tuple[str, str], float] = {}
        self._dice = dice

    def wait(self, who: str, where: str) -> float:
        """Seconds for what is sent now."""
        return self.delays.get((who, where), 0.02) * self._dice.uniform(0.5, 1.5)

    def cut(self, who: str | None = None, where: str | None = None) -> int:
        """Break these lines; how many there were."""
        found = [
            line for line in self.lines if who in (None, line.who) and where in (None, line.where)
        ]
        for line in found:
            self.lines.pop(line, None)
            line.cut()
        return len(found)

    async def connect(self, who: str, home: Home, handler: Handler) -> Channel:
        """A person's way to a relay. Raises OSError if there is none now."""
        await asyncio.sleep(self.wait(who, home.host) + self._dice.random() * CONNECT)
        accept = self.accept.get(home.host)
        if accept is None or (who, home.host) in self.blocked:
            raise ConnectionRefusedError(f"{home.label} does not answer")
        near, far = Line(self, who, home.host), Line(self, who, home.host)
        near.peer, far.peer = far, near
        self.lines[near] = None
        greeted = asyncio.get_running_loop().create_future()
        near.handler = _Greeting(near, handler, greeted)
        far.handler = accept(who, far)
        await greeted
        return near


class _Greeting:
    """Takes the Welcome, then leaves the line to the handler."""

    def __init__(self, line: Line, handler: Handler, greeted: asyncio.Future[None]) -> None:
        self._line = line
        self._handler = handler
        self._greeted = greeted

    def on_frame(self, frame: bytes) -> None:
        """The first one; those behind it in the same batch are the handler's."""
        if isinstance(wire.decode_relay(frame), wire.Welcome):
            self._line.handler = self._handler
            if not self._greeted.done():
                self._greeted.set_result(None)

    def on_live(self, frame: bytes) -> None:
        """There are no datagrams."""

    def on_drained(self) -> None:
        """Nothing was sent yet."""

    def on_closed(self, reason: str) -> None:
        """It was over before it began."""
        if not self._greeted.done():
            self._greeted.set_exception(ConnectionError(reason or "closed"))
