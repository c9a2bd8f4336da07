"""Throttling that creeps in over weeks, against controls: one value a day.

At each of four spans, the change from a reference some weeks back to the last days is compared
with what the controls' changes and the same change a year before explain, by a robust ridge
regression over up to two years. The score is the mean, over the spans, of how many deviations
the fall goes beyond that. Values are logarithms, so that throttling is a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

SPANS: Final = ((7, 7, 28), (7, 14, 42), (14, 28, 56), (14, 42, 84))
"""Days of the recent mean, between, and of the reference mean."""
YEAR: Final = 364
"""Days, whole weeks."""
HISTORY: Final = 730
UNSURE: Final = 30
"""Last days, from which nothing is learned: they may be the event."""
FIRST: Final = 300
"""Days before anything is said."""
REFIT: Final = 7
RIDGE: Final = 0.1
FEW: Final = 150
"""Days of history at which the deviation is taken to be twice what was seen: changes overlap, so
that a year of them is a handful."""
LEAST: Final = 0.02
"""Least deviation, in logarithms: 2 % is never news."""
SUSPECTED: Final = 2.0
SURE: Final = 2.4


class Slow:
    """One series and its controls."""

    def __init__(self, controls: int) -> None:
        self._series: list[list[float]] = [[] for _ in range(controls + 1)]
        self._sums: list[list[float]] = [[0.0] for _ in range(controls + 1)]
        self._spans = [_Span(*span) for span in SPANS]
        self.score = 0.0
        self.slow = False
        self.since = 0
        """Day at which it may have begun, counted from the first."""

    @property
    def fallen(self) -> float:
        """Share by which it fell, beside the controls, over the longest span."""
        recent, between, reference = SPANS[-1]
        if len(self._sums[0]) <= recent + between + reference:
            return 0.0
        own, *others = (self._spans[-1].change(sums) for sums in self._sums)
        return max(0.0, 1 - math.exp(own - sum(others) / max(1, len(others))))

    def add(self, value: float | None, controls: Sequence[float | None]) -> float:
        """The day's value and the controls', each above 0 or missing; the score."""
        for series, sums, new in zip(self._series, self._sums, (value, *controls), strict=True):
            if new is not None and new > 0:
                log = math.log(new)
            else:  # as a week before
                log = series[-7] if len(series) >= 7 else series[-1] if series else 0.0
            series.append(log)
            sums.append(sums[-1] + log)
        day = len(self._sums[0]) - 2
        scores = [span.score(self._sums, day) for span in self._spans]
        self.score = sum(scores) / len(scores) if day >= FIRST else 0.0
        if not self.slow and self.score > SURE:
            self.slow, self.since = True, max(0, day - SPANS[2][1])
        elif self.slow and self.score < SUSPECTED / 2:
            self.slow = False
        return self.score


class _Span:
    """One span: its changes, and what explains them."""

    def __init__(self, recent: int, between: int, reference: int) -> None:
        self._recent = recent
        self._back = recent + between
        self._reference = reference
        self._first = self._back + reference
        self._rows: list[tuple[float, ...]] = []
        """A day each: the change, then what may explain it."""
        self._fit: tuple[tuple[float, ...], float, float] | None = None
        self._fitted = -REFIT

    def change(self, sums: Sequence[float]) -> float:
        """To the last day."""
        return self._change(sums, len(sums) - 2)

    def _change(self, sums: Sequence[float], day: int) -> float:
        recent = (sums[day + 1] - sums[day + 1 - self._recent]) / self._recent
        end = day + 1 - self._back
        return recent - (sums[end] - sums[end - self._reference]) / self._reference

    def score(self, sums: Sequence[Sequence[float]], day: int) -> float:
        """Deviations by which the fall to this day goes beyond what explains it."""
        if day + 1 < self._first:
            return 0.0
        number = len(self._rows)
        before = self._rows[number - YEAR][0] if number >= YEAR else 0.0
        row = tuple(self._change(each, day) for each in sums)
        row = (row[0], *row[1:], before)
        self._rows.append(row)
        if day < FIRST:
            return 0.0
        if self._fit is None or day - self._fitted >= REFIT:
            rows = self._rows[max(0, number - HISTORY) : max(1, number - UNSURE)]
            self._fit, self._fitted = explain(rows), day
        weights, middle, deviation = self._fit
        explained = sum(a * b for a, b in zip(weights, row[1:], strict=True))
        return (explained + middle - row[0]) / deviation


def explain(rows: Sequence[tuple[float, ...]]) -> tuple[tuple[float, ...], float, float]:
    """Weights of what explains the first of each row, and what remains: middle and deviation.

    Huber's weights, three rounds (Huber 1964).
    """
    size = len(rows[0]) - 1
    trust = [1.0] * len(rows)
    left: list[float] = []
    weights = [0.0] * size
    for _ in range(3):
        matrix = [[0.0] * size for _ in range(size)]
        vector = [0.0] * size
        total = 0.0
        for row, much in zip(rows, trust, strict=True):
            total += much * row[0] * row[0]
            for i in range(size):
                scaled = much * row[i + 1]
                vector[i] += scaled * row[0]
                line = matrix[i]
                for j in range(i + 1):
                    line[j] += scaled * row[j + 1]
        for i in range(size):
            for j in range(i):
                matrix[j][i] = matrix[i][j]
            matrix[i][i] += RIDGE * total + 1e-9
        weights = solve(matrix, vector)
        left = [row[0] - sum(a * b for a, b in zip(weights, row[1:], strict=True)) for row in rows]
        scale = 2 * 1.4826 * median(map(abs, left)) + 1e-9
        trust = [min(1.0, scale / (abs(rest) + 1e-12)) for rest in left]
    middle = median(left) / 2
    wide = 3 * max(LEAST, 1.4826 * median(abs(rest - middle) for rest in left))
    squares = sum(max(-wide, min(wide, rest - middle)) ** 2 for rest in left) / len(left)
    deviation = max(LEAST, math.sqrt(squares)) * (1 + FEW / len(rows))
    return tuple(weights), middle, deviation


def solve(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Gauss's elimination for a small positive definite system, which is overwritten."""
    size = len(vector)
    for i in range(size):
        for j in range(i + 1, size):
            factor = matrix[j][i] / matrix[i][i]
            vector[j] -= factor * vector[i]
            for k in range(i, size):
                matrix[j][k] -= factor * matrix[i][k]
    for i in reversed(range(size)):
        rest = sum(matrix[i][k] * vector[k] for k in range(i + 1, size))
        vector[i] = (vector[i] - rest) / matrix[i][i]
    return vector
