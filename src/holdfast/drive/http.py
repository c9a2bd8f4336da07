"""An HTTP/1.1 server for one site: what a relay's port and a node's page share.

The protocol is h11's; this module gives it a transport, bounds and patience. A site
answers whole requests at once, and may take a connection over when an upgrade to
WebSocket is asked for. Source: RFC 9110, RFC 9112, RFC 6455 section 4.2.1.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol, cast

import h11

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


@dataclass(frozen=True)
class Response:
    """One whole answer; length, date and connection headers are added."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Site(Protocol):
    """What is served."""

    def respond(self, request: Request) -> Response:
        """Answer a request. HEAD is asked as HEAD; its body is left out by the server."""

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


class HttpConnection(asyncio.Protocol):
    """One client's connection to a site; it is in `open_` as long as it is served here."""

    def __init__(self, site: Site, open_: set[HttpConnection]) -> None:
        self._site = site
        self._open = open_
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._answered = 0
        self._paused = False
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        # uvloop's transports are not asyncio's by class.
        self.transport = cast("asyncio.Transport", transport)
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
        self._open.discard(self)

    def pause_writing(self) -> None:
        """The client does not read: do not answer more requests meanwhile."""
        self._paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again: answer what it asked meanwhile."""
        self._paused = False
        self.transport.resume_reading()
        self.data_received(b"")

    def close(self) -> None:
        """End the connection after what was sent."""
        self.transport.close()

    # Within.

    def _go_on(self) -> None:
        while not self._paused and not self.transport.is_closing():
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if event is h11.PAUSED:
                    self._refuse(400)  # an upgrade that is none of ours, behind an answer
                return
            if isinstance(event, h11.Request):
                self._request, self._body, self._size = event, [], 0
            elif isinstance(event, h11.Data):
                self._size += len(event.data)
                if self._size > MAX_BODY:
                    self._refuse(413)
                    return
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._answer():
                    return
            elif isinstance(event, h11.ConnectionClosed):
                self.transport.close()
                return

    def _answer(self) -> bool:
        """Answer what has come in whole; true when the connection is no longer ours."""
        assert self._request is not None
        request = Request(
            self._request.method.decode("ascii"),
            self._request.target.decode("latin-1"),
            tuple((bytes(name), bytes(value)) for name, value in self._request.headers),
            b"".join(self._body),
        )
        if request.is_websocket:
            taken = self._site.upgrade(request, self.transport, self._h11.trailing_data[0])
            if taken is not None:
                self._stop_waiting()
                self.transport.set_protocol(taken)
                self._open.discard(self)
                return True
        self._send(self._site.respond(request), request.method == "HEAD")
        self._request = None
        self._answered += 1
        if self._h11.our_state is h11.MUST_CLOSE or self._answered >= MAX_REQUESTS:
            self.transport.close()
            return True
        self._h11.start_next_cycle()
        self._wait(IDLE_SECONDS)
        return False

    def _send(self, response: Response, head_only: bool = False) -> None:
        headers = [
            ("date", formatdate(usegmt=True)),
            *response.headers,
            ("content-length", str(len(response.body))),
        ]
        if self._answered + 1 >= MAX_REQUESTS:
            headers.append(("connection", "close"))
        reason = HTTPStatus(response.status).phrase
        if response.status == 304:
            headers.pop()
        event = h11.Response(status_code=response.status, headers=headers, reason=reason)
        data = self._h11.send(event) or b""
        if not head_only and response.body:
            data += self._h11.send(h11.Data(data=response.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        self.transport.write(data)

    def _refuse(self, status: int) -> None:
        """An error that the protocol itself calls for; the connection ends."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(self._site.error(status))
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
