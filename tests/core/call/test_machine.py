"""A call from ringing to the end, on a simulated clock."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.call import machine
from holdfast.core.call.commands import Doubt
from holdfast.core.call.frames import HEAD, size
from holdfast.core.call.machine import Machine
from holdfast.core.call.rungs import ALL, LOSSY, RUNGS
from holdfast.core.call.story import SENTENCES, sentence
from holdfast.testing.calling import CallWorld, talking

BEST = size(RUNGS[0])
FIRST = 50
"""The unit from which on nothing may be missing: by then each knows that the other is there."""
SIZES = {HEAD, *(size(rung) for rung in ALL)}


def unheard(world: CallWorld, since: int, last: int = 100) -> list[int]:
    """Units that the caller said, from one on, and the callee never heard; the last ones do not
    count."""
    return [
        unit for unit in range(since, world.caller.said - last) if unit not in world.callee.units
    ]


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
    sizes = [
        {size for at, size in world.caller.sent if at > world.now - 20_000}
        for world in (speaking, muted)
    ]
    assert sizes == [{BEST}, {BEST}]
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
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(world.caller.sent[before:])]
    assert max(gaps) <= 160


def test_the_network_dies_and_comes_back_and_nothing_is_lost() -> None:
    world = talking()
    world.run(5_000)
    world.cut = True
    world.run(10_000)
    for side in (world.caller, world.callee):
        assert side.machine.state == "talking"
        assert 9_000 <= world.now - side.machine.away <= 11_000
        assert side.machine.line == "broken"
    world.cut = False
    world.run(40_000)
    for side in (world.caller, world.callee):
        assert side.machine.away == 0
        assert not side.machine.bursts
    assert len(unheard(world, FIRST)) <= 5
    assert max(world.callee.delays(world.now - 2_000)) < 250


def test_it_ends_by_itself_when_nothing_comes_for_long() -> None:
    world = talking()
    world.cut = True
    world.run(machine.LOST_MS + 1_000)
    assert world.caller.machine.reason == "lost"
    assert world.callee.machine.reason == "lost"


def test_nothing_was_ever_heard() -> None:
    world = CallWorld()
    world.run(500)
    world.block(0)
    world.callee.accept()
    world.run(100)
    world.text_cut = True
    world.run(machine.CONNECT_MS + 2_000)
    reasons = {world.caller.machine.reason, world.callee.machine.reason}
    assert "failed" in reasons
    assert reasons <= {"failed", "hung-up"}


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(0, 200),
    st.floats(0, 80),
    st.floats(0, 0.15),
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
    world.run(25_000)
    if world.caller.machine.state == "talking":
        for side in (world.caller, world.callee):
            played = [number for _, number in side.heard]
            assert played == sorted(set(played))
            assert {size for _, size in side.sent} <= SIZES
            recent = [at for at in side.units if at > world.other(side).said - 500]
            assert len(recent) >= 80
    world.callee.hang_up()
    world.run(2_000)
    assert world.caller.over
    assert world.callee.over


def test_steps_that_have_no_place_change_nothing() -> None:
    one = Machine(outgoing=False, now=0)
    for step in ("accept", "ringing", "decline", "busy", "what"):
        assert one.heard(step, 1) == []
    assert one.state == "ringing"
    assert one.frame(0, bytes(BEST), 1) == []
    assert one.microphone(0, bytes(40), 1) == []


def test_a_blocked_way_costs_a_quarter_of_a_second_and_no_word() -> None:
    gaps = []
    for seed in range(20):
        world = talking(seed=seed, delay=30, jitter=6, ways=("datagrams", "stream"))
        world.run(4_000 + seed * 7)
        blocked = world.now
        world.block(0)
        world.run(8_000)
        gaps.append(world.callee.gap(blocked - 100, blocked + 4_000))
        assert not unheard(world, 100)
        assert not world.callee.machine.bursts
    assert sorted(gaps)[18] <= 250


def test_the_better_way_is_used_again_when_it_has_been_well() -> None:
    world = talking(delay=30, ways=("datagrams", "stream"))
    world.block(0)
    world.run(10_000)
    assert world.caller.machine.story.entries[-1].of != "0"
    world.block(0, False)
    world.run(30_000)
    assert world.caller.machine.story.entries[-1].of == "0"
    assert world.callee.delays(world.now - 3_000)
    assert max(world.callee.delays(world.now - 3_000)) < 120


def test_a_way_that_is_gone_is_left_at_once() -> None:
    world = talking(delay=20, ways=("datagrams", "stream"))
    world.run(3_000)
    gone = world.now
    world.raise_up(0, False)
    world.run(5_000)
    assert world.callee.gap(gone - 100, world.now) <= 100
    assert len(unheard(world, 60)) <= 3


def test_frames_carry_copies_where_datagrams_are_lost() -> None:
    world = talking(seed=3, delay=30, jitter=5, loss=0.3, ways=("datagrams",))
    world.run(5_000)
    assert world.callee.machine.rung is LOSSY
    silent, pulled = world.callee.silent, world.callee.pulled
    world.run(30_000)
    assert (world.callee.silent - silent) / (world.callee.pulled - pulled) < 0.05
    world.loss = 0
    world.run(40_000)
    assert world.callee.machine.rung is RUNGS[0]


@pytest.mark.parametrize(
    ("rate", "delay"), [(64_000, 500), (24_000, 700), (12_000, 1_300), (8_000, 2_000)]
)
@pytest.mark.parametrize("kind", ["stream", "datagrams"])
def test_a_thin_line_is_spoken_on_thinner(kind: str, rate: int, delay: int) -> None:
    world = talking(seed=1, delay=30, jitter=5, ways=(kind,))
    world.run(5_000)
    world.rate = rate
    world.run(60_000)
    said, carried = world.callee.silent, world.carried
    world.run(30_000)
    assert world.callee.silent - said < 0.12 * 1_500
    assert world.carried - carried <= rate * 2 / 8 * 30
    played = sorted(world.callee.delays(world.now - 20_000))
    assert played[len(played) // 2] < delay
    world.rate = 0
    world.run(120_000)
    assert world.callee.machine.rung is RUNGS[0]


@pytest.mark.parametrize(
    ("rate", "delay"),
    [(64_000, 450), (24_000, 600), (16_000, 1_100), (12_000, 1_100), (8_000, 1_800)],
)
def test_a_call_that_begins_on_a_thin_line_does_not_fill_it(rate: int, delay: int) -> None:
    world = CallWorld(seed=1, delay=30, jitter=5, rate=rate, queue=60_000)
    world.run(500)
    world.callee.accept()
    world.run(10_000)
    assert not world.caller.machine.bursts
    silent = world.callee.silent
    world.run(15_000)
    assert world.callee.silent - silent < 0.15 * 750
    played = sorted(world.callee.delays(world.now - 15_000))
    assert played[len(played) // 2] < delay


@pytest.mark.parametrize(("rate", "delay"), [(64_000, 450), (32_000, 900), (16_000, 1_300)])
def test_a_call_whose_ways_come_late_on_a_thin_line_does_not_fill_it(rate: int, delay: int) -> None:
    world = CallWorld(seed=1, delay=30, jitter=5, rate=rate, queue=60_000, ways=("stream",) * 2)
    world.raise_up(0, False)
    world.raise_up(1, False)
    world.run(500)
    world.callee.accept()
    world.run(3_000)
    world.raise_up(0)
    world.run(300)
    world.raise_up(1)
    world.run(10_000)
    assert not world.caller.bursts
    silent = world.callee.silent
    world.run(20_000)
    assert world.callee.silent - silent < 0.1 * 1_000
    played = sorted(world.callee.delays(world.now - 20_000))
    assert played[len(played) // 2] < delay


def test_what_nobody_hears_yet_is_not_sent() -> None:
    world = CallWorld(seed=1, delay=30)
    world.run(500)
    world.callee.accept()
    world.block(0)
    world.run(2_000)
    assert {length for _, length in world.caller.sent} == {HEAD}
    assert len(world.caller.sent) <= 8


@pytest.mark.parametrize("rate", [24_000, 12_000, 8_000])
def test_a_line_that_becomes_thin_is_not_taken_for_a_dead_one(rate: int) -> None:
    world = talking(seed=2, delay=30, jitter=5, ways=("datagrams", "stream"))
    world.run(6_000)
    world.rate = rate
    world.run(6_000)
    for side in (world.caller, world.callee):
        assert not side.bursts
        assert side.machine.rung is not RUNGS[0]
    world.run(14_000)
    assert world.callee.heard[-1][0] > world.now - 1_500


def test_where_live_ways_are_blocked_it_is_spoken_in_bursts() -> None:
    world = talking(delay=30, jitter=5)
    world.run(5_000)
    world.block(0)
    world.run(60_000)
    for side in (world.caller, world.callee):
        assert side.machine.bursts
        assert side.machine.line == "pieces"
        assert side.machine.away == 0
        assert not side.kept
    assert not unheard(world, FIRST, 350)
    played = sorted(world.callee.delays(world.now - 20_000))
    assert played[len(played) // 2] < 4_000
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(world.caller.bursts[-20:])]
    assert max(gaps) - min(gaps) <= 60
    assert len({size for _, size in world.caller.bursts[-20:]}) == 1
    world.block(0, False)
    world.run(40_000)
    assert not world.caller.machine.bursts
    assert not unheard(world, FIRST)


@pytest.mark.parametrize("ways", [("stream",), ("stream", "stream"), ("datagrams", "stream") * 2])
def test_where_all_live_ways_go_silent_the_first_burst_comes_soon(ways) -> None:
    world = talking(delay=30, jitter=5, ways=ways)
    world.run(5_000)
    died, decided = world.now, len(world.caller.machine.story.entries)
    for number in range(len(ways)):
        world.block(number)
    world.run(20_000)
    for side in (world.caller, world.callee):
        assert died < side.bursts[0][0] < died + 2_800
        assert died < side.doubts[0] < died + 1_200
    assert world.callee.gap(died - 100, died + 8_000) < 4_000
    assert len(world.caller.machine.story.entries) < decided + 12
    assert not unheard(world, FIRST, 350)


def test_the_one_way_that_answers_is_found_among_silent_ones() -> None:
    world = talking(delay=30, jitter=5, ways=("datagrams", "stream", "stream"))
    world.run(5_000)
    for number in (0, 1, 2):
        world.block(number)
    world.run(700)
    world.block(1, False)
    again = world.now
    world.run(5_000)
    for side in (world.caller, world.callee):
        ways = [one.of for one in side.machine.story.entries if one.what == "way"]
        assert ways[-1] == "1"
        assert side.machine.rung is RUNGS[0]
        assert not side.bursts
    assert world.callee.gap(again, again + 4_000) < 800
    assert not unheard(world, FIRST)


def test_a_way_that_was_left_for_its_silence_is_not_gone_back_to_unasked() -> None:
    world = talking(seed=1, delay=30, jitter=3, ways=("datagrams", "stream"), queue=12_000)
    world.run(5_000)
    world.block(0)
    world.run(12_000)
    thin = len(world.caller.machine.story.entries)
    world.rate = 8_000
    world.run(18_000)
    since = world.caller.machine.story.entries[thin:]
    assert not [one for one in since if one.what in ("way", "bursts", "two-ways")]
    played = sorted(world.callee.delays(world.now - 8_000))
    assert played[len(played) // 2] < 2_000


def test_on_the_thinnest_line_what_is_said_is_not_seconds_late_for_long() -> None:
    world = talking(seed=1, delay=30, jitter=5, queue=12_000)
    world.run(6_000)
    world.rate = 4_000
    world.run(60_000)
    played = sorted(world.callee.delays(world.now - 20_000))
    assert played[len(played) // 2] < 4_000


def test_in_bursts_a_way_is_well_only_when_something_has_arrived_by_it() -> None:
    world = talking(seed=1, delay=30, ways=("datagrams", "stream"), rate=8_000)
    world.run(15_000)
    world.cut = True
    world.run(20_000)
    for side in (world.caller, world.callee):
        assert [one.what for one in side.machine.story.entries].count("live") == 0


def test_while_nothing_leaves_what_is_said_is_coded_thinner() -> None:
    world = talking(delay=30)
    world.run(5_000)
    world.block(0)
    world.run(1_500)
    assert world.caller.machine.rung.rate == 6_000
    world.block(0, False)
    world.run(1_500)
    assert world.caller.machine.rung is RUNGS[0]
    assert not world.caller.machine.bursts


@pytest.mark.parametrize("ways", [("stream",), ("stream", "stream")])
def test_streams_that_freeze_again_and_again_and_are_replaced_carry_speech(ways) -> None:
    world = talking(delay=30, jitter=5, ways=ways)
    world.run(3_000)
    began = world.now
    for _ in range(10):
        for number in range(len(ways)):
            world.block(number)
        world.run(1_300)
        for number in range(len(ways)):
            world.raise_up(number, up=False)
        world.run(100)
        for number in range(len(ways)):
            world.block(number, False)
            world.raise_up(number)
            world.run(150)
        world.run(1_600 - 150 * len(ways))
    for side in (world.caller, world.callee):
        assert not side.bursts
        assert sorted(side.delays(began))[-20] < 2_000
    assert not unheard(world, FIRST)


def test_a_call_is_set_up_where_no_live_way_holds() -> None:
    world = CallWorld(delay=30)
    world.run(500)
    world.block(0)
    world.callee.accept()
    world.run(12_000)
    for side in (world.caller, world.callee):
        assert side.machine.state == "talking"
        assert side.machine.bursts
    assert world.callee.heard[0][0] < 8_000


def test_a_ring_of_which_nothing_is_heard_doubts_the_connections() -> None:
    one, other = Machine(outgoing=True, now=0), Machine(outgoing=False, now=0)
    asked = [at for at in range(0, 6_000, 500) if one.tick(at) == [Doubt()]]
    assert asked == [2_000, 4_000]
    assert not any(other.tick(at) for at in range(0, 6_000, 500))
    one.heard("ringing", 6_000)
    assert not any(one.tick(at) for at in range(6_000, 20_000, 500))


def test_one_side_alone_has_no_live_way() -> None:
    world = talking(delay=20)
    world.run(2_000)
    world.caller.do(world.caller.machine.routes((), world.now))
    world.run(8_000)
    assert world.caller.machine.bursts
    assert world.callee.machine.their_bursts
    assert not unheard(world, FIRST, 350)


def test_small_exchanges_carry_bursts() -> None:
    world = talking(delay=30)
    world.text_every = 5_000
    world.block(0)
    world.run(60_000)
    assert world.callee.machine.their_bursts
    assert not unheard(world, FIRST, 800)


def test_what_comes_too_late_is_kept_beside_the_talk() -> None:
    world = talking(delay=30)
    world.run(3_000)
    world.block(0)
    world.text_cut = True
    world.run(6_000)
    world.block(0, False)  # live again, and what was said in bursts is still on its way
    world.run(30_000)
    assert not world.callee.machine.bursts
    world.text_cut = False
    world.run(5_000)
    kept = {unit for one in world.callee.kept for unit in range(one.at, one.end)}
    heard = world.callee.units | kept
    assert kept
    assert not [unit for unit in range(60, world.caller.said - 100) if unit not in heard]


def test_at_the_end_nothing_waits_to_be_said() -> None:
    world = talking(delay=30)
    world.block(0)
    world.run(10_700)
    said = world.caller.said
    world.caller.hang_up()
    world.run(9_000)
    heard = world.callee.units | {at for one in world.callee.kept for at in range(one.at, one.end)}
    assert max(heard) >= said - 4


@pytest.mark.parametrize("quality", [{}, {"loss": 0.2, "jitter": 60}, {"rate": 20_000}])
def test_on_every_network_speech_and_silence_look_alike(quality) -> None:
    sent = []
    for muted in (False, True):
        world = talking(seed=5, delay=20, ways=("datagrams", "stream"), **quality)
        world.caller.mute(muted)
        world.run(30_000)
        sent.append(world.caller.sent + world.caller.bursts)
    assert sent[0] == sent[1]


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("index", range(len(RUNGS)))
def test_on_every_rung_speech_and_silence_have_one_size_and_one_rhythm(index, copies) -> None:
    sent = []
    for muted in (False, True):
        world = talking(seed=5, delay=20, ways=("datagrams",))
        world.caller.mute(muted)
        one = world.caller.machine
        one._choice._copies = copies
        one._choice.begin_at(index, world.now)
        world.caller.do(one._code(world.now))
        world.run(1_000)
        since = len(world.caller.sent)
        world.run(3_500)
        sent.append(world.caller.sent[since:])
    assert sent[0] == sent[1]
    assert {bytes for _, bytes in sent[0]} == {size(one.rung)}
    assert {b - a for (a, _), (b, _) in itertools.pairwise(sent[0])} == {one.rung.ms}


def test_every_decision_has_a_reason() -> None:
    world = talking(seed=2, delay=30, ways=("datagrams", "stream"))
    for blocked, rate in ((0, 0), (0, 9_000), (1, 9_000)):
        world.block(blocked)
        world.rate = rate
        world.run(20_000)
    story = world.callee.machine.story
    assert story.entries
    for one in story.entries:
        said = sentence(one.what, one.of, one.why.code, one.why.figures, one.again)
        assert "{" not in said
        counted = SENTENCES[one.why.code].count("{")
        assert len(one.why.figures) == counted
    assert [one.at for one in story.entries] == sorted(one.at for one in story.entries)
    assert 55 <= len(story.samples) <= 65
    assert {"live", "bursts"} <= {one.way for one in story.samples}


def test_a_change_of_world_every_ten_seconds(tmp_path) -> None:
    assert prove(9, 20, tmp_path)


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """So many minutes of a call whose world changes every ten seconds: no drift, nothing grows, no
    state from which it does not come back."""
    world = talking(seed=seed, delay=30, jitter=10, ways=("datagrams", "stream"), drift=100)
    random = world.random
    for _ in range(count * 6):
        world.rate = random.choice([0, 0, 0, 64_000, 24_000, 8_000])
        world.loss = random.choice([0, 0, 0.1, 0.3])
        world.cut = random.random() < 0.1
        for way in (0, 1):
            world.block(way, random.random() < 0.3)
        world.text_cut = random.random() < 0.1
        world.run(10_000)
    world.rate, world.loss, world.cut, world.text_cut = 0, 0, False, False
    for way in (0, 1):
        world.block(way, False)
    world.run(120_000)
    for side in (world.caller, world.callee):
        one = side.machine
        assert (one.state, one.bursts, one.line, one.rung) == ("talking", False, "whole", RUNGS[0])
        assert max(side.delays(world.now - 5_000)) < 400
        assert len(one._jitter._packets) < 30
        assert len(one._sender._flying) < 60
        assert len(one.story.samples) <= 1_200
    return {"minutes": count, "decisions": len(world.caller.machine.story.entries)}
