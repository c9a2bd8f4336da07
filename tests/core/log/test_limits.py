from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.log.limits import Bucket


def test_a_bucket_is_full_at_first_and_fills_with_time() -> None:
    bucket = Bucket(rate=10, burst=2)
    assert [bucket.take(1, 0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(1, 99)
    assert bucket.take(1, 200)
    assert [bucket.take(1, 10**9) for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(1, 5)), max_size=60))
def test_never_more_than_the_rate_whatever_the_clock_does(
    steps: list[tuple[int, int]],
) -> None:
    bucket, now, taken = Bucket(rate=10, burst=20), 0, 0
    forward = 0
    for step, amount in steps:
        now += step
        forward += max(0, step)
        taken += amount * bucket.take(amount, now)
        assert taken <= 20 + forward / 100 + 1e-6
