"""How many installations are active by region, told so that nobody is tracked.

Each installation redeems one blind token a month with its region; the count gets geometric noise
calibrated to one installation more or less (differential privacy, epsilon 1), drawn once for
a region and month from the observatory's secret, so that asking again does not wear it down.
No number under 50 is told.
"""

from __future__ import annotations

import hmac
import math
from typing import Final

EPSILON: Final = 1.0
LEAST: Final = 50


def noise(secret: bytes, region: str, month: int) -> int:
    """Two-sided geometric noise with scale 1/epsilon, always the same for the same month."""
    drawn = hmac.digest(secret, f"holdfast/reach/1/{month}/{region}".encode(), "sha256")
    uniform = (int.from_bytes(drawn[:8], "big") + 0.5) / 2**64
    part = math.exp(-EPSILON)
    weight = (1 - part) / (1 + part)
    # By inversion: P(k) is weight * part ** |k|.
    total, k = weight, 0
    sign = 1 if drawn[8] & 1 else -1
    target = abs(2 * uniform - 1)
    while total < target and k < 200:
        k += 1
        total += 2 * weight * part**k
    return sign * k


def told(secret: bytes, region: str, month: int, count: int) -> int | None:
    """The published number, or None below the least."""
    blurred = count + noise(secret, region, month)
    return blurred if blurred >= LEAST else None
