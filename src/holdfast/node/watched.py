"""A channel, with the ladder told of what passes through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.core.ladder import FREEZE_BYTES, FREEZE_MS, SLOW, SMALL, Ladder
from holdfast.paths import websocket
from holdfast.paths.base import Channel, Handler

RATE_BYTES: Final = 16 * 1024
"""What must pass without a pause before a rate is believed."""
LARGE: Final = 8 * 1024
"""Bytes of a frame that tells of a rate: a call's frames are as slow as speech."""
LOOK_SECONDS: Final = 20.0


class Watched:
    """Stands between a channel and its handler. `climb` is called when a better path has rested
    enough to be tried again, `crawls` when what comes is very slow."""

    def __init__(
        self,
        ladder: Ladder,
        clock: Callable[[], int],
        place: str,
        path: str,
        climb: Callable[[Watched], None],
        crawls: Callable[[], None],
    ) -> None:
        self.channel: Channel | None = None
        self._handler: Handler | None = None
        self._early: list[bytes] = []
        self._ladder, self._clock = ladder, clock
        self.place, self.path = place, path
        self._climb, self._crawls = climb, crawls
        self._began = self._burst = self._last = 0
        self._size = self._burst_size = 0
        self._told = self.over = False
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None

    def stands(self) -> None:
        """The connection is made."""
        self._began = self._clock()
        self._ladder.worked(self.place, self.path, self._began)
        self._look_later()

    def adopt(self, handler: Handler) -> Channel:
        """Hand everything on."""
        self._handler = handler
        for frame in self._early:
            handler.on_frame(frame)
        self._early = []
        if self.over:
            handler.on_closed(self._reason)
        return self

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if self.channel is not None:
            self.channel.send(frame)

    def close(self, reason: str = "") -> None:
        """End it."""
        if self.channel is not None:
            self.channel.close(reason)

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self.channel.buffered if self.channel is not None else 0

    # A Handler.

    def on_frame(self, frame: bytes) -> None:
        """One whole frame came."""
        self._count(len(frame))
        if self._handler is None:
            self._early.append(frame)
        else:
            self._handler.on_frame(frame)

    def on_drained(self) -> None:
        """Little is left unsent."""
        if self._handler is not None:
            self._handler.on_drained()

    def on_closed(self, reason: str) -> None:
        """The channel is over."""
        self.over, self._reason = True, reason
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        stalled = reason == websocket.STALLED
        age = now - self._began
        self._ladder.ended(self.place, self.path, stalled, self._size, age, now)
        if self._handler is not None:
            self._handler.on_closed(reason)

    # What passes.

    def _count(self, size: int) -> None:
        """Of what came; what was sent has passed only when somebody says so."""
        self._size += size
        now = self._clock()
        if not self._told and (self._size > FREEZE_BYTES or now - self._began > FREEZE_MS):
            self._told = True
            self._ladder.lasted(self.place, self.path, now)
        if size < LARGE:
            return
        if now - self._last > 1_500:
            self._burst, self._burst_size = now, 0
        else:
            self._burst_size += size
        self._last = now
        if self._burst_size > RATE_BYTES and now - self._burst > 500 and self.path != SMALL:
            bits = self._burst_size * 8_000 / (now - self._burst)
            self._ladder.rate(self.place, bits, now)
            if bits < SLOW:
                self._crawls()
            self._burst, self._burst_size = now, 0

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self._ladder.better(self.place, self.path, self._clock()):
            self._climb(self)
        self._look_later()
