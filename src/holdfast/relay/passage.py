"""Strangers passed on, byte by byte, to the web server whose site the relay shows.

What such a server does that is no page, such as errors, time-outs, uploads or HTTP/2, cannot be
imitated; so it does all of it itself, and the relay is to it what a cable is. Only the first thing
said on a connection is looked at: a node says there, whole, which secret path it wants.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

from holdfast.drive.http import Open, peer_of
from holdfast.paths.tls import LINGER_SECONDS, TlsTransport
from holdfast.relay.upstream import Upstream

CONNECT_SECONDS: Final = 10.0
HIGH_WATER: Final = 256 * 1024
LOW_WATER: Final = 64 * 1024
HEAD: Final = 4 * 1024
LATE_SECONDS: Final = 1.0


class Passage(asyncio.Protocol):
    """One stranger's connection. `stays` is given the first bytes and the transport, and keeps the
    connection if it says so; `alone` gets it, with the bytes that came, when the site is down.

    `greeting` is what a stranger will say first: the site is told at once, since it speaks then,
    as it would if it had shaken hands itself. Who says something else has the site begin anew."""

    def __init__(
        self,
        to: Upstream,
        open_: Open,
        stays: Callable[[bytes, asyncio.Transport], bool] = lambda data, transport: False,
        alone: Callable[[bytes, asyncio.Transport], object] = lambda data, transport: (
            transport.close()
        ),
        greeting: bytes = b"",
    ) -> None:
        self._to, self._open = to, open_
        self._greeting = greeting
        self._said = self._skipped = 0
        """Bytes of the site that were passed on; of its second beginning, still to be left out."""
        self._stays, self._alone = stays, alone
        self.peer = ""
        self._first = True
        self._left = False
        """The connection is not ours any more."""
        self._held: list[bytes] = []
        self._ended = False
        self._owes = self._last = False
        """The site has not answered; or it said that it would end after this answer."""
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._far: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    # From the stranger.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there; so is the site, before anything is said: it has its own patience."""
        # uvloop's transports are not asyncio's by class.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self.peer = peer_of(transport)
        self._open.add(self)
        self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Bytes for the site, unless the first are a node's."""
        if self._first:
            self._first = False
            if self._stays(data, self.transport):
                self._leave()
                return
            if self._greeting and self._far is not None:
                data = self._greeted(data)
        self._owes, self._heard = True, asyncio.get_running_loop().time()
        if self._far is not None:
            self._far.write(data)
        else:
            self._held.append(data)
            self.transport.pause_reading()

    def _greeted(self, data: bytes) -> bytes:
        """What is left to be said of the first bytes, when the site was greeted already."""
        if data.startswith(self._greeting):
            return data[len(self._greeting) :]
        self._greeting, self._skipped = b"", self._said
        far, self._far = self._far, None
        if far is not None:
            far.abort()
        self._connecting = asyncio.create_task(self._connect())
        return data

    def eof_received(self) -> bool:
        """Nothing more will be asked; the answer may still come."""
        self._ended = True
        if self._far is not None:
            _end(self._far)
        return True

    def pause_writing(self) -> None:
        """The stranger does not read."""
        if self._far is not None:
            self._far.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        if self._far is not None:
            self._far.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The stranger is gone."""
        self._leave()

    def close(self) -> None:
        """End it after what was sent."""
        self.transport.close()

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    # From the site.

    async def _connect(self) -> None:
        loop, to = asyncio.get_running_loop(), self._to
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if to.path:
                    await loop.create_unix_connection(lambda: _Far(self), to.path)
                else:
                    await loop.create_connection(lambda: _Far(self), to.host, to.port)
        except (OSError, TimeoutError):
            self._connecting = None
            self._leave()
            self.transport.resume_reading()
            self._alone(b"".join(self._held), self.transport)

    def came(self, far: asyncio.Transport) -> None:
        """The site is there."""
        self._connecting = None
        if self._left:
            far.abort()
            return
        self._far = far
        far.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        if self._first:
            far.write(self._greeting)
        for data in self._held:
            far.write(data)
        self._held = []
        if self._ended:
            _end(far)
        else:
            self.transport.resume_reading()

    def said(self, data: bytes) -> None:
        """The site's bytes."""
        left, self._skipped = self._skipped, max(0, self._skipped - len(data))
        data = data[left:]
        self._said += len(data)
        self._open.add(self)
        self._owes, self._heard = False, asyncio.get_running_loop().time()
        if data.startswith(b"HTTP/1."):
            self._last = b"\r\nconnection: close\r\n" in data[:HEAD].lower()
        self.transport.write(data)

    def full(self, full: bool) -> None:
        """Whether the site takes no more for now."""
        if full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def went(self, far: asyncio.Transport) -> None:
        """The site ended it. It says goodbye when it is done, and none when its patience was over
        or nobody is there to hear it: so do web servers that speak TLS themselves."""
        if self._far is not far:
            return
        self._far = None
        loop = asyncio.get_running_loop()
        late = (self._owes or self._last) and loop.time() - self._heard > LATE_SECONDS
        gone = self._ended and self._owes
        silent = (self._owes or self._ended) and not self._said
        if not isinstance(self.transport, TlsTransport):
            _end(self.transport)
            self._timer = loop.call_later(LINGER_SECONDS, self.transport.close)
        elif late or gone or silent:
            self.transport.leave()
        else:
            self.transport.linger()

    def _leave(self) -> None:
        self._left = True
        self._open.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._timer is not None:
            self._timer.cancel()
        far, self._far = self._far, None
        if far is not None:
            far.close()


def _end(transport: asyncio.Transport) -> None:
    """Say that nothing more comes, if there is still somebody to hear it."""
    with contextlib.suppress(OSError, RuntimeError):
        transport.write_eof()


class _Far(asyncio.Protocol):
    """The connection to the site."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._passage.came(self._transport)

    def data_received(self, data: bytes) -> None:
        """An answer, or a part."""
        self._passage.said(data)

    def pause_writing(self) -> None:
        """The site does not read."""
        self._passage.full(True)

    def resume_writing(self) -> None:
        """It does again."""
        self._passage.full(False)

    def connection_lost(self, error: Exception | None) -> None:
        """The site ended it."""
        self._passage.went(self._transport)
