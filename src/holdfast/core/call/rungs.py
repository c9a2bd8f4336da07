"""How sound can be coded, from the best down; what each costs on the wire.

On every rung a frame has one length and leaves in one rhythm, whatever is said. Source:
spec/call.md, "Rungs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

UNIT_MS: Final = 20
"""What positions and lengths are counted in."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`size` bytes are `ms` of sound; each frame carries again what was said so many packets before
    (`copies`)."""

    number: int
    name: str
    codec: Literal["opus", "codec2"]
    rate: int
    """Bit/s."""
    ms: int
    size: int
    copies: tuple[int, ...] = ()

    @property
    def units(self) -> int:
        """Its packet's length."""
        return self.ms // UNIT_MS

    @property
    def bits(self) -> int:
        """Bit/s of packets and copies."""
        return self.size * (1 + len(self.copies)) * 8000 // self.ms


def _opus(number: int, rate: int, ms: int, copies: tuple[int, ...] = ()) -> Rung:
    again = f" x {1 + len(copies)}" if copies else ""
    name = f"Opus {rate // 1000}k/{ms}{again}"
    return Rung(number, name, "opus", rate, ms, rate * ms // 8000, copies)


CODEC2_FRAME: Final = 6
"""Bytes of 40 ms of Codec2 at 1,200 bit/s."""
CODEC2_MS: Final = 40

RUNGS: Final = (
    _opus(0, 16_000, 20),
    _opus(1, 12_000, 60),
    _opus(2, 8_000, 60),
    _opus(3, 6_000, 60),
    _opus(4, 6_000, 120),
    Rung(5, "Codec2 1200 x 6", "codec2", 1_200, 240, 36),
    Rung(6, "Codec2 1200 x 12", "codec2", 1_200, 480, 72),
)
"""The ladder of a call."""
LOSSY: Final = _opus(7, 8_000, 20, (2, 5))
"""In the place of the first ones where datagrams are lost."""
LOSSY_THIN: Final = _opus(8, 6_000, 60, (1, 3))
BURST: Final = RUNGS[3]
BURST_THIN: Final = Rung(9, "Codec2 1200", "codec2", 1_200, 40, CODEC2_FRAME)
"""What bursts are made of; live only until the encoder has changed again."""
ALL: Final = (*RUNGS, LOSSY, LOSSY_THIN, BURST_THIN)
CODINGS: Final = {rung.number: rung for rung in ALL}

STREAM_BYTES: Final = 118
"""What a frame costs beyond its own bytes: SFrame, log protocol, WebSocket, TLS, TCP over IPv4."""
DATAGRAM_BYTES: Final = 94
"""The same: SFrame, log protocol, QUIC, UDP over IPv4."""


def wire_bits(rung: Rung, head: int, datagrams: bool) -> float:
    """Bit/s on the wire, one way."""
    size = head + rung.size * (1 + len(rung.copies))
    return (size + (DATAGRAM_BYTES if datagrams else STREAM_BYTES)) * 8000 / rung.ms
