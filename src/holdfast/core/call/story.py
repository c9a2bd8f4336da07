"""How a call went: what was decided and why, and a sample of the state every second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

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


What = Literal["way", "no-way", "two-ways", "goes-on", "coding", "bursts", "live"]
"""way: by another way. no-way: there is no live one. two-ways: by two at once. goes-on: a silent
one answers. coding: in another coding. bursts: in bursts. live: live again."""
Because = Literal[
    "start", "came", "gone", "answers", "silent", "all-silent", "none", "proved", "well", "queue",
    "calm", "lost", "lost-no-more", "behind", "too-much", "bursting",
]  # fmt: skip


class Why(NamedTuple):
    """Why something was decided; what the figures are, `SENTENCES` says."""

    code: Because
    figures: tuple[int, ...] = ()


WHATS: Final[dict[What, str]] = {
    "way": "now by way {of}",
    "no-way": "now by no live way",
    "two-ways": "sending by two ways",
    "goes-on": "it goes on",
    "coding": "speaking as {of}",
    "bursts": "speaking in bursts",
    "live": "speaking live again",
}
SENTENCES: Final[dict[Because, str]] = {
    "start": "the call began",
    "came": "it is there",
    "gone": "the last one is gone",
    "answers": "it answers",
    "silent": "silent for {0} ms",
    "all-silent": "nothing has arrived by any live way for {0} ms",
    "none": "no live way for {0} ms",
    "proved": "it has been well for a while",
    "well": "a live way has been well for {0} s",
    "queue": "a queue of {0} ms stands, about {1} kbit/s get through",
    "calm": "no queue for {0} ms",
    "lost": "{0} of 100 frames are lost",
    "lost-no-more": "hardly anything is lost any more",
    "behind": "{0} ms of it have not arrived",
    "too-much": "even the thinnest is too much for the live way",
    "bursting": "bursts are coded so",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. `of`: the way's number, or the coding's name; `again`: frames sent again."""

    at: int
    what: What
    why: Why
    of: str = ""
    again: int = 0


def sentence(what: What, of: str, why: Because, figures: Sequence[int], again: int) -> str:
    """A decision in plain English."""
    text = f"{WHATS[what].format(of=of)}: {SENTENCES[why].format(*figures, 0, 0)}"
    return text + (f"; {again} frames are sent again" if again else "")


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

    def note(self, what: What, why: Why, now: int, of: str = "", again: int = 0) -> None:
        """Something was decided."""
        if len(self.entries) < MOST_ENTRIES:
            at = max(0, now - self.began) if self.began else 0
            self.entries.append(Entry(at, what, why, of, again))
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
