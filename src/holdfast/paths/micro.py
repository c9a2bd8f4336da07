"""The path for networks on which connections freeze after some kilobytes: small HTTPS exchanges.

Each connection carries one exchange of a few kilobytes, its TLS handshake counted, and ends before
the network would freeze it. It waits at the relay for what comes; when there is something to
bring, it is given up for one that brings it. How many connections a minute there may be is bounded,
how large an exchange is follows what passes. Slow, and good for text, voice notes and patience.
Source: spec/paths.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import Final

import h11

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.paths import dial, tls
from holdfast.paths.base import Attempt, Channel, Handler, Undivided, Unreachable
from holdfast.paths.exchange import ASK, MAX_WAIT, TELL, Ask, BadExchange, Incoming, Outgoing, Tell
from holdfast.paths.pacing import MOST, Rate, Size
from holdfast.paths.websocket import check_welcome

EXCHANGE_SECONDS: Final = 10.0
"""For a whole exchange beyond the time it may wait at the relay."""
ANSWER_WAIT: Final = 1
"""Seconds that an exchange which brings something waits for the answer to it."""
TRIES: Final = 4
"""Exchanges in a row that may fail before this path is given up."""
ROOM: Final = 512
"""Bytes of an exchange that are left for what comes, however much is to be brought; half of it if
more came than there was room for."""
MANY: Final = 64 * 1024
"""Bytes that wait here at which the sender is asked for patience; below a quarter it goes on."""


_log = logging.getLogger(__name__)


_rates: dict[tuple[str, int], Rate] = {}
"""By relay's machine: all channels to it share its connections."""


class _Micro(Undivided):
    """A channel."""

    def __init__(self, home: Home, proxy: str | None, attempt: Attempt) -> None:
        self._home, self._proxy, self._attempt = home, proxy, attempt
        self._handler: Handler | None = None
        self._session = secrets.token_bytes(16)
        self._key = b""
        self._out, self._in = Outgoing(), Incoming()
        self._size = Size()
        self._more = False
        self._rate = _rates.setdefault((home.host, home.port), Rate())
        self._failed = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._reason = ""
        self._held = False

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if not self._ended:
            self._out.add(frame)
            self._held = self._held or self._out.waiting > MANY
            self._news.set()

    def close(self, reason: str = "") -> None:
        """End it; what was not carried is lost."""
        self._reason = self._reason or reason
        if self._task is not None:
            self._task.cancel()

    @property
    def buffered(self) -> int:
        """Bytes not certain to have arrived."""
        return self._out.waiting

    @property
    def received(self) -> int:
        """Bytes that came in exchanges."""
        return self._in.have

    # The work.

    async def open(self) -> list[bytes]:
        """The first exchange: checks who the relay is; the frames behind its greeting."""
        frames = await self._exchange(wait=0)
        if not frames:
            raise Unreachable("upgrade", "what answers there is not a Holdfast relay")
        check_welcome(self._home, self._key, frames[0])
        return frames[1:]

    def begin(self, handler: Handler, early: list[bytes]) -> None:
        """Hand everything on from now on."""
        self._handler = handler
        for frame in early:
            handler.on_frame(frame)
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._over)

    async def _run(self) -> None:
        """One exchange after the other: it brings what is there, else waits for what comes, until
        there is something to bring."""
        try:
            while True:
                self._news.clear()
                if self._out.waiting:
                    self._deliver(await self._carefully(ANSWER_WAIT))
                    continue
                waiting = asyncio.create_task(self._carefully(MAX_WAIT))
                news = asyncio.create_task(self._news.wait())
                try:
                    await asyncio.wait((waiting, news), return_when=asyncio.FIRST_COMPLETED)
                    if waiting.done():
                        self._deliver(waiting.result())
                finally:
                    waiting.cancel()
                    news.cancel()
        except Unreachable as error:
            self._reason = self._reason or str(error)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._ended = True
        if not task.cancelled() and (error := task.exception()) is not None:
            self._reason = self._reason or "the path broke"
            _log.error("small exchanges ended", exc_info=error)
        if self._handler is not None:
            self._handler.on_closed(self._reason or "the connection was closed")

    async def _carefully(self, wait: int) -> list[bytes]:
        """An exchange, again if it fails: smaller, and a little later."""
        while True:
            try:
                frames = await self._exchange(wait)
            except Unreachable as error:
                self._failed += 1
                if error.kind in ("pin", "upgrade") or self._failed >= TRIES:
                    raise
                await asyncio.sleep(self._failed)
            else:
                self._failed = 0
                return frames

    def _deliver(self, frames: list[bytes]) -> None:
        handler = self._handler
        if handler is None:
            return
        for frame in frames:
            handler.on_frame(frame)
        if self._held and self._out.waiting < MANY // 4:
            self._held = False
            handler.on_drained()

    async def _exchange(self, wait: int) -> list[bytes]:
        """One connection, one request. Raises `Unreachable`."""
        async with self._rate.turn:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._rate.wait(loop.time()))
            self._rate.made(loop.time())
        size = self._size.now
        data = self._out.take(self._out.base, size // 2 if self._more else size - ROOM)
        room = size - len(data)
        ask = Ask(self._session, self._out.base, self._in.have, room, wait, data)
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS + wait):
                tell = await self._ask(ask)
        except TimeoutError:
            self._size.failed(size if self._more else len(data))
            raise Unreachable(
                self._attempt.hangs, f"{self._home.label} did not answer in time"
            ) from None
        try:
            self._out.arrived(tell.have)
            frames = self._in.feed(ask.have, tell.data)
        except BadExchange:
            raise Unreachable("upgrade", "the relay broke the protocol of exchanges") from None
        self._size.passed(len(data) + len(tell.data))
        self._more = len(tell.data) == room
        return frames

    async def _ask(self, ask: Ask) -> Tell:
        transport = await dial.secured(
            self._home, self._proxy, self._attempt, classic=True, held=True
        )
        try:
            key = tls.key_hash(transport.connection)
            if self._key and key != self._key:
                raise Unreachable("pin", "another machine answers in this relay's place")
            self._key = key
            protocol = _Request(self._home.label, caps.exchange_path(self._home, key), ask.encode())
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            transport.resume_reading()
            return Tell.decode(await protocol.answer)
        except BadExchange:
            raise Unreachable("upgrade", f"{self._home.label} is a website") from None
        finally:
            transport.abort()


