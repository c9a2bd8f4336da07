"""A path without a network: channels that hand frames over in memory.

Frames arrive in order, on a later turn of the loop, never inside `send`. `buffered` counts
what was sent and not handed over yet. A test scripts the weather: `pause` makes a slow
reader of an end, `delay` lets turns of the loop pass, `cut` and `cut_after` break the line
with what was on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.core import wire
from holdfast.core.caps import Home

if TYPE_CHECKING:
    from holdfast.paths.base import Channel, Handler, Link

LOW: int = 64 * 1024
"""`on_drained` is called when no more than this is left unsent."""


class MemoryChannel:
    """One end. What is sent here arrives at the handler of `peer`."""

    def __init__(self) -> None:
        self.peer: MemoryChannel
        self.handler: Handler | None = None
        self.paused = False
        self.closed = False
        self.link: Link | None = None
        """Datagrams, if there are any: they arrive on the next turn of the loop."""
        self.delay = 0
        """Turns of the loop before what is sent here is handed over."""
        self._cut_after: int | None = None
        self._unsent: deque[bytes] = deque()
        self._bytes = self.received = 0
        self._running = False

    @property
    def buffered(self) -> int:
        """Bytes that the other end has not taken."""
        return self._bytes

    def send(self, frame: bytes) -> None:
        """Hand a frame over soon; after the close it goes nowhere."""
        if not self.closed:
            self._unsent.append(frame)
            self._bytes += len(frame)
            self._soon()

    def send_live(self, frame: bytes) -> None:
        """A datagram overtakes what waits, unless there are none."""
        if self.link is None:
            self.send(frame)
        elif not self.closed and self.peer.handler is not None:
            asyncio.get_running_loop().call_soon(self.peer.handler.on_live, frame)

    def close(self, reason: str = "") -> None:
        """What was sent before still arrives, then both ends are told."""
        if not self.closed:
            self.closed = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._told, reason)
            if not self._unsent:
                loop.call_soon(self.peer._end, reason)
            else:
                self._soon()

    def cut(self) -> None:
        """The network breaks: what was not handed over is lost on both sides."""
        for end in (self, self.peer):
            end._unsent.clear()
            end._bytes = 0
            end._end("the connection was lost")

    def cut_after(self, frames: int) -> None:
        """The network breaks when so many more frames of this end have arrived."""
        self._cut_after = frames

    def pause(self) -> None:
        """Take nothing from the other end until `resume`."""
        self.paused = True

    def resume(self) -> None:
        """Take what has gathered."""
        self.paused = False
        self.peer._soon()

    def _soon(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._later, self.delay)

    def _later(self, turns: int) -> None:
        if turns > 0:
            asyncio.get_running_loop().call_soon(self._later, turns - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._running = False
        was = self._bytes
        while self._unsent and not self.peer.paused:
            if self._cut_after is not None:
                if self._cut_after == 0:
                    self.cut()
                    return
                self._cut_after -= 1
            frame = self._unsent.popleft()
            self._bytes -= len(frame)
            if self.peer.handler is not None and not self.peer.closed:
                self.peer.received += len(frame)
                self.peer.handler.on_frame(frame)
        if self.closed and not self._unsent:
            self.peer._end("closed by the other end")
        elif was > LOW >= self._bytes and self.handler is not None:
            self.handler.on_drained()

    def _end(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self._told(reason)

    def _told(self, reason: str) -> None:
        if self.handler is not None:
            self.handler.on_closed(reason)


def pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Two ends of one channel."""
    left, right = MemoryChannel(), MemoryChannel()
    left.peer, right.peer = right, left
    return left, right


class MemoryPath:
    """Connects nodes to relays in this process: `accept` by the relay's pin.

    `accept` is a relay program's: it is given the channel, the hash of the TLS key and the
    peer's address, and returns the handler. `channels` are the nodes' ends, oldest first.
    """

    def __init__(self) -> None:
        self.relays: dict[bytes, Callable[[Channel, bytes, str], Handler]] = {}
        self.channels: list[MemoryChannel] = []

    async def connect(self, home: Home, handler: Handler) -> Channel:
        """Like a real path's: OSError if nobody is there; the relay's Welcome is taken off."""
        await asyncio.sleep(0)
        accept = self.relays.get(home.pin)
        if accept is None:
            raise ConnectionRefusedError(f"{home.label} does not answer")
        near, far = pair()
        self.channels.append(near)
        greeted = asyncio.get_running_loop().create_future()
        near.handler = _Greeting(near, handler, greeted)
        far.handler = accept(far, b"\0" * 32, "memory")
        await greeted
        return near


class _Greeting:
    """Takes the Welcome, then leaves the channel to the handler."""

    def __init__(
        self, channel: MemoryChannel, handler: Handler, greeted: asyncio.Future[None]
    ) -> None:
        self._channel = channel
        self._handler = handler
        self._greeted = greeted

    def on_frame(self, frame: bytes) -> None:
        """The first frame is the Welcome."""
        if not isinstance(wire.decode_relay(frame), wire.Welcome):
            self._greeted.set_exception(ConnectionError("the relay did not say who it is"))
            return
        self._channel.handler = self._handler
        self._greeted.set_result(None)

    def on_live(self, frame: bytes) -> None:
        """Datagrams are not asked for."""

    def on_drained(self) -> None:
        """Nothing was sent yet."""

    def on_closed(self, reason: str) -> None:
        """Closed before it began."""
        if not self._greeted.done():
            self._greeted.set_exception(ConnectionError(reason or "closed"))
