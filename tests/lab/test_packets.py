"""What a middlebox reads of packets and forges."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.lab import packets
from holdfast.lab.packets import ACK, RST, SYN, NotPacket, Packet

PORTS = st.integers(0, 65_535)
NUMBERS = st.integers(0, 2**32 - 1)
PAYLOADS = st.binary(max_size=1_400)
FOUR = st.tuples(*[st.binary(min_size=4, max_size=4)] * 2)
SIX = st.tuples(*[st.binary(min_size=16, max_size=16)] * 2)
ADDRESSES = st.one_of(FOUR, SIX)

HOME, RELAY = (ipaddress.ip_address(one).packed for one in ("198.51.100.10", "203.0.113.10"))


def sound(raw: bytes) -> bool:
    """Whether every checksum in it is right, computed apart from the code under test."""

    def total(data: bytes) -> int:
        data += b"\0" * (len(data) % 2)
        words = sum(data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))
        return words % 0xFFFF

    six = raw[0] >> 4 == 6
    head, protocol = (40, raw[6]) if six else (20, raw[9])
    addresses = raw[8:40] if six else raw[12:20]
    body = raw[head:]
    pseudo = addresses + struct.pack(">II", len(body), protocol)
    if not six and total(raw[:20]):
        return False
    return total(body if protocol == packets.ICMP else pseudo + body) == 0


@settings(deadline=None)
@given(ADDRESSES, PORTS, PORTS, st.integers(0, 63), NUMBERS, NUMBERS, PAYLOADS)
def test_segments_are_read_as_they_were_built(
    addresses: tuple[bytes, bytes],
    near: int,
    far: int,
    flags: int,
    seq: int,
    ack: int,
    payload: bytes,
) -> None:
    raw = packets.tcp(*addresses, (near, far), flags, seq, ack, payload)
    assert sound(raw)
    assert packets.read(raw + b"behind it") == Packet(
        raw, *addresses, packets.TCP, payload, near, far, flags, seq, ack
    )


@settings(deadline=None)
@given(ADDRESSES, PORTS, PORTS, PAYLOADS)
def test_datagrams_are_read_as_they_were_built(
    addresses: tuple[bytes, bytes], near: int, far: int, payload: bytes
) -> None:
    raw = packets.udp(*addresses, (near, far), payload)
    assert sound(raw)
    assert packets.read(raw) == Packet(raw, *addresses, packets.UDP, payload, near, far)


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_anything_is_read_or_refused(data: bytes) -> None:
    for one in (data, b"\x45" + data, b"\x60" + data):
        try:
            read = packets.read(one)
        except NotPacket:
            continue
        assert one.startswith(read.raw)
        assert len(read.payload) <= len(read.raw)


@settings(deadline=None)
@given(SIX, PAYLOADS, st.integers(0, 400), st.integers(0, 255))
def test_damage_and_cuts_are_read_or_refused(
    addresses: tuple[bytes, bytes], payload: bytes, place: int, byte: int
) -> None:
    for near, far in (addresses, (addresses[0][:4], addresses[1][:4])):
        raw = bytearray(packets.tcp(near, far, (1, 2), SYN, payload=payload))
        raw[place % len(raw)] = byte
        for one in (bytes(raw), bytes(raw[:place])):
            try:
                packets.read(one)
            except NotPacket:
                continue


def test_what_stands_before_the_transport_in_ipv6_is_skipped() -> None:
    plain = packets.read(packets.udp(bytes(16), bytes(16), (5, 6), b"payload"))
    hops = bytes((packets.UDP, 0)) + bytes(6)
    fragment = bytes((0, 0, 0, 0, 0, 0, 0, 1))
    body = fragment + hops + plain.raw[40:]
    raw = packets.build(bytes(16), bytes(16), 44, body)
    found = packets.read(raw)
    assert (found.source_port, found.target_port, found.payload) == (5, 6, b"payload")
    later = packets.read(raw[:42] + b"\x00\x08" + raw[44:])
    assert later.later
    assert later.target_port == 0


def test_a_later_fragment_of_ipv4_has_no_ports() -> None:
    raw = packets.udp(HOME, RELAY, (5, 6), b"payload")
    assert packets.read(raw[:6] + b"\x00\x08" + raw[8:]).later


def test_addresses_of_two_kinds_are_no_packet() -> None:
    with pytest.raises(ValueError, match="both"):
        packets.build(HOME, bytes(16), packets.UDP, b"")


@settings(deadline=None)
@given(ADDRESSES, st.sampled_from((SYN, ACK, ACK | SYN)), NUMBERS, NUMBERS, PAYLOADS)
def test_resets_carry_the_numbers_that_are_expected_next(
    addresses: tuple[bytes, bytes], flags: int, seq: int, ack: int, payload: bytes
) -> None:
    segment = packets.read(packets.tcp(*addresses, (40_000, 443), flags, seq, ack, payload))
    back, on = map(packets.read, packets.resets(segment))
    assert (back.source, back.target) == (segment.target, segment.source)
    assert (back.source_port, back.target_port) == (443, 40_000)
    assert (on.source, on.target, on.seq) == (segment.source, segment.target, seq)
    assert back.flags & RST
    assert on.flags & RST
    if flags & ACK:
        assert back.seq == ack
    else:
        assert back.ack == (seq + len(payload) + 1) % 2**32
    assert sound(back.raw)
    assert sound(on.raw)


@settings(deadline=None)
@given(ADDRESSES, PAYLOADS)
def test_an_icmp_error_quotes_what_was_not_delivered(
    addresses: tuple[bytes, bytes], payload: bytes
) -> None:
    lost = packets.read(packets.udp(*addresses, (1, 2), payload))
    said = packets.read(packets.unreachable(lost, addresses[1]))
    assert sound(said.raw)
    assert (said.source, said.target) == addresses[::-1]
    assert said.payload[8:] == lost.raw[: packets.QUOTED]
