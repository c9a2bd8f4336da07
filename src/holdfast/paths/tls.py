"""TLS as a layer between an asyncio transport and a protocol, by pyOpenSSL.

The standard library's OpenSSL is the system's, which on many machines has no ML-KEM;
pyOpenSSL brings its own. The engine works on memory buffers and does no I/O of its own,
so the same layer serves either side of any transport. What was measured:
decisions/2026-11-23-tls-engine.md. Source: RFC 8446.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL

from holdfast.paths.base import Unreachable
from holdfast.paths.engine import Engine, borrow, give_back

HANDSHAKE_SECONDS: Final = 10.0
TOO_SLOW: Final = "the other side did not finish setting up the connection"
HIGH_WATER: Final = 256 * 1024
LOW_WATER: Final = 64 * 1024
LINGER_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 10.0
"""For some of what is queued to be taken, once a connection is closed."""
ACME: Final = b"acme-tls/1"
_RECORD: Final = 16 * 1024
"""Plain bytes in one TLS record."""
FULL: Final = 64 * 1024
"""Plain bytes that are encrypted before the loop's turn is over."""


def server_context(certificate: Path, key: Path) -> SSL.Context:
    """TLS 1.2 and 1.3 with this PEM chain and key; ML-KEM hybrid and classical groups.

    Raises `SSL.Error` or OSError for files that cannot be used.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _common(context)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.check_privatekey()
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_tlsext_servername_callback(
        lambda _: None
    )  # says, as web servers do, that it read it
    choose_protocol(context)
    return context


def choose_protocol(context: SSL.Context, h2: bool = False) -> None:
    """What a server prefers of the application protocols that are offered: HTTP/2 if it has it,
    then HTTP/1.1 and what came before. With none of them the handshake ends in an alert (RFC 7301
    section 3.2)."""
    known = (b"h2",) * h2 + (b"http/1.1", b"http/1.0", b"http/0.9")

    def choose(connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for one in known:
            if one in offered:
                return one
        raise SSL.Error("no protocol in common")

    context.set_alpn_select_callback(choose)


def client_context(*, classic: bool = False) -> SSL.Context:
    """TLS that believes no certificate authority: a relay is checked by its pin alone.

    `classic` is another fingerprint, of a small program rather than of OpenSSL as it comes, with
    P-256 for the key exchange: for networks on which handshakes with ML-KEM, or of the other
    fingerprint, do not pass. What it carries is sealed against quantum computers all the same.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    _common(context)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)  # every relay has it: no way down
    if classic:
        context.set_tmp_ecdh(ec.SECP256R1())
        context.set_options(SSL.OP_NO_TICKET)
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256")
    else:
        context.set_alpn_protos([b"http/1.1"])
    return context


def _common(context: SSL.Context) -> None:
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    # Frees the record buffers of idle connections: 32 KiB each, and most are idle.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)


