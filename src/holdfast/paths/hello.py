"""The first bytes of a connection, as a censor or a port reads them: the TLS ClientHello and its
fingerprint, and those of DTLS.

Sources: RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 8701 (GREASE), RFC 6347 sections 4.1 and
4.2.2, and FoxIO's description of JA4 (`t13d1516h2_8daaf6152771_e5627efa2ab1`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 16 * 1024
SNI: Final = 0
GROUPS: Final = 10
SIGNATURES: Final = 13
ALPN: Final = 16
VERSIONS: Final = 43
KEY_SHARE: Final = 51
ECH: Final = 0xFE0D
X25519MLKEM768: Final = 4588
TLS_1_3: Final = 0x0304


class NotHello(ValueError):
    """This is not the beginning of TLS."""


class Incomplete(ValueError):
    """More bytes are needed."""


@dataclass(frozen=True)
class Hello:
    """A ClientHello."""

    server_name: str
    alpn: tuple[bytes, ...]
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    groups: tuple[int, ...]
    signatures: tuple[int, ...]
    versions: tuple[int, ...]
    size: int
    """Bytes of the records it came in."""

    @property
    def post_quantum(self) -> bool:
        """Whether it offers the hybrid with ML-KEM-768."""
        return X25519MLKEM768 in self.groups

    @property
    def ja4(self) -> str:
        """Its JA4 fingerprint over TCP."""
        version = max(self.versions, default=0x0303)
        names = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}
        first = self.alpn[0].decode("latin-1") if self.alpn else ""
        alpn = first[0] + first[-1] if first else "00"
        extensions = sorted(one for one in self.extensions if one not in (SNI, ALPN))
        signatures = ",".join(f"{one:04x}" for one in self.signatures)
        listed = ",".join(f"{one:04x}" for one in extensions)
        about = (
            f"t{names.get(version, '00')}{'d' if self.server_name else 'i'}"
            f"{min(99, len(self.ciphers)):02}{min(99, len(self.extensions)):02}{alpn}"
        )
        ciphers = _hash(",".join(f"{one:04x}" for one in sorted(self.ciphers)))
        return f"{about}_{ciphers}_{_hash(f'{listed}_{signatures}' if signatures else listed)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


class _Reader:
    """Bytes read from the front. Raises `NotHello` when they end too early."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise NotHello("a length in it is wrong")
        part, self.data = self.data[:size], self.data[size:]
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Reader:
        return _Reader(self.take(self.number(size)))

    def numbers(self) -> tuple[int, ...]:
        """Two bytes each, GREASE left out."""
        found = (self.number(2) for _ in range(len(self.data) // 2))
        return tuple(one for one in found if not _is_grease(one))


def _is_grease(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def read(data: bytes) -> Hello:
    """The ClientHello at the beginning of a connection. Raises `Incomplete`, `NotHello`."""
    message, at = b"", 0
    while True:
        if data[at : at + 1] not in (b"\x16", b"") or data[at + 1 : at + 2] not in (b"\x03", b""):
            raise NotHello("not a TLS handshake")
        if len(data) < at + 5:
            raise Incomplete
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
        if message[:1] not in (b"\x01", b""):
            raise NotHello("not a ClientHello")
        wanted = 4 + int.from_bytes(message[1:4], "big") if len(message) >= 4 else 4
        if wanted > LONGEST or not size or size > LONGEST:
            raise NotHello("too long")
        if len(data) < at:
            raise Incomplete
        if len(message) >= max(wanted, 5):
            return _parse(_Reader(message[4:wanted]), at)


def _parse(body: _Reader, size: int) -> Hello:
    body.take(34)
    body.vector(1)
    ciphers = body.vector(2).numbers()
    body.vector(1)
    found: dict[int, _Reader] = {}
    order = []
    rest = body.vector(2) if body.data else _Reader(b"")
    while rest.data:
        kind = rest.number(2)
        content = rest.vector(2)
        if not _is_grease(kind):
            order.append(kind)
            found[kind] = content
    return Hello(
        _server_name(found.get(SNI)),
        _alpn(found.get(ALPN)),
        ciphers,
        tuple(order),
        _list(found.get(GROUPS), 2),
        _list(found.get(SIGNATURES), 2),
        _list(found.get(VERSIONS), 1),
        size,
    )


def _server_name(content: _Reader | None) -> str:
    if content is None or not content.data:
        return ""
    names = content.vector(2)
    if names.number(1) != 0:
        return ""
    return names.vector(2).data.decode("ascii", "replace").lower()


def _alpn(content: _Reader | None) -> tuple[bytes, ...]:
    if content is None:
        return ()
    names, found = content.vector(2), []
    while names.data:
        found.append(names.vector(1).data)
    return tuple(found)


def _list(content: _Reader | None, length: int) -> tuple[int, ...]:
    return () if content is None else content.vector(length).numbers()


def dtls(datagram: bytes) -> str:
    """The fingerprint of the ClientHello or ServerHello in it: its side, version, ciphers, and the
    order of its extensions, of which libraries have habits. Raises `NotHello`."""
    record = _Reader(datagram)
    if record.number(1) != 22 or record.number(1) != 0xFE:
        raise NotHello("not a DTLS handshake")
    record.take(9)
    message = record.vector(2)
    side = message.number(1)
    if side not in (1, 2):
        raise NotHello("not a hello")
    message.take(3 + 2)
    if message.number(3):
        raise NotHello("not the first piece of it")
    body = message.vector(3)
    version = body.number(2)
    body.take(32)
    body.vector(1)
    if side == 1:
        body.vector(1)  # the cookie
        ciphers = body.vector(2).numbers()
        body.vector(1)
    else:
        ciphers = (body.number(2),)
        body.take(1)
    kinds = []
    rest = body.vector(2) if body.data else _Reader(b"")
    while rest.data:
        kind = rest.number(2)
        rest.vector(2)
        if not _is_grease(kind):
            kinds.append(kind)
    listed = ["-".join(f"{one:04x}" for one in some) for some in (ciphers, kinds)]
    return f"{'c' if side == 1 else 's'}{version:04x}_{_hash(listed[0])}_{_hash(listed[1])}"
