"""Measurements that begin to fail, and work again: Bernoulli CUSUM, both ways.

What is usual is learned while nothing is going on. A change is taken to be that half fail or
more. Measurements are sparse and irregular; each counts as it comes, and time only ages what
was learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

HALF: Final = 0.5
PRIOR: Final = (1.0, 11.0)
"""Failures and measurements that are believed before any is seen."""
LOWEST: Final = 0.07
HIGHEST: Final = 0.3
"""What is usual is never taken to be better or worse: one failure is worth at most 2 nats, so that
it takes three to be sure."""
HALF_LIFE: Final = 28 * 86_400
"""Seconds in which what was learned loses half its weight."""
SURE: Final = math.log(100)
CAP: Final = 40.0


@dataclass(frozen=True)
class Change:
    """Since when, in seconds, and what failed of how many since."""

    failing: bool
    since: int
    at: int
    evidence: float


class Shares:
    """One cell's measurements."""

    __slots__ = (
        "_failed", "_last", "_seen", "evidence", "failed", "failing", "seen", "since", "threshold",
    )  # fmt: skip

    def __init__(self, threshold: float = SURE) -> None:
        self.threshold = threshold
        self.failing = False
        self.evidence = 0.0
        """In nats: for a change to the other state."""
        self.since = 0
        self.seen = self.failed = 0
        """Since `since`."""
        self._failed, self._seen = PRIOR
        self._last = 0

    @property
    def usual(self) -> float:
        """Share that fails while nothing is going on."""
        return min(max(self._failed / self._seen, LOWEST), HIGHEST)

    def add(self, at: int, failed: int, seen: int) -> Change | None:
        """`failed` of `seen` measurements failed at second `at`; the change this decides."""
        if seen <= 0:
            return None
        usual = self.usual
        bad, good = math.log(HALF / usual), math.log(HALF / (1 - usual))
        gain = failed * bad + (seen - failed) * good
        if self.failing:
            gain = -gain
        else:
            self._learn(at, failed, seen)
        if not self.since and gain > 0:
            self.since = at
        if self.since:
            self.evidence = min(self.evidence + gain, CAP)
            self.seen += seen
            self.failed += failed
            if self.evidence <= 0:
                self._rest()
            elif self.evidence >= self.threshold:
                return self._turn(at)
        return None

    def _turn(self, at: int) -> Change:
        self.failing = not self.failing
        change = Change(self.failing, self.since, at, self.evidence)
        self._rest()
        return change

    def _rest(self) -> None:
        self.evidence, self.since, self.seen, self.failed = 0.0, 0, 0, 0

    def _learn(self, at: int, failed: int, seen: int) -> None:
        keep = 1.0
        if at > self._last:
            keep = 0.5 ** ((at - self._last) / HALF_LIFE) if self._last else 1.0
            self._last = at
        failed_before, seen_before = PRIOR
        self._failed = failed_before + (self._failed - failed_before) * keep + failed
        self._seen = seen_before + (self._seen - seen_before) * keep + seen
