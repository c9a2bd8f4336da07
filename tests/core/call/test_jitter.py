"""The buffer before the ear."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call.jitter import CONCEALED, Conceal, Jitter, Nothing, Packet, Pulled


def number(pulled: Pulled) -> int | str:
    """What was played, in short."""
    if isinstance(pulled, Packet):
        return int.from_bytes(pulled.data, "big")
    return "conceal" if isinstance(pulled, Conceal) else "nothing"


def put(buffer: Jitter, *frames: int) -> None:
    for one in frames:
        buffer.put(one, one.to_bytes(4, "big"))


def play(
    seed: int,
    seconds: float,
    jitter: float = 3,
    loss: float = 0.0,
    drift: int = 0,
    phase: float = 5,
) -> tuple[Jitter, list[int | str], list[float]]:
    """Frames every 20 ms over a network, an ear whose card runs `drift` millionths fast.
    What was played, and how long after it was sent (ms)."""
    random, buffer = Random(seed), Jitter()
    frames = int(seconds * 50)
    coming = sorted(
        (20 * i + 10 + random.random() * jitter, i)
        for i in range(frames)
        if random.random() >= loss
    )
    played: list[int | str] = []
    delays = []
    step = 20 * (1 - drift / 1_000_000)
    now, place = 10 + phase, 0
    while now < 20 * frames:
        while place < len(coming) and coming[place][0] <= now:
            put(buffer, coming[place][1])
            place += 1
        what = number(buffer.pull())
        played.append(what)
        if isinstance(what, int):
            delays.append(now - 20 * what)
        now += step
    return buffer, played, delays


def playing() -> Jitter:
    """A buffer that has played frame 0 and has frame 1."""
    buffer = Jitter()
    put(buffer, 0, 1)
    assert number(buffer.pull()) == 0
    return buffer


def test_frames_in_order() -> None:
    buffer = Jitter()
    assert number(buffer.pull()) == "nothing"
    put(buffer, 7)
    assert number(buffer.pull()) == "nothing"
    put(buffer, 8, 9)
    assert [number(buffer.pull()) for _ in range(2)] == [8, 9]


def test_a_lost_frame_is_concealed_and_its_time_passes() -> None:
    buffer = playing()
    put(buffer, 3)
    assert [number(buffer.pull()) for _ in range(3)] == [1, "conceal", 3]


def test_a_late_frame_is_waited_for() -> None:
    buffer = playing()
    assert [number(buffer.pull()) for _ in range(2)] == [1, "conceal"]
    put(buffer, 2, 3)
    assert [number(buffer.pull()) for _ in range(2)] == [2, 3]


def test_a_frame_lost_while_nothing_was_there_is_concealed_once() -> None:
    buffer = playing()
    assert [number(buffer.pull()) for _ in range(2)] == [1, "conceal"]
    put(buffer, 3)
    assert number(buffer.pull()) == 3


def test_a_double_or_late_one_is_dropped() -> None:
    buffer = playing()
    put(buffer, 1, 0)
    assert buffer.late == 2
    assert number(buffer.pull()) == 1


def test_a_silence_is_not_caught_up_with() -> None:
    buffer = Jitter()
    put(buffer, 0, 1)
    played = [number(buffer.pull()) for _ in range(20)]
    assert played == [0, 1, *["conceal"] * CONCEALED, *["nothing"] * (18 - CONCEALED)]
    put(buffer, *range(1, 300))
    first = number(buffer.pull())
    assert isinstance(first, int)
    assert first >= 298


@pytest.mark.parametrize("phase", [0, 5, 10, 11, 13, 19])
def test_on_a_clean_network_it_costs_two_frames_at_most(phase: float) -> None:
    buffer, played, delays = play(1, 60, phase=phase)
    assert played.count("conceal") <= 1
    assert max(delays[50:]) <= 10 + 3 + 40 + 20
    assert sum(delays[50:]) / len(delays[50:]) <= 10 + 3 + 40
    assert buffer.lost == 0


def test_it_deepens_for_a_rough_network_and_comes_back() -> None:
    rough, played, _ = play(2, 60, jitter=80)
    assert played[500:].count("conceal") < 0.03 * len(played[500:])
    assert rough.depth_ms > 20
    buffer = Jitter()
    random = Random(3)
    place = 0
    depths = []
    for at in range(6_000):
        shake = 80 if at < 1_000 else 2
        while place * 20 + random.random() * shake <= at * 20:
            put(buffer, place)
            place += 1
        buffer.pull()
        depths.append(buffer.depth_ms)
    assert max(depths[:1_000]) > depths[-1]
    assert depths[-1] <= 30


@pytest.mark.parametrize("drift", [-200, 200])
def test_unequal_sound_cards_for_two_hours(drift: int) -> None:
    buffer, played, delays = play(4, 7_200, drift=drift)
    assert max(delays[1_000:]) <= 10 + 3 + 3 * 20
    assert played.count("conceal") <= 7_200 * 200e-6 * 50 * 1.5 + 5
    assert buffer.lost <= 1


@given(
    st.integers(0, 1000),
    st.floats(0, 400),
    st.floats(0, 0.6),
    st.integers(-500, 500),
)
def test_whatever_the_network_does(seed, jitter, loss, drift) -> None:
    buffer, played, _ = play(seed, 20, jitter, loss, drift)
    frames = [one for one in played if isinstance(one, int)]
    assert frames == sorted(set(frames))
    assert len(buffer._frames) <= 15
    assert 0 <= buffer.lost <= 100


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**40)), max_size=200))
def test_absurd_orders_are_bounded(steps: list[int | None]) -> None:
    buffer, last = Jitter(), -1
    for step in steps:
        if step is None:
            found = buffer.pull()
            if isinstance(found, Packet):
                one = int.from_bytes(found.data, "big")
                assert one > last
                last = one
            else:
                assert isinstance(found, Conceal | Nothing)
        else:
            buffer.put(step, step.to_bytes(8, "big"))
        assert len(buffer._frames) <= 15
