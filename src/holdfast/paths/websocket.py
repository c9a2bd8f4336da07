"""The path that looks like a web page's WebSocket: TLS on TCP, one frame a message.

The framing is picows', fed through our own TLS layer. As a client, the path checks
that the relay's permanent key is the address's pin and vouches for the TLS key of
this very connection before it says anything. Source: RFC 6455, spec/paths.md.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.paths import dial, pulse, tls
from holdfast.paths.base import Attempt, Channel, Handler, Line, Undivided, Unreachable

CONNECT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 12
"""Who has said nothing between two looks is asked whether anybody is there,"""
LAST_SECONDS: Final = 8
"""and so long after the next look taken for dead: 20 seconds for an answer."""
READ_BUFFER: Final = 2048
ASK_SECONDS: Final = 1.5
"""A client that sent something and heard nothing since asks whether anybody is there,"""
ANSWER_SECONDS: Final = 2.5
"""and after so much more takes it for dead; later if there is more on its way than this,"""
LITTLE: Final = 16 * 1024
PATIENT_SECONDS: Final = 20.0
"""if it is `MUCH`."""
PROGRESS: Final = 1_000
"""Bytes of it that the other machine took meanwhile show that it goes, if slowly."""
SILENT_SECONDS: Final = 5.0
"""Who says nothing for so long and then ends the connection has not heard what was asked."""
MUCH: Final = 64 * 1024
STALLED: Final = "the connection went silent"
"""The reason of a channel that ended so."""
MAX_PARTS: Final = 1024
"""WebSocket frames that one message may come in; empty ones would cost nothing to send."""

Accept = Callable[[Channel, bytes, str], Handler]
"""Channel, SHA-256 of the TLS key it runs on, and the peer's address."""


def patience(unheard: int, answer: float = ANSWER_SECONDS) -> float:
    """Seconds that an answer may take behind so many bytes."""
    share = min(1.0, max(0, unheard - LITTLE) / (MUCH - LITTLE))
    return answer + (PATIENT_SECONDS - answer) * share


class _Silent:
    """In the place of a logger: picows would write addresses and payloads down, and makes a logger
    for each connection out of a real one."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  as a logger has it
        """Never."""
        return False

    def log(self, *said: object, **more: object) -> None:
        """Nothing."""

    debug = info = warning = error = exception = log


_log = _Silent()


class Socket(Undivided, WSListener):
    """One upgraded connection as a channel: whole messages of one kind, nothing else."""

    __slots__ = (
        "_ended",
        "_parts",
        "_quiet",
        "_reason",
        "_seen",
        "_size",
        "_spoke",
        "_transport",
        "handler",
        "slot",
    )
    kind = WSMsgType.BINARY
    largest = wire.MAX_FRAME
    """Bytes of one message that is received."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._reason = ""
        self._ended = False
        self._spoke = False
        """Since the last look, by a whole frame,"""
        self._seen = 0
        """or by more than these bytes."""
        self._quiet = 0
        """Looks that saw nothing new."""
        self.slot: set[pulse.Member] | None = None

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if self._transport is not None and not self._ended:
            self._transport.send(self.kind, frame)

    def close(self, reason: str = "") -> None:
        """Close after what was sent."""
        self._reason = self._reason or reason
        if self._transport is not None and not self._ended:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        if self._transport is None:
            return 0
        size: int = self._transport.underlying_transport.get_write_buffer_size()
        return size

    @property
    def received(self) -> int:
        """Encrypted bytes that came, those of unfinished messages too."""
        raw = self._transport.underlying_transport if self._transport is not None else None
        return raw.received if isinstance(raw, tls.TlsTransport) else 0

    @property
    def taken(self) -> int:
        """Encrypted bytes that the other machine has, as far as it is known."""
        raw = self._transport.underlying_transport if self._transport is not None else None
        return raw.taken if isinstance(raw, tls.TlsTransport) else 0

    # From picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        for said in (transport.request, transport.response):
            said.headers.clear()  # picows would keep them for as long as the connection
        pulse.watch(self, LOOK_SECONDS)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One WebSocket frame: a message or a part of one."""
        if self._ended:
            return
        self._spoke = True
        kind = frame.msg_type
        strange = frame.rsv1 or frame.rsv2 or frame.rsv3
        if kind == self.kind and frame.fin and not (self._parts or strange):  # most often
            if frame.payload_size > self.largest:
                self._refuse(WSCloseCode.MESSAGE_TOO_BIG)
            else:
                self.got(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            self.close("the other side closed the connection")
        elif kind in (self.kind, WSMsgType.CONTINUATION):
            starts = kind == self.kind
            if starts == bool(self._parts) or strange:
                self._refuse(WSCloseCode.PROTOCOL_ERROR)
                return
            self._size += frame.payload_size
            if self._size > self.largest:
                self._refuse(WSCloseCode.MESSAGE_TOO_BIG)
                return
            self._take(frame.get_payload_as_bytes(), bool(frame.fin))
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._refuse(WSCloseCode.UNSUPPORTED_DATA)

    def _take(self, part: bytes, last: bool) -> None:
        if not last:
            self._parts.append(part)
            if len(self._parts) > MAX_PARTS:
                self._refuse(WSCloseCode.PROTOCOL_ERROR)
            return
        if self._parts:
            part = b"".join([*self._parts, part])
            self._parts = []
        self._size = 0
        self.got(part)

    def look(self) -> int:
        """See whether the other side is there, see `pulse.Member`."""
        if self._ended or self._transport is None:
            return 0
        came = self.received
        if self._spoke or came != self._seen:
            self._spoke, self._seen, self._quiet = False, came, 0
            return LOOK_SECONDS
        self._quiet += 1
        if self._quiet == 1:
            self._transport.send_ping()
            return LOOK_SECONDS
        if self._quiet == 2:
            return LAST_SECONDS
        self._reason = self._reason or STALLED
        self._transport.disconnect(False)
        return 0

    def got(self, message: bytes) -> None:
        """One whole message."""
        if self.handler is not None:
            self.handler.on_frame(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is over."""
        self._ended = True
        pulse.forget(self)
        if self.handler is not None:
            self.handler.on_closed(self._reason or "the connection was cut")

    def pause_writing(self) -> None:
        """The socket has too much; `buffered` tells those who ask."""

    def resume_writing(self) -> None:
        """The socket has little again."""
        if self.handler is not None and not self._ended:
            self.handler.on_drained()

    def _refuse(self, code: WSCloseCode) -> None:
        self._reason = "the other side broke the WebSocket protocol"
        if self._transport is not None:
            self._transport.send_close(code)
            self._transport.disconnect()
        self._parts = []


