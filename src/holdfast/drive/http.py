"""An HTTP/1.1 server for one site: what a relay's port and a node's page share.

The protocol is h11's; this module gives it a transport, bounds and patience. A site
answers whole requests at once, and may take a connection over when an upgrade to
WebSocket is asked for. Source: RFC 9110, RFC 9112, RFC 6455 section 4.2.1.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol, cast

import h11

from holdfast.paths.tls import TlsTransport

_log = logging.getLogger(__name__)

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 64 * 1024
HEAD_SECONDS: Final = 20.0
"""For a whole request to arrive, however slowly it is sent."""
IDLE_SECONDS: Final = 75.0
MAX_REQUESTS: Final = 1000
"""Answered on one connection before it is closed."""
HIGH_WATER: Final = 256 * 1024
LOW_WATER: Final = 64 * 1024


@dataclass(frozen=True)
class Request:
    """One whole request; header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    peer: str = ""
    """The address it came from."""

    def header(self, name: str) -> str:
        """The header's value, empty if it is absent; several are joined by a comma."""
        values = [value for key, value in self.headers if key == name.encode()]
        return b", ".join(values).decode("latin-1")

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.split("?", 1)[0]

    @property
    def is_websocket(self) -> bool:
        """Whether this is a complete and correct request to upgrade to WebSocket."""
        tokens = [token.strip().lower() for token in self.header("connection").split(",")]
        try:
            key = base64.b64decode(self.header("sec-websocket-key"), validate=True)
        except (binascii.Error, ValueError):
            return False
        return (
            self.method == "GET"
            and not self.body
            and "upgrade" in tokens
            and self.header("upgrade").lower() == "websocket"
            and self.header("sec-websocket-version") == "13"
            and len(key) == 16
        )

    @property
    def head(self) -> bytes:
        """A WebSocket request as bytes, in the plainest form, for whoever takes over."""
        lines = [
            f"GET {self.target} HTTP/1.1",
            f"Host: {self.header('host')}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self.header('sec-websocket-key')}",
            "Sec-WebSocket-Version: 13",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Stream(AsyncIterator[bytes]):
    """Pieces of a body that have to be waited for; OSError cuts the answer short."""

    @abstractmethod
    async def aclose(self) -> None:
        """The rest is not wanted."""


@dataclass(frozen=True)
class Response:
    """One whole answer; length, date and connection headers are added where they are missing. A
    long body comes in pieces from `source`, as fast as the client takes them, `length` bytes in
    all; one that has to be waited for, from `stream`, as many as the headers say."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    source: Iterator[bytes] | None = None
    length: int = 0
    stream: Stream | None = None
    reason: str = ""
    """Instead of the usual words for the status."""


class Intake(Protocol):
    """Takes a long request body piece by piece."""

    def write(self, data: bytes) -> Response | None:
        """More of it; an answer ends the request and the connection early."""

    async def end(self) -> Response:
        """All came."""

    def abort(self) -> None:
        """The rest will not come."""


class Site(Protocol):
    """What is served."""

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request. HEAD is asked as HEAD; its body is left out by the server."""

    def take(self, request: Request) -> Intake | Response | None:
        """A request whose body is longer than `MAX_BODY`: what takes it in, or the answer why
        not. None: it is gathered as any other, and refused when it is too long."""

    def error(self, status: int) -> Response:
        """Answer what was no whole request, before the connection is closed."""

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """Take the connection over, with bytes that came behind the request, or None:
        then the request is answered like any other."""


def plain(status: int, text: str = "") -> Response:
    """A short answer in words, for errors."""
    words = text or HTTPStatus(status).phrase
    return Response(status, (("content-type", "text/plain; charset=utf-8"),), words.encode())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class Connected(Protocol):
    """A connection that can be ended."""

    peer: str
    """The address it came from."""

    def close(self) -> None:
        """End it after what was sent."""

    def abort(self) -> None:
        """End it at once."""


class Open:
    """The connections of one server, by address, those that got on last at the end. One more than
    `most` ends the first of the address that has most of them: a flood from one place drowns
    itself, and one from everywhere what got nowhere for longest."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._peers: dict[Connected, str] = {}
        self._by_peer: dict[str, dict[Connected, None]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, connection: Connected) -> None:
        """It began, or got on: was asked something whole, or answered."""
        self.discard(connection)
        peer = connection.peer
        self._peers[connection] = peer
        self._by_peer.setdefault(peer, {})[connection] = None
        if self._most is not None and len(self._peers) > self._most:
            crowd = max(self._by_peer.values(), key=len)
            first = next(iter(crowd))
            self.discard(first)
            first.abort()

    def discard(self, connection: Connected) -> None:
        """It ended, or somebody else minds it."""
        peer = self._peers.pop(connection, None)
        if peer is not None:
            same = self._by_peer[peer]
            del same[connection]
            if not same:
                del self._by_peer[peer]

    def close(self) -> None:
        """End all."""
        for connection in list(self._peers):
            connection.close()


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other end, empty if it has none."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


class HttpConnection(asyncio.Protocol):
    """One client's connection to a site; it is in `open_` as long as it is served here."""

    def __init__(self, site: Site, open_: Open) -> None:
        self._site = site
        self._open = open_
        self.peer = ""
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._answered = 0
        self._paused = False
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._intake: Intake | None = None
        self._answering: asyncio.Task[None] | None = None
        self._source: Iterator[bytes] | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        # uvloop's transports are not asyncio's by class.
        self.transport = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport)
        self._open.add(self)
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self._wait(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if data and self._answered and self._request is None and not self._h11.trailing_data[0]:
            self._wait(HEAD_SECONDS)
        try:
            if data:
                self._h11.receive_data(data)
            self._go_on()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def eof_received(self) -> bool:
        """The client has nothing more to say."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        if self._answering is not None:
            self._answering.cancel()
        if self._intake is not None:
            self._intake.abort()
            self._intake = None
        self._source = None
        self._open.discard(self)

    def pause_writing(self) -> None:
        """The client does not read: do not answer more requests meanwhile."""
        self._paused = True
        self._drained.clear()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again: answer what it asked meanwhile."""
        self._paused = False
        self._drained.set()
        if self._source is not None:
            self._pour()
        elif not self._busy:
            self.transport.resume_reading()
            self.data_received(b"")

    def close(self) -> None:
        """End the connection after what was sent."""
        self.transport.close()

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    # Within.

    @property
    def _busy(self) -> bool:
        """An answer is being made or poured out."""
        return self._answering is not None or self._source is not None

    def _go_on(self) -> None:
        while not self._paused and not self._busy and not self.transport.is_closing():
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if event is h11.PAUSED:
                    self._refuse(400)  # an upgrade that is none of ours, behind an answer
                elif self._h11.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self.transport.write(self._h11.send(go_on) or b"")
                return
            if isinstance(event, h11.Request):
                self._request, self._body, self._size = event, [], 0
                if not self._begin():
                    return
            elif isinstance(event, h11.Data):
                if not self._more(bytes(event.data)):
                    return
            elif isinstance(event, h11.EndOfMessage):
                if self._answer():
                    return
            elif isinstance(event, h11.ConnectionClosed):
                self.transport.close()
                return

    def _head(self) -> Request:
        assert self._request is not None
        return Request(
            self._request.method.decode("ascii"),
            self._request.target.decode("latin-1"),
            tuple((bytes(name), bytes(value)) for name, value in self._request.headers),
            b"".join(self._body),
            self.peer,
        )

    def _begin(self) -> bool:
        """A request's head is here; whether its body is to come."""
        assert self._request is not None
        if self._request.method not in (b"POST", b"PUT"):
            return True
        taken = self._site.take(self._head())
        if isinstance(taken, Response):
            self._send(taken)
            self._hang_up()
            return False
        self._intake = taken
        return True

    def _more(self, data: bytes) -> bool:
        """A piece of a body; whether more may come."""
        if self._intake is not None:
            self._wait(IDLE_SECONDS)
            answer = self._intake.write(data)
            if answer is None:
                return True
            self._intake = None
            self._send(answer)
            self._hang_up()
            return False
        self._size += len(data)
        if self._size > MAX_BODY:
            self._refuse(413)
            return False
        self._body.append(data)
        return True

    def _answer(self) -> bool:
        """Answer what has come in whole; true when the loop is not to go on now."""
        self._open.add(self)
        request = self._head()
        assert self._request is not None
        if request.is_websocket and self._request.http_version == b"1.1":
            taken = self._site.upgrade(request, self.transport, self._h11.trailing_data[0])
            if taken is not None:
                self._stop_waiting()
                self.transport.set_protocol(taken)
                self._open.discard(self)
                vars(self).clear()  # uvloop lets go of it with the connection only
                return True
        head_only = request.method == "HEAD"
        intake, self._intake = self._intake, None
        found = self._site.respond(request) if intake is None else intake.end()
        if isinstance(found, Response):
            return self._finish(found, head_only)
        self._stop_waiting()
        self.transport.pause_reading()
        self._answering = asyncio.create_task(self._later(found, head_only))
        return True

    async def _later(self, found: Awaitable[Response], head_only: bool) -> None:
        try:
            response = await found
        except Exception:  # noqa: BLE001  whoever asked is told, the log says more
            _log.exception("a request failed")
            response = self._site.error(500)
        if response.stream is not None:
            try:
                if not await self._relay(response, response.stream, head_only):
                    return
            finally:
                await response.stream.aclose()
            self._answering = None
            if not self._next():
                self._go_on_reading()
            return
        self._answering = None
        if self.transport.is_closing():
            return
        if not self._finish(response, head_only):
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        if not self._paused:
            self.transport.resume_reading()
        self.data_received(b"")

    async def _relay(self, response: Response, stream: Stream, head_only: bool) -> bool:
        """Send an answer whose body has to be waited for; whether all of it was sent."""
        if self.transport.is_closing():
            return False
        self._request = None
        self._send(response, head_only)
        try:
            async for piece in stream:
                if not head_only:
                    self.transport.write(self._h11.send(h11.Data(data=piece)) or b"")
                self._wait(IDLE_SECONDS)
                await self._drained.wait()
                self._stop_waiting()
            self.transport.write(self._h11.send(h11.EndOfMessage()) or b"")
        except (OSError, ValueError, h11.LocalProtocolError):
            self.transport.abort()  # less than was announced: the client sees it
            return False
        return not self.transport.is_closing()

    def _finish(self, response: Response, head_only: bool) -> bool:
        """Send an answer; true when the loop is not to go on now."""
        self._request = None
        self._send(response, head_only)
        if self._source is None:
            return self._next()
        self.transport.pause_reading()
        self._pour()
        return True

    def _next(self) -> bool:
        """An answer has left; true when the connection ends with it."""
        self._answered += 1
        if self._h11.our_state is h11.MUST_CLOSE or self._answered >= MAX_REQUESTS:
            self.transport.close()
            return True
        self._h11.start_next_cycle()
        self._wait(IDLE_SECONDS)
        return False

    def _pour(self) -> None:
        """As much of a long body as the client takes now."""
        source = self._source
        self._wait(IDLE_SECONDS)
        while source is not None and not self._paused:
            try:
                piece = next(source, None)
            except (OSError, ValueError):
                self.transport.abort()  # less than was announced: the client sees it
                return
            if piece is None:
                self._source = None
                self.transport.write(self._h11.send(h11.EndOfMessage()) or b"")
                self.transport.resume_reading()
                if not self._next():
                    self.data_received(b"")
                return
            self.transport.write(self._h11.send(h11.Data(data=piece)) or b"")

    def _send(self, response: Response, head_only: bool = False) -> None:
        """The head, and a body that is there; what has to be poured or waited for is begun."""
        headers = list(response.headers)
        names = {name.lower() for name, _ in headers}
        if "date" not in names:
            headers.insert(0, ("date", formatdate(usegmt=True)))
        if response.stream is None and response.status != 304:
            length = response.length if response.source else len(response.body)
            headers.append(("content-length", str(length)))
        if self._answered + 1 >= MAX_REQUESTS:
            headers.append(("connection", "close"))
        reason = response.reason or _phrase(response.status)
        event = h11.Response(status_code=response.status, headers=headers, reason=reason)
        data = self._h11.send(event) or b""
        if response.stream is not None:
            self.transport.write(data)
            return
        if response.source is not None and not head_only:
            self.transport.write(data)
            self._source = response.source
            return
        if not head_only and response.body:
            data += self._h11.send(h11.Data(data=response.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        self.transport.write(data)

    def _refuse(self, status: int) -> None:
        """An error that the protocol itself calls for; the connection ends."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(self._site.error(status))
        self._hang_up()

    def _hang_up(self) -> None:
        """End a connection on which more may be coming."""
        if isinstance(self.transport, TlsTransport):
            self.transport.linger()
        else:
            self.transport.close()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        """Nothing was asked for long. Who still reads an answer, however slowly, may."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._unsent = unsent
            self._wait(IDLE_SECONDS)
        elif unsent:
            self.transport.abort()
        else:
            self.transport.close()