class _Request(asyncio.Protocol):
    """One POST and its answer."""

    def __init__(self, host: str, path: str, body: bytes) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self._host, self._path, self._body = host, path, body
        self._parts: list[bytes] = []
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, tls.TlsTransport)
        head = h11.Request(
            method="POST",
            target=self._path,
            headers=[("host", self._host), ("content-length", str(len(self._body)))],
        )
        data = [head, h11.Data(data=self._body), h11.EndOfMessage()]
        transport.write(b"".join(self._h11.send(one) or b"" for one in data))

    def data_received(self, data: bytes) -> None:
        """More of the answer."""
        try:
            self._h11.receive_data(data)
            while not self.answer.done():
                event = self._h11.next_event()
                if isinstance(event, h11.Response) and event.status_code != 200:
                    self._fail("upgrade", "the relay does not know this session, or is a website")
                elif isinstance(event, h11.Data):
                    self._parts.append(bytes(event.data))
                    if sum(map(len, self._parts)) > TELL + ASK + 2 * MOST:
                        self._fail("upgrade", "the answer is too long")
                elif isinstance(event, h11.EndOfMessage):
                    self.answer.set_result(b"".join(self._parts))
                elif event is h11.NEED_DATA or event is h11.PAUSED:
                    return
        except h11.RemoteProtocolError:
            self._fail("upgrade", "what answers there is not a Holdfast relay")

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._fail("closed", "the connection was cut")

    def _fail(self, kind: str, text: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(Unreachable(kind, text))  # type: ignore[arg-type]


async def connect(
    home: Home, handler: Handler, attempt: Attempt | None = None, *, proxy: str | None = None
) -> Channel:
    """A channel to the relay whose key is the address's pin. Raises `Unreachable`."""
    channel = _Micro(home, proxy, attempt or Attempt())
    with contextlib.suppress(TimeoutError):
        early = await channel.open()
        channel.begin(handler, early)
        return channel
    raise Unreachable("timeout", f"{home.label} did not answer in time")