class _Greeting(Socket):
    """A client's connection until the relay's first frame was checked."""

    def __init__(self, home: Home, tls_key_hash: bytes, answer: float, line: Line) -> None:
        super().__init__()
        self._answer, self._line = answer, line
        self._home = home
        self._tls_key_hash = tls_key_hash
        self.welcomed: asyncio.Future[wire.Welcome] = asyncio.get_running_loop().create_future()
        self._unheard = 0
        """Bytes sent since anything was heard."""
        self._came = 0
        """Of `received`, when it was looked at last."""
        self._asked = False
        self._taken = 0
        """Of what was sent, when it was asked."""
        self._left = 0.0
        """Seconds that it may still be silent."""
        self._timer: asyncio.TimerHandle | None = None

    def send(self, frame: bytes) -> None:
        """Queue one frame, and see that it is heard of."""
        super().send(frame)
        self._unheard += len(frame)
        if self._timer is None:
            self._listen(ASK_SECONDS)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One WebSocket frame: the relay is there."""
        self._unheard, self._asked = 0, False
        super().on_ws_frame(transport, frame)

    def _listen(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._listened)

    def _listened(self) -> None:
        self._timer = None
        if not self._unheard or self._ended or self._transport is None:
            return
        if self.received > self._came:
            self._came = self.received
            self._asked = False
            self._listen(ASK_SECONDS)
        elif not self._asked:
            self._asked = True
            self._transport.send_ping()
            self._goes()
            self._wait()
        elif (going := self._goes()) and self._unheard > LITTLE:
            self._wait()
        elif self._left > 0 and (going or self._line.crawls or not self._stuck):
            self._listen_on()
        else:
            self._reason = self._reason or STALLED
            self._transport.disconnect(False)

    def _wait(self) -> None:
        self._left = patience(self._line.behind(self._unheard), self._answer)
        self._listen_on()

    def _listen_on(self) -> None:
        seconds = min(self._left, max(self._answer, ANSWER_SECONDS))
        self._left -= seconds
        self._listen(seconds)

    @property
    def _stuck(self) -> bool:
        """Packets are on their way, and for long none has arrived: so slow is no line."""
        raw = self._transport.underlying_transport if self._transport is not None else None
        return isinstance(raw, tls.TlsTransport) and raw.unacked > 0

    def _goes(self) -> bool:
        """Whether some of what was sent has arrived since this was asked last."""
        before, self._taken = self._taken, self.taken
        return self._taken - before > PROGRESS

    def got(self, message: bytes) -> None:
        """The first message must prove who the relay is; the rest is the handler's."""
        if self.handler is not None:
            self.handler.on_frame(message)
        elif not self.welcomed.done():
            try:
                welcome = check_welcome(self._home, self._tls_key_hash, message)
            except Unreachable as error:
                self.welcomed.set_exception(error)
                self.close()
            else:
                self.welcomed.set_result(welcome)
        else:
            self._early.append(message)

    def adopt(self, handler: Handler) -> None:
        """Hand everything on to the handler from now on."""
        self.handler = handler
        for message in self._early:
            handler.on_frame(message)
        self._early = []
        if self._ended:  # over between the greeting and now: the handler was not told yet
            handler.on_closed(self._reason or "the connection was cut")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Over, perhaps before it began."""
        if self._timer is not None:
            self._timer.cancel()
        super().on_ws_disconnected(transport)
        if not self.welcomed.done():
            self.welcomed.set_exception(
                Unreachable("closed", "the relay closed the connection before its greeting")
            )

    _early: list[bytes]

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done; the relay speaks first."""
        super().on_ws_connected(transport)
        self._early = []


