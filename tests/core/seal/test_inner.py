import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal import hpke
from holdfast.core.seal.inner import ANSWER_SIZE, HEADER, Inner, Malformed

number = st.integers(0, 2**64 - 1)
key = st.binary(min_size=32, max_size=32)
inners = st.builds(
    Inner,
    number,
    number,
    key,
    key,
    share=st.none() | key,
    offer=st.none() | st.binary(min_size=hpke.PUBLIC, max_size=hpke.PUBLIC),
    answer=st.none() | st.binary(min_size=ANSWER_SIZE, max_size=ANSWER_SIZE),
    resend=st.none() | st.tuples(number, number),
    devices=st.none() | st.binary(max_size=300),
    content=st.none() | st.binary(max_size=300),
)


@given(inners)
def test_round_trip(inner: Inner) -> None:
    assert Inner.decode(inner.encode()) == inner


@given(inners.filter(lambda inner: inner.content is None))
def test_nothing_may_be_left_over(inner: Inner) -> None:
    with pytest.raises(Malformed):
        Inner.decode(inner.encode() + b"x")


@given(inners, st.integers(1, 400))
def test_cut_short(inner: Inner, cut: int) -> None:
    data = inner.encode()
    at_rest = 0 if inner.content is None else len(inner.content)
    if cut <= at_rest:
        return
    with pytest.raises(Malformed):
        Inner.decode(data[:-cut])


@given(st.binary(max_size=2000))
def test_garbage_is_refused_or_is_what_it_says(data: bytes) -> None:
    try:
        inner = Inner.decode(data)
    except Malformed:
        return
    assert inner.encode() == data


def test_unknown_versions_and_parts_are_refused() -> None:
    good = Inner(1, 0, bytes(32), bytes(32)).encode()
    assert len(good) == HEADER.size == 82
    for changed in (b"\2" + good[1:], good[:1] + b"\x40" + good[2:]):
        with pytest.raises(Malformed):
            Inner.decode(changed)
