"""A made-up country's complaints and measurements, with three kinds of interference in them.

For trying out and for measuring: everything follows from a seed, and what was hidden is told
beside it. A page that shows it is marked as simulated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.core import report
from holdfast.watch.journal import STEP
from holdfast.watch.places import Places
from holdfast.watch.rollup import THOUSAND, Row

HOUR: Final = 3600
DAY: Final = 24 * HOUR
FUNCTIONS: Final = ("text", "voice", "calls", "video", "media", "internet")
WEIGHTS: Final = (0.10, 0.06, 0.30, 0.16, 0.20, 0.18)
"""Of complaints on an ordinary day."""
NEIGHBOURS: Final = ("VEL", "KAR", "OLM")
USUAL: Final = (0.01, 0.01, 0.03, 0.04, 0.02, 0.01)
"""Share of measurements that fails on an ordinary day."""


@dataclass(frozen=True)
class Hidden:
    """One interference: `share` of measurements fail, complaints grow `times`."""

    kind: str
    regions: tuple[str, ...]
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    begins: int
    ends: int
    share: float
    times: float
    verdict: str


def usual_story(places: Places, begins: int, ends: int, draw: random.Random) -> list[Hidden]:
    """Three kinds: throttled media in a few regions, one region dark, calls blocked to the end."""
    codes = [region.code for region in places.regions]
    firms = [operator.code for operator in places.operators]
    month = ends - begins
    first = draw.sample(codes, min(5, max(1, len(codes) - 2)))
    left = [code for code in codes if code not in first] or codes
    dark = draw.choice(left)
    calls = [code for code in codes if code in NEIGHBOURS] or draw.sample(left, 1)
    slow = begins + int(month * draw.uniform(0.35, 0.45))
    night = begins + int(month * draw.uniform(0.65, 0.75)) // STEP * STEP
    since = ends - 4 * HOUR - 10 * 60
    return [
        Hidden(
            "throttling", tuple(code for code in first if code not in calls), tuple(firms),
            ("media", "video"), slow // STEP * STEP, slow // STEP * STEP + 3 * DAY, 0.8, 6.0,
            "throttled",
        ),
        Hidden(
            "shutdown", (dark,), tuple(firms), FUNCTIONS, night, night + 7 * HOUR, 1, 1, "offline",
        ),
        Hidden(
            "call-blocking", tuple(calls), tuple(firms[:2]), ("calls",), since // STEP * STEP,
            ends + DAY, 0.9, 14.0, "udp-block",
        ),
    ]  # fmt: skip


def poisson(draw: random.Random, mean: float) -> int:
    """A count with this mean; of a large one, a normal's rounded."""
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count += 1
        product *= draw.random()
    return count


def shape(at: int) -> float:
    """How much goes on at this time of day and week, 1 on average."""
    hour = at / HOUR % 24
    wave = 1 + 0.75 * math.cos((hour - 19) / 24 * 2 * math.pi)
    weekend = 1.15 if (at // DAY + 3) % 7 >= 5 else 0.94
    return wave * weekend


class Country:
    """Rows of one step after the other."""

    def __init__(
        self,
        places: Places,
        seed: int,
        hidden: list[Hidden],
        complaints: float = 0.7,
        reports: float = 4.0,
        installations: int = 0,
    ) -> None:
        """`complaints` and `reports`: a step, in a region of middling size, where there are so many
        `installations`."""
        self._draw = random.Random(seed)
        self._hidden = hidden
        self._complaints = complaints
        self._reports = reports
        self._operators = [operator.code for operator in places.operators]
        size = random.Random(seed + 1)
        self._sizes = {region.code: size.lognormvariate(0, 0.6) for region in places.regions}
        self._installed = {code: round(installations * each) for code, each in self._sizes.items()}
        self._unsaid = dict(self._installed)
        """Installations that were not heard of this month."""
        self._month = -1
        self._arrivals = random.Random(seed + 2)
        parts = [0.5, 0.3, 0.2, *[0.1] * 200][: len(self._operators)]
        self._parts = [part / sum(parts) for part in parts]

    def rows(self, at: int) -> list[Row]:
        """What came in within the step that began at `at`."""
        busy = shape(at)
        going = [one for one in self._hidden if one.begins <= at < one.ends]
        rows = list(self._alive(at))
        for region, size in self._sizes.items():
            here = [one for one in going if region in one.regions]
            rows += self._region(region, size, busy, here)
        return sorted(rows, key=lambda row: row.key)

    def _alive(self, at: int) -> Iterator[Row]:
        """Signs of life: at first of everybody, then within the first days of a month."""
        month, first = report.window("alive", at), self._month < 0
        if month != self._month:
            self._month, self._unsaid = month, dict(self._installed)
        for region, left in self._unsaid.items():
            heard = left if first else min(left, poisson(self._arrivals, left * STEP / DAY))
            if heard:
                self._unsaid[region] -= heard
                yield Row("a", region, "", "", heard)

    def _region(self, region: str, size: float, busy: float, here: list[Hidden]) -> Iterator[Row]:
        draw = self._draw
        dark = any(one.kind == "shutdown" for one in here)
        rate = self._complaints * size * busy * (0.04 if dark else 1)
        counts: dict[tuple[str, str, str], int] = {}
        for _ in range(poisson(draw, rate)):
            key = (
                "c" if draw.random() < 0.6 else "f",
                draw.choices(self._operators, self._parts)[0],
                draw.choices(FUNCTIONS, WEIGHTS)[0],
            )
            counts[key] = counts.get(key, 0) + 1
        for one in here:
            for operator, part in zip(self._operators, self._parts, strict=True):
                for function in one.functions if operator in one.operators else ():
                    weight = WEIGHTS[FUNCTIONS.index(function)] * part
                    for _ in range(poisson(draw, rate * weight * (one.times - 1))):
                        key = ("c" if draw.random() < 0.6 else "f", operator, function)
                        counts[key] = counts.get(key, 0) + 1
        for (source, operator, function), count in counts.items():
            yield Row(source, region, operator, function, count)
        for operator, part in zip(self._operators, self._parts, strict=True):
            mean = self._reports * size * part * (0.5 + busy / 2) * (0.01 if dark else 1)
            seen = poisson(draw, mean)
            if seen:
                yield from self._measured(region, operator, seen, here)

    def _measured(self, region: str, operator: str, seen: int, here: list[Hidden]) -> Iterator[Row]:
        draw = self._draw
        for function, usual in zip(FUNCTIONS, USUAL, strict=True):
            share, verdict = usual, "unknown"
            for one in here:
                if operator in one.operators and function in one.functions:
                    share, verdict = one.share, one.verdict
            failed = sum(draw.random() < share for _ in range(seen))
            rate = 4096 if verdict != "throttled" else 256
            rated = seen if function == "media" else 0
            verdicts = {verdict: failed} if failed else {}
            yield Row(
                "m", region, operator, function, seen, failed, verdicts,
                rate * rated, 4096 * rated, rated, share=rated * THOUSAND * rate // 4096,
            )  # fmt: skip


def month(
    places: Places, seed: int, ends: int, days: int = 31
) -> tuple[list[Hidden], Iterator[tuple[int, list[Row]]]]:
    """What is hidden, and the steps of the days up to `ends`."""
    ends = ends // STEP * STEP
    begins = (ends - days * DAY) // HOUR * HOUR
    hidden = usual_story(places, begins, ends, random.Random(seed))
    country = Country(places, seed, hidden)
    return hidden, ((at, country.rows(at)) for at in range(begins, ends, STEP))
