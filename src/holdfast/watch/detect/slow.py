"""Throttling that creeps in over weeks, against controls that nobody throttles.

The logarithms of a series, as weekly means up to today, are taken to be a Gaussian process: a level
that wanders, moods of some weeks, a season that comes back each year, a share of what the controls
do, and noise. How sure a slow fall is, is the generalised least squares estimate of a ramp that
began some weeks ago over its deviation: what the season, the wandering and the controls explain as
well is no evidence. Only how much there is of moods and of the controls is learned (by marginal
likelihood), beside the scale of everything; the rest is fixed, so that little can be fitted to one
series. Weeks that fit nothing, leaps of the level that are long past, and rises of a few weeks (the
way back from which is no fall) are made to count for little (Harvey and Koopman 1992: auxiliary
residuals).
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST: Final = 300
"""Days before anything is said."""
WEEKS: Final = 260
"""That are looked back at."""
STRIDE: Final = 2
"""Days from one judgement to the next."""
REFIT: Final = 56
"""Days after which what is learned is learned again."""
UNSURE: Final = 8
"""Last weeks, from which nothing is learned: they may be the event."""
PAST: Final = 17
"""Weeks after which a leap of the level is history."""
RAMP: Final = 60
"""Days in which throttling is taken to creep in."""
STARTS: Final = tuple(range(21, 106, 7))
"""Days ago at which it may have begun."""
FAST, SLOWER = 2, 12
"""Judgements whose mean counts."""
SURE: Final = 2.5
"""Deviations that the mean of the slower ones has to exceed; of the fast ones, by `HASTE` more."""
HASTE: Final = 0.7
OVER: Final = 1.0
WORTH: Final = 0.03
"""Share that has to be lost."""

UNIT: Final = 0.02
"""Of what follows: 2 %, a usual size of change, in logarithms."""
NOISE: Final = 0.3
WANDER: Final = 0.1
"""A week."""
SEASON: Final = 3.0
TREND: Final = 25.0
"""A year."""
MOODS: Final = (0.0, 1.0, 3.0)
SHARES: Final = (0.0, 0.5, 1.0)
"""Of the controls' changes, as a deviation of what is believed beforehand."""
MOOD_WEEKS: Final = 4.0
YEAR_WEEKS: Final = 52.18
SHARP: Final = 0.35
"""Length of a season's features, as of a periodic kernel: some three weeks."""
FORGET: Final = 400.0
"""Weeks after which a season may be another one."""
ODD: Final = 2.5
"""Deviations at which a week or a leap fits nothing."""
RISE: Final = 3.0
RISES: Final = (1, 2, 3, 4)
"""Weeks that a rise may last without being the new level."""
FAINT: Final = 1e3
"""Times the noise that what counts for little has."""
LEAST: Final = 0.008
"""Least scale: less is never news."""


@dataclass(frozen=True)
class _Shape:
    """What is the same for all series of so many weeks."""

    fixed: Array
    mood: Array
    leaps: Array
    """A column each: 0 before a week, 1 from it on."""
    rises: Array
    ramps: Array
    """A column for each of `STARTS`."""


@cache
def _shape(weeks: int) -> _Shape:
    week = np.arange(weeks)
    apart = np.abs(week[:, None] - week[None, :]).astype(float)
    year = np.exp(-2 * np.sin(math.pi * apart / YEAR_WEEKS) ** 2 / SHARP**2 - apart / FORGET)
    time = (week - weeks / 2) / 52
    days = np.arange(7 * weeks) - (7 * weeks - 1)
    ramps = [-np.clip((days + s) / RAMP, 0, 1).reshape(weeks, 7).mean(1) for s in STARTS]
    rises = [
        (week >= first) & (week < first + length)
        for length in RISES
        for first in range(weeks - length + 1)
    ]
    return _Shape(
        SEASON * year + 1e4 + TREND * np.outer(time, time),
        np.exp(-apart / MOOD_WEEKS),
        (week[:, None] >= week[None, 1:]).astype(float),
        np.array(rises, dtype=float).T,
        np.array(ramps).T,
    )


