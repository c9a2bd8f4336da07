"""Which path a node takes, with paths that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from chatters import relay
from pretend import HOME, OTHER, Owner, Paths

from holdfast.core.ladder import REST
from holdfast.core.seen import HOP, SMALL
from holdfast.node import standby, watched, ways
from holdfast.node.ways import Ways, paths
from holdfast.paths import websocket
from holdfast.paths.base import MOVED, Attempt, Unreachable

pytestmark = pytest.mark.time("made")


async def until(right: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not right():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "HEAD_START", 20)
    monkeypatch.setattr(ways, "PATIENCE", 5_000)


async def test_the_best_that_works_is_taken_and_no_other_is_tried() -> None:
    world, owner = Paths(websocket="works", classic="works", micro="works"), Owner()
    channel = await world.ways.connect(HOME, owner)
    assert world.tried == ["websocket"]
    channel.send(b"hello")
    line = world.lines["websocket"]
    assert line.sent == [b"hello"]
    assert line.handler is not None
    line.handler.on_frame(b"hi")
    assert owner.frames == [b"hi"]
    channel.close("enough")
    assert owner.closed == ["enough"]


async def test_what_fails_or_hangs_is_passed_over_two_at_once_at_most() -> None:
    world = Paths(websocket="tls", classic="hangs", micro="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic", "micro"]
    world = Paths(websocket="hangs", classic="hangs", micro="works")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic"]


async def test_what_hangs_makes_room_for_what_was_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "PATIENCE", 50)
    world = Paths(websocket="hangs", classic="hangs", browser="hangs", micro="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic", "browser", "micro"]
    assert world.ways.ladder.order(HOME.label, world.now + 1)[:2] == ["hop", "micro"]


async def test_udp_is_tried_when_two_kinds_of_streams_were_cut_or_tcp_is_silent() -> None:
    world = Paths(websocket="tls", classic="hangs", browser="hangs", quic="works", micro="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic", "quic"]
    assert world.ways.finding().verdict == "name-block"
    world = Paths(websocket="hangs", classic="works", browser="works", quic="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic"]
    world = Paths(websocket="is silent", classic="works", browser="works", quic="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "quic"]
    world = Paths(websocket="refused", classic="refused", browser="refused", quic="works")
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic", "browser", "quic"]


@pytest.mark.parametrize(
    ("how", "second"), [("hangs", "classic"), ("is silent", "quic"), ("shakes hands", "quic")]
)
async def test_who_waits_for_another_relay_tries_beside_it_what_nobody_tries_there(
    monkeypatch: pytest.MonkeyPatch, how: str, second: str
) -> None:
    monkeypatch.setattr(ways, "LINGER", 0.05)
    others = "works" if second == "classic" else how
    world = Paths(websocket=how, classic=others, browser=others, quic="works")
    world.ways.use_hops([HOME, OTHER])
    owners = Owner(), Owner()
    await asyncio.gather(*map(world.ways.connect, (HOME, OTHER), owners))
    # Each relay was tried on the way to the other one first.
    assert world.tried[:4] == ["websocket", "websocket", second, second]
    ladder = world.ways.ladder
    assert ladder.order(HOME.label, world.now)[0] == HOP
    if second == "quic":
        await until(lambda: ladder.rests(HOME.label, HOP, world.now))
        await until(lambda: ladder.rests(OTHER.label, "websocket", world.now))
        assert ladder.order(HOME.label, world.now + REST["proxy"])[0] == "quic"
    await world.ways.stop()


async def test_where_what_always_worked_hangs_udp_is_tried() -> None:
    world = Paths(websocket="works", classic="works", browser="works", quic="works")
    await world.ways.connect(HOME, Owner())
    world.how["websocket"] = "hangs"
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "websocket", "quic"]


async def test_a_better_path_that_is_late_is_no_block_and_one_that_never_answers_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "LINGER", 0.1)
    monkeypatch.setattr(ways, "HEAD_START", 20)
    for how, verdict in (("late", "clear"), ("hangs", "fingerprint")):
        world = Paths(websocket=how, classic="works")
        await world.ways.connect(HOME, Owner())
        assert world.ways.finding().verdict == "clear"
        await asyncio.sleep(0.3)
        assert world.ways.finding().verdict == verdict
    assert not world.ways._behind


async def test_a_better_path_that_is_late_is_moved_to_without_a_gap() -> None:
    world, owner = Paths(websocket="late", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    await until(lambda: owner.closed == [MOVED])
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic"]
    assert world.lines["classic"].ended == MOVED
    assert not world.lines["websocket"].ended


async def test_a_rested_path_is_tried_beside_the_one_in_use_and_taken_if_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.02)
    world, owner = Paths(websocket="tls", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    await asyncio.sleep(0.1)
    assert world.tried == ["websocket", "classic"]
    world.now += REST["tls"]
    await until(lambda: world.tried == ["websocket", "classic", "websocket"])
    assert owner.closed == []
    world.how["websocket"] = "works"
    world.now += 2 * REST["tls"]
    await until(lambda: owner.closed == [MOVED])
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic", "websocket", "websocket"]


async def test_a_better_connection_that_nobody_takes_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "SPARE", 0.05)
    world, owner = Paths(websocket="late", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    await until(lambda: owner.closed == [MOVED])
    await until(lambda: world.lines["websocket"].ended != "")


@pytest.mark.time("real")
async def test_a_relay_is_reached_through_another_one_and_directly_when_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "HEAD_START", 20_000)
    now = [1_000]
    made = Ways(paths(), lambda: now[0])
    async with relay(tmp_path / "second") as second:
        async with relay(tmp_path / "first") as first:
            made.use_hops([first, second])
            owner = Owner()
            await made.connect(second, owner)
            facts = made.finding().evidence
            assert made.ladder.seen.at(second.label, HOP).up == 1
            assert made.ladder.seen.at(second.label, "websocket").up == 0
            assert made.ladder.seen.at(first.label, "websocket").up == 1
            assert facts
        await until(lambda: len(owner.closed) == 1)
        now[0] += 10_000
        await made.connect(second, again := Owner())
        assert made.ladder.seen.at(second.label, "websocket").up == 1
        assert again.closed == []


@pytest.mark.time("real")
async def test_what_leads_to_another_relay_is_not_cut_for_what_stands_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(standby, "AFTER", 0.02)
    monkeypatch.setattr(ways, "HEAD_START", 20_000)
    now = [1_000]
    made = Ways(paths(), lambda: now[0])
    async with relay(tmp_path / "first") as first, relay(tmp_path / "second") as second:
        made.use_hops([first, second])
        owner = Owner()
        await made.connect(second, owner)
        await made.connect(first, Owner())
        made.stand_by([first, second])
        await until(lambda: made._standby.ready(first.label) and made._standby.ready(second.label))
        await asyncio.sleep(0.4)
        assert owner.closed == []
        await made.stop()


async def test_a_connection_that_is_doubted_and_answers_stays() -> None:
    world, owner = Paths(websocket="works", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    world.ways.doubt()
    await until(lambda: not world.ways._behind)
    assert world.tried == ["websocket"]
    assert owner.closed == owner.frames == []


async def test_one_that_is_doubted_and_silent_is_replaced_by_what_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "ANSWER", 0.05)
    world, owner = Paths(websocket="works", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    world.lines["websocket"].answers = False
    world.how["websocket"] = "hangs"
    world.ways.doubt()
    world.ways.doubt()
    await until(lambda: owner.closed == [MOVED])
    assert world.lines["websocket"].ended == websocket.STALLED
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "websocket", "classic"]
    await world.ways.stop()


async def test_a_stream_that_falls_silent_in_a_call_is_replaced_over_udp_if_that_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "ANSWER", 0.05)
    monkeypatch.setattr(ways, "UDP_FIRST", 0.1)
    for udp, tried in (("works", ["quic"]), ("hangs", ["quic", "websocket"])):
        world, owner = Paths(websocket="works", classic="works", quic=udp), Owner()
        await world.ways.connect(HOME, owner)
        world.lines["websocket"].answers = False
        world.ways.doubt()
        await until(lambda owner=owner: owner.closed == [MOVED])
        await world.ways.connect(HOME, Owner())
        assert world.tried == ["websocket", *tried]
        await world.ways.stop()


async def test_one_that_answers_after_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "ANSWER", 0.05)
    world, owner = Paths(websocket="works", classic="works"), Owner()
    await world.ways.connect(HOME, owner)
    first = world.lines["websocket"]
    first.answers = False
    world.how["websocket"] = "late"
    world.ways.doubt()
    await until(lambda: len(world.tried) == 2)
    assert first.handler is not None
    first.handler.on_frame(b"late")
    await until(lambda: not world.ways._behind)
    assert owner.closed == []
    await world.ways.stop()


async def test_what_rests_does_not_overtake_a_slow_path_that_does_not() -> None:
    world = Paths(websocket="works", micro="late")
    world.ways.ladder.failed(HOME.label, "websocket", "frozen", world.now)
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["micro"]


async def test_what_rests_is_tried_when_nothing_else_is_left() -> None:
    world = Paths(websocket="works", micro="timeout")
    world.ways.ladder.failed(HOME.label, "websocket", "frozen", world.now)
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["micro", "websocket"]


async def test_when_nothing_works_the_best_ones_reason_is_told() -> None:
    world = Paths(websocket="timeout", classic="tls", micro="tls")
    with pytest.raises(Unreachable, match="websocket: timeout"):
        await world.ways.connect(HOME, Owner())
    assert world.ways.finding().verdict == "name-block"


async def test_a_freeze_leads_to_small_exchanges_and_is_said() -> None:
    world = Paths(websocket="works", classic="works", micro="works")
    for _ in range(2):
        first = Owner()
        channel = await world.ways.connect(HOME, first)
        channel.send(bytes(10_000_000))  # that it was sent does not say that it passed
        world.now += 5_000
        world.lines["websocket"].close(websocket.STALLED)
        assert first.closed == [websocket.STALLED]
    await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "websocket", SMALL]
    assert world.ways.finding().verdict == "freeze"


@pytest.mark.time("real")
async def test_all_paths_reach_a_real_relay(tmp_path: Path) -> None:
    async with relay(tmp_path / "relay") as home:
        for path in paths().values():
            owner = Owner()
            channel = await path(home, owner, Attempt())
            channel.close("enough")
            for _ in range(100):
                if owner.closed:
                    break
                await asyncio.sleep(0.01)
            assert owner.closed == ["enough"]
