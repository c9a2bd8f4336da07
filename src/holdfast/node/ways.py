"""How this node reaches relays: tries paths as the ladder says, and watches what they carry."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

from holdfast.core.caps import Home
from holdfast.core.ladder import (
    FREEZE_BYTES,
    HEAD_START,
    PATHS,
    PATIENCE,
    SMALL,
    Finding,
    Ladder,
)
from holdfast.paths import browser, micro, websocket
from holdfast.paths.base import Channel, Handler, Unreachable

Path = Callable[[Home, Handler], Awaitable[Channel]]
RATE_BYTES: Final = 16 * 1024
"""What must pass without a pause before a rate is believed."""
LARGE: Final = 8 * 1024
"""Bytes of a frame that tells of a rate: a call's frames are as slow as speech."""
LINGER: Final = 5.0
"""Seconds that a path may still take when another one was quicker, before it counts as failed."""
LOOK_SECONDS: Final = 20.0


def paths(proxy: str | None = None) -> dict[str, Path]:
    """All there are, by name, directly or through a proxy."""
    return {
        "websocket": functools.partial(websocket.connect, proxy=proxy),
        "classic": functools.partial(websocket.connect, proxy=proxy, classic=True),
        "browser": functools.partial(browser.connect, proxy=proxy),
        SMALL: functools.partial(micro.connect, proxy=proxy),
    }


_Trying = dict[asyncio.Task["_Watched"], tuple[str, float]]
"""Path, and when it began."""


class Ways:
    """One for all connections of a node."""

    def __init__(self, all: dict[str, Path], clock: Callable[[], int]) -> None:
        self._all = all
        self._clock = clock
        self._slower: set[asyncio.Task[None]] = set()
        self.ladder = Ladder(tuple(path for path in PATHS if path in all))

    def finding(self) -> Finding:
        """What is going on, see `core.ladder`."""
        return self.ladder.finding(self._clock())

    async def connect(self, home: Home, handler: Handler) -> Channel:
        """A channel by the first path that works. Raises `Unreachable`: the first one's."""
        order = self.ladder.order(home.label, self._clock())
        trying: _Trying = {}
        first: BaseException | None = None
        loop = asyncio.get_running_loop()
        try:
            while order or trying:
                if order and len(trying) < 2:
                    path = order.pop(0)
                    task = asyncio.create_task(self._try(path, home, handler))
                    trying[task] = path, loop.time()
                began = [at for _, at in trying.values()]
                wait = None
                if order:
                    wait = HEAD_START / 1000
                    if len(trying) == 2:
                        wait = max(0, min(began) + PATIENCE / 1000 - loop.time())
                done, _ = await asyncio.wait(
                    trying, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                if not done and order and len(trying) == 2:
                    slow = min(trying, key=lambda task: trying[task][1])
                    path, _ = trying.pop(slow)
                    slow.cancel()
                    self.ladder.failed(home.label, path, "timeout", self._clock())
                    first = first or Unreachable("timeout", f"{home.label} did not answer in time")
                for task in done:
                    path, _ = trying.pop(task)
                    if (error := task.exception()) is None:
                        self._watch_slower(trying, home.label, path)
                        return task.result().adopt(handler)
                    first = first or error
        finally:
            for task in trying:
                if not task.cancel() and not task.cancelled() and task.exception() is None:
                    task.result().close("another way was quicker")
        raise first or Unreachable("connect", f"there is no way to {home.label}")

    def _watch_slower(self, trying: _Trying, place: str, won: str) -> None:
        """A better path that has not answered yet is given a while: whether it does tells a bad
        line from a block."""
        rank = self.ladder.paths.index
        for task, (path, _) in list(trying.items()):
            if rank(path) < rank(won):
                del trying[task]
                slower = asyncio.create_task(self._let_end(task, place, path))
                self._slower.add(slower)
                slower.add_done_callback(self._slower.discard)

    async def _let_end(self, task: asyncio.Task[_Watched], place: str, path: str) -> None:
        done, _ = await asyncio.wait([task], timeout=LINGER)
        if done and task.exception() is None:
            task.result().close("another way was quicker")
        elif not done:
            task.cancel()
            self.ladder.failed(place, path, "timeout", self._clock())

    async def _try(self, path: str, home: Home, handler: Handler) -> _Watched:
        watched = _Watched(self.ladder, self._clock, home.label, path)
        try:
            watched.channel = await self._all[path](home, watched)
        except Unreachable as error:
            self.ladder.failed(home.label, path, error.kind, self._clock())
            raise
        except OSError:
            self.ladder.failed(home.label, path, "connect", self._clock())
            raise
        watched.stands()
        return watched


class _Watched:
    """A channel and its handler, with the ladder told of what passes between them."""

    def __init__(self, ladder: Ladder, clock: Callable[[], int], place: str, path: str) -> None:
        self.channel: Channel | None = None
        self._handler: Handler | None = None
        self._early: list[bytes] = []
        self._ladder, self._clock = ladder, clock
        self._place, self._path = place, path
        self._began = self._burst = self._last = 0
        self._size = self._burst_size = 0
        self._told = self._over = False
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None

    def stands(self) -> None:
        """The connection is made."""
        self._began = self._clock()
        self._ladder.worked(self._place, self._path, self._began)
        self._look_later()

    def adopt(self, handler: Handler) -> Channel:
        """Hand everything on."""
        self._handler = handler
        for frame in self._early:
            handler.on_frame(frame)
        self._early = []
        if self._over:
            handler.on_closed(self._reason)
        return self

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if self.channel is not None:
            self._count(len(frame), measured=False)
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
        self._count(len(frame), measured=True)
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
        self._over, self._reason = True, reason
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        stalled = reason == websocket.STALLED
        age = now - self._began
        self._ladder.ended(self._place, self._path, stalled, self._size, age, now)
        if self._handler is not None:
            self._handler.on_closed(reason)

    # What passes.

    def _count(self, size: int, *, measured: bool) -> None:
        self._size += size
        now = self._clock()
        if not self._told and self._size > FREEZE_BYTES:
            self._told = True
            self._ladder.lasted(self._place, self._path, now)
        if not measured or size < LARGE:
            return
        if now - self._last > 1_500:
            self._burst, self._burst_size = now, 0
        else:
            self._burst_size += size
        self._last = now
        if self._burst_size > RATE_BYTES and now - self._burst > 500 and self._path != SMALL:
            bits = self._burst_size * 8_000 / (now - self._burst)
            self._ladder.rate(self._place, bits, now)
            self._burst, self._burst_size = now, 0

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Climb back when a better path has rested enough."""
        now = self._clock()
        if self._ladder.better(self._place, self._path, now) and not self.buffered:
            self.close("a better way is tried")
            return
        self._look_later()
