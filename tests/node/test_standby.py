"""A second connection stands ready where something is under way that cannot wait."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chatters import last_file, meet, only, relay, served
from pretend import HOME, Owner, Paths

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.core.ladder import REST
from holdfast.lab.box import Box
from holdfast.lab.rules import Act, Flow, Rule
from holdfast.node import engine, standby, watched
from holdfast.node.api import Node
from holdfast.node.program import monotonic_ms, now_ms
from holdfast.node.vault import Vault
from holdfast.node.ways import Ways, paths
from holdfast.paths import websocket
from holdfast.paths.base import MOVED

pytestmark = pytest.mark.time("made")

HELLO = wire.encode(wire.Hello(wire.VERSION))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "AFTER", 0.02)
    monkeypatch.setattr(standby, "AGAIN", 0.05)


async def stands(world: Paths, how_many: int) -> None:
    async with asyncio.timeout(60):
        while len(world.tried) < how_many or not world.ways._standby.ready(HOME.label):
            await asyncio.sleep(0.01)


async def test_the_second_one_takes_over_without_another_handshake() -> None:
    world, owner = Paths(websocket="works", classic="works", micro="works"), Owner()
    await world.ways.connect(HOME, owner)
    world.ways.stand_by([HOME])
    await stands(world, 2)
    assert world.tried == ["websocket", "classic"]
    assert world.lines["classic"].sent == [HELLO]  # so that the relay keeps it
    world.lines["websocket"].close(websocket.STALLED)
    assert owner.closed == [MOVED]  # there is no need to wait
    channel = await world.ways.connect(HOME, Owner())
    assert world.tried == ["websocket", "classic"]
    channel.send(HELLO)
    channel.send(b"on")
    assert world.lines["classic"].sent == [HELLO, b"on"]
    await stands(world, 3)
    assert world.tried == ["websocket", "classic", "websocket"]
    await world.ways.stop()


async def test_a_better_path_that_was_the_second_is_gone_back_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.1)
    world, owner = Paths(websocket="works", classic="works"), Owner()
    await world.ways.connect(HOME, Owner())
    world.ways.stand_by([HOME])
    await stands(world, 2)
    world.lines["websocket"].close(websocket.STALLED)
    await world.ways.connect(HOME, owner)
    async with asyncio.timeout(60):
        while owner.closed != [MOVED]:
            await asyncio.sleep(0.01)
    await world.ways.connect(HOME, Owner())
    assert world.tried[:3] == ["websocket", "classic", "websocket"]
    assert world.ways._stand(HOME.label) == ["websocket"]
    await world.ways.stop()


async def test_what_was_slow_meanwhile_is_not_gone_back_to_before_it_rested() -> None:
    world, owner = Paths(websocket="works", classic="works"), Owner()
    await world.ways.connect(HOME, Owner())
    world.ways.stand_by([HOME])
    await stands(world, 2)
    world.lines["websocket"].close(websocket.STALLED)
    await world.ways.connect(HOME, owner)
    await stands(world, 3)
    used = next(one for one in world.ways._standing if one.path == "classic")
    world.ways.ladder.failed(HOME.label, "websocket", "slow", world.now)
    world.ways._climb(HOME, used)
    assert not owner.closed
    world.now += REST["slow"]
    world.ways._climb(HOME, used)
    assert owner.closed == [MOVED]
    await world.ways.stop()


async def test_who_is_next_tries_first_what_was_first() -> None:
    world = Paths(websocket="works", classic="works")
    await world.ways.connect(HOME, Owner())
    world.ways.stand_by([HOME])
    await stands(world, 2)
    assert world.ways.ladder.order(HOME.label, world.now)[1] == "websocket"
    await world.ways.stop()


async def test_a_freeze_is_told_also_where_the_second_went_on() -> None:
    world = Paths(websocket="works", classic="works", micro="works")
    ladder = world.ways.ladder
    for number in range(2):
        await world.ways.connect(HOME, Owner())
        world.ways.stand_by([HOME])
        await stands(world, len(world.tried) + (number == 0))
        used = next(one for one in world.ways._standing if one not in world.ways._standby)
        world.now += 5_000
        world.lines[used.path].close(websocket.STALLED)
        await world.ways.connect(HOME, Owner())
        line = next(line for line in world.lines.values() if not line.ended and line.handler)
        assert line.handler is not None
        line.handler.on_frame(b"answer")
        world.ways.stand_by([])
        for line in world.lines.values():
            if not line.ended:
                line.close("enough")
    assert ladder.seen.places[HOME.label].froze
    await world.ways.stop()


async def test_without_a_connection_or_another_way_none_is_made() -> None:
    world = Paths(websocket="works")
    world.ways.stand_by([HOME])
    await asyncio.sleep(0.2)
    assert world.tried == []
    world = Paths(websocket="tls", micro="works")
    await world.ways.connect(HOME, Owner())
    world.ways.stand_by([HOME])
    await asyncio.sleep(0.2)
    assert world.tried == ["websocket", "micro"]
    await world.ways.stop()


async def test_what_is_needed_no_longer_is_let_go() -> None:
    world = Paths(websocket="works", classic="works")
    await world.ways.connect(HOME, Owner())
    world.ways.stand_by([HOME])
    await stands(world, 2)
    world.ways.stand_by([])
    assert world.lines["classic"].ended
    assert not world.lines["websocket"].ended
    await world.ways.stop()


async def test_all_connections_of_a_node_begin_two_handshakes_with_a_relay_at_once() -> None:
    world = Paths(websocket="late", classic="late")
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, len(world.ways._handshakes(HOME.label)))
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(world.ways.connect(HOME, Owner()) for _ in range(6)))
    counting.cancel()
    assert most == 2
    assert len(world.tried) >= 6


# With real nodes.


@asynccontextmanager
async def someone(home: Path, name: str, proxy: str | None, *relays: Home):
    """A node as `holdfast node` makes it."""
    ways = Ways(paths(proxy), monotonic_ms)
    node = Node(Vault(home, secrets.token_bytes), ways.connect, now_ms, secrets.token_bytes, relays)
    node.stand_by = ways.stand_by
    await node.start(name)
    try:
        yield node, ways
    finally:
        await node.stop()
        await ways.stop()


def around(at: Home) -> Box:
    return Box({(at.host, at.port): (at.host, at.port)})


class Siege(Rule):
    """What stands stands; nothing new begins."""

    begun = False
    cut: Flow | None = None
    """Only this one is ended."""

    def opens(self, flow: Flow, now: float) -> Act:
        return Act.DROP if self.begun else Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return Act.RESET if flow is self.cut else Act.PASS

    def rate(self, flow: Flow) -> float:
        return 80e6 if self.begun else 1e6


@pytest.mark.timeout(120)
@pytest.mark.time("real")
async def test_a_file_goes_on_by_the_second_where_no_new_connection_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that carries it is cut, and from then on no handshake gets through."""
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.05)
    async with (
        relay(tmp_path / "relay") as at,
        Box({(at.host, at.port): (at.host, at.port)}) as box,
    ):
        siege = Siege()
        box.rules = [siege]
        async with (
            someone(tmp_path / "anna", "Anna", box.url, at) as (anna, ways),
            someone(tmp_path / "boris", "Boris", None, at) as (boris, _),
            served(anna, tmp_path / "anna") as client,
        ):
            await meet(anna, boris)
            data = os.urandom(4_000_000)
            upload = await client.upload(io.BytesIO(data), len(data))
            before = list(box.flows)
            await client.node.send_file((await only(anna)).id, upload, "a.bin")
            async with asyncio.timeout(60):
                while not ways._standby.ready(at.label):
                    await asyncio.sleep(0.01)
            siege.begun = True
            carries = max(box.flows, key=lambda flow: flow.sent)
            assert carries not in before and carries.sent < len(data)
            count = len(box.flows)
            siege.cut = carries
            async with asyncio.timeout(100):
                while (found := await last_file(anna)).file.state != "sent":
                    await asyncio.sleep(0.05)
            assert found.file.size == len(data)
            assert not [flow for flow in box.flows[count:] if flow.hello]
