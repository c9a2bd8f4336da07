"""One of two relays is slow, stuck, full, forgetful or lies: nothing waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chatters import (
    came,
    last_file,
    meet,
    only,
    person,
    relay,
    send_file,
    served,
    texts,
    until,
)

from holdfast.core.log.server import Refusal
from holdfast.node import engine, health
from holdfast.node.api import Node
from holdfast.relay import program
from holdfast.store.base import Appended, Records
from holdfast.store.embedded import Embedded


class Odd:
    """A store that does its work, and one thing differently once it is `odd`."""

    odd = False

    def __init__(self, store: Embedded) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Stuck(Odd):
    """It takes connections and attaches, and neither keeps nor gives anything."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        if not self.odd:
            self._store.append(key, expires, body, done)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        if not self.odd:
            self._store.read(key, since, done)


class Slow(Odd):
    """It takes its time over everything."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        def late(refusal: Refusal | None, seq: int) -> None:
            asyncio.get_running_loop().call_later(3 if self.odd else 0, done, refusal, seq)

        self._store.append(key, expires, body, late)


class Liar(Odd):
    """It says that it has kept what it throws away."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        if self.odd:
            asyncio.get_running_loop().call_soon(done, None, 2**30)
        else:
            self._store.append(key, expires, body, done)


class Full(Odd):
    """It takes nothing more."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        if self.odd:
            asyncio.get_running_loop().call_soon(done, Refusal("full", "no room"), 0)
        else:
            self._store.append(key, expires, body, done)


class Garbage(Odd):
    """What it keeps is something else."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        kept = os.urandom(len(body)) if self.odd else body
        self._store.append(key, expires, kept, done)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Odd]]:
    """Give the relays in folders of these names stores of these kinds; the stores, by name."""
    made: dict[str, Odd] = {}

    def become(**kinds: type[Odd]) -> dict[str, Odd]:
        def store(folder: Path, **more: Any) -> Any:
            name = folder.parent.name
            made[name] = kinds.get(name, Odd)(Embedded(folder, **more))
            return made[name]

        monkeypatch.setattr(program, "Embedded", store)
        return made

    return become


KINDS = {"stuck": Stuck, "slow": Slow, "lies": Liar, "full": Full}
SEEN = {
    "stuck": {"slow", "behind"},
    "slow": {"slow", "behind"},
    "lies": {"behind"},
    "full": {"refuses"},
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(health, "LATE", 300)
    monkeypatch.setattr(health, "STUCK", 2_000)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("how", KINDS)
async def test_messages_and_files_do_not_wait_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd, how: str
) -> None:
    made = odd(bad=KINDS[how])
    async with (
        relay(tmp_path / "bad") as bad,
        relay(tmp_path / "good") as good,
        person(tmp_path / "anna", "Anna", bad, good) as anna,
        person(tmp_path / "boris", "Boris", bad, good) as boris,
        served(anna, tmp_path / "anna") as client,
    ):
        await meet(anna, boris)
        made["bad"].odd = True
        for number in range(6):
            await anna.send((await only(anna)).id, f"number {number}")
        await came(boris, lambda message: message.text == "number 5")
        data = os.urandom(600_000)
        await send_file(client, data)
        found = await until(
            lambda: last_file(boris), lambda m: m is not None and m.file.state == "whole"
        )
        assert found.file.size == len(data)
        assert [message.text for message in await texts(boris)] == [
            f"number {number}" for number in range(6)
        ]
        who = boris if how == "lies" else anna
        label, seen = await trouble(who)
        assert label == bad.label and seen in SEEN[how]
        # It is the last choice for what is new, and comes back when it keeps up.
        assert who._desk is not None and who._desk.troubled == {str(bad)}
        made["bad"].odd = False
        monkeypatch.setattr(health, "WINDOW", 1_000)
        await until(who.status, lambda status: not any(one.trouble for one in status.relays))


async def trouble(node: Node) -> tuple[str, str]:
    """The relay with which something is the matter, and what."""
    status = await until(node.status, lambda status: any(one.trouble for one in status.relays))
    (found,) = [one for one in status.relays if one.trouble]
    return found.label, found.trouble


@pytest.mark.usefixtures("quick")
async def test_what_nobody_wrote_is_passed_over_and_told(tmp_path: Path, odd) -> None:
    made = odd(bad=Garbage)
    async with (
        relay(tmp_path / "bad") as bad,
        relay(tmp_path / "good") as good,
        person(tmp_path / "anna", "Anna", bad, good) as anna,
    ):
        async with person(tmp_path / "boris", "Boris", bad, good) as boris:
            await meet(anna, boris)
        made["bad"].odd = True
        for number in range(6):
            await anna.send((await only(anna)).id, f"number {number}")
        await until(anna.status, lambda status: not status.waiting)
        async with person(tmp_path / "boris", "Boris") as boris:
            await came(boris, lambda message: message.text == "number 5")
            assert await trouble(boris) == (bad.label, "strange")


@pytest.mark.usefixtures("quick")
async def test_what_is_only_at_a_stuck_relay_is_asked_for_and_comes_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd
) -> None:
    monkeypatch.setattr(engine, "MISSING", 200)
    made = odd(bad=Stuck, good=Liar)
    async with (
        relay(tmp_path / "bad") as bad,
        relay(tmp_path / "good") as good,
        person(tmp_path / "anna", "Anna", bad, good) as anna,
    ):
        async with person(tmp_path / "boris", "Boris", bad, good) as boris:
            await meet(anna, boris)
        made["bad"].odd = made["good"].odd = True
        await anna.send((await only(anna)).id, "one")
        await until(lambda: texts(anna), lambda all: all[-1].state == "sent")
        made["good"].odd = False
        await anna.send((await only(anna)).id, "two")
        async with person(tmp_path / "boris", "Boris") as boris:
            await came(boris, lambda message: message.text == "two")
            assert [message.text for message in await texts(boris)] == ["one", "two"]
        made["bad"].odd = False
