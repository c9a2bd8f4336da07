"""The rhythm in which packets leave."""

from __future__ import annotations

import itertools
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call.frames import FRAME_MS
from holdfast.core.call.pace import LOST, MARGIN, Pace


def test_coding_time_does_not_show() -> None:
    random, pace = Random(1), Pace()
    leaves = []
    for at in range(1_000):
        speech = at // 100 % 2
        leaves.append(pace.leaves(at * FRAME_MS + random.random() + 0.5 * speech))
    gaps = [b - a for a, b in itertools.pairwise(leaves)]
    assert max(gaps) - min(gaps) < 0.05
    apart = [statistics.mean(gaps[turn * 100 : turn * 100 + 99]) for turn in range(10)]
    assert max(apart) - min(apart) < 0.01


@pytest.mark.parametrize("drift", [-500, 500])
def test_it_follows_the_sound_card(drift: int) -> None:
    pace, step = Pace(), FRAME_MS * (1 + drift / 1_000_000)
    waits = [pace.leaves(at * step) - at * step for at in range(100_000)]
    assert max(abs(wait - MARGIN) for wait in waits) < 2


def test_after_a_pause_it_begins_anew() -> None:
    pace = Pace()
    pace.leaves(0)
    assert pace.leaves(5_000) == 5_000 + MARGIN


@given(st.lists(st.floats(0, 300), max_size=200))
def test_nothing_waits_long_or_leaves_before_it_came(gaps: list[float]) -> None:
    pace, now, before = Pace(), 0.0, 0.0
    for gap in gaps:
        now += gap
        leaves = pace.leaves(now)
        assert now <= leaves <= now + MARGIN + LOST
        assert leaves >= before
        before = leaves
