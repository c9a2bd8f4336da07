"""Two nodes on one local network whose relay is gone: messages, and calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatters import came, meet, person, relay, texts, until

from holdfast.drive.mdns import Announced
from holdfast.node import near as near_module
from holdfast.node.api import Node
from holdfast.node.calls import DIRECT


class Air:
    """A local network: who announces is heard by the others."""

    def __init__(self) -> None:
        self.there: dict[Room, Announced] = {}

    def told(self, room: Room, one: Announced) -> None:
        for other, said in list(self.there.items()):
            if other is not room:
                other.hear(one)
                room.hear(said)


class Room:
    """`Discovery` without multicast."""

    def __init__(self, air: Air) -> None:
        self._air = air

    async def start(self, name, port, strings, hear) -> None:
        self.hear = hear
        self._air.there[self] = Announced(name, ("127.0.0.1",), port, tuple(strings))
        self._air.told(self, self._air.there[self])

    async def stop(self) -> None:
        self._air.there.pop(self, None)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_module, "LOOK", 0.05)


@contextlib.asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[Node, Node, Air, contextlib.AsyncExitStack]]:
    """Two contacts and the local network; closing the last takes the relay away."""
    air = Air()
    async with contextlib.AsyncExitStack() as internet:
        home = await internet.enter_async_context(relay(tmp_path / "relay"))
        async with (
            person(tmp_path / "anna", "Anna", home, discovery=lambda: Room(air)) as anna,
            person(tmp_path / "boris", "Boris", home, discovery=lambda: Room(air)) as boris,
        ):
            await meet(anna, boris)
            yield anna, boris, air, internet


async def near(*nodes: Node) -> None:
    for node in nodes:
        await until(node.status, lambda status: bool(status.near))


async def test_it_is_off_until_both_want_it(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, air, _):
        await anna.update_settings(near=True)
        await until(lambda: asyncio.sleep(0, air.there), bool)
        assert len(air.there) == 1
        await asyncio.sleep(0.3)
        assert (await anna.status()).near == []
        await boris.update_settings(near=True)
        await near(anna, boris)
        await boris.update_settings(near=False)
        await until(anna.status, lambda status: not status.near)
        assert list(air.there) == [next(iter(air.there))]


async def test_messages_go_without_a_relay(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, internet):
        for node in (anna, boris):
            await node.update_settings(near=True)
        await near(anna, boris)
        await internet.aclose()
        await until(anna.status, lambda status: status.verdict != "clear")
        assert (await anna.status()).line == "double"
        for number in range(120):
            await anna.send("Boris", f"word {number}")
        await came(boris, lambda m: m.text == "word 119")
        seen = [m.text for m in await texts(boris)]
        assert seen == [f"word {number}" for number in range(120)][-len(seen) :]
        await until(lambda: texts(anna), lambda all: all[-1].state == "delivered")
        await boris.send("Anna", "back")
        await came(anna, lambda m: m.text == "back")


async def test_what_waited_goes_when_they_meet(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, internet):
        await internet.aclose()
        await until(anna.status, lambda status: status.verdict != "clear")
        await anna.send("Boris", "written alone")
        assert (await texts(anna))[-1].state == "waiting"
        for node in (anna, boris):
            await node.update_settings(near=True)
        await came(boris, lambda m: m.text == "written alone")
        await until(lambda: texts(anna), lambda all: all[-1].state == "delivered")


async def test_who_is_blocked_is_not_found(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, _internet):
        for node in (anna, boris):
            await node.update_settings(near=True)
        await near(anna, boris)
        await anna.block_contact("Boris")
        await until(boris.status, lambda status: not status.near)
        await asyncio.sleep(0.5)
        assert (await anna.status()).near == (await boris.status()).near == []


async def test_a_call_without_a_relay(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, internet):
        for node in (anna, boris):
            await node.update_settings(near=True)
        await near(anna, boris)
        await internet.aclose()
        await anna.start_call("Boris")
        ringing = (await until(boris.calls, bool))[0]
        await until(anna.calls, lambda all: all[0].state == "ringing")
        for node in (anna, boris):
            engine = node._engine
            assert engine is not None
            assert engine.calls._call is not None
            assert engine.calls._call.direct is None  # no port before accepting
        await boris.accept_call(ringing.id)
        for node in (anna, boris):
            found = await until(node.calls, lambda all: all[0].state == "talking")
            found = await until(node.calls, lambda all: all[0].line == "double")
            assert not found[0].offline
        await anna.hang_up(ringing.id)
        for node in (anna, boris):
            await until(node.calls, lambda all: not all)


async def test_a_call_begun_over_a_relay_goes_on_without(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, internet):
        await anna.start_call("Boris")
        ringing = (await until(boris.calls, bool))[0]
        await boris.accept_call(ringing.id)
        for node in (anna, boris):
            await until(node.calls, lambda all: all[0].state == "talking")
        for node in (anna, boris):
            await node.update_settings(near=True)
        for node in (anna, boris):
            await until(lambda node=node: asyncio.sleep(0, route(node)), lambda at: at == DIRECT)
            assert (await node.calls())[0].line == "whole"
        await internet.aclose()
        for node in (anna, boris):
            await until(node.calls, lambda all: all[0].line == "double")
            assert (await node.calls())[0].away == 0


def route(node: Node) -> int | None:
    assert node._engine is not None
    assert node._engine.calls._call is not None
    return node._engine.calls._call.machine.route


async def test_what_is_written_while_it_is_looked_for_goes_too(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris, _, internet):
        for node in (anna, boris):
            await node.update_settings(near=True)
        await near(anna, boris)
        await internet.aclose()
        engine = anna._engine
        assert engine is not None
        contact = (await anna.contacts())[0].id
        for number in range(30):
            engine.near._fill(contact)  # nothing is there yet
            await anna.send("Boris", f"word {number}")
            await came(boris, lambda m, number=number: m.text == f"word {number}")
