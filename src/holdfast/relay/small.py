"""The relay's side of small exchanges: sessions that outlive their connections.

Each is a channel like any other. Who asks on the secret path of small exchanges with a session's
name goes on with it; a new name begins one. Source: spec/paths.md, "Small exchanges".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from holdfast.drive.http import Response
from holdfast.paths.base import Undivided
from holdfast.paths.exchange import Ask, BadExchange, Incoming, Outgoing, Tell

if TYPE_CHECKING:
    from holdfast.paths.base import Handler
    from holdfast.paths.websocket import Accept

PATIENCE: Final = 120.0
"""Seconds without an exchange after which a session is over."""
MOST: Final = 4_096
"""Sessions at a time."""
LOW: Final = 16 * 1024
"""Bytes left to be fetched at which a session may be given more."""


Elsewhere = Callable[[bytes, bytes, str, bytes, bytes], "Awaitable[Response | None] | None"]


class Small:
    """All sessions of one front."""

    def __init__(self, by_path: Callable[[bytes], Accept]) -> None:
        self._by_path = by_path
        self._sessions: dict[bytes, _Session] = {}
        self.elsewhere: Elsewhere = lambda *_: None
        """Asked first: whether another process has the session, and what it answers."""

    def __len__(self) -> int:
        return len(self._sessions)

    async def answer(
        self, body: bytes, peer: str, tls_key_hash: bytes, path: bytes
    ) -> Response | None:
        """One exchange; None if it is none, or of a session that is over."""
        try:
            ask = Ask.decode(body)
            other = self.elsewhere(ask.session, body, peer, tls_key_hash, path)
            if other is not None:
                return await other
            session = self._find(ask, peer, tls_key_hash, path)
            if session is None:
                return None
            tell = await session.exchange(ask)
        except BadExchange:
            return None
        return self.told(tell.encode())

    def told(self, tell: bytes) -> Response:
        """What answers an exchange."""
        kind = ("content-type", "application/octet-stream")
        return Response(200, (kind, ("cache-control", "no-store")), tell)

    def _find(self, ask: Ask, peer: str, tls_key_hash: bytes, path: bytes) -> _Session | None:
        session = self._sessions.get(ask.session)
        if session is not None:
            return session
        if ask.offset or ask.have or len(self._sessions) >= MOST:
            return None
        session = _Session(lambda: self._sessions.pop(ask.session, None))
        self._sessions[ask.session] = session
        session.handler = self._by_path(path)(session, tls_key_hash, peer)
        return session

    def close(self) -> None:
        """End all sessions."""
        for session in list(self._sessions.values()):
            session.close()


class _Session(Undivided):
    """A channel."""

    def __init__(self, over: Callable[[], object]) -> None:
        self.handler: Handler | None = None
        self._over = over
        self._out = Outgoing()
        self._in = Incoming()
        self._news = asyncio.Event()
        self._ended = False
        self._full = False
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._end, "no exchange came")

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if not self._ended:
            self._out.add(frame)
            self._full = self._full or self._out.waiting > LOW
            self._news.set()

    def close(self, reason: str = "") -> None:
        """No more exchanges."""
        asyncio.get_running_loop().call_soon(self._end, reason)

    @property
    def buffered(self) -> int:
        """Bytes that were not fetched yet."""
        return self._out.waiting

    @property
    def received(self) -> int:
        """Bytes that came in exchanges."""
        return self._in.have

    # Exchanges.

    async def exchange(self, ask: Ask) -> Tell:
        """Take what it brings, give what it wants. Raises `BadExchange`."""
        self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PATIENCE, self._end, "no exchange came")
        self._out.arrived(ask.have)
        if self._full and self._out.waiting <= LOW and self.handler is not None:
            self._full = False
            self.handler.on_drained()
        for frame in self._in.feed(ask.offset, ask.data):
            if self.handler is not None:
                self.handler.on_frame(frame)
        if ask.wait and ask.most and self._out.end <= ask.have and not self._ended:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ask.wait):
                    await self._news.wait()
        return Tell(self._in.have, self._out.take(ask.have, ask.most))

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._timer.cancel()
        self._news.set()
        self._over()
        if self.handler is not None:
            self.handler.on_closed(reason)
