"""A second implementation of the log protocol's node side, written from `spec/` alone.

It shares nothing with the first: blocking sockets, a WebSocket and a MessagePack of its own, and
nothing of `holdfast` is imported here. What it needs and the pages do not say is their fault.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VERSION = 1
MOST = 262_144
"""Bytes of a frame."""
BODY = 66_000
"""Of a record."""
ROLES = ("append", "read", "owner")

Value = int | str | bytes | bool | list["Value"] | None


class Wrong(Exception):
    """The relay does not keep to the pages."""


class Ended(Exception):
    """The connection is over; with the relay's Bye, if it said one."""


# Notation (overview.md).


def joined(*fields: bytes) -> bytes:
    """`‖`: each field behind its length."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in fields)


def hkdf(secret: bytes, label: str, *context: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256 and no salt."""
    key = hmac.digest(bytes(32), secret, "sha256")
    info = joined(b"holdfast/" + label.encode(), *context)
    out, block = b"", b""
    for number in range(1, length // 32 + 2):
        block = hmac.digest(key, block + info + bytes((number,)), "sha256")
        out += block
    return out[:length]


# MessagePack, as far as frames use it.


def pack(value: Value) -> bytes:
    """One value, in the shortest form."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            if value < 0x80:
                return bytes((value,))
            for size, tag in ((1, 0xCC), (2, 0xCD), (4, 0xCE), (8, 0xCF)):
                if value < 1 << 8 * size:
                    return bytes((tag,)) + value.to_bytes(size, "big")
        case bytes():
            for size, tag in ((1, 0xC4), (2, 0xC5), (4, 0xC6)):
                if len(value) < 1 << 8 * size:
                    return bytes((tag,)) + len(value).to_bytes(size, "big") + value
        case str():
            text = value.encode()
            if len(text) < 32:
                return bytes((0xA0 + len(text),)) + text
            for size, tag in ((1, 0xD9), (2, 0xDA)):
                if len(text) < 1 << 8 * size:
                    return bytes((tag,)) + len(text).to_bytes(size, "big") + text
        case list():
            head = bytes((0x90 + len(value),))
            if len(value) > 15:
                head = b"\xdc" + len(value).to_bytes(2, "big")
            return head + b"".join(map(pack, value))
    raise ValueError(value)


def unpack(data: bytes) -> Value:
    """The one value that `data` is."""
    value, rest = _value(data)
    if rest:
        raise Wrong("bytes behind the frame")
    return value


def _value(data: bytes) -> tuple[Value, bytes]:
    if not data:
        raise Wrong("a frame that breaks off")
    tag, rest = data[0], data[1:]
    if tag < 0x80:
        return tag, rest
    if 0x90 <= tag < 0xA0 or tag in (0xDC, 0xDD):
        count = tag - 0x90
        if tag >= 0xDC:
            number, rest = _cut(rest, 2 if tag == 0xDC else 4)
            count = int.from_bytes(number, "big")
        found: list[Value] = []
        for _ in range(count):
            one, rest = _value(rest)
            found.append(one)
        return found, rest
    if 0xA0 <= tag < 0xC0:
        text, rest = _cut(rest, tag - 0xA0)
        return text.decode(), rest
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], rest
    if 0xC4 <= tag <= 0xC6 or 0xD9 <= tag <= 0xDB:
        words = tag >= 0xD9
        size, rest = _cut(rest, 1 << tag - (0xD9 if words else 0xC4))
        body, rest = _cut(rest, int.from_bytes(size, "big"))
        return body.decode() if words else body, rest
    if 0xCC <= tag <= 0xCF:
        number, rest = _cut(rest, 1 << tag - 0xCC)
        return int.from_bytes(number, "big"), rest
    raise Wrong(f"a kind of value that no frame has: {tag:#x}")


def _cut(data: bytes, size: int) -> tuple[bytes, bytes]:
    if len(data) < size:
        raise Wrong("a frame that breaks off")
    return data[:size], data[size:]


# Capabilities and the outer envelope (log.md).


@dataclass(frozen=True)
class Log:
    """The four secrets."""

    locator: bytes
    append: bytes
    read: bytes
    owner: bytes

    @classmethod
    def make(cls) -> Log:
        return cls(*(os.urandom(32) for _ in range(4)))

    def id(self, relay: bytes) -> bytes:
        return hkdf(self.locator, "id/1", relay, length=16)

    def token(self, role: str, relay: bytes) -> bytes:
        secret: bytes = getattr(self, role)
        return hkdf(secret, "cap/1", role.encode(), relay, length=32)

    def verifier(self, role: str, relay: bytes) -> bytes:
        return hashlib.sha256(self.token(role, relay)).digest()

    def seal(self, relay: bytes, rid: bytes, body: bytes, nonce: bytes) -> bytes:
        key = hkdf(self.locator, "home/1", relay, length=32)
        return nonce + AESGCM(key).encrypt(nonce, rid + body, self.id(relay))

    def open(self, relay: bytes, sealed: bytes) -> tuple[bytes, bytes] | None:
        """`rid` and body, or nothing where it does not open."""
        key = hkdf(self.locator, "home/1", relay, length=32)
        try:
            plain = AESGCM(key).decrypt(sealed[:12], sealed[12:], self.id(relay))
        except (InvalidTag, ValueError):
            return None
        return (plain[:16], plain[16:]) if len(plain) >= 16 else None


@dataclass(frozen=True)
class Address:
    """HOST:PORT/PATH.PIN."""

    host: str
    port: int
    path: bytes
    pin: bytes

    @classmethod
    def parse(cls, text: str) -> Address:
        place, _, secret = text.partition("/")
        host, _, port = place.rpartition(":")
        path, _, pin = secret.partition(".")
        return cls(host.strip("[]"), int(port), _unbase64(path, 16), _unbase64(pin, 32))

    def request(self, tls_key_hash: bytes) -> str:
        path = hkdf(self.path, "path/1", tls_key_hash, length=18)
        return "/" + base64.urlsafe_b64encode(path).decode().rstrip("=")


def _unbase64(text: str, size: int) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(raw) != size or base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise ValueError(text)
    return raw


# A connection (paths.md, RFC 6455).


@dataclass
class Connection:
    """Connected and greeted; every call blocks."""

    address: Address
    max_body: int = 0
    max_lifetime: int = 0
    appended: int = 0
    """Appends of this connection."""
    acked: int = 0
    _line: ssl.SSLSocket = field(init=False)
    _read: bytes = b""

    def __post_init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin decides
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        raw = socket.create_connection((self.address.host, self.address.port), timeout=20)
        self._line = context.wrap_socket(raw)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        shown = self._line.getpeercert(binary_form=True)
        assert shown is not None
        key = x509.load_der_x509_certificate(shown).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        seen = hashlib.sha256(spki).digest()
        self._upgrade(self.address.request(seen))
        match self.hear():
            case [65, int(version), bytes(permanent), bytes(proof), int(body), int(lifetime)]:
                if version != VERSION or hashlib.sha256(permanent).digest() != self.address.pin:
                    raise Wrong("not this relay")
                said = joined(b"holdfast/tls/1", seen)
                Ed25519PublicKey.from_public_bytes(permanent).verify(proof, said)
                self.max_body, self.max_lifetime = body, lifetime
            case other:
                raise Wrong(f"no Welcome: {other}")

    def _upgrade(self, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {self.address.host}:{self.address.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        magic = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest())
        if not head.startswith(b"HTTP/1.1 101") or accept not in head:
            raise Wrong("no upgrade")

    def _more(self) -> None:
        data = self._line.recv(65_536)
        if not data:
            raise Ended("cut")
        self._read += data

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        data, self._read = self._read[:size], self._read[size:]
        return data

    def say(self, *frame: Value) -> None:
        """Send one frame."""
        self.send(pack(list(frame)))

    def send(self, data: bytes, opcode: int = 2) -> None:
        """Send one masked WebSocket message."""
        size = len(data)
        head = bytes((0x80 | opcode,))
        if size < 126:
            head += bytes((0x80 | size,))
        elif size < 65_536:
            head += b"\xfe" + struct.pack(">H", size)
        else:
            head += b"\xff" + struct.pack(">Q", size)
        self._line.sendall(head + bytes(4) + data)

    def hear(self) -> list[Value]:
        """The next frame."""
        data = b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if first & 0x70 or second & 0x80:
                raise Wrong("a reserved bit, or a mask from a relay")
            if size == 126:
                (size,) = struct.unpack(">H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._take(8))
            if len(data) + size > MOST:
                raise Wrong("too large")
            part = self._take(size)
            match first & 0x0F:
                case 8:
                    raise Ended("closed")
                case 9:
                    self.send(part, 10)
                case 0 | 2:
                    data += part
                    if first & 0x80:
                        frame = unpack(data)
                        if not isinstance(frame, list) or not frame:
                            raise Wrong("no array")
                        if frame[0] == 71:
                            raise Ended(str(frame[1]))
                        return frame

    def close(self) -> None:
        """End it."""
        self._line.close()

    # Requests.

    def hello(self) -> None:
        """Begin."""
        self.say(1, VERSION)

    def answer(self, *tags: int) -> list[Value]:
        """The next frame of one of these tags; acknowledgements on the way are noted."""
        while True:
            frame = self.hear()
            if frame[0] == 67:
                upto = frame[1]
                assert isinstance(upto, int)
                if not self.acked < upto <= self.appended:
                    raise Wrong(f"acknowledged {upto} of {self.appended}")
                self.acked = upto
            if frame[0] in tags:
                return frame

    def create(self, handle: int, log: Log, limit: int = 0) -> list[Value]:
        """Make a log; Done or Refused."""
        pin = self.address.pin
        verifiers = [log.verifier(role, pin) for role in ROLES]
        self.say(2, handle, log.id(pin), *verifiers, limit)
        return self.answer(69, 70)

    def attach(self, handle: int, log: Log, *roles: str, since: int | None = None) -> list[Value]:
        """Attached or Refused."""
        pin = self.address.pin
        tokens = [log.token(role, pin) if role in roles else None for role in ROLES]
        self.say(3, handle, log.id(pin), *tokens, since)
        return self.answer(66, 70)

    def append(self, handle: int, log: Log, rid: bytes, body: bytes, lifetime: int = 3600) -> None:
        """Add a record; `settle` says when it is durable."""
        self.appended += 1
        sealed = log.seal(self.address.pin, rid, body, os.urandom(12))
        self.say(4, handle, self.appended, lifetime, sealed)

    def settle(self) -> None:
        """Until all that was appended is acknowledged."""
        while self.acked < self.appended:
            self.answer(67)

    def records(self, log: Log) -> Iterator[tuple[int, bytes, bytes]]:
        """Sequence number (0: live), rid and body of what comes, up to Done `read`."""
        while True:
            frame = self.answer(68, 69)
            if frame[0] == 69:
                return
            yield from self.opened(log, frame)

    def opened(self, log: Log, frame: list[Value]) -> Iterator[tuple[int, bytes, bytes]]:
        """What is in a Records frame."""
        pairs = frame[2]
        assert isinstance(pairs, list)
        for pair in pairs:
            match pair:
                case [int(seq), bytes(sealed)] if len(sealed) <= BODY:
                    if (found := log.open(self.address.pin, sealed)) is not None:
                        yield (seq, *found)
                case _:
                    raise Wrong("not a record")
