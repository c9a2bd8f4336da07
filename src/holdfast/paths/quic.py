"""The path over UDP: HTTP/3 on QUIC, where one lost packet does not hold up the others.

Live frames travel as datagrams. Handshakes are aioquic's, by which it can be told from a browser,
and have no ML-KEM (what they carry is sealed against quantum computers all the same). A connection
outlives a change of this machine's address: `move`. Source: spec/paths.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any, Final

from aioquic.h3.events import H3Event, HeadersReceived

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.paths import h3, socks
from holdfast.paths.base import Attempt, Channel, Handler, Kind, Unreachable
from holdfast.paths.websocket import (
    ASK_SECONDS,
    CONNECT_SECONDS,
    STALLED,
    check_welcome,
    patience,
)

AUTHORITIES: Final = ssl.CERT_NONE
"""None is asked: the pin is everything."""
HANDSHAKE_SECONDS: Final = 6.0
"""Its first words are said four times by then."""
NEXT_ADDRESS: Final = 0.3
"""Seconds that an address of a name has before the other family's is tried beside it."""
PING_SECONDS: Final = 15.0
"""Of silence; networks forget a UDP flow after 30 (RFC 9308 section 3.2)."""
LIVE_SECONDS: Final = 1.5
"""Datagrams were sent and nothing came for so long, and for four round trips: they are lost."""
MOVE_SECONDS: Final = 2.0
"""For the relay to answer after this machine has moved."""
LOOK_SECONDS: Final = 0.5
BUFFER: Final = 1024 * 1024
"""Bytes that the system keeps of what comes, if it may."""

Address = tuple[Any, ...]


async def connect(
    home: Home, handler: Handler, attempt: Attempt | None = None, *, proxy: str | None = None
) -> Channel:
    """A channel to the relay whose key is the address's pin; `proxy` is the URL of one that speaks
    SOCKS5. Raises `Unreachable`."""
    attempt = attempt or Attempt()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            flow = await _shaken(home, attempt, proxy)
            try:
                line = await flow.opened(home)
                line.adopt(handler)
            except BaseException:
                flow.close()
                raise
            return line
    except TimeoutError:
        raise Unreachable(attempt.hangs, f"{home.label} did not answer in time") from None


async def _shaken(home: Home, attempt: Attempt, proxy: str | None) -> _Flow:
    """A connection whose handshake is done, to the first address of either family that answers."""
    unseen = [(socket.AF_UNSPEC, (home.host, home.port))]  # names are looked up by the proxy
    places: list[tuple[int, Address]] = await _places(home) if proxy is None else [*unseen]
    trying: set[asyncio.Task[_Flow]] = set()
    failed: Unreachable | None = None
    try:
        while places or trying:
            if places:
                trying.add(asyncio.create_task(_shake(home, places.pop(0), proxy)))
            done, trying = await asyncio.wait(
                trying,
                timeout=NEXT_ADDRESS if places else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (error := task.exception()) is None:
                    attempt.hangs = "timeout"
                    return task.result()
                if not isinstance(error, Unreachable):
                    raise error
                failed = failed or error
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_not_needed)
    raise failed or Unreachable("dns", f"the name {home.host} was not found")


