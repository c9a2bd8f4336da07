"""All scenarios by name: documented ways of blocking, and networks that are merely bad."""

from __future__ import annotations

from random import Random
from typing import Final

from holdfast.lab import benign, documented
from holdfast.lab.scenario import Parameters, Scenario, Staging, Turn, When, World, compose

__all__ = ["ALL", "Parameters", "Scenario", "Staging", "Turn", "When", "World", "drawn", "find"]

ALL: Final[dict[str, Scenario]] = {one.id: one for one in (*documented.ALL, *benign.ALL)}
PARTS: Final = 3
"""Scenarios that are drawn to be played at once, at most."""


def find(id: str) -> Scenario:
    """By its name, or several played at once: `tcp16-20+ja4-list`, with parameters such as
    `ja4-list.reset`. Raises KeyError with a sentence."""
    names = id.split("+")
    for name in names:
        if name not in ALL:
            raise KeyError(f"there is no scenario {name}; there are: {', '.join(ALL)}")
        if names.count(name) > 1:
            raise KeyError(f"{name} cannot be played twice at once")
    parts = [ALL[name] for name in names]
    return parts[0] if len(parts) == 1 else compose(parts)


def drawn(random: Random, *, needs_packets: bool = True, most: int = PARTS) -> Scenario:
    """One, or a few at once, of which at most one is documented blocking: two of those hide one
    another. Without `needs_packets`, of those that can be played in user space."""
    bad = [one for one in documented.ALL if needs_packets or not one.needs_packets]
    merely = [one for one in benign.ALL[1:] if needs_packets or not one.needs_packets]
    count = random.randint(1, most)
    parts = random.sample(merely, count - 1)
    parts.insert(0, random.choice(bad if random.random() < 0.7 else [benign.ALL[0]]))
    return parts[0] if len(parts) == 1 else compose(parts)
