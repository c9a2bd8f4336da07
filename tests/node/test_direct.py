"""Calls that go straight, between two people who both allow it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatters import meet, person, relay, until

from holdfast.core.call.direct import GOOD_MS
from holdfast.node import direct as direct_module
from holdfast.node.api import Node
from holdfast.node.calls import DIRECT
from holdfast.node.rpc import ApiError


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_module, "usable", lambda address: True)
    monkeypatch.setattr(direct_module, "own_addresses", list)


async def verify(one: Node, other: Node) -> None:
    a, b = (await one.contacts())[0].id, (await other.contacts())[0].id
    await one.start_verification(a)
    await until(lambda: other.verification(b), lambda found: found is not None)
    await other.start_verification(b)
    for node, contact in ((one, a), (other, b)):
        await until(
            lambda node=node, contact=contact: node.verification(contact),
            lambda found: found is not None and found.state == "compare",
        )
    await one.confirm_verification(a, True)
    await other.confirm_verification(b, True)
    for node in (one, other):
        await until(node.contacts, lambda all: all[0].verified)


@contextlib.asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home, straight=True) as anna,
        person(tmp_path / "boris", "Boris", home, straight=True) as boris,
    ):
        await meet(anna, boris)
        yield anna, boris


async def talk(anna: Node, boris: Node) -> str:
    made = await anna.start_call("Boris")
    ringing = (await until(boris.calls, bool))[0]
    await boris.accept_call(ringing.id)
    for node in (anna, boris):
        await until(node.calls, lambda all: all[0].state == "talking")
    return made.id


def route(node: Node) -> int | None:
    assert node._engine is not None
    assert node._engine.calls._call is not None
    return node._engine.calls._call.machine.route


def port(node: Node) -> object:
    assert node._engine is not None
    assert node._engine.calls._call is not None
    return node._engine.calls._call.direct


async def straight(*nodes: Node) -> None:
    for node in nodes:
        await until(lambda node=node: asyncio.sleep(0, route(node)), lambda at: at == DIRECT)


async def test_only_who_is_verified_may_be_allowed(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        with pytest.raises(ApiError, match="verify them first"):
            await anna.allow_direct("Boris", True)
        await verify(anna, boris)
        assert not (await anna.contact("Boris")).direct
        assert (await anna.allow_direct("Boris", True)).direct
        assert not (await anna.allow_direct("Boris", False)).direct


async def test_when_both_allow_it_frames_go_straight_and_back_without_a_gap(tmp_path: Path) -> None:
    async with two(tmp_path) as (anna, boris):
        await verify(anna, boris)
        await anna.allow_direct("Boris", True)
        await boris.allow_direct("Anna", True)
        call = await talk(anna, boris)
        await straight(anna, boris)
        assert (await anna.calls())[0].line == "whole"
        for node in (anna, boris):
            found = port(node)
            assert isinstance(found, direct_module.Direct)
            found.close()
        for node in (anna, boris):
            await until(lambda node=node: asyncio.sleep(0, route(node)), lambda at: at != DIRECT)
            assert (await node.calls())[0].away == 0
        await asyncio.sleep(GOOD_MS / 1000)
        assert [c.state for c in [*(await anna.calls()), *(await boris.calls())]] == ["talking"] * 2
        await anna.hang_up(call)


@pytest.mark.parametrize("willing", ["anna", "boris", "nobody", "proxy"])
async def test_unless_both_allow_it_nobody_opens_a_port(tmp_path: Path, willing: str) -> None:
    async with two(tmp_path) as (anna, boris):
        await verify(anna, boris)
        if willing in ("anna", "proxy"):
            await anna.allow_direct("Boris", True)
        if willing in ("boris", "proxy"):
            await boris.allow_direct("Anna", True)
        if willing == "proxy":
            assert boris._engine is not None
            boris._engine.calls.straight = False
        await talk(anna, boris)
        await asyncio.sleep(0.5)
        for node in (anna, boris):
            assert port(node) is None
            assert route(node) != DIRECT
