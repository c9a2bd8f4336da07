"""A small town in one process: real nodes and real relays, made time, and relays that misbehave.

The nodes are whole (`node.api.Node`) but for what is a thread, a file or a socket: the database is
in memory, the network is `testing.weather`. The relays are the real ones over `testing.shelf`, each
person with a hub of their own, so that a relay can show people different things.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.core.log.server import Refusal
from holdfast.node import database, transfers
from holdfast.node.api import Node
from holdfast.node.keeper import MAX_BATCH, Keeper, Work
from holdfast.node.rpc import ApiError
from holdfast.paths.base import Channel, Handler
from holdfast.relay.hub import Hub
from holdfast.relay.limits import RelayLimits
from holdfast.relay.session import Connection
from holdfast.store.base import Records
from holdfast.testing.clock import START
from holdfast.testing.shelf import Log, MemoryStore
from holdfast.testing.virtual import Slow, VirtualLoop
from holdfast.testing.weather import Weather

PEOPLE: Final = ("Anna", "Boris", "Clara")
RELAYS: Final = ("one", "two", "three")
KEY: Final = bytes(32)
DISK: Final = 0.004
"""Seconds that a disk takes at most."""
GROUP: Final = "Everybody"
"""What the group of all is called."""
MARK: Final = b"Kanarie"
"""In every text; no relay may ever be given it."""
PATIENCE: Final = 3 * 3600
"""Seconds after the last trouble in which everything has to have arrived."""


# A relay.


class View:
    """A relay's store as one person is shown it."""

    crowded = False

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        store = relay.store
        self.make, self.find, self.touch, self.trim = (
            store.make,
            store.find,
            store.touch,
            store.trim,
        )
        self.append, self.sweep, self.close = relay.append, store.sweep, store.close

    def drop(self, key: int, done: Callable[[Refusal | None], None]) -> None:
        """Everybody who follows it learns of it."""

        def dropped(refusal: Refusal | None) -> None:
            done(refusal)
            for hub in self._relay.hubs.values():
                hub._gone(key)

        self._relay.store.drop(key, dropped)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """Without what is withheld."""

        def shown(records: Records, more: bool) -> None:
            left = [each for each in records if (key, each[0]) not in self._relay.withheld]
            done(left, more and bool(left))

        self._relay.store.read(key, since, shown)


class PersonalHub(Hub):
    """One person's; what others append is published by their hubs through the relay."""

    relay: Relay

    def stored(self, key: int, seq: int, body: bytes) -> None:
        """Told to everybody's, as if the connections were of one."""
        self.relay.publish(key, seq, body)

    def show(self, key: int, seq: int, body: bytes) -> None:
        """Tell this one's."""
        super().stored(key, seq, body)


