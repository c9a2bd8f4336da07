"""More complaints than usual, or fewer reports than usual: Poisson CUSUM.

The statistic is the logarithm of how much better a change explains what was seen since it may
have begun, so exp(threshold) bounds from below the mean number of steps until a false alarm
(Lorden 1971), and statistics of independent cells add up. Dispersion beyond Poisson's
divides it.
"""

from __future__ import annotations

import math
from typing import Final

MORE: Final = 3.0
"""Times the usual that a surge is taken to be."""
FEWER: Final = 0.3
NOTICE: Final = 3.0
"""Nats at which one cell is worth watching. Never public by itself: see `engine`."""
FLOOR: Final = 0.02
"""Least expected count a step: a cell in which nothing ever happened is no proof."""
CAP: Final = 20.0
"""Of the statistic, so that the end of a long event is seen."""


class Counts:
    """One cell's counts against what is expected, step by step."""

    __slots__ = ("_factor", "_log", "evidence", "expected", "seen", "since")

    def __init__(self, factor: float = MORE) -> None:
        self._factor = factor
        self._log = math.log(factor)
        self.evidence = 0.0
        self.since = 0
        """Second at which what is going on may have begun; 0: nothing is."""
        self.seen = 0.0
        self.expected = 0.0

    def step(self, at: int, count: float, expected: float, dispersion: float = 1.0) -> float:
        """One step that began at `at`; the evidence for a change so far, in nats."""
        expected = max(expected, FLOOR)
        gain = (count * self._log - expected * (self._factor - 1)) / dispersion
        if not self.since:
            if gain <= 0:
                return 0.0
            self.since = at
        self.seen += count
        self.expected += expected
        self.evidence = min(self.evidence + gain, CAP)
        if self.evidence <= 0:
            self.clear()
        return self.evidence

    def clear(self) -> None:
        """As if nothing had happened."""
        self.evidence, self.since, self.seen, self.expected = 0.0, 0, 0.0, 0.0
