"""What is usual: an hourly rate with its hour of day, hour of week and week of year.

Each tier is a factor on the one before, learned as observed over expected with a few counts
of doubt, and forgotten with a half-life of its own. So a cell that is a day old has a level,
one that is weeks old a week, and one that is years old a year. A holiday is a Sunday.
"""

from __future__ import annotations

from typing import Final

HOUR: Final = 3600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday; Monday is 0."""
SUNDAY: Final = 6

LEVEL_HALF: Final = 14 * 24
"""Half-lives, in hours that were seen."""
DAY_HALF: Final = 28
WEEK_HALF: Final = 8
YEAR_HALF: Final = 2 * 168
DOUBT: Final = (12.0, 12.0, 40.0)
"""Expected counts that a factor of 1 is worth against what was seen: day, week, year."""


class _Tier:
    """Factors, one a slot, each a decayed ratio of what was seen to what was expected."""

    __slots__ = ("_doubt", "_expected", "_keep", "_seen")

    def __init__(self, slots: int, half: int, doubt: float) -> None:
        self._keep = 0.5 ** (1 / half)
        self._doubt = doubt
        self._seen = [0.0] * slots
        self._expected = [0.0] * slots

    def factor(self, slot: int) -> float:
        return (self._seen[slot] + self._doubt) / (self._expected[slot] + self._doubt)

    def learn(self, slot: int, seen: float, expected: float) -> float:
        """Learn one hour; what the next tier is to expect."""
        self._seen[slot] = self._seen[slot] * self._keep + seen
        self._expected[slot] = self._expected[slot] * self._keep + expected
        return expected * self.factor(slot)


class Season:
    """The usual count an hour of one cell. `holidays` are days since 1970 that are Sundays."""

    __slots__ = ("_day", "_exposure", "_hours", "_keep", "_level", "_spread", "_week", "_year")

    def __init__(self, prior: float = 0.0) -> None:
        """`prior` is a rate an hour to start from, worth one day."""
        self._keep = 0.5 ** (1 / LEVEL_HALF)
        self._level = prior * 24
        self._exposure = 24.0 if prior else 0.0
        self._day = _Tier(24, DAY_HALF, DOUBT[0])
        self._week = _Tier(168, WEEK_HALF, DOUBT[1])
        self._year = _Tier(53, YEAR_HALF, DOUBT[2])
        self._spread = (1.0, 20.0)
        self._hours = 0

    @property
    def hours(self) -> int:
        """How many were learned from."""
        return self._hours

    @property
    def dispersion(self) -> float:
        """Variance over mean of an hour's count beyond what is expected, at least 1."""
        over, weight = self._spread
        return max(1.0, over * 20 / (weight + 1e-9) if weight < 20 else over)

    def rate(self, at: int, holidays: frozenset[int] = frozenset()) -> float:
        """Expected an hour, in the hour that holds the second `at`."""
        if not self._exposure:
            return 0.0
        day, week, year = slots(at, holidays)
        level = self._level / self._exposure
        return level * self._day.factor(day) * self._week.factor(week) * self._year.factor(year)

    def learn(self, at: int, count: float, holidays: frozenset[int] = frozenset()) -> None:
        """One whole hour was seen. What is far above the usual teaches no more than a little."""
        expected = self.rate(at, holidays)
        if self._hours >= 24:
            bound = expected + 4 * (max(expected, 1.0) * self.dispersion) ** 0.5
            squared = min((count - expected) ** 2 / max(expected, 0.5), 16.0)
            over, _ = self._spread
            self._spread = (over + (squared - over) / 168, 20.0)
            count = min(count, bound)
        day, week, year = slots(at, holidays)
        self._level = self._level * self._keep + count
        self._exposure = self._exposure * self._keep + 1
        self._hours += 1
        plain = self._level / self._exposure
        self._year.learn(
            year, count, self._week.learn(week, count, self._day.learn(day, count, plain))
        )


def slots(at: int, holidays: frozenset[int]) -> tuple[int, int, int]:
    """Hour of day, hour of week and week of year of a second, in UTC."""
    days, second = divmod(at, DAY)
    hour = second // HOUR
    weekday = SUNDAY if days in holidays else (days + EPOCH_WEEKDAY) % 7
    return hour, weekday * 24 + hour, min(int(days % 365.2425 / 7), 52)
