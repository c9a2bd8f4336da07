"""Holdfast in the lab: two nodes, two relays, as processes on the lab's hosts or around its box."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, cast

from holdfast.lab import voice
from holdfast.lab.box import Box
from holdfast.lab.door import door
from holdfast.lab.hosts import CannotPlay, Host
from holdfast.lab.peers import BOX, MINE
from holdfast.lab.peers.base import Running, launch
from holdfast.lab.play import GLANCE, Call, Failed, Ground, Progress, Stage
from holdfast.lab.scenario import Staging
from holdfast.lab.scenarios import Parameters, Scenario, World
from holdfast.lab.town import SITES, Town
from holdfast.node.client import Client
from holdfast.node.rpc import ApiError
from holdfast.node.schema import CallStory, FileKind, Message
from holdfast.testing.processes import NodeProgram, Processes

RELAYS: Final = {"relay-one.test": "203.0.113.10", "relay-two.test": "192.0.2.10"}
ALLOWED: Final = ("relay-two.test",)
"""It stands on ground that is on every list."""
HEADER: Final = 44
"""Bytes of a WAV file before its sound."""
SPEECH: Final = 120.0
"""Seconds for which there is something to say in a call."""
PAGE: Final = 256 * 1024
"""Bytes of the page of a site that is looked at as a control."""
PORT: Final = 443
MEETING: Final = 60.0


class Boxed:
    """The box as a ground."""

    def __init__(self, box: Box, abroad: Box) -> None:
        self._box, self._abroad = box, abroad
        domestic = SITES["domestic"].name
        self._world = World(tuple(RELAYS), (domestic,), domestic)

    def begin(
        self, scenario: Scenario, changed: Parameters | None, seed: int, *, late: bool = False
    ) -> None:
        """See `Ground`."""
        if scenario.needs_packets:
            raise CannotPlay("it needs a lab that sees packets")
        made = scenario.stage(self._world, seed, **(changed or {}))
        self._box.begin(made)
        self._abroad.rules = made.elsewhere
        if late and scenario.on_handshakes:
            self._box.cut()

    def play(self, staging: Staging) -> None:
        """All of this, now."""
        self._box.begin(staging)

    def calm(self) -> None:
        """See `Ground`."""
        self._box.calm()
        self._abroad.rules = []


class Person:
    """Somebody with a node; `port` leads to its API, if that is not here."""

    def __init__(self, program: NodeProgram, port: int | None = None) -> None:
        self.program = program
        self.client = Client()
        self._port = port
        self._closing = contextlib.AsyncExitStack()

    async def open(self) -> None:
        """Be connected to the node that runs."""
        self.client = await self._closing.enter_async_context(
            Client.connect(self.program.directory, self._port)
        )

    async def close(self) -> None:
        """Let go of it."""
        await self._closing.aclose()

    async def contact(self) -> str:
        """The id of the other one, once there is one."""
        while True:
            for found in await self.client.node.contacts():
                if found.state == "active":
                    return found.id
            await asyncio.sleep(GLANCE)


class Holdfast(Stage):
    """Anna, who has the censor, and Boris."""

    def __init__(self, ground: Ground, anna: Person, boris: Person, peer: str) -> None:
        super().__init__(ground)
        self.peer = peer
        self._speech = anna.program.directory.with_name("speech.wav")
        self._anna, self._boris = anna, boris

    @property
    def people(self) -> tuple[Person, Person]:
        """Both."""
        return self._anna, self._boris

    async def meet(self) -> None:
        """Become contacts."""
        async with asyncio.timeout(MEETING):
            one, other = self._anna.client, self._boris.client
            invitation = await one.node.create_invitation()
            while invitation.state == "preparing":
                await asyncio.sleep(GLANCE)
                (invitation,) = await one.node.invitations()
            await other.node.accept_invitation(invitation.link)
            for person in (self._anna, self._boris):
                await person.contact()

    async def leave(self, *, forget: bool = True) -> None:
        """See `Stage`."""
        program = self._anna.program
        if forget:
            for _ in range(2):  # when the second is answered, the first is on the disk
                await self._anna.client.node.forget_networks()
        await self._anna.close()
        await asyncio.to_thread(program.kill if forget else program.stop)

    async def arrive(self) -> None:
        """See `Stage`."""
        await asyncio.to_thread(self._anna.program.start)
        await self._anna.open()

    async def connected(self) -> None:
        """See `Stage`."""

        async def one_is() -> bool:
            status = await self._anna.client.node.status()
            return any(relay.state == "connected" for relay in status.relays)

        await _until(one_is)

    async def text(self) -> None:
        """See `Stage`."""
        word = os.urandom(8).hex()
        await self._anna.client.node.send(await self._anna.contact(), word)
        sender = await self._boris.contact()

        async def there() -> bool:
            page = await self._boris.client.node.messages(sender)
            return any(message.text == word for message in page.messages)

        await _until(there)

    async def file(self, kind: str, data: bytes, progress: Progress) -> None:
        """See `Stage`. What has come is what a relay has and what the other one has, halved."""
        anna, boris = self._anna.client, self._boris.client
        upload = await anna.upload(io.BytesIO(data), len(data))
        name = f"{os.urandom(8).hex()}.bin"
        about = cast("FileKind", kind)
        contact = await self._anna.contact()
        sent = await anna.node.send_file(contact, upload, name, kind=about)
        try:
            sender = await self._boris.contact()
            asked = False
            while True:
                mine = _named(name, (await anna.node.messages(contact)).messages)
                got = _named(name, (await boris.node.messages(sender)).messages)
                progress((_done(mine) + _done(got)) // 2)
                if got is not None and _state(got) == "whole":
                    return
                if got is not None and _state(got) == "offered" and not asked:
                    asked = True
                    await boris.node.fetch_file(got.id)
                await asyncio.sleep(GLANCE)
        finally:
            with contextlib.suppress(ApiError):
                await anna.node.cancel_file(sent.id)

    async def call(self) -> Call:
        """See `Stage`."""
        people = self._anna, self._boris
        for person in people:
            for one in await person.client.node.calls():
                if one.state != "ended":
                    await person.client.node.hang_up(one.id)
        anna, boris = (Phone(person, self._speech) for person in people)
        call = HoldfastCall(anna, boris)
        try:
            waiting = await boris.start("answer", "--once")
            while "Waiting" not in (line := await waiting.line()):
                if not line:
                    raise Failed("the answering command ended")
            await anna.start("call", await self._anna.contact())
            await _until(self._talking)
        except BaseException:
            await call.end()
            raise
        return call

    async def _talking(self) -> bool:
        """Whether both are in a call."""
        for person in (self._anna, self._boris):
            if not any(one.state == "talking" for one in await person.client.node.calls()):
                return False
        return True

    async def story(self) -> CallStory:
        """How the last call went for Boris."""
        sender = await self._boris.contact()
        while True:
            page = await self._boris.client.node.messages(sender)
            for one in reversed(page.messages):
                if one.kind == "call":
                    return await self._boris.client.node.call_story(one.id)
            await asyncio.sleep(GLANCE)

    async def since(self) -> int:
        """When talking began in the call that is going on, by Boris's clock."""
        return max((one.since for one in await self._boris.client.node.calls()), default=0)

    async def found(self) -> tuple[str, list[str]]:
        """See `Stage`."""
        found = await self._anna.client.node.diagnose()
        return found.network, found.evidence


