"""IP packets as a middlebox reads and forges them. Pure.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP), RFC 792 and RFC 4443
(ICMP), RFC 1071 (the checksum). Addresses are packed: 4 or 16 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMP6: Final = 58

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

HEADERS: Final = 8
"""IPv6 extension headers that are looked behind."""
QUOTED: Final = 548
"""Bytes of a packet that an ICMP error quotes (RFC 1812 section 4.3.2.3)."""
_SKIPPED: Final = {0, 43, 60}
_FRAGMENT: Final = 44


class NotPacket(ValueError):
    """These bytes are no IP packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. Ports and what follows are 0 where the protocol has none."""

    raw: bytes
    source: bytes
    target: bytes
    protocol: int
    """Of what it carries, behind IPv6's extension headers."""
    payload: bytes
    """Of TCP and UDP what they carry, else what the IP packet carries."""
    source_port: int = 0
    target_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    later: bool = False
    """A fragment that is not the first; it has no ports."""
    start: int = field(default=0, compare=False)
    """Where in `raw` the segment or datagram begins; 0: it is none."""

    @property
    def spans(self) -> int:
        """Sequence numbers that a TCP segment takes."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)


def read(raw: bytes) -> Packet:
    """Raises `NotPacket`. What TCP or UDP themselves say wrongly is read as far as it goes: a
    middlebox sees it all the same."""
    if not raw:
        raise NotPacket("nothing")
    version = raw[0] >> 4
    if version == 4:
        return _read4(raw)
    if version == 6:
        return _read6(raw)
    raise NotPacket(f"IP version {version}")


def _read4(raw: bytes) -> Packet:
    header = (raw[0] & 15) * 4
    if header < 20 or len(raw) < header:
        raise NotPacket("a header that is too short")
    total, _, fragment = struct.unpack_from(">HHH", raw, 2)
    if total < header or total > len(raw):
        raise NotPacket("a length that is wrong")
    return _carried(
        raw[:total], raw[12:16], raw[16:20], raw[9], header, later=bool(fragment & 0x1FFF)
    )


def _read6(raw: bytes) -> Packet:
    if len(raw) < 40:
        raise NotPacket("a header that is too short")
    total = 40 + int.from_bytes(raw[4:6], "big")
    if total > len(raw):
        raise NotPacket("a length that is wrong")
    raw = raw[:total]
    kind, at, later = raw[6], 40, False
    for _ in range(HEADERS):
        if kind in _SKIPPED and at + 8 <= total:
            kind, at = raw[at], at + 8 + raw[at + 1] * 8
        elif kind == _FRAGMENT and at + 8 <= total:
            later = bool(int.from_bytes(raw[at + 2 : at + 4], "big") & 0xFFF8)
            kind, at = raw[at], at + 8
        else:
            break
    return _carried(raw, raw[8:24], raw[24:40], kind, min(at, total), later=later)


def _carried(
    raw: bytes, source: bytes, target: bytes, protocol: int, at: int, *, later: bool
) -> Packet:
    size = len(raw) - at
    if protocol == TCP and not later and size >= 20:
        near, far, seq, ack, length, flags = struct.unpack_from(">HHIIBB", raw, at)
        payload = raw[at + max(20, (length >> 4) * 4) :]
        return Packet(raw, source, target, TCP, payload, near, far, flags, seq, ack, start=at)
    if protocol == UDP and not later and size >= 8:
        near, far = struct.unpack_from(">HH", raw, at)
        return Packet(raw, source, target, UDP, raw[at + 8 :], near, far, start=at)
    return Packet(raw, source, target, protocol, raw[at:], later=later)


def checksum(data: bytes) -> int:
    """The Internet checksum of the data."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build(source: bytes, target: bytes, protocol: int, body: bytes) -> bytes:
    """An IP packet around a body whose checksum is set."""
    if len(source) != len(target) or len(source) not in (4, 16):
        raise ValueError("addresses have 4 or 16 bytes, both as many")
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + source + target + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0)
    head += source + target
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + body


def _summed(source: bytes, target: bytes, protocol: int, body: bytes, at: int) -> bytes:
    """The body with its checksum, which stands at `at` and covers the addresses too."""
    about = source + target + struct.pack(">II", len(body), protocol)
    found = checksum(about + body) or 0xFFFF
    return body[:at] + found.to_bytes(2, "big") + body[at + 2 :]


def tcp(
    source: bytes,
    target: bytes,
    ports: tuple[int, int],
    flags: int,
    seq: int = 0,
    ack: int = 0,
    payload: bytes = b"",
) -> bytes:
    """A packet with a TCP segment; `ports` are the source's and the target's."""
    body = struct.pack(">HHIIBBHHH", *ports, seq, ack, 5 << 4, flags, 0xFFFF, 0, 0) + payload
    return build(source, target, TCP, _summed(source, target, TCP, body, 16))


def udp(source: bytes, target: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    """A packet with a datagram; `ports` are the source's and the target's."""
    body = struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
    return build(source, target, UDP, _summed(source, target, UDP, body, 6))


def readdressed(
    packet: Packet,
    source: bytes = b"",
    target: bytes = b"",
    ports: tuple[int, int] | None = None,
) -> bytes:
    """The same TCP segment or datagram between other ends, options and all."""
    if not packet.start:
        raise ValueError("only a segment or a datagram has ports")
    near, far = ports or (packet.source_port, packet.target_port)
    body = struct.pack(">HH", near, far) + packet.raw[packet.start + 4 :]
    source, target = source or packet.source, target or packet.target
    sums = 16 if packet.protocol == TCP else 6
    zeroed = body[:sums] + b"\0\0" + body[sums + 2 :]
    body = _summed(source, target, packet.protocol, zeroed, sums)
    return build(source, target, packet.protocol, body)


def resets(packet: Packet) -> tuple[bytes, bytes]:
    """RSTs for a connection, made from one of its segments that is not passed on: to its sender
    and to its receiver. Both take them, for their numbers are those that are expected next
    (RFC 9293 section 3.5.2, RFC 5961 section 3)."""
    source, target = packet.source, packet.target
    ports = packet.source_port, packet.target_port
    if packet.flags & ACK:
        back = tcp(target, source, ports[::-1], RST, packet.ack)
    else:
        after = (packet.seq + packet.spans) & 0xFFFFFFFF
        back = tcp(target, source, ports[::-1], RST | ACK, 0, after)
    return back, tcp(source, target, ports, RST | ACK, packet.seq, packet.ack)


def unreachable(packet: Packet, sender: bytes, code: int | None = None) -> bytes:
    """The ICMP error that a packet could not be delivered, from `sender`; by default, no route
    (RFC 792, RFC 4443 section 3.1)."""
    if len(sender) == 16:
        body = bytes((1, code or 0)) + bytes(6) + packet.raw[:QUOTED]
        return build(sender, packet.source, ICMP6, _summed(sender, packet.source, ICMP6, body, 2))
    body = bytes((3, code or 0)) + bytes(6) + packet.raw[:QUOTED]
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    return build(sender, packet.source, ICMP, body)
