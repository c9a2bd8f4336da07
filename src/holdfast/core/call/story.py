"""How a call went: what was decided and why, and a sample of the state every second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Way = Literal["live", "bursts", "none"]
SAMPLE_MS: Final = 1_000
MOST_SAMPLES: Final = 1_200
MOST_ENTRIES: Final = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """At `at` milliseconds of the call: how it is spoken, from mouth to ear, of a hundred frames
    missing at the ear; `way`: which kind of way what is said takes."""

    at: int
    rung: str
    way: Way
    delay: int
    lost: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision, with its reason, in plain words."""

    at: int
    what: str
    why: str


@dataclass
class Story:
    """Bounded: of a very long call every second sample is left out, again and again."""

    began: int = 0
    samples: list[Sample] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0
    _every: int = SAMPLE_MS
    _due: int = 0

    def begin(self, now: int) -> None:
        """Talking begins."""
        self.began = self._due = now

    def note(self, what: str, why: str, now: int) -> None:
        """Something was decided."""
        if len(self.entries) < MOST_ENTRIES:
            self.entries.append(Entry(max(0, now - self.began) if self.began else 0, what, why))
        else:
            self.left_out += 1

    def sample(self, rung: str, way: Way, delay: int, lost: int, now: int) -> None:
        """How it is now; call it often."""
        if not self.began or now < self._due:
            return
        self._due = now + self._every
        self.samples.append(Sample(now - self.began, rung, way, delay, lost))
        if len(self.samples) >= MOST_SAMPLES:
            self.samples = self.samples[::2]
            self._every *= 2