class Phone:
    """What speaks and hears for one person in one call: `holdfast call` or `holdfast answer`."""

    def __init__(self, person: Person, speech: Path) -> None:
        self._person, self._speech = person, speech
        self._heard = person.program.directory.with_suffix(".wav")
        self._heard.unlink(missing_ok=True)
        self._running: Running | None = None

    async def start(self, *command: str) -> Running:
        """Do that."""
        program = self._person.program
        words = [*program.enter, sys.executable, "-m", "holdfast.cli", *command]
        words += ["--in", str(self._speech), "--out", str(self._heard), "--force"]
        self._running = await launch([*words, "--home", str(program.directory)])
        return self._running

    def size(self) -> int:
        """Bytes of the file with what was heard."""
        return self._heard.stat().st_size if self._heard.exists() else 0

    def since(self, size: int) -> bytes:
        """What was heard since the file had that size."""
        if not self._heard.exists():
            return b""
        with self._heard.open("rb") as file:
            file.seek(max(size, HEADER))
            return file.read()

    async def end(self) -> None:
        """Hang up."""
        if self._running is not None:
            await self._running.end()


class HoldfastCall(Call):
    """A call of two nodes, each with a command line as its sound card."""

    def __init__(self, *phones: Phone) -> None:
        self._phones = phones

    async def listen(self, seconds: float) -> list[bytes]:
        """See `Call`."""
        starts = [phone.size() for phone in self._phones]
        await asyncio.sleep(seconds)
        return [phone.since(size) for phone, size in zip(self._phones, starts, strict=True)]

    async def end(self) -> None:
        """See `Call`."""
        for phone in self._phones:
            await phone.end()


