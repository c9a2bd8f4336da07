"""The relay's UDP port: HTTP/3 for strangers, and the relay's protocol for who knows its path.

Connections are known by their ids, so they outlive a change of address. While many handshakes are
under way, who comes has to show that they have the address they write from before anything is kept
of them. Source: RFC 9000 sections 5, 6 and 8, RFC 9114, spec/paths.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, Protocol

from aioquic._buffer import Buffer
from aioquic.h3.connection import ErrorCode
from aioquic.h3.events import (
    DataReceived,
    H3Event,
    HeadersReceived,
    WebTransportStreamDataReceived,
)
from aioquic.quic import events
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from holdfast.drive.http import MAX_BODY, MAX_REQUESTS, Request, Response, Site
from holdfast.paths import h3

if TYPE_CHECKING:
    from holdfast.paths.websocket import Accept
    from holdfast.relay.certificate import Certificate

MOST: Final = 12_000
"""Connections at a time."""
HANDSHAKES: Final = 64
"""Under way at a time; with more, a Retry comes first."""
MOST_HANDSHAKES: Final = 1_024
"""With more, new ones are not answered."""
HANDSHAKE_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 20.0
"""For a whole request to arrive."""
IDLE_SECONDS: Final = 75.0
LOOK_SECONDS: Final = 5.0
MAX_BODIES: Final = 4 * MAX_BODY
"""Bytes of bodies that one connection may have begun to send."""
BUFFER: Final = 4 * 1024 * 1024
"""Bytes that the system keeps of what comes, if it may."""

Address = tuple[Any, ...]

_log = logging.getLogger(__name__)


class Door(Site, Protocol):
    """What is served under one certificate: the site, and a program behind a secret path."""

    certificate: Certificate

    def program(self, path: str) -> Accept | None:
        """The program, if it is behind this path."""

    def reflect(self, data: bytes, address: tuple[str, int], now: int) -> bytes | None:
        """See `core.reflect`; `now` in milliseconds since 1970."""


class Listener(asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self, door: Door) -> None:
        self.use(door)
        self.visitors: set[Visitor] = set()
        self.shaking: set[Visitor] = set()
        self.by_id: dict[bytes, Visitor] = {}
        self._retry = QuicRetryTokenHandler()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def use(self, door: Door) -> None:
        """Serve this to whoever comes from now on."""
        self.door = door
        self.config = h3.configuration(is_client=False)
        self.config.certificate, *rest = door.certificate.chain
        self.config.certificate_chain = rest
        self.config.private_key = door.certificate.key
        self.config.idle_timeout = IDLE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From anybody."""
        try:
            header = pull_quic_header(
                Buffer(data=data), host_cid_length=self.config.connection_id_length
            )
        except ValueError:
            return
        visitor = self.by_id.get(header.destination_cid) or self._meet(header, len(data), addr)
        if visitor is None:
            now = time.time_ns() // 1_000_000
            if (answer := self.door.reflect(data, (str(addr[0]), addr[1]), now)) is not None:
                self.emit(answer, addr)
            return
        try:
            visitor.received(data, addr)
        except Exception:  # noqa: BLE001  theirs ends, the log says why
            _log.exception("a connection over UDP failed")
            visitor.close()

    def emit(self, data: bytes, address: Address) -> None:
        """Send one datagram."""
        if not self._transport.is_closing():
            self._transport.sendto(data, address)

    def close(self) -> None:
        """Close the port, with a goodbye to everybody."""
        self._timer.cancel()
        for visitor in list(self.visitors):
            visitor.close()
        self._transport.close()

    def _meet(self, header: QuicHeader, size: int, address: Address) -> Visitor | None:
        """Somebody new, if their first words are whole and there is room."""
        if header.version is None or size < h3.MAX_DATAGRAM:
            return None
        versions = self.config.supported_versions
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version not in versions:
            answer = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=versions,
            )
            self.emit(answer, address)
            return None
        if header.packet_type != QuicPacketType.INITIAL:
            return None
        if len(self.shaking) >= MOST_HANDSHAKES or len(self.visitors) >= MOST:
            return None
        first, retried = header.destination_cid, None
        if header.token:
            try:
                first = self._retry.validate_token(
                    address=address,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=self._loop.time(),
                )
            except ValueError:
                return None
            retried = header.destination_cid
        elif len(self.shaking) >= HANDSHAKES:
            self._ask_again(header, address)
            return None
        quic = h3.Quic(
            configuration=self.config,
            original_destination_connection_id=first,
            retry_source_connection_id=retried,
        )
        visitor = Visitor(self, quic, str(address[0]))
        for known in (header.destination_cid, quic.host_cid):
            self.by_id[known] = visitor
            visitor.ids.add(known)
        return visitor

    def _ask_again(self, header: QuicHeader, address: Address) -> None:
        """Have them show that they get what is sent to this address (RFC 9000 section 8.1.2)."""
        own = os.urandom(self.config.connection_id_length)
        token = self._retry.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=own,
            now=self._loop.time(),
        )
        answer = encode_quic_retry(
            version=header.version or 0,
            source_cid=own,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.emit(answer, address)

    def _look(self) -> None:
        """Who takes too long goes."""
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        now = self._loop.time()
        for visitor in [one for one in self.visitors if one.late(now)]:
            visitor.close()


@dataclass(slots=True)
class _Asked:
    """A request, while it arrives."""

    since: float
    headers: list[tuple[bytes, bytes]]
    body: bytearray


class Visitor(h3.Flow):
    """One connection: requests to the site, or one that becomes the relay's."""

    def __init__(self, listener: Listener, quic: h3.Quic, peer: str) -> None:
        super().__init__(quic, listener.emit)
        self.ids: set[bytes] = set()
        self._listener, self._peer = listener, peer
        self._door = listener.door
        self._asked: dict[int, _Asked] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._count = 0
        self._since = self._used = self._loop.time()
        listener.visitors.add(self)
        listener.shaking.add(self)

    def late(self, now: float) -> bool:
        """Whether it was given enough time for what it is doing."""
        if self.lines or self._answering:
            return False
        if self.http is None:
            return now - self._since > HANDSHAKE_SECONDS
        if any(now - asked.since > REQUEST_SECONDS for asked in self._asked.values()):
            return True
        return now - self._used > IDLE_SECONDS

    # From the flow.

    def on_event(self, event: events.QuicEvent) -> None:
        """Its ids change as well."""
        if isinstance(event, events.ConnectionIdIssued):
            self._listener.by_id[event.connection_id] = self
            self.ids.add(event.connection_id)
        elif isinstance(event, events.ConnectionIdRetired):
            self._listener.by_id.pop(event.connection_id, None)
            self.ids.discard(event.connection_id)
        super().on_event(event)

    def shook_hands(self) -> None:
        """The handshake is done."""
        self._listener.shaking.discard(self)

    def on_over(self, reason: str) -> None:
        """It is gone."""
        self._listener.visitors.discard(self)
        self._listener.shaking.discard(self)
        for known in self.ids:
            self._listener.by_id.pop(known, None)
        for task in self._answering.values():
            task.cancel()

    def on_reset(self, stream: int) -> None:
        """An answer is not wanted."""
        self._asked.pop(stream, None)
        if (task := self._answering.get(stream)) is not None:
            task.cancel()
        super().on_reset(stream)

    def on_http(self, event: H3Event) -> None:
        """A request, or a part of one."""
        self._used = self._loop.time()
        if isinstance(event, HeadersReceived):
            if event.stream_id not in self._asked:
                if event.stream_id in self._answering:
                    return
                asked = _Asked(self._used, event.headers, bytearray())
                self._asked[event.stream_id] = asked
                if self._upgraded(event.stream_id, asked, event.stream_ended):
                    return
        elif isinstance(event, DataReceived):
            found = self._asked.get(event.stream_id)
            if found is None:
                return
            found.body += event.data
            if len(found.body) > MAX_BODY or self._bodies > MAX_BODIES:
                self._begin(event.stream_id, self._door.error(413))
                return
        elif isinstance(event, WebTransportStreamDataReceived):
            self.quic.close(ErrorCode.H3_FRAME_UNEXPECTED)  # it was not offered
            return
        else:
            return
        if event.stream_ended:
            self._begin(event.stream_id)

    @property
    def _bodies(self) -> int:
        return sum(len(asked.body) for asked in self._asked.values())

    # Requests.

    def _upgraded(self, stream: int, asked: _Asked, ended: bool) -> bool:
        """Make it the relay's, if it is complete and correct and on a path of the relay."""
        head = dict(asked.headers)
        if head.get(b":method") != b"CONNECT":
            return False
        path = head.get(b":path", b"").decode("latin-1")
        right = head.get(b":protocol") == b"websocket" and not ended and self.quic.takes_datagrams
        right &= head.get(b"sec-websocket-version") == b"13"
        program = self._door.program(path)
        if program is None or not right:
            # There is no body to wait for, and nothing will be said.
            self._begin(stream)
            return True
        assert self.http is not None
        del self._asked[stream]
        self.http.send_headers(stream, [(b":status", b"200"), _date()])
        line = h3.Line(self, stream)
        key_hash = self._door.certificate.key_hash
        line.handler = program(line, key_hash, self._peer)
        self.soon()
        return True

    def _begin(self, stream: int, response: Response | None = None) -> None:
        asked = self._asked.pop(stream)
        self._count += 1
        request = _request(asked, self._peer)
        if request is None:
            response = response or self._door.error(400)
        task = asyncio.create_task(self._answer(stream, request, response))
        self._answering[stream] = task
        task.add_done_callback(lambda _: self._answered(stream))

    def _answered(self, stream: int) -> None:
        del self._answering[stream]
        self._used = self._loop.time()
        if self._count >= MAX_REQUESTS and not self._answering and not self.lines:
            self.finish("")

    async def _answer(
        self, stream: int, request: Request | None, response: Response | None
    ) -> None:
        site = self._door
        try:
            if response is None:
                assert request is not None
                found = site.respond(request)
                response = found if isinstance(found, Response) else await found
        except Exception:  # noqa: BLE001  whoever asked is told, the log says more
            _log.exception("a request failed")
            response = site.error(500)
        head_only = request is not None and request.method == "HEAD"
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            await self._send(stream, response, head_only)
            return
        if not self.ended:  # less than was announced: the other side sees it
            self.quic.reset_stream(stream, ErrorCode.H3_INTERNAL_ERROR)
            self.soon()

    async def _send(self, stream: int, response: Response, head_only: bool) -> None:
        assert self.http is not None
        headers = [(b":status", str(response.status).encode())]
        names = {name.lower() for name, _ in response.headers}
        if "date" not in names:
            headers.append(_date())
        headers += [
            (name.lower().encode(), value.strip().encode("latin-1"))
            for name, value in response.headers
        ]
        if response.stream is None and response.status != 304:
            length = response.length if response.source else len(response.body)
            headers.append((b"content-length", str(length).encode()))
        self.http.send_headers(stream, headers, end_stream=head_only)
        self.soon()
        pieces = _pieces(response)
        try:
            if head_only:
                return
            async for piece in pieces:
                self.http.send_data(stream, piece, end_stream=False)
                self.soon()
                await self.drained()
                if self.ended:
                    return
        finally:
            await pieces.aclose()
            if response.stream is not None:
                await response.stream.aclose()
        self.http.send_data(stream, b"", end_stream=True)
        self.soon()


async def _pieces(response: Response) -> AsyncGenerator[bytes]:
    """A body, wherever it comes from."""
    if response.stream is not None:
        async for piece in response.stream:
            yield piece
    elif response.source is not None:
        for piece in response.source:
            yield piece
    elif response.body:
        yield response.body


def _date() -> tuple[bytes, bytes]:
    return b"date", formatdate(usegmt=True).encode()


def _request(asked: _Asked, peer: str) -> Request | None:
    """As the site is asked by HTTP/1.1; None if it could not be."""
    head = {name: value for name, value in asked.headers if name.startswith(b":")}
    path = head.get(b":path") or head.get(b":authority", b"")
    if not path or any(byte <= 0x20 or byte == 0x7F for byte in path):
        return None
    rest = [(name, value) for name, value in asked.headers if not name.startswith(b":")]
    if b"host" not in dict(rest):
        rest.insert(0, (b"host", head.get(b":authority", b"")))
    try:
        method = head.get(b":method", b"").decode("ascii")
    except UnicodeDecodeError:
        return None
    return Request(method, path.decode("latin-1"), tuple(rest), bytes(asked.body), peer)