class Relay:
    """`honest` ones only go away and come back; others do what they like with what they hold."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.name = name
        self.honest = True
        number = RELAYS.index(name) + 1
        self.home = Home(name, 443, bytes([number]) * 16, bytes([number]) * 32)
        self.store = MemoryStore(town.clock, Slow(town.disk))
        self.hubs: dict[str, PersonalHub] = {}
        self.withheld: set[tuple[int, int]] = set()
        self.withholding = 0.0
        """Share of new records that is kept from everybody."""
        self.forgetful = 0.0
        """Share of new records that is acknowledged and thrown away."""
        self.up = False

    def start(self) -> None:
        self.up = True
        limits = RelayLimits()
        for who in PEOPLE:
            hub = PersonalHub(View(self), limits, self.town.clock, self.town.loop.call_soon)
            hub.relay = self
            self.hubs[who] = hub
        self.town.weather.accept[self.name] = self._accept

    def crash(self) -> None:
        """Everything that was not on the disk is lost, and every connection."""
        self.up = False
        self.store.crash()
        self.town.weather.accept.pop(self.name, None)
        self.town.weather.cut(where=self.name)

    def _accept(self, who: str, channel: Channel) -> Handler:
        welcome = wire.Welcome(wire.VERSION, bytes(32), bytes(64), 66_000, 90 * 86_400)
        return Connection(self.hubs[who], channel, welcome)

    def append(
        self, key: int, expires: int, body: bytes, done: Callable[[Refusal | None, int], None]
    ) -> None:
        """Keep a record, or say so."""
        self.town.seen(body)
        dice = self.town.dice
        if dice.random() < self.forgetful:
            log = self.store.logs.get(key)
            self.store._later(lambda: done(None, log.next if log else 1))
            return

        def stored(refusal: Refusal | None, seq: int) -> None:
            if refusal is None and dice.random() < self.withholding:
                self.withheld.add((key, seq))
            done(refusal, seq)

        self.store.append(key, expires, body, stored)

    def publish(self, key: int, seq: int, body: bytes) -> None:
        """Show a durable record to everybody who follows."""
        if (key, seq) not in self.withheld:
            for hub in self.hubs.values():
                hub.show(key, seq, body)

    # Mischief. Each says what it did, or nothing if there was nothing to do it with.

    def _some(self, least: int = 1) -> tuple[int, Log] | None:
        found = [key for key, log in self.store.logs.items() if len(log.records) >= least]
        if not found:
            return None
        key = self.town.dice.choice(found)
        return key, self.store.logs[key]

    def repeat(self) -> str:
        """Bring an old record as a new one."""
        if (some := self._some()) is None:
            return ""
        key, log = some
        seq = self.town.dice.choice(sorted(log.records))
        self._insert(key, log, log.records[seq])
        return f"repeats record {seq} of log {key}"

    def reorder(self) -> str:
        """Exchange two records that it holds."""
        if (some := self._some(2)) is None:
            return ""
        key, log = some
        one, other = self.town.dice.sample(sorted(log.records), 2)
        log.records[one], log.records[other] = log.records[other], log.records[one]
        self.town.weather.cut(where=self.name)
        return f"exchanges records {one} and {other} of log {key}"

    def lose(self) -> str:
        """Lose what it had acknowledged."""
        if (some := self._some()) is None:
            return ""
        key, log = some
        seq = self.town.dice.choice(sorted(log.records))
        del log.records[seq]
        return f"loses record {seq} of log {key}"

    def invent(self) -> str:
        """Bring what nobody wrote, or a record that it has changed."""
        dice = self.town.dice
        if (some := self._some()) is None:
            return ""
        key, log = some
        expires, body = log.records[dice.choice(sorted(log.records))]
        at = dice.randrange(len(body))
        body = body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :]
        self._insert(key, log, (expires, body))
        return f"changes a record of log {key}"

    def mix(self) -> str:
        """Bring a record of one log in another."""
        if (some := self._some()) is None:
            return ""
        expires, body = some[1].records[self.town.dice.choice(sorted(some[1].records))]
        key = self.town.dice.choice(list(self.store.logs))
        self._insert(key, self.store.logs[key], (expires, body))
        return f"brings a record of log {some[0]} in log {key}"

    def release(self) -> str:
        """Bring what it withheld, now."""
        held, self.withheld = sorted(self.withheld), set()
        self.town.weather.cut(where=self.name)
        return f"releases {len(held)} records"

    def _insert(self, key: int, log: Log, record: tuple[int, bytes]) -> None:
        seq, log.next = log.next, log.next + 1
        log.records[seq] = record
        self.publish(key, seq, record[1])


# A person.


class StillKeeper(Keeper):
    """Without a thread: a batch is done when the disk is ready, and told of a moment later, so that
    a crash may come before it, after it, and between the commit and what follows it."""

    person: Person

    async def start(self) -> None:
        self.person.keeper = self
        self._dead = self._busy = False
        self._disk = Slow(self.person.town.disk)

    def submit(self, job: Callable[[Work], Any]) -> asyncio.Future[Any]:
        done = super().submit(job)
        if not self._busy:
            self._busy = True
            self._after(self._batch)
        return done

    def _after(self, work: Callable[[], object]) -> None:
        self._disk(lambda: None if self._dead else work())

    def _batch(self) -> None:
        batch: list[Any] = []
        while not self._jobs.empty() and len(batch) < MAX_BATCH:
            batch.append(self._jobs.get())
        self._busy = not self._jobs.empty()
        self._do(self.person.db, batch)
        if self._busy:
            self._after(self._batch)

    def _tell(self, function: Callable[..., object], *values: object) -> None:
        self._after(lambda: function(*values))

    def die(self) -> None:
        """As the process does."""
        self._dead = True

    async def stop(self) -> None:
        self._stopping = True


class StillVault:
    """A directory with a key that opens by itself."""

    phase, kept = "ready", "file"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = home / "none"

    def open(self) -> bytes:
        return KEY

    def release(self) -> None:
        pass


@dataclass
class Wrote:
    """What a person did, and was told that it is kept."""

    to: str
    text: str


class Person:
    """One node, that dies and is started again on its database."""

    def __init__(self, town: Town, name: str, stored: bytes | None) -> None:
        self.town = town
        self.name = name
        self.node: Node | None = None
        self.keeper: StillKeeper | None = None
        self.lives = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.asked: list[Wrote] = []
        self.answered: list[Wrote] = []
        self.back = False
        """Its database was set back once."""
        self.blobs: dict[tuple[str, int], bytes] = {}
        self.load(stored)

    def load(self, stored: bytes | None) -> None:
        """Take the place of the database."""
        if stored is None:
            self.db = apsw.Connection(":memory:", statementcachesize=database.STATEMENTS)
            database._migrate(self.db, Path(":memory:"))
        else:
            self.db = apsw.Connection(":memory:", statementcachesize=database.STATEMENTS)
            self.db.deserialize("main", stored)
            self.db.pragma("foreign_keys", 1)

    async def start(self) -> None:
        self.lives += 1
        dice = Random(f"{self.town.seed} {self.name} {self.lives}")
        connect = partial(self.town.weather.connect, self.name)
        given = tuple(relay.home for relay in self.town.relays.values())
        vault = StillVault(self.town.folder)
        node = Node(vault, connect, self.town.clock, dice.randbytes, given)  # type: ignore[arg-type]
        node.keeper = type("Keeper", (StillKeeper,), {"person": self})
        await node.start(self.name)
        self.node = node

    async def crash(self) -> None:
        """End at once, whatever was under way."""
        node, self.node = self.node, None
        if node is None or self.keeper is None:
            return
        self.keeper.die()
        for task in list(self.tasks):
            task.cancel()
        self.town.weather.cut(who=self.name)
        await node.stop()

    def go(self, work: Any) -> None:
        """Begin something that a crash may end."""

        async def run() -> None:
            with contextlib.suppress(ApiError):
                await work

        task = self.town.loop.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What the database has, committed."""
        return self.db.execute(sql, values).fetchall()

    def contact(self, name: str) -> str:
        """The id of a contact."""
        ((id,),) = self.rows("SELECT id FROM contact WHERE own_name = ?", name)
        return str(id)


