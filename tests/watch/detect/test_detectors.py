"""The detectors on series made here, whose truth is known."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.watch.detect.counts import FEWER, NOTICE, Counts
from holdfast.watch.detect.level import Level
from holdfast.watch.detect.peaks import Peaks
from holdfast.watch.detect.season import DAY, HOUR, Season, slots
from holdfast.watch.detect.shares import Shares
from holdfast.watch.detect.slow import Slow

MONDAY = 4 * DAY
"""5 January 1970."""


def poisson(draw: random.Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


def test_a_season_learns_hours_and_sundays():
    season = Season()
    for hour in range(24 * 7 * 8):
        at = MONDAY + hour * HOUR
        weekday, clock = hour // 24 % 7, hour % 24
        season.learn(at, (2 if weekday == 6 else 10) * (3 if 8 <= clock < 20 else 1))
    week = MONDAY + 56 * DAY
    assert season.rate(week + 12 * HOUR) == pytest.approx(30, rel=0.1)
    assert season.rate(week + 2 * HOUR) == pytest.approx(10, rel=0.15)
    assert season.rate(week + 6 * DAY + 12 * HOUR) == pytest.approx(6, rel=0.3)
    holiday = frozenset({week // DAY})
    assert season.rate(week + 12 * HOUR, holiday) == pytest.approx(6, rel=0.3)


def test_an_outburst_teaches_a_season_little():
    season = Season()
    for hour in range(24 * 14):
        season.learn(MONDAY + hour * HOUR, 5)
    season.learn(MONDAY + 14 * DAY, 5_000)
    assert season.rate(MONDAY + 14 * DAY + HOUR) < 6


def test_slots_are_hours_of_the_week_that_begins_on_monday():
    assert slots(MONDAY, frozenset())[:2] == (0, 0)
    assert slots(MONDAY + 6 * DAY + 5 * HOUR, frozenset())[:2] == (5, 149)


def test_three_times_the_usual_is_noticed_and_noise_mostly_is_not():
    draw = random.Random(1)
    quiet = Counts()
    noticed = 0
    for step in range(20_000):
        if quiet.step(1 + step * 300, poisson(draw, 5 / 3), 5 / 3) >= NOTICE:
            noticed += 1
            quiet.clear()
    assert noticed < 20_000 / math.exp(NOTICE)
    found = []
    for _ in range(200):
        cell = Counts()
        steps = next(n for n in range(1, 40) if cell.step(n, poisson(draw, 5), 5 / 3) >= NOTICE)
        found.append(steps)
    assert sorted(found)[100] <= 2


def test_reports_that_stay_away_are_evidence():
    silence = Counts(FEWER)
    for step in range(1, 8):
        silence.step(step * 300, 0, 4.0)
    assert silence.evidence > 10 and silence.since == 300


def test_single_failures_are_no_change_and_a_run_of_them_is():
    shares = Shares()
    for n in range(60):
        assert shares.add(n * HOUR, int(n % 20 == 19), 1) is None
    changes = [shares.add((60 + n) * HOUR, 1, 1) for n in range(5)]
    begun = [change for change in changes if change]
    assert [change.failing for change in begun] == [True]
    assert begun[0].since <= 60 * HOUR
    back = [shares.add((70 + n) * HOUR, 0, 1) for n in range(12)]
    ended = [change for change in back if change]
    assert [change.failing for change in ended] == [False] and ended[0].since == 70 * HOUR


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_shares_take_anything(measured):
    shares = Shares()
    for at, (failed, more) in enumerate(measured):
        shares.add(at * 600, failed, failed + more)
        assert 0 < shares.usual < 0.5 and shares.evidence >= 0


def waves(hours: int, draw: random.Random, noise: float = 0.05):
    for hour in range(hours):
        shape = 100 + 40 * math.cos((hour - 20) / 24 * 2 * math.pi)
        yield hour * HOUR, shape * math.exp(draw.gauss(0, noise))


def test_a_level_falls_and_comes_back():
    level, seen = Level(HOUR), []
    for at, value in waves(24 * 14, random.Random(2)):
        dark = 10 * DAY <= at < 11 * DAY
        change = level.add(at, value * (0.02 if dark else 1))
        seen += [change] if change else []
    assert [(change.down, change.at) for change in seen] == [
        (True, 10 * DAY), (False, 11 * DAY),
    ]  # fmt: skip


def test_a_level_that_is_noisy_or_missing_is_not_down():
    draw = random.Random(3)
    level = Level(HOUR)
    for at, value in waves(24 * 60, draw, 0.15):
        assert level.add(at, None if draw.random() < 0.1 else value) is None


def test_a_new_normal_is_accepted():
    level = Level(HOUR)
    for at, value in waves(24 * 80, random.Random(4)):
        level.add(at, value * (0.2 if at > 20 * DAY else 1))
    assert not level.down


def test_a_leap_is_news_once():
    draw, peaks = random.Random(5), Peaks()
    news = []
    for step in range(288 * 12):
        outburst = 288 * 9 <= step < 288 * 9 + 60
        if peaks.add(poisson(draw, 3) + (60 if outburst else 0)):
            news.append(step)
    assert len([step for step in news if 288 * 9 <= step < 288 * 9 + 12]) == 1
    assert len(news) <= 3


def days(number: int, seed: int, throttled_from: int | None, depth: float):
    """A series, its throttled twin's value, and a control with the same demand."""
    draw, level = random.Random(seed), 0.0
    for day in range(number):
        level += draw.gauss(0, 0.004)
        demand = level + 0.1 * math.sin(day / 365 * 2 * math.pi) + (0.1 if day % 7 > 4 else 0)
        loss = 1.0
        if throttled_from is not None and day >= throttled_from:
            loss -= depth * min(1.0, (day - throttled_from) / 60)
        yield (
            100 * math.exp(demand + draw.gauss(0, 0.04)) * loss,
            80 * math.exp(demand + draw.gauss(0, 0.04)),
        )


def test_throttling_that_creeps_in_is_found_against_a_control():
    slow, found = Slow(1), None
    for day, (own, control) in enumerate(days(560, 6, 430, 0.3)):
        slow.add(None if day % 50 == 0 else own, [control])
        if slow.slow and found is None:
            found = day
    assert found is not None and 430 <= found <= 430 + 40


def test_what_controls_share_is_no_throttling():
    for seed in (1, 2, 3):
        slow = Slow(1)
        for own, control in days(700, seed, None, 0):
            slow.add(own, [control])
            assert not slow.slow


def test_a_rise_of_some_weeks_and_the_way_back_is_no_throttling():
    slow, begun = Slow(1), []
    for day, (own, control) in enumerate(days(640, 4, None, 0)):
        was = slow.slow
        slow.add(own * (1.3 if 480 <= day < 500 else 1), [control])
        begun += [day] if slow.slow and not was else []
    assert begun == []


def test_a_step_is_told_once_and_how_large():
    slow, begun = Slow(1), []
    for day, (own, control) in enumerate(days(560, 8, None, 0)):
        was = slow.slow
        slow.add(own * (0.75 if day >= 450 else 1), [control])
        if slow.slow and not was:
            begun.append(day)
        if day == 510:
            assert slow.fallen == pytest.approx(0.25, abs=0.08)
    assert len(begun) == 1 and 450 <= begun[0] <= 480


@settings(deadline=None, max_examples=20)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=310, max_size=330))
def test_slow_takes_anything(values):
    slow = Slow(1)
    for value in values:
        assert math.isfinite(slow.add(value, [value]))
