"""Two processes of one relay, here in one loop: logs, live frames and datagrams over the line."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from test_session import GOOD, SILENT, Peer

from holdfast.core import wire
from holdfast.core.caps import Caps
from holdfast.relay.between import Lending
from holdfast.relay.keys import Secrets
from holdfast.relay.limits import RelayLimits
from holdfast.relay.mesh import Mesh
from holdfast.relay.program import Relay
from holdfast.relay.shards import Shards
from holdfast.store.embedded import Embedded


class Process:
    """One of two."""

    def __init__(self, data: Path, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.now = 10**12
        self.keys = Secrets(data)
        self.mesh = Mesh(number, 2)
        own = Embedded(
            data / f"logs.{number}",
            quota=RelayLimits().store,
            clock=lambda: self.now,
            post=loop.call_soon_threadsafe,
            failed=pytest.fail,
        )
        self.store = Shards(own, self.mesh, self.keys.owner(2))
        limits = RelayLimits()
        self.relay = Relay(self.store, self.keys, limits, lambda: self.now, loop.call_soon)
        self.store.missed = self.relay.hub.missed
        Lending(self.relay.hub, self.mesh)

    def log_of(self, number: int) -> Caps:
        """A log that this process keeps."""
        while True:
            log = Caps.make(secrets.token_bytes(128))
            if self.keys.owner(2)(log.log_id(self.keys.pin)) == number:
                return log

    def create(self, log: Caps) -> wire.Create:
        pin = self.keys.pin
        append, read, owner = (log.verifier(role, pin) for role in ("append", "read", "owner"))
        return wire.Create(1, log.log_id(pin), append, read, owner)

    def attach(self, log: Caps) -> wire.Attach:
        pin = self.keys.pin
        append, read, owner = (log.token(role, pin) for role in ("append", "read", "owner"))
        return wire.Attach(1, log.log_id(pin), append, read, owner, 0)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


async def joined(one: Process, other: Process) -> None:
    here, there = socket.socketpair()
    await one.mesh.join(other.mesh.number, here)
    await other.mesh.join(one.mesh.number, there)


@asynccontextmanager
async def two(data: Path) -> AsyncIterator[tuple[Process, Process]]:
    one, other = Process(data, 0), Process(data, 1)
    await joined(one, other)
    yield one, other
    await one.store.aclose()
    await other.store.aclose()
    await asyncio.sleep(0.01)


async def test_datagrams_of_the_first_process_serve_a_session_of_the_other(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, second):
        node, lender = Peer(second.relay), Peer(first.relay)
        lender.near.link = lender.far.link = GOOD
        log = first.log_of(0)
        node.say(wire.Hello(1), second.create(log), second.attach(log))
        await node.until(lambda: wire.Done(1, "read") in node.heard)
        node.say(wire.Beside(b"t" * 16))
        await until(lambda: first.relay.hub._beside)
        lender.say(wire.Beside(b"t" * 16))
        await lender.until(lambda: lender.last == wire.Done(0, "beside"))
        await until(lambda: not second.relay.hub._beside)
        lender.near.send_live(wire.encode(wire.Live(1, b"by the lender")))
        await lender.until(lambda: lender.live == [wire.Records(1, ((0, b"by the lender"),))])
        assert not any(isinstance(frame, wire.Records) for frame in node.heard)
        lender.far.link = SILENT  # the first process says that it doubts, and both are used
        while not any(isinstance(frame, wire.Records) for frame in node.heard):
            node.say(wire.Live(1, b"again"))
            await asyncio.sleep(0.01)
        node.near.close()
        await lender.until(lambda: lender.closed)


async def test_a_lender_that_ends_leaves_the_session_its_stream(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, second):
        node, lender = Peer(second.relay), Peer(first.relay)
        lender.near.link = lender.far.link = GOOD
        log = first.log_of(1)
        lender.say(wire.Beside(b"t" * 16))
        node.say(wire.Hello(1), second.create(log), second.attach(log), wire.Beside(b"t" * 16))
        await lender.until(lambda: lender.last == wire.Done(0, "beside"))
        await until(lambda: not second.relay.hub._beside)
        lender.near.close()
        (session,) = second.relay.hub._connections
        await until(lambda: session._other is None)
        node.say(wire.Live(1, b"by the stream"))
        await node.until(lambda: wire.Records(1, ((0, b"by the stream"),)) in node.heard)
        assert not node.closed
        node.near.close()


async def test_who_follows_hears_what_came_while_the_line_was_cut(tmp_path: Path) -> None:
    async with two(tmp_path) as (first, second):
        reader, writer = Peer(first.relay), Peer(second.relay)
        log = first.log_of(1)
        writer.say(wire.Hello(1), second.create(log), second.attach(log))
        reader.say(wire.Hello(1), first.attach(log))
        await writer.until(lambda: wire.Done(1, "read") in writer.heard)
        reader.say(first.attach(log))
        await reader.until(lambda: wire.Done(1, "read") in reader.heard)
        for line in list(first.mesh._lines.values()):
            line.close()
        await until(lambda: not first.mesh.others and not second.mesh.others)
        writer.say(wire.Append(1, 1, 60, b"unheard"))
        await writer.until(lambda: wire.Acked(1) in writer.heard)
        late = Peer(first.relay)
        late.say(wire.Hello(1), first.attach(log))
        await late.until(lambda: isinstance(late.last, wire.Refused))
        assert isinstance(late.last, wire.Refused) and late.last.code == "later"
        await joined(first, second)
        await reader.until(lambda: wire.Records(1, ((1, b"unheard"),)) in reader.heard)
        writer.say(wire.Append(1, 2, 60, b"heard"))
        await reader.until(lambda: wire.Records(1, ((2, b"heard"),)) in reader.heard)
