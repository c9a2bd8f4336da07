"""What one record of a call in bursts carries: packets in runs, each run of one rung.

A run is the unit at which it begins (4 bytes), its rung, how many packets, and these. An empty
packet is as long as any other, all zeros, with the rung's highest bit set. Source: spec/call.md,
"Bursts".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.core.call.frames import BadFrame
from holdfast.core.call.rungs import CODINGS, Rung

UNITS: Final = 100
"""Of a burst, usually: 2 seconds."""
UNITS_THIN: Final = 200
"""Of one where even text is slow."""
MOST_UNITS: Final = 1_500
MOST_BYTES: Final = 48_000
_EMPTY: Final = 0x80
_MOST: Final = 255


@dataclass(frozen=True, slots=True)
class Spoken:
    """A packet and the unit at which it begins. `made`: when, for its sender."""

    at: int
    rung: Rung
    packet: bytes
    made: int = 0

    @property
    def end(self) -> int:
        """The unit behind it."""
        return self.at + self.rung.units


def encode(packets: Iterable[Spoken]) -> bytes:
    """Packets in their order. Raises `BadFrame` if one has not the size of its rung."""
    out = bytearray()
    head, key, end = 0, (-1, False), -1
    for one in packets:
        if one.packet and len(one.packet) != one.rung.size:
            raise BadFrame("the packet has not the size of its rung")
        if key != (one.rung.number, not one.packet) or end != one.at or out[head + 5] == _MOST:
            head, key = len(out), (one.rung.number, not one.packet)
            out += (one.at & 0xFFFF_FFFF).to_bytes(4, "big")
            out += bytes((one.rung.number | (0 if one.packet else _EMPTY), 0))
        out[head + 5] += 1
        out += one.packet.ljust(one.rung.size, b"\0")
        end = one.end
    return bytes(out)


def decode(data: bytes) -> list[Spoken]:
    """Inverse of `encode`. Raises `BadFrame`."""
    if len(data) > MOST_BYTES:
        raise BadFrame("too much for a burst")
    found: list[Spoken] = []
    place = units = 0
    while place < len(data):
        at, number, count = int.from_bytes(data[place : place + 4], "big"), 0, 0
        if place + 6 <= len(data):
            number, count = data[place + 4], data[place + 5]
        rung = CODINGS.get(number & ~_EMPTY)
        place += 6
        if rung is None or not count or place + count * rung.size > len(data):
            raise BadFrame("not a burst of a call")
        units += count * rung.units
        if units > MOST_UNITS:
            raise BadFrame("too much for a burst")
        for _ in range(count):
            packet = b"" if number & _EMPTY else data[place : place + rung.size]
            found.append(Spoken(at, rung, packet))
            at += rung.units
            place += rung.size
    return found
