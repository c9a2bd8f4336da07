"""What the detectors find in a series from outside. Pure.

Which detectors a series gets follows from what it is: yes or no (single measurements), counts every
few minutes (mentions, searches), or a level (traffic, connectivity), which may fall away at once or
over weeks.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.watch.detect.level import Level
from holdfast.watch.detect.peaks import Peaks
from holdfast.watch.detect.shares import HALF, Shares
from holdfast.watch.detect.slow import FIRST, Slow
from holdfast.watch.series import DAY, Series, offset

What = Literal["failing", "fall", "leap", "slow"]
WHATS: Final[tuple[What, ...]] = ("failing", "fall", "leap", "slow")
COUNTED: Final = 900
"""Seconds between values up to which whole numbers are counts."""
SURE: Final = 0.98
ONE: Final = 120
"""Seconds within which measurements, as of one site's pages, are one."""


@dataclass(frozen=True)
class Found:
    """One change: since when, noticed when, until when (0: it goes on)."""

    what: What
    since: int
    at: int
    until: int = 0
    size: float = 0.0
    """Of a fall: the ratio to what is usual, of slow: the share lost, of a leap: the count, of
    measurements: the share that failed."""


def kinds(series: Series) -> tuple[What, ...]:
    """The detectors for it."""
    values = [each for each in series.values if each is not None]
    if all(each in (0.0, 1.0) for each in values):
        return ("failing",)
    if series.step <= COUNTED and all(each.is_integer() and each >= 0 for each in values):
        return ("leap",)
    if series.at and series.at[-1] - series.at[0] >= FIRST * DAY:
        return ("fall", "slow")
    return ("fall",)


def find(
    series: Series,
    what: Sequence[What],
    controls: Sequence[Series] = (),
    zone: datetime.tzinfo = datetime.UTC,
    holidays: frozenset[int] = frozenset(),
) -> list[Found]:
    """All changes, the earliest first."""
    found: list[Found] = []
    if "failing" in what:
        found += _failing(series)
    if "fall" in what:
        found += _falls(series, zone, holidays)
    if "leap" in what:
        found += _leaps(series)
    if "slow" in what:
        found += _slow(series, controls, zone)
    return sorted(found, key=lambda each: (each.at, each.what))


def _ended(found: list[Found], until: int) -> None:
    last = found[-1]
    found[-1] = Found(last.what, last.since, last.at, until, last.size)


def _failing(series: Series) -> list[Found]:
    shares, found, last = Shares(), list[Found](), 0
    begun = 0
    seen: list[tuple[int, bool]] = []
    for at, value in zip(series.at, series.values, strict=True):
        if value is None or at - last < ONE:
            continue
        last = at
        seen.append((at, value >= HALF))
        usual = shares.usual
        change = shares.add(at, int(value >= HALF), 1)
        if change is None:
            continue
        if change.failing:
            begun = next(n for n, (when, _) in enumerate(seen) if when >= change.since)
            found.append(_begun(seen[begun:], usual, at))
        else:
            over = next(n for n, (when, _) in enumerate(seen) if when >= change.since)
            first = _begun(seen[begun:over], usual, found[-1].at)
            found[-1] = Found("failing", first.since, first.at, change.since, first.size)
            seen = seen[over:]
    if found and not found[-1].until:
        found[-1] = _begun(seen[begun:], shares.usual, found[-1].at)
    return found


def _begun(seen: Sequence[tuple[int, bool]], usual: float, at: int) -> Found:
    """From when on the share that failed is best explained by a change, as is known by now."""
    best, since, size = -math.inf, seen[0][0], 0.0
    failed = 0
    for count, (when, bad) in enumerate(reversed(seen), 1):
        failed += bad
        share = min(max(failed / count, HALF), SURE)
        gain = failed * math.log(share / usual)
        gain += (count - failed) * math.log((1 - share) / (1 - usual))
        if gain > best:
            best, since, size = gain, when, failed / count
    return Found("failing", min(since, at), at, size=size)


def _falls(series: Series, zone: datetime.tzinfo, holidays: frozenset[int]) -> list[Found]:
    step = series.step
    found = list[Found]()
    if not 0 < step <= 7 * DAY:
        return found
    level = Level(step, holidays)
    for at, value in zip(series.at, series.values, strict=True):
        ahead = offset(at, zone)
        fall = level.add(at + ahead, value)
        if fall is None:
            continue
        if fall.down:
            found.append(Found("fall", fall.at - ahead, at + step, size=fall.ratio))
        elif found:
            _ended(found, fall.at - ahead)
    return found


def _leaps(series: Series) -> list[Found]:
    step, found = series.step, list[Found]()
    if not 0 < step <= 3600:
        return found
    peaks = Peaks(round(DAY / step), window=max(1, round(3600 / step)))
    return [
        Found("leap", at, at + step, at + step, value)
        for at, value in zip(series.at, series.values, strict=True)
        if value is not None and value >= 0 and peaks.add(value)
    ]


def _slow(series: Series, controls: Sequence[Series], zone: datetime.tzinfo) -> list[Found]:
    own, others = series.days(zone), [each.days(zone) for each in controls]
    found = list[Found]()
    if len(own) < FIRST / 2:
        return found
    first, slow, was = min(own), Slow(len(others)), False
    for day in range(first, max(own) + 1):
        slow.add(own.get(day), [each.get(day) for each in others])
        if slow.slow and not was:
            found.append(Found("slow", (first + slow.since) * DAY, (day + 1) * DAY, 0, slow.fallen))
        elif was and not slow.slow:
            _ended(found, (day + 1) * DAY)
        was = slow.slow
    return found
