"""What one frame of a call carries inside its seal: always the same number of bytes.

A byte of flags, the packet's length, a report to the other side (8 bytes in all), then the
packet, filled up. Speech, silence and a muted microphone look alike. Source: spec/call.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEAD: Final = 8
PACKET: Final = 40
"""Bytes of an Opus packet of 20 ms at 16 kbit/s, constant bit rate."""
SIZE: Final = HEAD + PACKET
FRAME_MS: Final = 20
RATE: Final = 16_000
_MUTED: Final = 1
NOTHING: Final = 0xFFFF_FFFF


class BadFrame(ValueError):
    """Not a frame of a call."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `seen`: the highest counter that came from the receiver of this, and `held`
    how many milliseconds ago; `lost`: of a hundred of the receiver's frames."""

    packet: bytes = b""
    muted: bool = False
    seen: int | None = None
    held: int = 0
    lost: int = 0


def encode(frame: Frame) -> bytes:
    """A frame in its slot. An oversize packet raises `BadFrame`: it is not to be sent."""
    if len(frame.packet) > PACKET:
        raise BadFrame("the packet is larger than its slot")
    return b"".join(
        (
            bytes((_MUTED if frame.muted else 0, len(frame.packet))),
            (NOTHING if frame.seen is None else frame.seen & NOTHING).to_bytes(4, "big"),
            bytes((min(255, max(0, frame.held)), min(100, max(0, frame.lost)))),
            frame.packet.ljust(PACKET, b"\0"),
        )
    )


def decode(data: bytes) -> Frame:
    """Inverse of `encode`. Raises `BadFrame`."""
    if len(data) != SIZE or data[1] > PACKET or data[7] > 100:
        raise BadFrame("not a frame of a call")
    seen = int.from_bytes(data[2:6], "big")
    return Frame(
        data[HEAD : HEAD + data[1]],
        bool(data[0] & _MUTED),
        None if seen == NOTHING else seen,
        data[6],
        data[7],
    )
