"""Time and entropy under the test's control."""

import pytest

from holdfast.testing.clock import START, Clock
from holdfast.testing.entropy import seeded


def test_time_stands_until_it_is_moved() -> None:
    clock = Clock()
    assert clock() == clock() == START
    assert clock.advance(5) == clock() == START + 5
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_entropy_repeats_and_never_within_a_run() -> None:
    one, two, other = seeded("a"), seeded("a"), seeded("b")
    first = [one(n) for n in (0, 1, 16, 33, 33)]
    assert first == [two(n) for n in (0, 1, 16, 33, 33)]
    assert [len(each) for each in first] == [0, 1, 16, 33, 33]
    assert first[3] != first[4] and other(33) not in first
