"""What one end has said so far, as a hash that the other can compare.

P_0 is zeros, P_n = the first 8 bytes of H("past/1", P_{n-1}, Olm message of record n). Each
record says P of what its sender sealed before it, and P of what its sender took up to `ack`. So
who was set back, or was copied, is found out even if it has sealed as much again as was lost: the
numbers fit, what stands under them does not. A trail is the last P's, one behind the other.
Source: spec/seal.md, "When sending stops".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.seal import keys

SIZE: Final = 8
WINDOW: Final = 32
"""Records back from the newest of which P is kept."""
START: Final = bytes(SIZE)
"""P_0."""


def longer(trail: bytes, olm: bytes) -> bytes:
    """One record more."""
    kept = trail[-WINDOW * SIZE :]
    return kept + keys.digest("past/1", kept[-SIZE:], olm)[:SIZE]


def newest(trail: bytes) -> bytes:
    """P of all."""
    return trail[-SIZE:]


def at(trail: bytes, last: int, seq: int) -> bytes | None:
    """P of record `seq`, where `last` is the newest; None if it is not kept."""
    end = len(trail) - (last - seq) * SIZE
    return trail[end - SIZE : end] if SIZE <= end <= len(trail) else None


def other(trail: bytes, last: int, seq: int, olm: bytes) -> bool:
    """Whether record `seq` is known to have been another one than this."""
    before, then = at(trail, last, seq - 1), at(trail, last, seq)
    return None not in (before, then) and longer(before or START, olm)[-SIZE:] != then