# The town.


@dataclass
class Base:
    """What runs begin with: people's databases and relays' stores."""

    people: dict[str, bytes] = field(default_factory=dict)
    relays: dict[str, dict[int, Log]] = field(default_factory=dict)


class Town:
    """Everything, on one loop; the same seed gives the same story."""

    def __init__(self, seed: str, base: Base | None, folder: Path) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.folder = folder
        self.loop = asyncio.get_running_loop()
        self.weather = Weather(self.dice)
        self.story: list[str] = []
        self.troubles: list[str] = []
        """What should not have happened, seen when it did."""
        self.loop.set_exception_handler(self._failed)
        self.relays = {name: Relay(self, name) for name in RELAYS}
        self.people = {
            name: Person(self, name, base.people[name] if base else None) for name in PEOPLE
        }
        for name, relay in self.relays.items():
            if base is not None:
                relay.store.load(base.relays[name])

    def clock(self) -> int:
        return START + int(self.loop.time() * 1000)

    def disk(self) -> float:
        """How long one takes now, in seconds."""
        return self.dice.random() * DISK

    def tell(self, what: str) -> None:
        """Go on with the story."""
        self.story.append(f"{self.loop.time():12.3f} {what}")

    def seen(self, body: bytes) -> None:
        """A relay was given this."""
        if MARK in body:
            self.troubles.append("a relay was given what can be read")

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, asyncio.CancelledError):
            self.troubles.append(f"{context['message']}: {error!r}")

    async def start(self) -> None:
        for relay in self.relays.values():
            relay.start()
        for person in self.people.values():
            await person.start()

    async def stop(self) -> None:
        for person in self.people.values():
            await person.crash()


transfers.TELL_SECONDS = 3600.0  # type: ignore[misc]  # there are no files here


async def meet(inviter: Node, acceptor: Node) -> None:
    """Become contacts, where all is well."""
    invitation = await inviter.create_invitation()
    while invitation.state == "preparing":
        await asyncio.sleep(0.1)
        invitation = next(i for i in await inviter.invitations() if i.id == invitation.id)
    await acceptor.accept_invitation(invitation.link)


async def found(folder: Path) -> Base:
    """Everybody knows everybody."""
    async with asyncio.timeout(3600):
        return await _found(Town("base", None, folder))


async def _found(town: Town) -> Base:
    await town.start()
    nodes = [person.node for person in town.people.values() if person.node is not None]
    await meet(nodes[0], nodes[1])
    await meet(nodes[0], nodes[2])
    await meet(nodes[1], nodes[2])
    for node in nodes:
        while [contact.state for contact in await node.contacts()] != ["active"] * 2:
            await asyncio.sleep(1)
    others = [contact.id for contact in await nodes[0].contacts()]
    await nodes[0].create_group(GROUP, others)
    for node in nodes:
        while not any(c.name == GROUP and c.members == 3 for c in await node.contacts()):
            await asyncio.sleep(1)
    await asyncio.sleep(300)
    await town.stop()
    return Base(
        {name: person.db.serialize("main") for name, person in town.people.items()},
        {name: relay.store.dump() for name, relay in town.relays.items()},
    )


_bases: list[Base] = []


def base() -> Base:
    """Made once."""
    if not _bases:
        with (
            tempfile.TemporaryDirectory() as folder,
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
        ):
            _bases.append(runner.run(found(Path(folder))))
    return _bases[0]
