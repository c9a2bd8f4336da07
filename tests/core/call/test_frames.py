"""A frame's slot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call.frames import NOTHING, PACKET, SIZE, BadFrame, Frame, decode, encode

frames = st.builds(
    Frame,
    st.binary(max_size=PACKET),
    st.booleans(),
    st.none() | st.integers(0, NOTHING - 1),
    st.integers(0, 255),
    st.integers(0, 100),
)


@given(frames)
def test_a_frame_comes_back_and_always_has_one_size(frame: Frame) -> None:
    data = encode(frame)
    assert len(data) == SIZE
    assert decode(data) == frame


@given(st.binary(max_size=2 * SIZE))
def test_garbage_is_a_frame_or_is_refused(data: bytes) -> None:
    try:
        decode(data)
    except BadFrame:
        return
    assert len(data) == SIZE


def test_an_oversize_packet_is_not_sent() -> None:
    with pytest.raises(BadFrame):
        encode(Frame(bytes(PACKET + 1)))
