"""A second reader of the log protocol, made from its spec alone: spec/log.md, spec/paths.md,
spec/overview.md ("Notation"), RFC 6455, RFC 5869 and MessagePack's specification.

It shares nothing with Holdfast, no module and no library for frames, waits where Holdfast has
callbacks, and refuses whatever the spec does not allow a relay to say.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class BrokenProtocol(Exception):
    """What came is not what the spec says a relay sends."""


# MessagePack: the types that the spec names, in any length of head.

HEADS = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I", 0xDC: "H", 0xDD: "I"}
NUMBERS = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"}


def pack(value: object) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if value < 128:
            return bytes([value])
        for tag, form in NUMBERS.items():
            if value < 1 << 8 * struct.calcsize(form):
                return struct.pack(f">B{form}", tag, value)
        raise ValueError(value)
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, str):
        raw = value.encode()
        return struct.pack(">BI", 0xDB, len(raw)) + raw
    assert isinstance(value, (list, tuple))
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))


class Unpacker:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise BrokenProtocol("a frame ends early")
        self.at += count
        return part

    def number(self, form: str) -> int:
        return int(struct.unpack(f">{form}", self.take(struct.calcsize(form)))[0])

    def value(self) -> object:
        tag = self.take(1)[0]
        if tag < 0x80:
            return tag
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        if tag in NUMBERS:
            return self.number(NUMBERS[tag])
        if 0x90 <= tag < 0xA0:
            return [self.value() for _ in range(tag - 0x90)]
        if 0xA0 <= tag < 0xC0:
            return self.take(tag - 0xA0).decode()
        if tag not in HEADS:
            raise BrokenProtocol(f"type {tag:#x}")
        count = self.number(HEADS[tag])
        if tag >= 0xDC:
            return [self.value() for _ in range(count)]
        return self.take(count) if tag <= 0xC6 else self.take(count).decode()


def unpack(data: bytes) -> list:
    unpacker = Unpacker(data)
    found = unpacker.value()
    if unpacker.at != len(data) or not isinstance(found, list):
        raise BrokenProtocol("not one array")
    return found


# The frames that a relay sends: kinds of their fields, and how many of the last may be missing.

FIELDS: dict[int, tuple[tuple[type, ...], int]] = {
    65: ((int, bytes, bytes, int, int), 0),
    66: ((int, int, int), 0),
    67: ((int,), 0),
    68: ((int, list), 0),
    69: ((int, str), 0),
    70: ((int, str, str, int), 1),
    71: ((str, str), 0),
    72: ((int,), 0),
    73: ((bytes,), 0),
    74: ((bytes, int, bytes, int), 3),
    75: ((list,), 0),
}


def frame(data: bytes) -> list:
    """A frame from a relay, looked at."""
    if len(data) > 262_144:
        raise BrokenProtocol("a frame is too long")
    found = unpack(data)
    kinds, missing = FIELDS.get(found[0] if found else -1, ((), -1))
    fields = found[1:]
    if not len(kinds) - missing <= len(fields) <= len(kinds) or missing < 0:
        raise BrokenProtocol(f"frame {found[:1]}")
    if any(type(one) is not kind for one, kind in zip(fields, kinds, strict=False)):
        raise BrokenProtocol(f"a field of frame {found[0]} is of another kind")
    if any(len(one) > 256 for one in fields if isinstance(one, str)):
        raise BrokenProtocol("a text is too long")
    return found


# Secrets.


def joined(*fields: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(one)) + one for one in fields)


def derived(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    info = joined(b"holdfast/" + label.encode(), *context)
    return HKDF(hashes.SHA256(), length, None, info).derive(secret)


def unbase64(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise BrokenProtocol("an address is not in its one form")
    return raw


@dataclass
class Address:
    host: str
    port: int
    path: bytes
    pin: bytes

    def __init__(self, text: str) -> None:
        place, rest = text.rsplit("/", 1)
        host, port = place.rsplit(":", 1)
        self.host, self.port = host.strip("[]"), int(port)
        self.path, self.pin = map(unbase64, rest.split("."))
        if (len(self.path), len(self.pin)) != (16, 32):
            raise BrokenProtocol("an address is too short")

    def request_path(self, key_hash: bytes) -> str:
        found = derived(self.path, "path/1", key_hash, length=18)
        return "/" + base64.urlsafe_b64encode(found).decode()


@dataclass
class Log:
    """A log's four secrets, seen from one relay."""

    locator: bytes
    append: bytes
    read: bytes
    owner: bytes
    relay: bytes

    @property
    def id(self) -> bytes:
        return derived(self.locator, "id/1", self.relay, length=16)

    def token(self, role: str) -> bytes:
        return derived(getattr(self, role), "cap/1", role.encode(), self.relay)

    def verifier(self, role: str) -> bytes:
        return hashlib.sha256(self.token(role)).digest()

    def seal(self, rid: bytes, body: bytes, nonce: bytes) -> bytes:
        key = derived(self.locator, "home/1", self.relay)
        return nonce + AESGCM(key).encrypt(nonce, rid + body, self.id)

    def open(self, record: bytes) -> tuple[bytes, bytes]:
        """`rid` and body."""
        key = derived(self.locator, "home/1", self.relay)
        plain = AESGCM(key).decrypt(record[:12], record[12:], self.id)
        return plain[:16], plain[16:]


# A connection.


