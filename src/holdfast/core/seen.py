"""What was seen of one network: how each path fared at each place, and whether places that nobody
blocks answer. The ladder writes it and goes by it; `core.judging` concludes from it. A place is a
relay's host and port. Times are milliseconds of any clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Control = Literal["domestic", "foreign"]
STREAMS: Final = ("websocket", "classic", "browser")
"""Paths whose connections last, in the order of preference."""
SMALL: Final = "micro"
HOP: Final = "hop"
"""By another relay, which is reached by a path of its own."""
QUIC: Final = "quic"
"""Over UDP. It costs more than a stream, and has datagrams."""
PATHS: Final = (HOP, *STREAMS, QUIC, SMALL)
LONGEST_REST: Final = 600_000
"""Milliseconds that a path rests at most."""
SILENT: Final = frozenset({"connect", "mute", "timeout"})
"""Failures in which nobody said anything."""
REMEMBERED: Final = 300_000
"""How long what was seen counts for the verdict."""
SLOW: Final = 160_000
"""Bits a second below which a place is throttled, if another is much faster."""
SURE: Final = 2
"""Measurements that find it slow before that is said: one may be of a moment."""


@dataclass
class Path:
    """How one path fares at one place."""

    fails: int = 0
    until: int = 0
    kind: str = ""
    """Of the last failure; empty after a success."""
    failed: int = 0
    beside: bool = False
    """It failed last while another connection to its place stood."""
    outlived: int = 0
    """When it failed last while its place was alive: heard afterwards, by another path; 0: not
    since it worked."""
    worked: int = 0
    """When last; 0: never."""
    up: int = 0
    """Connections that stand."""
    held: int = 0
    """When what was sent left slowly; 0: never."""
    rate: float = 0
    """Bits a second that came, when it was measured last."""
    rated: int = 0
    slow: int = 0
    """Measurements in a row that found it slow,"""
    slowed: int = 0
    """and when the first of them did."""


@dataclass
class Place:
    paths: dict[str, Path] = field(default_factory=dict)
    last: str = ""
    """The path that worked last, without another relay between."""
    stalled: int = 0
    """When a connection went silent that may have been frozen; 0: none since one worked."""
    froze: list[int] = field(default_factory=list)
    """When connections did, lately, with none since that lasted."""
    carried: bool = False
    """A stream carried much since the last freeze."""


class Seen:
    """All of it."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.controls: dict[str, tuple[bool, float, int]] = {}
        """By kind: whether one answered, bits a second, and when."""

    def at(self, place: str, path: str) -> Path:
        """How a path fares at a place, to be changed."""
        return self.places.setdefault(place, Place()).paths.setdefault(path, Path())

    def slow(self, now: int) -> int:
        """Measurements that found something slow lately."""
        return sum(
            one.slow
            for place in self.places.values()
            for one in place.paths.values()
            if now - one.rated < REMEMBERED
        )

    def rate(self, place: str, paths: Sequence[str], now: int) -> float | None:
        """The last known of these paths. That something was fast is not known any more once
        something was found slow."""
        known = self.places.get(place, Place())
        slowed = self._slowed(now)
        rated = [
            one
            for path in paths
            if (one := known.paths.get(path)) and one.rate
            if one.rate < SLOW or one.rated > slowed
        ]
        last = max(rated, key=lambda one: one.rated, default=Path())
        return last.rate if last.rate and now - last.rated < REMEMBERED else None

    def _slowed(self, now: int) -> int:
        """When what is slow was found to be first; -1: nothing is."""
        return min(
            (
                one.slowed
                for place in self.places.values()
                for one in place.paths.values()
                if one.slow and now - one.rated < REMEMBERED
            ),
            default=-1,
        )

    def crawls(self, place: str, paths: Sequence[str], now: int) -> bool:
        """Whether the last known of these paths is slow."""
        rate = self.rate(place, paths, now)
        return rate is not None and rate < SLOW

    def direct(self, place: str, now: int) -> float | None:
        """How fast it is by itself. A slow way through another relay may be that one's fault."""
        for paths in (STREAMS, (QUIC,)):
            if (rate := self.rate(place, paths, now)) is not None:
                return rate
        by_hop = self.rate(place, (HOP,), now)
        return by_hop if by_hop is not None and by_hop >= SLOW else None

    def ok(self, kind: str, now: int) -> bool | None:
        """Whether a place of that kind answered; None: not known."""
        found = self.controls.get(kind)
        return None if found is None or now - found[2] > REMEMBERED else found[0]
