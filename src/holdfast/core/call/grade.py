"""How well a call went, as people hear it: a number that is coarse enough to be told."""

from __future__ import annotations

from typing import Final

LEAST: Final = 5
"""Samples below which a call says nothing."""
GOOD: Final = 3
"""Fair; below it people complain."""
ROBUST: Final = 10.0
"""Of Opus with copies: the percentage of random loss that costs half (Bpl of G.113)."""


def grade(samples: list[tuple[str, int, int]]) -> int:
    """Mean opinion, 1 bad to 5 excellent, of a call's median second; 0 if it was too short.

    A sample is its way (live, bursts, none), the delay in milliseconds, and how many of a hundred
    frames were lost. ITU-T G.107, simplified: no echo, no noise.
    """
    if len(samples) < LEAST:
        return 0
    each = sorted(1.0 if way != "live" else _opinion(delay, lost) for way, delay, lost in samples)
    return round(each[len(each) // 2])


def _opinion(delay: int, lost: int) -> float:
    late = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    missing = 95.0 * lost / (lost + ROBUST) if lost else 0.0
    r = min(max(93.2 - late - missing, 0.0), 100.0)
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6
