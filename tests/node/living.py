"""Relays and nodes in one process, over loopback TLS; `conftest` has the fixture of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest

from holdfast.core.caps import Home
from holdfast.node import channel_feed, channel_state
from holdfast.node.api import Node
from holdfast.node.schema import Contact, Event, Message
from holdfast.node.vault import Vault
from holdfast.paths import websocket
from holdfast.relay import program

PATIENCE = 60.0


async def until(check: Callable[[], object], what: str = "") -> None:
    """Wait for something to become true; a test that waits in vain fails."""
    async with asyncio.timeout(PATIENCE):
        while not check():
            await asyncio.sleep(0.01)


class RunningRelay:
    """A relay that can be stopped and started again at its address."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._port = 0

    async def start(self) -> Home:
        said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(
            program.run(self.data, ("127.0.0.1", self._port), say=said.set_result, stop=self._stop)
        )
        both: list[asyncio.Future[Any]] = [said, self._task]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        self.home = Home.parse(said.result())
        self._port = self.home.port
        return self.home

    async def stop(self) -> None:
        self._stop.set()
        await self._task


class Person:
    """A node and what its interface has heard."""

    def __init__(self, home: Path, relays: tuple[Home, ...], echo: str | None = None) -> None:
        self.path, self.relays, self.echo = home, relays, echo
        self.events: list[Event] = []
        self.shift = 0
        """Milliseconds this person's clock is ahead."""

    async def start(self, name: str | None = None) -> Self:
        vault = Vault(self.path, secrets.token_bytes)
        clock = lambda: time.time_ns() // 1_000_000 + self.shift  # noqa: E731
        self.node = Node(
            vault, websocket.connect, clock, secrets.token_bytes, self.relays, self.echo
        )
        await self.node.start(name)
        self.node.subscribe(self.events.append)
        return self

    async def stop(self) -> None:
        await self.node.stop()

    async def meet(self, other: Person) -> tuple[Contact, Contact]:
        """Invite the other, who accepts: how each sees the other."""
        invitation = await self.node.create_invitation()
        await self.wait(lambda: self.has_open_invitation(invitation.id))
        await other.node.accept_invitation(invitation.link)
        mine = await self.contact_when(lambda c: c.state == "active")
        theirs = await other.contact_when(lambda c: c.state == "active")
        return mine, theirs

    async def has_open_invitation(self, id: str) -> bool:
        return any(i.id == id and i.state == "open" for i in await self.node.invitations())

    async def wait(self, check: Callable[[], Awaitable[object]]) -> None:
        """Wait for something that has to be asked for."""
        async with asyncio.timeout(PATIENCE):
            while not await check():
                await asyncio.sleep(0.02)

    async def contact_when(self, check: Callable[[Contact], bool]) -> Contact:
        async with asyncio.timeout(PATIENCE):
            while True:
                for contact in await self.node.contacts():
                    if check(contact):
                        return contact
                await asyncio.sleep(0.02)

    async def message_when(self, contact: str, check: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(PATIENCE):
            while True:
                for message in (await self.node.messages(contact, limit=200)).messages:
                    if check(message):
                        return message
                await asyncio.sleep(0.02)

    async def texts(self, contact: str) -> list[str]:
        page = await self.node.messages(contact, limit=200)
        return [m.text for m in page.messages if m.kind == "text"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class World:
    """Relays and people of one test; everything is stopped at its end."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp = tmp_path
        self._running: list[RunningRelay | Person] = []

    async def relay(self, name: str = "relay") -> RunningRelay:
        relay = RunningRelay(self._tmp / name)
        await relay.start()
        self._running.append(relay)
        return relay

    async def person(self, name: str, *relays: RunningRelay, echo: str | None = None) -> Person:
        homes = tuple(relay.home for relay in relays)
        person = Person(self._tmp / name.lower(), homes, echo)
        await person.start(name)
        self._running.append(person)
        return person

    async def pair(self) -> tuple[Person, Person, str, str]:
        """Anna and Boris as contacts on one relay, and each one's id of the other."""
        relay = await self.relay()
        anna, boris = await self.person("Anna", relay), await self.person("Boris", relay)
        at_anna, at_boris = await anna.meet(boris)
        return anna, boris, at_anna.id, at_boris.id

    def leave(self, running: RunningRelay | Person) -> None:
        """It is stopped by the test itself."""
        self._running.remove(running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for running in reversed(self._running):
            await running.stop()


# Groups.


async def trio(world, *more: str):
    """Anna, and people whom she knows and who do not know each other."""
    relay = await world.relay()
    names = ("Anna", "Boris", "Vera", *more)
    people = [await world.person(name, relay) for name in names]
    for other in people[1:]:
        await people[0].meet(other)
    return people


async def found(people, title: str = "Friends") -> list[str]:
    """Anna's group, and how each names it."""
    made = await people[0].node.create_group(title, [p.path.name for p in people[1:]])
    others = [await p.contact_when(lambda c: c.name == title and c.members) for p in people[1:]]
    return [made.id, *(contact.id for contact in others)]


async def says(person, group: str, text: str, *hearers) -> None:
    """Everybody given hears it from them."""
    await person.node.send(group, text)
    for other, there in hearers:
        got = await other.message_when(there, lambda m: m.text == text)
        assert got.author is not None and got.author.name.lower() == person.path.name


async def reported(person, id: str, count: int = 1):
    """The reports that they have, once there are so many."""

    async def are_there() -> bool:
        return len((await person.node.group(id)).reports) == count

    await person.wait(are_there)
    return (await person.node.group(id)).reports


# Channels.


async def given(person: Person, channel: str, *records: bytes) -> None:
    """A relay gives these to a reader's node; of an open group what everybody writes."""

    def job(desk, work):  # type: ignore[no-untyped-def]
        link = channel_state.opened(desk, work, channel).link
        locator = (link.talk if link.open else link.log).locator
        for seq, record in enumerate(records, 1):
            channel_feed.received(desk, work, channel, locator, "relay", seq, record)

    await person.node._do(job)