@dataclass(frozen=True)
class _Fit:
    """What was learned on a day, and by week, how many times the usual its noise and leap are."""

    mood: float
    share: float
    scale: float
    noise: Array
    leaps: Array
    day: int


class Slow:
    """One series and its controls, a value a day."""

    def __init__(self, controls: int) -> None:
        self._series: list[list[float]] = [[] for _ in range(controls + 1)]
        self._fit: _Fit | None = None
        self._scores: deque[float] = deque(maxlen=SLOWER)
        self.score = 0.0
        """Deviations by which it fell, as of the last judgement."""
        self.slow = False
        self.since = 0
        """Day at which it most likely began, counted from the first."""
        self.fallen = 0.0
        """Share by which it fell since."""

    def add(self, value: float | None, controls: Sequence[float | None]) -> float:
        """The day's value and the controls', each above 0 or missing; the score."""
        for series, new in zip(self._series, (value, *controls), strict=True):
            usable = new is not None and math.isfinite(new) and new > 0
            series.append(math.log(new) if usable and new is not None else math.nan)
        day = len(self._series[0]) - 1
        if day >= FIRST and day % STRIDE == 0:
            self._judge(day)
        return self.score

    def _judge(self, day: int) -> None:
        weeks = min(WEEKS, (day + 1) // 7)
        (own, noise), *others = (_weekly(each, day, weeks) for each in self._series)
        controls = [each for each, _ in others]
        if self._fit is None or day - self._fit.day >= REFIT:
            self._fit = _learn(own, noise, controls, day)
        scores, sizes = _ramps(self._fit, own, noise, controls, day)
        best = int(scores.argmax())
        size = float(sizes[best] * _shape(weeks).ramps[-1, best])
        self._decide(float(scores[best]), 1 - math.exp(min(0.0, size)), max(0, day - STARTS[best]))

    def _decide(self, score: float, fallen: float, since: int) -> None:
        """Whether it is slow by now: `score` deviations, by a share of `fallen`."""
        self.score, self.fallen = score, fallen
        self._scores.append(score)
        recent = list(self._scores)
        fast = sum(recent[-FAST:]) / FAST if len(recent) >= FAST else 0.0
        slower = sum(recent) / SLOWER if len(recent) == SLOWER else 0.0
        if self.slow:
            self.slow = fast >= OVER
        elif min(fast / OVER, self.fallen / WORTH) >= 1 and max(slower, fast - HASTE) > SURE:
            self.slow, self.since = True, since


def _weekly(series: list[float], day: int, weeks: int) -> tuple[Array, Array]:
    """Means of the weeks up to this day about their median, and how much noise each has."""
    values = np.array(series[day + 1 - 7 * weeks : day + 1]).reshape(weeks, 7)
    there = ~np.isnan(values)
    count = there.sum(1)
    means = np.where(there, values, 0.0).sum(1) / np.maximum(count, 1)
    seen = count > 0
    middle = np.median(means[seen]) if seen.any() else 0.0
    return np.where(seen, means - middle, 0.0), np.where(seen, 7 / np.maximum(count, 1), 1e4)


def _kernel(
    mood: float, share: float, noise: Array, leaps: Array, controls: Sequence[Array]
) -> Array:
    weeks = len(noise)
    shape = _shape(weeks)
    made: Array = shape.fixed + mood * shape.mood
    # A level that wanders: the sum of its leaps, of which those before both weeks are shared.
    level = np.concatenate(([0.0], np.cumsum(WANDER * leaps)))
    made += np.minimum(level[:, None], level[None, :])
    made[np.diag_indices(weeks)] += NOISE * noise
    for control in controls:
        made += (share / UNIT) ** 2 / len(controls) * np.outer(control, control)
    return made


def _likelihood(kernel: Array, own: Array) -> tuple[float, float]:
    """Logarithm of the marginal likelihood, with the scale that makes it largest; the scale."""
    lower = np.linalg.cholesky(kernel)
    white = np.linalg.solve(lower, own)
    square = max(float(white @ white) / len(own), 1e-12)
    return -len(own) / 2 * math.log(square) - float(np.log(np.diag(lower)).sum()), math.sqrt(square)


def _learn(own: Array, noise: Array, controls: Sequence[Array], day: int) -> _Fit:
    known = len(own) - UNSURE
    noise, leaps = noise.copy(), np.ones(len(own) - 1)

    def best() -> tuple[float, float, float]:
        found = []
        for mood, share in itertools.product(MOODS, SHARES if controls else (0.0,)):
            kernel = _kernel(mood, share, noise, leaps, controls)[:known, :known]
            likely, scale = _likelihood(kernel, own[:known])
            found.append((likely, mood, share, scale))
        return max(found)[1:]

    mood, share, scale = best()
    for _ in range(2):
        kernel = _kernel(mood, share, noise, leaps, controls)[:known, :known]
        _, scale = _likelihood(kernel, own[:known])
        inverse = np.linalg.inv(kernel)
        white = inverse @ own[:known]
        odd = white / np.sqrt(np.diag(inverse)) / scale
        odd[noise[:known] > FAINT] = 0
        past = _shape(len(own)).leaps[:known, : max(1, known - PAST)]
        leapt = past.T @ white / np.sqrt(np.einsum("ij,ij->j", past, inverse @ past)) / scale
        for _ in range(3):
            week, leap = int(np.abs(odd).argmax()), int(np.abs(leapt).argmax())
            if abs(odd[week]) > ODD and abs(odd[week]) >= abs(leapt[leap]):
                noise[week] *= odd[week] ** 2 / NOISE
                odd[max(0, week - 1) : week + 2] = 0
            elif abs(leapt[leap]) > ODD:
                leaps[leap] *= leapt[leap] ** 2 * NOISE / WANDER
                leapt[max(0, leap - 2) : leap + 3] = 0
    mood, share, scale = best()
    scale = max(scale, LEAST)
    noise = _without_rises(mood, share, scale, noise, leaps, own, controls, 0)
    return _Fit(mood, share, scale, noise / noise.min(), leaps, day)


def _without_rises(
    mood: float,
    share: float,
    scale: float,
    noise: Array,
    leaps: Array,
    own: Array,
    controls: Sequence[Array],
    first: int,
) -> Array:
    """Noise, with that of rises of a few weeks from the week `first` on made large."""
    rises = _shape(len(own)).rises
    if first:
        rises = rises[:, rises[:first].sum(0) == 0]
    for _ in range(3):
        inverse = np.linalg.inv(_kernel(mood, share, noise, leaps, controls))
        height = rises.T @ (inverse @ own)
        height /= np.sqrt(np.einsum("ij,ij->j", rises, inverse @ rises)) * scale
        most = int(height.argmax())
        if height[most] < RISE:
            break
        noise = np.where(rises[:, most] > 0, np.maximum(noise, FAINT), noise)
    return noise


def _ramps(
    fit: _Fit, own: Array, noise: Array, controls: Sequence[Array], day: int
) -> tuple[Array, Array]:
    """Deviations and size of a ramp from each of `STARTS`."""
    weeks, moved = len(own), round((day - fit.day) / 7)
    noise = np.maximum(noise, _moved(fit.noise, moved, weeks))
    leaps = _moved(fit.leaps, moved, weeks - 1)
    noise = _without_rises(fit.mood, fit.share, fit.scale, noise, leaps, own, controls, weeks - 14)
    ramps = _shape(weeks).ramps
    kernel = _kernel(fit.mood, fit.share, noise, leaps, controls)
    solved: Any = np.linalg.solve(kernel, np.column_stack([own, ramps]))
    along, across = ramps.T @ solved[:, 0], np.einsum("ij,ij->j", ramps, solved[:, 1:])
    return along / np.sqrt(across) / fit.scale, along / across


def _moved(weights: Array, weeks: int, size: int) -> Array:
    """Weights of the same weeks, so many weeks later."""
    return np.concatenate((np.ones(size), weights, np.ones(weeks)))[-size:]