@contextlib.asynccontextmanager
async def boxed(directory: Path, speech: float = SPEECH) -> AsyncIterator[Holdfast]:
    """All on loopback, Anna behind the box, the network open; `speech` is the seconds for which
    there is something to say in a call. Needs no rights."""
    with Processes(directory) as run:
        async with Box({}) as box, Box({}) as abroad:
            addresses = []
            for name in RELAYS:
                relay = await asyncio.to_thread(
                    run.relay, name.split(".")[0], f"{name}:{PORT}", abroad.url
                )
                addresses.append(relay.address)
                for middle in (box, abroad):
                    middle.places[name, PORT] = "127.0.0.1", relay.port
            for place in SITES.values():
                _page(directory / place.name)
                site = await asyncio.to_thread(run.relay, place.name, f"{place.name}:{PORT}")
                box.places[place.name, PORT] = "127.0.0.1", site.port
            anna = await asyncio.to_thread(
                run.node, "Anna", *addresses, proxy=box.url, controls=_looks()
            )
            boris = await asyncio.to_thread(run.node, "Boris", *addresses, proxy=abroad.url)
            async with _met(Boxed(box, abroad), Person(anna), Person(boris), BOX, speech) as made:
                yield made


@contextlib.asynccontextmanager
async def on_hosts(directory: Path, relays: int = 2) -> AsyncIterator[Holdfast]:
    """Each program on a host of its own, Anna's at home, the network open. Raises `CannotPlay`."""
    names = dict(list(RELAYS.items())[:relays])
    with Town(names, allowed=ALLOWED[: relays - 1]) as town, Processes(directory) as run:

        async def serve(host: Host) -> str:
            name, listen, enter = (
                host.name.split(".")[0],
                f"{host.address}:{PORT}",
                host.command([]),
            )
            made = await asyncio.to_thread(
                run.relay, name, f"{host.name}:{PORT}", "", listen, enter
            )
            return made.address

        addresses = [await serve(town.lab[name]) for name in names]
        for place in SITES.values():
            _page(directory / place.name.split(".")[0])
            await serve(town.lab[place.name])
        async with door(town.home) as near, door(town.abroad) as far:
            anna = await asyncio.to_thread(
                run.node, "Anna", *addresses, controls=_looks(), port=near,
                enter=town.home.command([]),
            )  # fmt: skip
            boris = await asyncio.to_thread(
                run.node, "Boris", *addresses, port=far, enter=town.abroad.command([])
            )
            async with _met(town, Person(anna, near), Person(boris, far), MINE) as made:
                yield made


@contextlib.asynccontextmanager
async def _met(
    ground: Ground, anna: Person, boris: Person, peer: str, speech: float = SPEECH
) -> AsyncIterator[Holdfast]:
    made = Holdfast(ground, anna, boris, peer)
    try:
        await asyncio.to_thread(
            voice.record, anna.program.directory.with_name("speech.wav"), speech
        )
        await anna.open()
        await boris.open()
        await made.meet()
        yield made
    finally:
        await anna.close()
        await boris.close()


def _looks() -> list[str]:
    return [f"{kind}={place.name}" for kind, place in SITES.items()]


def _page(directory: Path) -> None:
    """What a site shows."""
    pages = directory / "site"
    pages.mkdir(parents=True)
    (pages / "index.html").write_bytes(os.urandom(PAGE))


async def _until(right: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await right():
            return
        await asyncio.sleep(GLANCE)


def _named(name: str, messages: list[Message]) -> Message | None:
    """The message with the file of that name."""
    return next((one for one in messages if one.file and one.file.name == name), None)


def _state(message: Message) -> str:
    return message.file.state if message.file else ""


def _done(message: Message | None) -> int:
    """Bytes that have gone, or come."""
    if message is None or message.file is None:
        return 0
    return message.file.size if _state(message) in ("sent", "whole") else message.file.done