class Reader:
    """Says hello once it has seen that the relay is the one of its address."""

    def __init__(self, address: Address, seconds: float = 60) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        raw = socket.create_connection((address.host, address.port), seconds)
        self.socket = context.wrap_socket(raw, server_hostname=address.host)
        self.rest = b""
        self.appends = self.acked = 0
        self.next: dict[int, int] = {}
        """The lowest number that the next record of a handle may have."""
        try:
            self._greet(address)
        except BaseException:
            self.close()
            raise

    def _greet(self, address: Address) -> None:
        shown = self.socket.getpeercert(binary_form=True)
        assert shown is not None
        key = x509.load_der_x509_certificate(shown).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key_hash = hashlib.sha256(spki).digest()
        self._upgrade(address, address.request_path(key_hash))
        tag, self.version, permanent, proof, self.max_body, self.max_lifetime = self.frame()
        if tag != 65 or hashlib.sha256(permanent).digest() != address.pin:
            raise BrokenProtocol("another relay")
        signed = joined(b"holdfast/tls/1", key_hash)
        Ed25519PublicKey.from_public_bytes(permanent).verify(proof, signed)
        if self.version != 1:
            raise BrokenProtocol("another version")
        self.say(1, 1)

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise BrokenProtocol("the connection ended")
        self.rest += data

    def _take(self, count: int) -> bytes:
        while len(self.rest) < count:
            self._more()
        part, self.rest = self.rest[:count], self.rest[count:]
        return part

    def _upgrade(self, address: Address, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {address.host}:{address.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        accepted = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        if not head.startswith(b"HTTP/1.1 101 ") or base64.b64encode(accepted) not in head:
            raise BrokenProtocol("no upgrade")

    def _write(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        covered = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        size = len(payload)
        head = struct.pack(">BBQ", 0x80 | opcode, 0xFF, size)
        if size < 65_536:  # the shortest form, RFC 6455 section 5.2
            head = head[:1] + (
                struct.pack(">BH", 0xFE, size) if size > 125 else bytes([128 + size])
            )
        self.socket.sendall(head + mask + covered)

    def _message(self) -> bytes:
        parts: list[bytes] = []
        while True:
            first, size = self._take(2)
            if first & 0x70 or size & 0x80:
                raise BrokenProtocol("a reserved bit, or a masked frame from a relay")
            if size > 125:
                form = ">H" if size == 126 else ">Q"
                size = struct.unpack(form, self._take(struct.calcsize(form)))[0]
            payload, opcode = self._take(size), first & 0x0F
            if opcode == 9:
                self._write(10, payload)
            elif opcode in (0, 2):
                if (opcode == 0) != bool(parts) or len(parts) >= 1_024:
                    raise BrokenProtocol("a part in the wrong place")
                parts.append(payload)
                if first & 0x80:
                    return b"".join(parts)
            elif opcode != 10:
                raise BrokenProtocol(f"a WebSocket frame of kind {opcode}")

    def say(self, *fields: object) -> None:
        self._write(2, pack(fields))

    def frame(self) -> list:
        """The next frame; what the spec promises of the order of things is looked at."""
        found = frame(self._message())
        if found[0] == 67:
            if not self.acked < found[1] <= self.appends:
                raise BrokenProtocol("an acknowledgement of what was not said")
            self.acked = found[1]
        elif found[0] == 68:
            for number, body in found[2]:
                if type(number) is not int or type(body) is not bytes or len(body) > 66_000:
                    raise BrokenProtocol("a record is none")
                if number and number < self.next[found[1]]:
                    raise BrokenProtocol("a record again, or out of order")
                self.next[found[1]] = max(self.next[found[1]], number + 1)
        return found

    def until(self, tag: int) -> list:
        """The next frame of this kind; what is refused on the way is raised."""
        while (found := self.frame())[0] != tag:
            if found[0] in (70, 71):
                raise BrokenProtocol(f"{found[-3:]}")
        return found

    def create(self, log: Log, limit: int = 0) -> None:
        verifiers = [log.verifier(role) for role in ("append", "read", "owner")]
        self.say(2, 0, log.id, *verifiers, limit)
        if self.until(69) != [69, 0, "create"]:
            raise BrokenProtocol("another thing is done")

    def attach(self, handle: int, log: Log, since: int | None, *roles: str) -> list:
        """First and next; what follows are its records."""
        tokens = [
            log.token(role) if role in roles else None for role in ("append", "read", "owner")
        ]
        self.next[handle] = (since or 0) + 1
        self.say(3, handle, log.id, *tokens, since, True)
        return self.until(66)[2:]

    def append(self, handle: int, body: bytes, lifetime: int = 3_600) -> None:
        self.appends += 1
        self.say(4, handle, self.appends, lifetime, body)

    def settled(self) -> None:
        """Wait until all that was appended is durable."""
        while self.acked < self.appends:
            self.until(67)

    def records(self, handle: int, log: Log, count: int) -> list[tuple[int, bytes, bytes]]:
        """So many of its records: number, `rid`, body; none twice, whatever was appended twice."""
        found: list[tuple[int, bytes, bytes]] = []
        seen: set[bytes] = set()
        while len(found) < count:
            _, which, records = self.until(68)
            for number, body in records if which == handle else ():
                rid, plain = log.open(body)
                if rid not in seen:
                    seen.add(rid)
                    found.append((number, rid, plain))
        return found
