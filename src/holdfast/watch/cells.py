"""What is known of one operator in one region: complaints and measurements by function."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from holdfast.watch.detect.counts import FEWER, Counts
from holdfast.watch.detect.season import HOUR, Season
from holdfast.watch.detect.shares import HALF, LOWEST, Shares
from holdfast.watch.journal import DAY, STEP
from holdfast.watch.rollup import Row

LEARNED: Final = 48
"""Hours before a baseline is used at all."""


@dataclass
class Cell:
    """One function at one operator in one region."""

    season: Season = field(default_factory=Season)
    complaints: Counts = field(default_factory=Counts)
    measured: Shares = field(default_factory=Shares)
    recent: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Step, failed, seen of the last hour's measurements."""
    verdicts: dict[str, int] = field(default_factory=dict)
    """Of what failed since measurements began to."""
    signed: dict[int, int] = field(default_factory=dict)
    """Complaints with a token since the surge began, by day: a credential has one a day."""
    expected: float = 0.0
    """Complaints in a step of the current hour."""
    hour: float = 0.0
    usual: float = LOWEST
    """Share of measurements that fails while nothing is going on, as of the last calm hour."""
    failed: int = 0
    seen: int = 0
    """Measurements of the last hour."""

    def begin_hour(self, at: int, learn: bool, holidays: frozenset[int]) -> None:
        """An hour begins at `at`; the one before teaches, if `learn`."""
        if learn:
            self.season.learn(at - HOUR, self.hour, holidays)
            if not self.measured.failing:
                self.usual = self.measured.usual
        self.hour = 0.0
        self.expected = self.season.rate(at, holidays) * STEP / HOUR

    def complain(self, at: int, signed: int, unsigned: int) -> None:
        """Complaints of one step, with a token and without."""
        count = signed + unsigned
        self.hour += count
        if self.season.hours >= LEARNED and (count or self.complaints.since):
            self.complaints.step(at, count, self.expected, self.season.dispersion)
            if not self.complaints.since:
                self.signed = {}
            elif signed:
                self.signed[at // DAY] = self.signed.get(at // DAY, 0) + signed

    def measure(self, at: int, row: Row) -> None:
        """Measurements of one step."""
        self.recent.append((at, row.failed, row.seen))
        self.failed += row.failed
        self.seen += row.seen
        self.measured.add(at, row.failed, row.seen)
        if row.failed:
            for verdict, count in row.verdicts.items():
                self.verdicts[verdict] = self.verdicts.get(verdict, 0) + count

    def age(self, at: int) -> None:
        """Drop what is older than an hour."""
        while self.recent and self.recent[0][0] <= at - HOUR:
            _, failed, seen = self.recent.popleft()
            self.failed -= failed
            self.seen -= seen
        if not self.failed and self.verdicts:
            self.verdicts = {}

    @property
    def works(self) -> bool:
        """Whether the last hour's measurements say that it does."""
        return self.seen >= 4 and self.failed < self.seen * 0.2

    def failing(self) -> tuple[float, int]:
        """Evidence, in nats, that at least half fails by now, and since when: from the part of
        the last hour that speaks most for it."""
        usual = self.usual
        bad, good = math.log(HALF / usual), math.log(HALF / (1 - usual))
        total = best = 0.0
        failed = seen = since = best_failed = best_seen = 0
        for at, failed_then, seen_then in reversed(self.recent):
            failed += failed_then
            seen += seen_then
            total += failed_then * bad + (seen_then - failed_then) * good
            if total > best:
                best, since, best_failed, best_seen = total, at, failed, seen
        return (best, since) if best_failed >= best_seen * HALF else (0.0, 0)

    def failed_since(self, since: int) -> dict[int, tuple[int, float]]:
        """Failed measurements, and how many are usual, by the hour of the clock."""
        hours: dict[int, tuple[int, float]] = {}
        for at, failed, seen in self.recent:
            if at >= since:
                before, usual = hours.get(at // HOUR, (0, 0.0))
                hours[at // HOUR] = before + failed, usual + self.usual * seen
        return hours


@dataclass
class Voice:
    """Whether reports still come, from one operator in one region."""

    season: Season = field(default_factory=Season)
    silence: Counts = field(default_factory=lambda: Counts(FEWER))
    expected: float = 0.0
    hour: float = 0.0

    def begin_hour(self, at: int, learn: bool, holidays: frozenset[int]) -> None:
        """An hour begins at `at`; the one before teaches, if `learn`."""
        if learn:
            self.season.learn(at - HOUR, self.hour, holidays)
        self.hour = 0.0
        self.expected = self.season.rate(at, holidays) * STEP / HOUR
