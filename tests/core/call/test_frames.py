"""A frame's slot, and a burst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.frames import (
    HEAD,
    HELD_STEP,
    NOTHING,
    QUEUE_STEP,
    BadFrame,
    Frame,
    Report,
    decode,
    encode,
    size,
)
from holdfast.core.call.rungs import ALL, CODINGS, RUNGS, Rung

reports = st.builds(
    Report,
    st.none() | st.integers(0, NOTHING - 1),
    st.integers(0, 0xFFFF),
    st.integers(0, 255).map(lambda steps: steps * HELD_STEP),
    st.integers(0, 255).map(lambda steps: steps * QUEUE_STEP),
    st.integers(0, 100),
)


def packets(rung: Rung) -> st.SearchStrategy[bytes]:
    return st.just(b"") | st.binary(min_size=rung.size, max_size=rung.size)


def frames_of(rung: Rung) -> st.SearchStrategy[Frame]:
    copies = st.tuples(*[packets(rung) for _ in rung.copies])
    at, clock = st.integers(0, NOTHING), st.integers(0, 0xFFFF)
    return st.builds(Frame, st.just(rung), at, packets(rung), copies, st.booleans(), clock, reports)


frames = st.sampled_from(ALL).flatmap(frames_of)


@given(frames)
def test_a_frame_comes_back_and_has_the_size_of_its_rung(frame: Frame) -> None:
    data = encode(frame)
    assert len(data) == size(frame.rung)
    assert decode(data) == frame


@given(reports)
def test_a_report_alone_is_a_head(report: Report) -> None:
    frame = Frame(None, report=report)
    assert len(encode(frame)) == HEAD
    assert decode(encode(frame)) == frame


@given(st.binary(max_size=200))
def test_garbage_is_a_frame_or_is_refused(data: bytes) -> None:
    try:
        frame = decode(data)
    except BadFrame:
        return
    assert len(data) == size(frame.rung)


@pytest.mark.parametrize("rung", ALL)
def test_a_packet_of_another_size_is_not_sent(rung: Rung) -> None:
    nothing = (b"",) * len(rung.copies)
    for wrong in (rung.size - 1, rung.size + 1):
        with pytest.raises(BadFrame):
            encode(Frame(rung, packet=bytes(wrong), copies=nothing))
    with pytest.raises(BadFrame):
        encode(Frame(rung, copies=(*nothing, b"")))


spoken = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(list(CODINGS.values()))).flatmap(
        lambda found: st.tuples(st.just(found[0]), st.just(found[1]), packets(found[1]))
    ),
    max_size=40,
)


@given(spoken)
def test_a_burst_comes_back(said) -> None:
    at, sent = 7, []
    for hole, rung, packet in said:
        at += hole
        sent.append(Spoken(at, rung, packet))
        at += rung.units
    assert bursts.decode(bursts.encode(sent)) == sent


def test_a_burst_is_little_more_than_its_packets() -> None:
    rung = RUNGS[3]
    sent = [Spoken(at, rung, bytes((at,)) * rung.size) for at in range(0, 99, rung.units)]
    assert len(bursts.encode(sent)) == 6 + len(sent) * rung.size


@given(st.binary(max_size=300))
def test_garbage_is_a_burst_or_is_refused(data: bytes) -> None:
    try:
        found = bursts.decode(data)
    except BadFrame:
        return
    assert sum(one.rung.units for one in found) <= bursts.MOST_UNITS


def test_a_burst_is_bounded() -> None:
    long = [Spoken(24 * at, RUNGS[6], b"") for at in range(bursts.MOST_UNITS // 24 + 1)]
    with pytest.raises(BadFrame):
        bursts.decode(bursts.encode(long))
    with pytest.raises(BadFrame):
        bursts.decode(bytes(bursts.MOST_BYTES + 1))
