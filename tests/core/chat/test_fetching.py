"""Several relays give one file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.chat.fetching import RUN, Fetching, Run
from holdfast.core.seal.chunks import PART


def test_one_home_reads_through() -> None:
    plan = Fetching(RUN + 10)
    assert plan.step("a") == Run(0, RUN)
    for index in range(RUN):
        assert plan.got(index)
    assert plan.step("a") == Run(RUN, RUN + 10)
    for index in range(RUN, RUN + 10):
        plan.got(index)
    assert plan.step("a") is None
    assert plan.whole


def test_two_homes_share_and_the_fast_one_takes_half_of_the_rest() -> None:
    plan = Fetching(100)
    assert plan.step("slow") == Run(0, 100)
    assert plan.step("fast") == Run(50, 100)
    assert plan.run("slow") == Run(0, 50)
    for index in range(50, 100):
        plan.got(index)
    assert plan.step("fast") == Run(25, 50)


def test_a_home_that_is_lost_leaves_its_run_to_others() -> None:
    plan = Fetching(10)
    plan.step("a")
    plan.got(0)
    plan.release("a")
    assert plan.step("b") == Run(1, 10)


def test_a_run_stays_in_one_log() -> None:
    plan = Fetching(PART + 5)
    for index in range(PART - 3):
        plan.got(index)
    assert plan.step("a") == Run(PART - 3, PART)
    assert plan.step("b") == Run(PART, PART + 5)
    assert Run(PART, PART + 5).part == 1
    assert Run(PART + 2, PART + 5).since == 2


@given(st.integers(1, 700), st.binary(max_size=100))
def test_what_was_kept_is_known_again(count: int, have: bytes) -> None:
    plan = Fetching(count, have)
    again = Fetching(count, plan.dump())
    assert again.done == plan.done == sum(plan.has(i) for i in range(count))
    assert again.dump() == plan.dump()


@given(
    st.integers(1, 600),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.booleans())),
)
def test_whatever_homes_do_no_run_overlaps_and_all_is_asked_for(count, moves) -> None:
    plan = Fetching(count)
    for home, some, lost in moves:
        run = plan.step(home)
        if run is None:
            continue
        if lost:
            plan.release(home)
            continue
        for index in range(run.start, min(run.end, run.start + some)):
            plan.got(index)
        taken = [r for h in "abc" if (r := plan.run(h))]
        for one in taken:
            assert one.start // PART == (one.end - 1) // PART
            missing = [index for index in range(one.start, one.end) if not plan.has(index)]
            assert len(missing) < 2 or all(  # the very last is asked of several
                one is other or one.end <= other.start or other.end <= one.start for other in taken
            )
    for home in "bc":
        plan.release(home)
    steps = 0
    while (run := plan.step("a")) is not None:
        steps += 1
        assert steps < 100
        for index in range(run.start, run.end):
            plan.got(index)
    assert plan.whole
