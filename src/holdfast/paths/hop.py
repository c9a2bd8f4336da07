"""The path through another relay: that one sees who comes, this one sees for what.

A connection to the first relay, by any path, is asked to pass bytes on to the second; what they
are is TLS and WebSocket with the second, as without anybody between. Source: spec/paths.md,
"First hop".
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, get_args

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.paths import tls, websocket
from holdfast.paths.base import Channel, Handler, Kind, Line, Unreachable
from holdfast.paths.dial import over

STEP: Final = 512
LARGE: Final = 4 * 1024
AROUND: Final = 24
"""Bytes of TLS and WebSocket around a short frame."""
PADDED: Final = 8 * 1024
"""Bytes of a direction until which it is padded."""
CONNECT_SECONDS: Final = 20.0
_KINDS: Final = frozenset(get_args(Kind))

Open = Callable[[Handler], Awaitable[Channel]]


class Padding:
    """Zeros that hide how long the messages of the inner handshake are, and what follows at once:
    small ones are carried as multiples of `STEP` bytes. A call's frames, of one size as they are,
    would be several times as large."""

    def __init__(self) -> None:
        self._carried = 0

    def of(self, size: int) -> bytes:
        """For a part of so many bytes."""
        begins = self._carried < PADDED
        self._carried += size
        return bytes(-size % STEP) if begins and size < LARGE else b""


async def connect(home: Home, handler: Handler, first: Open, line: Line | None = None) -> Channel:
    """A channel to the relay whose key is the address's pin; `first` connects to the relay that
    passes it on, over the `line`. Raises `Unreachable`."""
    pipe = _Pipe()
    try:
        pipe.channel = await first(pipe)
        async with asyncio.timeout(CONNECT_SECONDS):
            pipe.channel.send(wire.encode(wire.Onward(str(home))))
            await pipe.passing
            transport = await over(home, pipe, pipe.set_protocol)
            # So that the first relay, if it is silent, is found out before the second.
            answer = 2 * websocket.ANSWER_SECONDS
            return await websocket.upgraded(home, handler, transport, answer, line)
    except TimeoutError:
        pipe.abort()
        raise Unreachable("timeout", f"{home.label} did not answer in time") from None
    except BaseException:
        pipe.abort()
        raise


class _Pipe(asyncio.Transport):
    """Bytes to the second relay as a transport, over the channel to the first as its handler."""

    def __init__(self) -> None:
        super().__init__()
        self._padding = Padding()
        self.channel: Channel | None = None
        self.passing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._welcomed = False
        self._protocol: asyncio.Protocol | None = None
        self._unsent = bytearray()
        self._sent = self._took = 0
        self._counted = self._receipts = 0
        """Of what came from the first relay: until the last frame, and what says that it took."""
        self._high, self._low = tls.HIGH_WATER, tls.LOW_WATER
        self._early: list[bytes] | None = None
        """What came while reading is paused."""
        self._full = self._closing = self._over = False
        self._socket = socket.socket()

    # The first relay's handler.

    def on_frame(self, frame: bytes) -> None:
        """What the first relay says."""
        try:
            found = wire.decode_relay(frame)
        except wire.Malformed:
            self._fail("upgrade", "the relay between does not speak as it should")
            return
        size = min(self._whole - self._counted, len(frame) + AROUND)
        self._counted += size
        if isinstance(found, wire.Took):
            self._receipts += size
        match found:
            case wire.Welcome():
                pass
            case wire.Took(0) if not self.passing.done():
                self.passing.set_result(None)
            case wire.Took(upto) if self._took <= upto <= self._sent:
                self._took = upto
                self._send()
            case wire.Carry(data) if self.passing.done():
                self._got(data)
            case wire.Bye(code, text):
                kind: Kind = code if code in _KINDS else "closed"  # type: ignore[assignment]
                self._fail(kind, text)
            case _:
                self._fail("upgrade", "the relay between does not speak as it should")

    def on_live(self, frame: bytes) -> None:
        """Datagrams are not asked for."""

    def on_drained(self) -> None:
        """What waits is counted by what the relay took."""

    def on_closed(self, reason: str) -> None:
        """The way is gone."""
        self._fail("closed", reason or "the connection to the relay between was cut")
        if not self._over:
            self._over = self._closing = True
            self._socket.close()
            if self._protocol is not None:
                self._protocol.connection_lost(None)

    def _fail(self, kind: Kind, text: str) -> None:
        if not self.passing.done():
            self.passing.set_exception(Unreachable(kind, text))
            self.passing.exception()  # it may be that nobody waits any more
        if self.channel is not None:
            self.channel.close(text)

    def _got(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
        elif self._protocol is not None and not self._over:
            self._protocol.data_received(data)

    # A transport.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes."""
        if self._closing:
            return
        self._unsent += data
        self._send()
        if len(self._unsent) > self._high and not self._full and self._protocol is not None:
            self._full = True
            self._protocol.pause_writing()

    def _send(self) -> None:
        assert self.channel is not None
        while self._unsent and (room := wire.CARRIED_WINDOW - (self._sent - self._took)) > 0:
            size = min(room, wire.MAX_CARRIED)
            part = bytes(self._unsent[:size])
            del self._unsent[:size]
            self._sent += len(part)
            self.channel.send(wire.encode(wire.Carry(part, self._padding.of(len(part)))))
        if self._full and len(self._unsent) <= self._low and self._protocol is not None:
            self._full = False
            self._protocol.resume_writing()
        if self._closing and not self._unsent:
            self.channel.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A socket is there for picows alone, which sets options on it; nothing is sent by it."""
        return self._socket if name == "socket" else default

    @property
    def received(self) -> int:
        """Bytes that came over the connection to the relay between, as a sign of life of the other
        one: without those in which the first says that it took something."""
        return self._whole - self._receipts

    @property
    def _whole(self) -> int:
        return self.channel.received if self.channel is not None else 0

    def get_write_buffer_size(self) -> int:
        """Bytes that the relay between has not been sent."""
        waiting = self.channel.buffered if self.channel is not None else 0
        return len(self._unsent) + waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes that wait at most before writing is to pause, and when it goes on."""
        self._high = tls.HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self) -> None:
        """Keep what comes."""
        if self._early is None:
            self._early = []

    def resume_reading(self) -> None:
        """Give it."""
        early, self._early = self._early, None
        for data in early or []:
            self._got(data)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Close after what is queued."""
        if not self._closing:
            self._closing = True
            if not self._unsent and self.channel is not None:
                self.channel.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._unsent.clear()
        if self.channel is not None:
            self.channel.close()
        else:
            self._socket.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets what comes."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol
