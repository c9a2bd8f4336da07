"""Series from outside as CSV: a time and a value a row, as their sources publish them.

Hostile until parsed: bounded, and each error says what to do. Times without a zone are in the one
that is given; an hour that the clock skipped in spring is left out.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import zoneinfo
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ROWS: Final = 5_000_000
MAX_SERIES: Final = 1_000
LOOKED_AT: Final = 50
"""Rows from which columns are told apart."""
DAY: Final = 86_400
WHOLE: Final = 0.75
"""Share of a day's steps that has to be there for the day to count."""
MISSING: Final = {"", "nan", "na", "n/a", "null", "none", "-", "\\n"}
WORDS: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "t": 1.0, "f": 0.0}
FORMS: Final = (
    "%d-%b-%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y-%m-%d %H",
)  # fmt: skip
SECONDS: Final = (1e8, 4.2e9)
"""Between which a number is a time: 1973 to 2103."""


class BadSeries(ValueError):
    """The file cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class Series:
    """Values at seconds since 1970, ascending; None is a value that is missing."""

    name: str
    at: tuple[int, ...]
    values: tuple[float | None, ...]

    @property
    def step(self) -> int:
        """Seconds between two values, as it mostly is; 0 for fewer than two."""
        found = Counter(b - a for a, b in zip(self.at, self.at[1:], strict=False))
        return found.most_common(1)[0][0] if found else 0

    def days(self, zone: datetime.tzinfo) -> dict[int, float]:
        """Means of the days, since 1970, that were seen nearly whole."""
        sums: dict[int, list[float]] = {}
        for at, value in zip(self.at, self.values, strict=True):
            if value is not None:
                sums.setdefault((at + offset(at, zone)) // DAY, []).append(value)
        least = WHOLE * DAY / self.step if 0 < self.step < DAY else 1
        return {
            day: math.fsum(each) / len(each) for day, each in sums.items() if len(each) >= least
        }


def offset(at: int, zone: datetime.tzinfo) -> int:
    """Seconds by which clocks in the zone are ahead of UTC."""
    if zone is datetime.UTC:
        return 0
    ahead = datetime.datetime.fromtimestamp(at, zone).utcoffset()
    return int(ahead.total_seconds()) if ahead else 0


def zone_of(name: str) -> datetime.tzinfo:
    """A zone like Europe/Amsterdam. Raises `BadSeries`."""
    if name == "UTC":
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSeries(f"there is no time zone {name!r}; write one like Europe/Berlin") from None


def moment(text: str, zone: datetime.tzinfo) -> int | None:
    """Seconds since 1970 of a time in ISO 8601, in seconds or in milliseconds; None for an hour
    that did not exist. Raises ValueError."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        for unit in (1, 1000):
            if SECONDS[0] <= number / unit <= SECONDS[1]:
                return int(number / unit)
        if len(text) != 8:  # 20260131 is a day
            raise ValueError(text)
    found: datetime.datetime | None = None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        for form in FORMS:
            try:
                found = datetime.datetime.strptime(text, form)  # noqa: DTZ007
                break
            except ValueError:
                continue
    if found is None:
        raise ValueError(text)
    if found.tzinfo is None:
        plain, found = found, found.replace(tzinfo=zone)
        back = datetime.datetime.fromtimestamp(found.timestamp(), zone).replace(tzinfo=None)
        if back != plain:
            return None
    return int(found.timestamp())


def number(text: str) -> float | None:
    """A value; None if it is missing. Raises ValueError."""
    plain = text.strip().lower()
    if plain in MISSING:
        return None
    if plain in WORDS:
        return WORDS[plain]
    try:
        value = float(plain)
    except ValueError:
        value = float(plain.replace(" ", "").replace("\u00a0", "").replace(",", "."))
    return value if math.isfinite(value) else None