def challenge_context(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> SSL.Context:
    """TLS for who offers `acme-tls/1` alone, with a certificate that answers the challenge
    (RFC 8737 section 3)."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _common(context)
    context.use_certificate(certificate)
    context.use_privatekey(key)

    def choose(connection: SSL.Connection, offered: list[bytes]) -> bytes:
        if offered == [ACME]:
            return ACME
        raise SSL.Error("no protocol in common")

    context.set_alpn_select_callback(choose)
    return context


def feed(protocol: asyncio.BufferedProtocol, data: bytes | memoryview) -> None:
    """Give a buffered protocol bytes that somebody else has read."""
    room = protocol.get_buffer(len(data))
    if isinstance(room, memoryview) and 0 < len(data) <= len(room):
        room[: len(data)] = data
        protocol.buffer_updated(len(data))
        return
    view = memoryview(data)
    while view:
        room = memoryview(protocol.get_buffer(len(view)))
        taken = min(len(room), len(view))
        room[:taken] = view[:taken]
        protocol.buffer_updated(taken)
        view = view[taken:]


def key_hash(connection: SSL.Connection) -> bytes:
    """SHA-256 of the peer's TLS key (its SubjectPublicKeyInfo in DER), 32 bytes."""
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        raise Unreachable("tls", "the other side showed no certificate")
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


class _Turn:
    """The layers of one loop in which something was written in this turn: one callback of the
    loop for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._soon = loop.call_soon
        self._layers: list[TlsLayer] = []

    def add(self, layer: TlsLayer) -> None:
        """To be pushed at the turn's end."""
        if not self._layers:
            self._soon(self._push)
        self._layers.append(layer)

    def _push(self) -> None:
        layers, self._layers = self._layers, []
        for layer in layers:
            try:
                layer.push()
            except Exception as error:  # noqa: BLE001  a bug ends one connection, not the others
                layer.abort()
                self.loop.call_exception_handler({"message": "not sent", "exception": error})


class _Thread(threading.local):
    turn: _Turn | None = None


_thread = _Thread()


def _turn_of(loop: asyncio.AbstractEventLoop) -> _Turn:
    if _thread.turn is None or _thread.turn.loop is not loop:
        _thread.turn = _Turn(loop)
    return _thread.turn


class TlsTransport(asyncio.Transport):
    """What the inner protocol writes to; plain bytes in, TLS records out."""

    def __init__(self, layer: TlsLayer, raw: asyncio.Transport) -> None:
        super().__init__()
        self._layer = layer
        self._raw = raw

    @property
    def connection(self) -> SSL.Connection:
        """The engine of this connection, for what was negotiated."""
        return self._layer.connection

    @property
    def received(self) -> int:
        """Encrypted bytes that came so far; of what is carried inside another connection, those
        that came over that one."""
        return max(self._layer.received, getattr(self._raw, "received", 0))

    @property
    def taken(self) -> int:
        """Encrypted bytes that the other machine said it has; 0: it is not known."""
        return tcp_info(self._raw, "=Q", 120)

    @property
    def unacked(self) -> int:
        """Packets that left and that the other machine has not said it has."""
        return tcp_info(self._raw, "=I", 24)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the raw transport's, with `ssl_object` the engine of this connection."""
        if name == "ssl_object":
            return self._layer.connection
        return self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and queue."""
        self._layer.encrypt(data)

    def can_write_eof(self) -> bool:
        """TLS has one close for both directions."""
        return False

    def get_write_buffer_size(self) -> int:
        """Bytes the socket has not taken."""
        return self._raw.get_write_buffer_size() + self._layer.unsealed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As the raw transport's."""
        self._raw.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Stop taking bytes from the network."""
        if not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the network again."""
        if not self._raw.is_closing():
            self._raw.resume_reading()

    def is_closing(self) -> bool:
        """Whether it is closed or about to."""
        return self._layer.is_closing()

    def close(self) -> None:
        """Say goodbye by TLS and close after what is queued."""
        self._layer.shut_down()

    def linger(self) -> None:
        """As `close`, but wait a while for the other side to close: closing while it sends would
        take back what it has not read yet (RFC 9112 section 9.6)."""
        self._layer.shut_down(linger=LINGER_SECONDS)

    def leave(self) -> None:
        """Close after what is queued, without a goodbye."""
        self._layer.shut_down(goodbye=False)

    def abort(self) -> None:
        """Close at once."""
        self._raw.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection on to another protocol, which gets what comes from now on."""
        self._layer.set_inner(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is served."""
        return self._layer.inner


def tcp_info(transport: asyncio.BaseTransport, format: str, offset: int) -> int:
    """A field of Linux's `struct tcp_info`; 0 where there is none."""
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return 0
    with contextlib.suppress(OSError, struct.error):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (found,) = struct.unpack_from(format, info, offset)
        return int(found)
    return 0


class TlsLayer(asyncio.Protocol):
    """Between the socket and `inner`, whose `connection_made` follows the handshake.

    `failed` is called instead if there is none: with a reason for people. `held`: the end of a
    client's handshake leaves with the first that it says, in one packet.
    """

    def __init__(
        self,
        context: SSL.Context,
        inner: asyncio.BaseProtocol,
        *,
        server_name: str | None = None,
        failed: Callable[[str], None] | None = None,
        held: bool = False,
    ) -> None:
        self._keeps_end = held
        self.connection = SSL.Connection(context, None)
        self._engine = Engine(self.connection)
        self._is_client = failed is not None
        if self._is_client:
            if server_name is not None and not _is_address(server_name):
                self.connection.set_tlsext_host_name(server_name.encode("idna"))
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()
        self.set_inner(inner)
        self._failed = failed
        self._ready = False
        self._closing = False
        self._plain: list[bytes] = []
        self.unsealed = 0
        """Bytes of `_plain`, which is what was written in this turn of the loop."""
        self._spoke = False
        self.patience = HANDSHAKE_SECONDS
        self.received = 0
        """Encrypted bytes."""
        self._timer: asyncio.TimerHandle | None = None

    def restart(self, context: SSL.Context) -> None:
        """Serve by another context; nothing was read yet."""
        self.connection = SSL.Connection(context, None)
        self._engine = Engine(self.connection)
        self.connection.set_accept_state()

    def give_up(self, instead: asyncio.Protocol, data: bytes) -> None:
        """Hand the raw connection to another protocol, with bytes that came; nothing was read."""
        self._stop_waiting()
        self._raw.set_protocol(instead)
        instead.connection_made(self._raw)
        instead.data_received(data)

    def ready(self) -> None:
        """The handshake is done."""

    def refused(self) -> bool:
        """What came first is no beginning of a handshake; whether somebody else answers it."""
        return False

    def set_inner(self, inner: asyncio.BaseProtocol) -> None:
        """Serve this protocol from now on."""
        self.inner = inner
        self._buffered = inner if isinstance(inner, asyncio.BufferedProtocol) else None

    # From the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected: start the handshake."""
        # uvloop's transports are not asyncio's by class.
        self._raw = cast("asyncio.Transport", transport)
        self._raw.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        loop = asyncio.get_running_loop()
        self._turn = _turn_of(loop)
        self._timer = loop.call_later(self.patience, self._too_slow)
        if self._is_client:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes came."""
        self.received += len(data)
        if self._closing:
            return
        try:
            self._engine.put(data)
            if not self._ready and not self._shake_hands():
                return
            self._decrypt()
        except SSL.Error as error:
            if not self._ready and not self._spoke and self.refused():
                return
            self._flush()
            self._broken(error)

    def eof_received(self) -> bool:
        """The peer closed its side; of use only to whom `inner` says."""
        if self._closing or not self._ready:
            return False
        return bool(self.inner.eof_received())  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._stop_waiting()
        if self._ready:
            self.inner.connection_lost(error)
        elif self._failed is not None:
            self._failed("the connection was cut while it was being set up")
            self._failed = None

    def pause_writing(self) -> None:
        """The socket has too much."""
        if self._ready:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """The socket has little again."""
        if self._ready:
            self.inner.resume_writing()

    # From the inner protocol.

    def encrypt(self, data: bytes | bytearray | memoryview) -> None:
        """Queue plain bytes: what is written in one turn of the loop goes together."""
        if self._closing or not data:
            return
        if not self._plain:
            self._turn.add(self)
        self._plain.append(bytes(data))
        self.unsealed += len(data)
        if self.unsealed >= FULL:
            self.push()

    def shut_down(self, *, goodbye: bool = True, linger: float = 0.0) -> None:
        """Close after what is queued."""
        if self._closing:
            if not linger:
                self._raw.close()
            return
        self.push()
        self._closing = True
        try:
            if goodbye:
                self.connection.shutdown()
        except SSL.Error:
            pass  # nothing was set up that could be said goodbye to
        self._flush()
        if not linger or self._raw.is_closing():
            self._raw.close()
            self._stop_waiting()
            self._leave(self._raw.get_write_buffer_size() + 1)
            return
        with contextlib.suppress(OSError, RuntimeError):
            self._raw.write_eof()
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(linger, self._raw.close)

    def _leave(self, before: int) -> None:
        """Wait while the rest of what is queued is taken; who takes nothing for a while, from
        `before` bytes on, would never see the end."""
        left = self._raw.get_write_buffer_size()
        if left >= before:
            self._raw.abort()
        elif left:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CLOSE_SECONDS, self._leave, left)

    def is_closing(self) -> bool:
        """Whether it is closed or about to."""
        return self._closing or self._raw.is_closing()

    def close(self) -> None:
        """As `shut_down`."""
        self.shut_down()

    def abort(self) -> None:
        """Close at once."""
        self._raw.abort()

    # Within.

    def _shake_hands(self) -> bool:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return False
        if not self._keeps_end:
            self._flush()
        self._ready = True
        self._stop_waiting()
        self.ready()
        self.inner.connection_made(TlsTransport(self, self._raw))
        return True

    def _decrypt(self) -> None:
        mine = borrow()
        try:
            while not self.is_closing():
                data = self._engine.read(mine)
                if not data:
                    # Not data, but the handshake's: it may want an answer.
                    if not self._keeps_end:
                        self._flush()
                    break
                if self._buffered is None:
                    self.inner.data_received(bytes(data))  # type: ignore[attr-defined]
                else:
                    feed(self._buffered, data)
                if not self._engine.more:
                    break
        except SSL.ZeroReturnError:
            if not self.eof_received():
                self.shut_down()
            return
        finally:
            give_back(mine)

    def push(self) -> None:
        """Encrypt what was written."""
        plain, self._plain, self.unsealed = self._plain, [], 0
        self._keeps_end = False
        if not plain or self._closing:
            return
        try:
            self._engine.write(plain[0] if len(plain) == 1 else b"".join(plain))
        except SSL.Error as error:
            self._broken(error)
            return
        self._flush()

    def _flush(self) -> None:
        """Give the socket what the engine has produced."""
        sealed = self._engine.take()
        if sealed and not self._raw.is_closing():
            self._spoke = True
            self._raw.write(sealed)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._failed is not None:
            self._failed(TOO_SLOW)
            self._failed = None
        self._raw.abort()

    def _broken(self, error: SSL.Error) -> None:
        if self._failed is not None and not self._ready:
            self._failed("the other side does not speak TLS as it should")
            self._failed = None
        self._raw.close()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
