"""A call from ringing to the end, on a simulated clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.call import machine
from holdfast.core.call.frames import SIZE
from holdfast.core.call.machine import Machine
from holdfast.testing.calling import CallWorld


def talking(**how) -> CallWorld:
    world = CallWorld(**how)
    world.run(500)
    world.callee.accept()
    world.run(1_000)
    assert world.caller.machine.state == world.callee.machine.state == "talking"
    return world


def test_it_rings_is_accepted_and_ends() -> None:
    world = CallWorld()
    assert (world.caller.machine.state, world.callee.machine.state) == ("calling", "ringing")
    world.run(500)
    assert world.caller.machine.state == "ringing"
    world.callee.accept()
    assert world.callee.machine.state == "connecting"
    world.run(500)
    assert world.caller.machine.state == "talking"
    world.caller.hang_up()
    world.run(500)
    assert world.caller.machine.reason == world.callee.machine.reason == "hung-up"
    assert world.callee.over


@pytest.mark.parametrize(
    ("act", "caller", "callee"),
    [
        (lambda world: world.callee.decline(), "declined", "declined"),
        (lambda world: world.callee.hang_up(), "declined", "declined"),
        (lambda world: world.caller.hang_up(), "unanswered", "missed"),
        (lambda world: world.tell(world.callee, "busy"), "busy", "missed"),
        (lambda world: world.run(61_000), "unanswered", "missed"),
    ],
)
def test_it_is_not_taken(act, caller: str, callee: str) -> None:
    world = CallWorld()
    world.run(500)
    act(world)
    world.run(70_000)
    assert (world.caller.machine.reason, world.callee.machine.reason) == (caller, callee)
    assert not world.caller.sent
    assert not world.callee.sent


def test_every_word_is_heard_in_order_and_soon() -> None:
    world = talking(delay=20, jitter=4)
    world.run(30_000)
    for side in (world.caller, world.callee):
        played = [number for _, number in side.heard]
        assert played == sorted(set(played))
        assert side.missing < 0.01
        assert side.machine.away == 0
        assert 20 <= side.machine.delay <= 100


def test_frames_have_one_size_and_one_rhythm_whoever_speaks() -> None:
    speaking, muted = talking(seed=3), talking(seed=3)
    muted.caller.mute(True)
    for world in (speaking, muted):
        world.run(20_000)
    sizes = [{size for _, size in world.caller.sent} for world in (speaking, muted)]
    assert sizes == [{SIZE}, {SIZE}]
    assert [at for at, _ in speaking.caller.sent] == [at for at, _ in muted.caller.sent]
    assert muted.callee.machine.their_muted
    assert muted.callee.heard[-1][0] < muted.now - 15_000


def test_a_sound_card_that_stops_leaves_no_hole_in_the_rhythm() -> None:
    world = talking()
    before = len(world.caller.sent)
    world.stall = world.caller
    world.run(2_000)
    world.stall = None
    world.run(2_000)
    assert 190 <= len(world.caller.sent) - before <= 210
    gaps = [b[0] - a[0] for a, b in zip(world.caller.sent, world.caller.sent[1:], strict=False)]
    assert max(gaps) <= 160


def test_the_other_network_dies_and_comes_back() -> None:
    world = talking()
    world.run(5_000)
    world.cut = True
    world.run(10_000)
    for side in (world.caller, world.callee):
        assert side.machine.state == "talking"
        assert 9_000 <= world.now - side.machine.away <= 11_000
    world.cut = False
    world.run(1_000)
    said = world.caller.said
    assert world.callee.machine.away == 0
    assert world.callee.heard[-1][1] > said - 20  # what is said now, not what was said before


def test_it_ends_by_itself_when_nothing_comes_for_long() -> None:
    world = talking()
    world.cut = True
    world.run(machine.LOST_MS + 1_000)
    assert world.caller.machine.reason == "lost"
    assert world.callee.machine.reason == "lost"


def test_nothing_was_ever_heard() -> None:
    world = CallWorld()
    world.run(500)
    world.loss = 1.0
    world.callee.accept()
    world.run(machine.CONNECT_MS + 2_000)
    reasons = {world.caller.machine.reason, world.callee.machine.reason}
    assert "failed" in reasons
    assert reasons <= {"failed", "hung-up"}


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0, 300),
    st.floats(0, 80),
    st.floats(0, 0.3),
    st.integers(-200, 200),
    st.lists(st.sampled_from(["mute", "unmute", "cut", "mend", "stall", "go"]), max_size=8),
)
def test_whatever_the_network_does(seed, delay, jitter, loss, drift, acts) -> None:
    world = CallWorld(seed, delay, jitter, loss, drift)
    world.run(1_000)
    world.callee.accept()
    for act in acts:
        world.run(700)
        match act:
            case "mute" | "unmute":
                world.caller.mute(act == "mute")
            case "cut" | "mend":
                world.cut = act == "cut"
            case "stall" | "go":
                world.stall = world.caller if act == "stall" else None
    world.cut, world.stall = False, None
    world.caller.mute(False)
    world.run(20_000)
    if world.caller.machine.state == "talking":
        for side in (world.caller, world.callee):
            played = [number for _, number in side.heard]
            assert played == sorted(set(played))
            assert {size for _, size in side.sent} == {SIZE}
            recent = [number for at, number in side.heard if at > world.now - 2_000]
            assert len(recent) >= 0.5 * (1 - loss) * 100
    world.callee.hang_up()
    world.run(2_000)
    assert world.caller.over
    assert world.callee.over


def test_steps_that_have_no_place_change_nothing() -> None:
    one = Machine(outgoing=False, now=0)
    for step in ("accept", "ringing", "decline", "busy", "what"):
        assert one.heard(step, 1) == []
    assert one.state == "ringing"
    assert one.frame(0, bytes(SIZE), 1) == []
    assert one.microphone(bytes(40), 1) == []
