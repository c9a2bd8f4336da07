"""The buffer before the ear."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call.jitter import (
    CONCEALED,
    GENTLE,
    MOST,
    PLAIN,
    Conceal,
    Jitter,
    Nothing,
    Packet,
    Pulled,
)


def number(pulled: Pulled) -> int | str:
    """What was played, in short."""
    if isinstance(pulled, Packet):
        return int.from_bytes(pulled.data, "big")
    return "conceal" if isinstance(pulled, Conceal) else "nothing"


def took(pulled: Pulled, quiet: bool) -> float:
    """Units of time until the sound card asks again."""
    if not isinstance(pulled, Packet):
        return 1
    gentle = abs(pulled.speed - PLAIN) <= GENTLE
    return pulled.units * PLAIN / (PLAIN if gentle and not quiet else pulled.speed)


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
        pulled = buffer.pull()
        what = number(pulled)
        played.append(what)
        if isinstance(what, int):
            delays.append(now - 20 * what)
        now += step * took(pulled, quiet=int(now) % 4_000 > 3_000)
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


def test_a_late_frame_at_the_beginning_is_waited_for() -> None:
    buffer = playing()
    assert [number(buffer.pull()) for _ in range(2)] == [1, "conceal"]
    put(buffer, 2, 3)
    assert [number(buffer.pull()) for _ in range(2)] == [2, 3]


def settled() -> tuple[Jitter, int]:
    """A buffer that has played for long, and its next frame."""
    buffer = Jitter()
    put(buffer, 0)
    for at in range(1, 600):
        put(buffer, at)
        assert number(buffer.pull()) == at - 1
    return buffer, 599


def test_later_one_late_frame_moves_nothing() -> None:
    buffer, at = settled()
    assert [number(buffer.pull()) for _ in range(2)] == [at, "conceal"]
    put(buffer, at + 1, at + 2)
    assert number(buffer.pull()) == at + 2


def test_what_is_late_again_makes_it_deeper() -> None:
    buffer, at = settled()
    assert [number(buffer.pull()) for _ in range(2)] == [at, "conceal"]
    put(buffer, at + 1, at + 2)
    assert [number(buffer.pull()) for _ in range(2)] == [at + 2, "conceal"]
    put(buffer, at + 3, at + 4)
    assert [number(buffer.pull()) for _ in range(2)] == [at + 3, at + 4]


def test_what_the_beginning_left_behind_does_not_move_speech() -> None:
    """Two programs that have just started are slow for half a second; speech begins after the
    first one."""
    for seed in range(40):
        random, buffer, coming, last = Random(seed), Jitter(), [], 0.0
        for at in range(1_000):
            slow = at < 8 or 60 <= at < 100
            last = max(last, 20 * at + 10 + random.random() * (90 if slow else 3))
            coming.append(last)
        now, place = 12.0 + seed % 20, 0
        shifts, silent = set(), 0
        while now < 20_000:
            while place < len(coming) and coming[place] <= now:
                put(buffer, place)
                place += 1
            pulled = buffer.pull()
            what = number(pulled)
            if now > 3_000:
                silent += not isinstance(what, int)
                if isinstance(what, int):
                    shifts.add(round((now - 20 * what) / 20))
            now += 20 * took(pulled, quiet=False)
        assert (len(shifts), silent) == (1, 0), seed


def test_a_double_or_late_one_is_dropped() -> None:
    buffer = playing()
    put(buffer, 1, 0)
    assert buffer.late == 2
    assert number(buffer.pull()) == 1


def test_what_was_said_in_a_gap_is_played_faster() -> None:
    buffer, at = settled()
    played = [number(buffer.pull()) for _ in range(250)]
    assert played == [at, *["conceal"] * CONCEALED, *["nothing"] * (249 - CONCEALED)]
    end = at + 250
    put(buffer, *range(at + 1, end))
    now, numbers, speeds = 0.0, [], []
    while buffer.waiting_ms > 300:
        pulled = buffer.pull()
        assert isinstance(pulled, Packet)
        numbers.append(number(pulled))
        speeds.append(pulled.speed)
        now += took(pulled, quiet=False)
        while end - at - 250 < now:
            put(buffer, end)
            end += 1
    assert numbers == list(range(at + 1, at + 1 + len(numbers)))
    assert max(speeds) == 150
    assert now * 20 < 20_000


def test_what_waits_is_bounded() -> None:
    buffer = playing()
    put(buffer, *range(2, 2_000))
    assert buffer.waiting_ms == MOST * 20
    assert number(buffer.pull()) == 2_000 - MOST


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
    depths, due = [], 0.0
    for at in range(6_000):
        shake = 80 if at < 1_000 else 2
        while place * 20 + random.random() * shake <= at * 20:
            put(buffer, place)
            place += 1
        while at >= due:
            due = max(due, at - 1) + took(buffer.pull(), quiet=at % 200 > 150)
        depths.append(buffer.depth_ms)
    assert max(depths[:1_000]) > depths[-1]
    assert depths[-1] <= 35


@pytest.mark.parametrize("drift", [-200, 200])
def test_unequal_sound_cards_for_two_hours(drift: int) -> None:
    buffer, played, delays = play(4, 7_200, drift=drift)
    assert max(delays[1_000:]) <= 10 + 3 + 3 * 20
    assert played.count("conceal") <= 7_200 * 200e-6 * 50 * 2.2 + 5
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
    assert len(buffer._packets) <= MOST
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
        assert len(buffer._packets) <= MOST