def read(
    data: bytes,
    name: str = "",
    *,
    time: str = "",
    value: str = "",
    by: str = "",
    zone: datetime.tzinfo = datetime.UTC,
) -> list[Series]:
    """The series of a CSV file: one, or one for each value of the column `by`. Columns are named as
    in the first row; without a name the first that holds times, and "value" or the last that holds
    numbers. Values at the same time are averaged. Raises `BadSeries`."""
    if len(data) > MAX_BYTES:
        raise BadSeries(f"it is longer than {MAX_BYTES // 2**20} MB; cut it into parts")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadSeries("it is not text in UTF-8; save it as CSV in UTF-8") from None
    head = text[:4096].splitlines()[:5]
    if not head:
        raise BadSeries("it is empty")
    delimiter = max(",;\t", key=lambda each: min(line.count(each) for line in head))
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise BadSeries(f"it is not CSV: {error}") from None
    if len(rows) > MAX_ROWS:
        raise BadSeries(f"it has more than {MAX_ROWS} rows; cut it into parts")
    if not rows:
        raise BadSeries("it has no row with a value")
    names = rows[0]
    if any(_is_time(cell, zone) for cell in names):
        names = [str(n + 1) for n in range(len(rows[0]))]
    else:
        rows = rows[1:]
    columns = _columns(names, rows[:LOOKED_AT], zone, time, value, by)
    return _grouped(rows, columns, zone, name)


def _is_time(cell: str, zone: datetime.tzinfo) -> bool:
    try:
        moment(cell, zone)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _columns(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    zone: datetime.tzinfo,
    time: str,
    value: str,
    by: str,
) -> tuple[int, int, int]:
    """Places of time, value and group; -1: there is no group."""
    plain = [each.strip().lower() for each in names]

    def place(asked: str) -> int:
        if asked.strip().lower() not in plain:
            raise BadSeries(f"there is no column {asked!r}; there are: {', '.join(names)[:300]}")
        return plain.index(asked.strip().lower())

    def cells(column: int) -> list[str]:
        return [row[column] for row in rows if column < len(row)]

    found = range(len(names))
    times = [n for n in found if cells(n) and all(_is_time(each, zone) for each in cells(n))]
    numbers = [n for n in found if n not in times and all(map(_is_number, cells(n)))]
    if not time and not times:
        raise BadSeries("no column holds times; name one with --time")
    chosen = place(time) if time else times[0]
    numbers = [n for n in numbers if n != chosen and any(cells(n))]
    if value:
        measured = place(value)
    elif "value" in plain and plain.index("value") != chosen:
        measured = plain.index("value")
    elif numbers:
        measured = numbers[-1]
    else:
        raise BadSeries("no column holds numbers; name one with --value")
    return chosen, measured, place(by) if by else -1


def _grouped(
    rows: Sequence[Sequence[str]],
    columns: tuple[int, int, int],
    zone: datetime.tzinfo,
    name: str,
) -> list[Series]:
    when, what, group = columns
    sums: dict[str, dict[int, list[float]]] = {}
    for line, row in enumerate(rows, 2):
        if max(columns) >= len(row):
            raise BadSeries(f"row {line} is too short")
        try:
            at, value = moment(row[when], zone), number(row[what])
        except (ValueError, OverflowError, OSError):
            raise BadSeries(f"row {line} has no time or no number where one should be") from None
        if at is None:
            continue
        key = row[group].strip()[:100] if group >= 0 else name
        if key not in sums and len(sums) >= MAX_SERIES:
            raise BadSeries(
                f"it has more than {MAX_SERIES} series; choose another column with --by"
            )
        found = sums.setdefault(key, {}).setdefault(at, [])
        if value is not None:
            found.append(value)
    made = []
    for key, points in sorted(sums.items()):
        at_all = sorted(points)
        values = (points[at] for at in at_all)
        made.append(
            Series(key, tuple(at_all), tuple(math.fsum(v) / len(v) if v else None for v in values))
        )
    if not made:
        raise BadSeries("it has no row with a value")
    return made
