import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal.padding import CLASSES, TooLong, pad, size_class, unpad


@given(st.binary(max_size=3000), st.sampled_from([0, 28, 1137]))
def test_what_was_padded_comes_back_and_the_whole_is_a_class(data: bytes, overhead: int) -> None:
    padded = pad(data, overhead)
    assert unpad(padded) == data
    assert len(padded) + overhead in CLASSES


@given(st.binary(max_size=600))
def test_only_zeros_fill(data: bytes) -> None:
    try:
        inside = unpad(data)
    except ValueError:
        return
    assert data == (len(inside).to_bytes(4, "big") + inside).ljust(len(data), b"\0")


def test_a_changed_filling_is_refused() -> None:
    padded = bytearray(pad(b"content"))
    padded[-1] = 1
    with pytest.raises(ValueError, match="not padded"):
        unpad(bytes(padded))


def test_each_class_holds_exactly_its_length() -> None:
    for size in CLASSES:
        assert size_class(size) == size
    with pytest.raises(TooLong, match="65536"):
        size_class(65_537)
