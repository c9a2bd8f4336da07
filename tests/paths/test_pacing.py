"""How large an exchange is: found between what passes and what does not."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.paths.pacing import FIRST, LEAST, MOST, TRUSTED, Size


def carry(size: Size, limit: int, times: int) -> tuple[int, int]:
    """So many exchanges, all full, on a network that lets so much pass; bytes, and lost ones."""
    carried = lost = 0
    for _ in range(times):
        asked = size.now
        if asked <= limit:
            size.passed(asked)
            carried += asked
        else:
            size.failed(asked)
            lost += 1
    return carried, lost


@given(st.integers(LEAST, 2 * MOST))
def test_what_passes_is_found_and_few_connections_are_lost_to_it(limit: int) -> None:
    size = Size()
    _, lost = carry(size, limit, 20)
    assert lost <= 7
    carried, lost = carry(size, limit, 400)
    assert lost <= 400 // TRUSTED * 3
    assert carried >= 0.75 * 400 * min(limit, MOST)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20_000)), max_size=60))
@example([(True, 12_500), (False, 20_000), (True, 12_500)])
def test_it_stays_within_its_bounds_whatever_happens(story: list[tuple[bool, int]]) -> None:
    size = Size()
    for good, carried in story:
        (size.passed if good else size.failed)(carried)
        assert LEAST <= size.now <= MOST


def test_small_exchanges_say_nothing_of_large_ones() -> None:
    size = Size()
    for _ in range(100):
        size.passed(300)
    assert size.now == FIRST


def test_where_less_passes_than_before_it_follows() -> None:
    size = Size()
    carry(size, MOST, 20)
    assert size.now == MOST
    carry(size, 4_000, 12)
    assert LEAST <= size.now <= 4_000