def _not_needed(task: asyncio.Task[_Flow]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _places(home: Home) -> list[tuple[int, Address]]:
    """Family and address, at most one of each family, the system's favourite first."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(home.host, home.port, type=socket.SOCK_DGRAM)
    except OSError:
        raise Unreachable("dns", f"the name {home.host} was not found") from None
    first: dict[int, Address] = {}
    for family, _, _, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            first.setdefault(family, address)
    return list(first.items())


async def _shake(home: Home, place: tuple[int, Address], proxy: str | None) -> _Flow:
    flow = _Flow(home, place, proxy)
    try:
        await flow.begin()
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await flow.ready
    except TimeoutError:
        flow.close()
        raise Unreachable("connect", f"{home.label} did not answer") from None
    except BaseException:
        flow.close()
        raise
    return flow


class _Socket(asyncio.DatagramProtocol):
    """One socket of a connection, which may get another."""

    def __init__(self, flow: _Flow) -> None:
        self._flow = flow

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From the relay: the socket takes nothing else."""
        self._flow.on_datagram(data)

    def error_received(self, exc: Exception) -> None:
        """The system knows that a datagram did not arrive."""
        if isinstance(exc, OSError):
            self._flow.on_error(exc)


class _Flow(h3.Flow):
    """The node's end."""

    def __init__(self, home: Home, place: tuple[int, Address], proxy: str | None = None) -> None:
        config = h3.configuration(is_client=True)
        config.server_name = home.host.encode("idna").decode() if home.host else None
        config.verify_mode = AUTHORITIES
        super().__init__(h3.Quic(configuration=config), self._emit)
        self._family, self.address = place
        self._home, self._proxy = home, proxy
        self._transport: asyncio.DatagramTransport | socks.Datagrams | None = None
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self._live_sent = False
        self._moved_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Open a socket and say the first words."""
        try:
            await self._bind()
        except BaseException:
            self.ended = True  # there is nobody to say goodbye to
            raise
        self.quic.connect(self.address, self._loop.time())
        self.soon()
        self._look_later()

    async def _bind(self) -> None:
        transport = await self._socket()
        raw = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        before, self._transport = self._transport, transport
        if before is not None:
            before.close()

    async def _socket(self) -> asyncio.DatagramTransport | socks.Datagrams:
        if self._proxy is not None:
            host, port = self.address
            return await socks.associate(self._proxy, host, port, self.on_datagram, self.on_error)
        try:
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _Socket(self), remote_addr=self.address[:2], family=self._family
            )
        except OSError as error:
            raise self._unreachable(error) from None
        return transport

    def on_datagram(self, data: bytes) -> None:
        """A datagram from the relay."""
        if not self.ended:
            self.received(data, self.address)

    def _emit(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)

    def _unreachable(self, error: OSError) -> Unreachable:
        if isinstance(error, ConnectionRefusedError):
            text = f"{self._home.label} answers, but takes no QUIC"
            return Unreachable("refused", text)
        why = (error.strerror or "no answer").lower()
        return Unreachable("connect", f"{self._home.label} cannot be reached: {why}")

    def on_error(self, error: OSError) -> None:
        """What the system says; once the handshake is done, it may pass."""
        if not self.ready.done():
            self.ready.set_exception(self._unreachable(error))
            self.ready.exception()  # nobody may be waiting any more

    # The request.

    def shook_hands(self) -> None:
        """Somebody answered; who it is will be seen."""
        if not self.ready.done():
            self.ready.set_result(None)

    async def opened(self, home: Home) -> Opening:
        """The relay's protocol. Raises `Unreachable`."""
        assert self.http is not None
        seen = self.quic.key_hash
        stream = self.quic.get_next_available_stream_id()
        line = Opening(self, stream, home, seen)
        self.http.send_headers(
            stream,
            [
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":authority", home.label.encode("idna")),
                (b":path", caps.request_path(home, seen).encode()),
                (b"sec-websocket-version", b"13"),
            ],
        )
        self.soon()
        await line.welcomed
        return line

    # Silence.

    def _look_later(self) -> None:
        self._watch = self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Whether anybody is there; and that the network does not forget this connection."""
        if self.ended:
            return
        self._look_later()
        if not self.ready.done():
            return
        if self.silent > self._patience:
            self.close(STALLED)
        elif self._loop.time() - self.heard > PING_SECONDS and not self.silent:
            self.quic.send_ping(0)
            self.soon()

    @property
    def _patience(self) -> float:
        if self._moved_at and self._loop.time() - self._moved_at < 2 * MOVE_SECONDS:
            return MOVE_SECONDS
        if self._live_sent:
            return max(LIVE_SECONDS, 4 * self.quic.rtt)
        return ASK_SECONDS + patience(self.quic.unsent)

    def live(self) -> None:
        """Datagrams are in use: silence is found out sooner."""
        self._live_sent = True

    async def move(self) -> None:
        """This machine may have another address: go on from there."""
        if self.ended or not self.ready.done():
            return
        with contextlib.suppress(Unreachable):
            await self._bind()
        self._moved_at = self._loop.time()
        self.quic.change_connection_id()  # so that nobody sees that it is the same (RFC 9000, 9.5)
        self.quic.send_ping(1)
        self.soon()

    def on_over(self, reason: str) -> None:
        """Nothing more comes."""
        if self._watch is not None:
            self._watch.cancel()
        if not self.ready.done():
            kind: Kind = "tls"
            text = "the connection was cut while it was being set up"
            self.ready.set_exception(Unreachable(kind, text))
            self.ready.exception()  # nobody may be waiting any more
        if self._transport is not None:
            self._transport.close()


class Opening(h3.Line):
    """A channel until the relay's greeting was checked, and after."""

    def __init__(self, flow: _Flow, stream: int, home: Home, tls_key_hash: bytes) -> None:
        super().__init__(flow, stream)
        self._node = flow
        self._home, self._key = home, tls_key_hash
        self._early: list[bytes] = []
        self._over = ""
        self.welcomed: asyncio.Future[wire.Welcome] = asyncio.get_running_loop().create_future()

    def send_live(self, frame: bytes) -> None:
        """As a datagram, if it fits."""
        self._node.live()
        super().send_live(frame)

    def move(self) -> None:
        """This machine may have another address."""
        self._moving = asyncio.create_task(self._node.move())

    def adopt(self, handler: Handler) -> None:
        """Hand everything on to the handler from now on."""
        self.handler = handler
        for frame in self._early:
            handler.on_frame(frame)
        self._early = []
        if self._told:
            handler.on_closed(self._reason or h3.CUT)

    def on_http(self, event: H3Event) -> None:
        """The answer to the request, and what follows."""
        if isinstance(event, HeadersReceived) and not self.welcomed.done():
            status = dict(event.headers).get(b":status", b"")
            if status != b"200" and not status.startswith(b"1"):
                self._fail(
                    "upgrade", f"{self._home.label} is a website, or this address was withdrawn"
                )
                return
        super().on_http(event)

    def got(self, frame: bytes) -> None:
        """The first frame must prove who the relay is; the rest is the handler's."""
        if self.handler is not None:
            self.handler.on_frame(frame)
        elif self.welcomed.done():
            self._early.append(frame)
        else:
            try:
                self.welcomed.set_result(check_welcome(self._home, self._key, frame))
            except Unreachable as error:
                self._fail(error.kind, str(error))

    def _fail(self, kind: Kind, text: str) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(Unreachable(kind, text))
        self._flow.close()

    def end(self, reason: str) -> None:
        """Over, perhaps before it began."""
        self._reason = self._reason or reason
        if not self.welcomed.done():
            text = "the relay closed the connection before its greeting"
            self.welcomed.set_exception(Unreachable("closed", text))
            self.welcomed.exception()  # nobody may be waiting any more
        super().end(reason)
