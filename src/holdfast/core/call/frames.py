"""What one frame of a call carries inside its seal: on each rung always the same number of bytes.

A head (17 bytes) with a report to the other side, a packet, and copies of earlier ones. Speech,
silence and a muted microphone look alike. Source: spec/call.md, "Frames".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from holdfast.core.call.rungs import ALL, Rung

HEAD: Final = 17
REPORT: Final = 15
"""In the place of a rung: a head alone."""
FRAME_MS: Final = 20
"""Of the microphone's and the loudspeaker's rhythm."""
_MUTED, _PACKET = 1, 2
NOTHING: Final = 0xFFFF_FFFF
MASK: Final = 16
"""Counters below the highest of which a report says whether they came."""
HELD_STEP: Final = 4
QUEUE_STEP: Final = 10


class BadFrame(ValueError):
    """Not a frame of a call."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came from the receiver of this. `seen`: the highest counter; `mask`: bit i set, if the
    one i + 1 below came too; `held`: milliseconds since; `queue`: milliseconds that frames take
    longer than the quickest lately; `lost`: of a hundred."""

    seen: int | None = None
    mask: int = 0
    held: int = 0
    queue: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `rung` None: a report alone. `at`: the unit at which the packet begins; an empty
    packet is silence that was not coded. `clock`: the sender's, in milliseconds, 16 bits of it."""

    rung: Rung | None
    at: int = 0
    packet: bytes = b""
    copies: tuple[bytes, ...] = ()
    muted: bool = False
    clock: int = 0
    report: Report = field(default_factory=Report)


def size(rung: Rung | None) -> int:
    """Bytes of a frame."""
    return HEAD if rung is None else HEAD + rung.size * (1 + len(rung.copies))


def encode(frame: Frame) -> bytes:
    """A frame in its slot. A packet of another size than the rung's raises `BadFrame`: it is not
    to be sent."""
    rung, report = frame.rung, frame.report
    parts = (frame.packet, *frame.copies) if rung else ()
    flags = _MUTED if frame.muted else 0
    for place, part in enumerate(parts):
        if part:
            flags |= _PACKET << place
        if part and rung and len(part) != rung.size:
            raise BadFrame("the packet has not the size of its rung")
    if rung and len(frame.copies) != len(rung.copies):
        raise BadFrame("not as many copies as its rung has")
    head = (
        bytes((flags, REPORT if rung is None else rung.number)),
        (frame.at & NOTHING).to_bytes(4, "big"),
        (NOTHING if report.seen is None else report.seen & NOTHING).to_bytes(4, "big"),
        (report.mask & 0xFFFF).to_bytes(2, "big"),
        bytes(
            (
                min(255, max(0, report.held) // HELD_STEP),
                min(255, max(0, report.queue) // QUEUE_STEP),
                min(100, max(0, report.lost)),
            )
        ),
        (frame.clock & 0xFFFF).to_bytes(2, "big"),
    )
    return b"".join((*head, *(part.ljust(rung.size, b"\0") for part in parts if rung)))


def decode(data: bytes) -> Frame:
    """Inverse of `encode`, with held and queue in steps. Raises `BadFrame`."""
    if len(data) < HEAD or data[14] > 100:
        raise BadFrame("not a frame of a call")
    number = data[1]
    rung = ALL[number] if number < len(ALL) else None
    if (rung is None and number != REPORT) or len(data) != size(rung):
        raise BadFrame("not a frame of a call")
    parts: tuple[bytes, ...] = ()
    if rung is not None:
        parts = tuple(
            data[HEAD + place * rung.size : HEAD + (place + 1) * rung.size]
            if data[0] & _PACKET << place
            else b""
            for place in range(1 + len(rung.copies))
        )
    seen = int.from_bytes(data[6:10], "big")
    report = Report(
        None if seen == NOTHING else seen,
        int.from_bytes(data[10:12], "big"),
        data[12] * HELD_STEP,
        data[13] * QUEUE_STEP,
        data[14],
    )
    return Frame(
        rung,
        int.from_bytes(data[2:6], "big"),
        parts[0] if parts else b"",
        parts[1:],
        bool(data[0] & _MUTED),
        int.from_bytes(data[15:17], "big"),
        report,
    )