def check_welcome(home: Home, tls_key_hash: bytes, message: bytes) -> wire.Welcome:
    """The relay's greeting, if its key is the pin and signed this connection's TLS key.

    Raises `Unreachable` of kind `pin`, or `upgrade` if it speaks something else.
    """
    try:
        welcome = wire.decode_relay(message)
    except wire.Malformed:
        raise Unreachable("upgrade", "what answers there is not a Holdfast relay") from None
    if not isinstance(welcome, wire.Welcome):
        raise Unreachable("upgrade", "what answers there is not a Holdfast relay")
    if welcome.version != wire.VERSION:
        raise Unreachable("upgrade", "the relay speaks another version; one of you must update")
    stranger = Unreachable(
        "pin", "somebody else answers in this relay's place; nothing was said to them"
    )
    if not is_pinned(home.pin, welcome.key):
        raise stranger
    try:
        Ed25519PublicKey.from_public_bytes(welcome.key).verify(
            welcome.proof, caps.join(b"holdfast/tls/1", tls_key_hash)
        )
    except (InvalidSignature, ValueError):
        raise stranger from None
    return welcome


def is_pinned(pin: bytes, key: bytes) -> bool:
    """Whether the address names this permanent key."""
    return hashlib.sha256(key).digest() == pin


async def connect(
    home: Home,
    handler: Handler,
    attempt: Attempt | None = None,
    *,
    proxy: str | None = None,
    classic: bool = False,
    address: str | None = None,
) -> Channel:
    """A channel to the relay whose key is the address's pin. `proxy` is a URL, see `paths.dial`;
    `classic` is another TLS fingerprint; `address` is the machine's, if the name is not to be
    looked up. Raises `Unreachable`."""
    attempt = attempt or Attempt()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            transport = await dial.secured(home, proxy, attempt, classic=classic, address=address)
            return await upgraded(home, handler, transport, line=attempt.line)
    except TimeoutError:
        raise Unreachable(attempt.hangs, f"{home.label} did not answer in time") from None


async def upgraded(
    home: Home,
    handler: Handler,
    transport: tls.TlsTransport,
    answer: float = ANSWER_SECONDS,
    line: Line | None = None,
) -> Channel:
    """The relay's protocol on a connection whose handshake is done; `answer` is how long (s) it
    may be silent when asked, longer where much is on its way over the `line`. Raises
    `Unreachable`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        seen = tls.key_hash(transport.connection)
        listener = _Greeting(home, seen, answer, line or Line())
        protocol = _protocol(listener, client=(home.label, caps.request_path(home, seen)))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        try:
            await protocol.wait_until_handshake_complete()
        except Exception:  # noqa: BLE001  picows raises its own kinds, by what the server did
            raise Unreachable(
                "upgrade", f"{home.label} is a website, or this address of it was withdrawn"
            ) from None
        if protocol.listener is None:
            raise Unreachable("closed", f"{home.label} closed the connection")
        await listener.welcomed
        listener.adopt(handler)
    except Unreachable as error:
        transport.abort()
        if error.kind in ("closed", "upgrade") and loop.time() - began > SILENT_SECONDS:
            raise Unreachable("timeout", f"{home.label} did not answer in time") from None
        raise
    except BaseException:
        transport.abort()
        raise
    return listener


def accept(
    transport: asyncio.Transport, head: bytes, rest: bytes, tls_key_hash: bytes, program: Accept
) -> asyncio.BufferedProtocol:
    """Take an upgrade over from the front: the request it has checked, and what came behind.

    Returns the protocol that gets everything from now on.
    """
    listener = Socket()
    protocol = serve(listener, transport, head)
    peer = transport.get_extra_info("peername")
    listener.handler = program(listener, tls_key_hash, str(peer[0]) if peer else "")
    tls.feed(protocol, rest)
    return protocol


def serve(listener: Socket, transport: asyncio.Transport, head: bytes) -> asyncio.BufferedProtocol:
    """Answer a checked upgrade request, `head`, and give `listener` what follows it."""
    protocol: asyncio.BufferedProtocol = _protocol(listener, client=None)
    protocol.connection_made(transport)
    tls.feed(protocol, head)
    return protocol


def _protocol(listener: Socket, client: tuple[str, str] | None) -> WSProtocol:
    return WSProtocol(
        client[0] if client else None,
        client[1] if client else None,
        client is not None,
        lambda *_: listener,
        _log,
        True,  # a bug in our handler ends that connection
        CONNECT_SECONDS,
        False,  # asking whether anybody is there is ours
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        True,
        wire.MAX_FRAME,
        None,
        READ_BUFFER,
    )
