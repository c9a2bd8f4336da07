"""Random bytes that repeat, so that a failing run can be run again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import count


def seeded(seed: str) -> Callable[[int], bytes]:
    """Entropy that repeats: SHA-256 in counter mode over the seed. For tests alone."""
    numbers = count()

    def draw(length: int) -> bytes:
        out = b""
        while len(out) < length:
            out += hashlib.sha256(f"{seed}/{next(numbers)}".encode()).digest()
        return out[:length]

    return draw
