"""A connection at the relay, over memory: time limits, gone logs, no secrets told."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core import wire
from holdfast.core.caps import Caps
from holdfast.paths.base import Link
from holdfast.relay.keys import Secrets
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import Relay
from holdfast.store.embedded import Embedded
from holdfast.testing.memory import MemoryChannel, pair


class Peer:
    """The node's end: says frames and waits for frames."""

    def __init__(self, relay: Relay) -> None:
        self.near, self.far = pair()
        self.near.handler = self
        self.heard: list[wire.RelayFrame] = []
        self.live: list[wire.RelayFrame] = []
        self.closed = False
        self._came = asyncio.Event()
        self.far.handler = relay.accept(self.far, b"\0" * 32, "somewhere")

    @property
    def last(self) -> wire.RelayFrame | None:
        return self.heard[-1] if self.heard else None

    def on_frame(self, frame: bytes) -> None:
        self.heard.append(wire.decode_relay(frame))
        self._came.set()

    def on_live(self, frame: bytes) -> None:
        self.live.append(wire.decode_relay(frame))
        self._came.set()

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.closed = True
        self._came.set()

    def say(self, *frames: wire.ClientFrame) -> None:
        for frame in frames:
            self.near.send(wire.encode(frame))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self._came.clear()
                await self._came.wait()


class World:
    def __init__(self, data: Path, limits: RelayLimits) -> None:
        loop = asyncio.get_running_loop()
        self.now = 10**12
        self.keys = Secrets(data)
        self.store = Embedded(
            data / "logs",
            quota=limits.store,
            clock=lambda: self.now,
            post=loop.call_soon_threadsafe,
            failed=pytest.fail,
        )
        self.relay = Relay(self.store, self.keys, limits, lambda: self.now, loop.call_soon)

    def create(self, caps: Caps, handle: int = 1) -> wire.Create:
        pin = self.keys.pin
        return wire.Create(
            handle,
            caps.log_id(pin),
            caps.verifier("append", pin),
            caps.verifier("read", pin),
            caps.verifier("owner", pin),
        )

    def attach(self, caps: Caps, handle: int = 1, since: int | None = None) -> wire.Attach:
        pin = self.keys.pin
        return wire.Attach(
            handle,
            caps.log_id(pin),
            caps.token("append", pin),
            caps.token("read", pin),
            caps.token("owner", pin),
            since,
        )


async def test_the_relay_speaks_first_and_who_says_nothing_is_closed(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits(greeting_seconds=15))
    silent, polite = Peer(world.relay), Peer(world.relay)
    polite.say(wire.Hello(1))
    await silent.until(lambda: bool(silent.heard))
    assert isinstance(silent.heard[0], wire.Welcome)
    world.now += 15_000
    world.relay.hub.tick()
    await silent.until(lambda: silent.closed)
    assert isinstance(silent.last, wire.Bye)
    assert not polite.closed
    world.store.close()


async def test_many_requests_in_one_breath_are_answered_in_order(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    log, peer = Caps.make(secrets.token_bytes(128)), Peer(world.relay)
    peer.say(
        wire.Hello(1),
        world.create(log),
        world.attach(log, since=0),
        wire.Append(1, 1, 60, b"one"),
        wire.Live(1, b"live"),
        wire.Append(9, 2, 60, b"nowhere"),
        wire.Append(1, 3, 60, b"two"),
    )
    await peer.until(lambda: wire.Acked(3) in peer.heard)
    await peer.until(lambda: sum(isinstance(f, wire.Records) for f in peer.heard) >= 2)
    kinds = [type(frame) for frame in peer.heard]
    assert kinds[1:3] == [wire.Done, wire.Attached]
    records = [r for f in peer.heard if isinstance(f, wire.Records) for r in f.records]
    assert [r for r in records if r[0]] == [(1, b"one"), (2, b"two")]
    (refused,) = [f for f in peer.heard if isinstance(f, wire.Refused)]
    assert (refused.code, refused.n) == ("unknown-handle", 2)
    world.store.close()


async def test_who_follows_a_dropped_log_is_told(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    log, owner, reader = Caps.make(secrets.token_bytes(128)), *(Peer(world.relay) for _ in "12")
    owner.say(wire.Hello(1), world.create(log), world.attach(log))
    await owner.until(lambda: isinstance(owner.last, wire.Attached))
    reader.say(wire.Hello(1), world.attach(log.only("read"), 5, since=0))
    await reader.until(lambda: wire.Done(5, "read") in reader.heard)
    owner.say(wire.Drop(1))
    await reader.until(lambda: isinstance(reader.last, wire.Refused))
    assert wire.Done(1, "drop") in owner.heard
    owner.say(world.attach(log))
    await owner.until(lambda: isinstance(owner.last, wire.Refused))
    world.store.close()


async def test_a_flood_of_live_frames_is_bounded_in_bytes_and_number(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    log, other, peer = *(Caps.make(secrets.token_bytes(128)) for _ in "12"), Peer(world.relay)
    peer.say(wire.Hello(1), *(world.create(one, at) for at, one in ((1, log), (2, other))))
    peer.say(world.attach(log, 1, since=0), world.attach(other, 2, since=0))
    await peer.until(lambda: peer.heard.count(wire.Done(2, "read")) == 1)
    assert isinstance(peer.far, MemoryChannel)
    handler = peer.far.handler
    assert handler is not None

    async def flood(size: int, count: int) -> list[int]:
        """All in one turn of the loop; how many bytes came of each."""
        before, heard = len(peer.heard), wire.Records(2, ((0, b"of the other"),))
        for _ in range(count):
            handler.on_frame(wire.encode(wire.Live(1, bytes(size))))
        handler.on_frame(wire.encode(wire.Live(2, b"of the other")))
        await peer.until(lambda: heard in peer.heard[before:])
        return [
            len(body)
            for frame in peer.heard[before:]
            if isinstance(frame, wire.Records) and frame.handle == 1
            for _, body in frame.records
        ]

    assert await flood(60_000, 100) == [60_000] * 4
    assert await flood(60, 1_500) == [60] * 1_000
    assert await flood(60_000, 4) == [60_000] * 4
    world.store.close()


async def test_a_connection_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    log, peer = Caps.make(secrets.token_bytes(128)), Peer(world.relay)
    peer.say(wire.Hello(1), world.create(log), world.attach(log, since=0))
    await peer.until(lambda: wire.Done(1, "read") in peer.heard)
    peer.say(wire.Append(1, 1, 60, b"on its way"))
    await asyncio.sleep(0)
    assert isinstance(peer.near, MemoryChannel)
    peer.near.cut()
    hub = world.relay.hub
    assert not hub._followers and not hub._connections
    other = Peer(world.relay)
    other.say(wire.Hello(1), world.attach(log, since=0))
    await other.until(lambda: wire.Done(1, "read") in other.heard)
    world.store.close()


async def test_nothing_is_logged_about_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(tmp_path, RelayLimits())
    log, peer = Caps.make(secrets.token_bytes(128)), Peer(world.relay)
    peer.say(wire.Hello(1), world.create(log), world.attach(log), wire.Append(1, 1, 60, b"x"))
    await peer.until(lambda: wire.Acked(1) in peer.heard)
    peer.near.send(b"\xc1")
    await peer.until(lambda: peer.closed)
    world.store.close()
    assert [r for r in caplog.records if r.name != "asyncio"] == []
    assert capfd.readouterr() == ("", "")


GOOD = Link(rtt=0.04, silent=0.05, sent=100, lost=1)
SILENT = Link(rtt=0.04, silent=0.5, sent=100, lost=1)


async def test_live_frames_go_as_datagrams_and_by_the_stream_too_when_those_are_silent(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, RelayLimits())
    log, writer, reader = Caps.make(secrets.token_bytes(128)), *(Peer(world.relay) for _ in "12")
    writer.near.link = reader.far.link = GOOD
    writer.say(wire.Hello(1), world.create(log), world.attach(log))
    await writer.until(lambda: isinstance(writer.last, wire.Attached))
    reader.say(wire.Hello(1), world.attach(log, 3, since=0))
    await reader.until(lambda: wire.Done(3, "read") in reader.heard)
    said = len(reader.heard)
    writer.near.send_live(wire.encode(wire.Live(1, b"one")))
    await reader.until(lambda: reader.live == [wire.Records(3, ((0, b"one"),))])
    assert len(reader.heard) == said
    reader.far.link = SILENT
    writer.say(wire.Live(1, b"two"))
    await reader.until(lambda: wire.Records(3, ((0, b"two"),)) in reader.heard)
    assert reader.live[-1] == wire.Records(3, ((0, b"two"),))
    reader.far.link = GOOD
    writer.say(wire.Live(1, b"x" * wire.MAX_LIVE))  # does not fit
    await reader.until(lambda: wire.Records(3, ((0, b"x" * wire.MAX_LIVE),)) in reader.heard)
    assert len(reader.live) == 2
    world.store.close()


async def test_a_frame_has_its_time_to_come_whole_and_datagrams_are_none(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    slow, calls, idle = (Peer(world.relay) for _ in "123")
    calls.far.link = GOOD
    for peer in (slow, calls, idle):
        peer.say(wire.Hello(1))
    await asyncio.sleep(0)
    slow.far.received += 100_000
    world.relay.hub.tick()
    await asyncio.sleep(0)
    assert not slow.closed  # it has only begun
    for _ in range(70):
        world.now += 5_000
        slow.far.received += 1_000
        calls.far.received += 50_000
        world.relay.hub.tick()
        await asyncio.sleep(0)
    await slow.until(lambda: slow.closed)
    assert isinstance(slow.last, wire.Bye) and slow.last.code == "rate"
    assert not calls.closed and not idle.closed
    world.store.close()


@pytest.mark.parametrize("first", ["session", "lender"])
async def test_a_connection_lends_its_datagrams_to_the_session_of_another(
    tmp_path: Path, first: str
) -> None:
    world = World(tmp_path, RelayLimits(greeting_seconds=15))
    log, node, lender = Caps.make(secrets.token_bytes(128)), *(Peer(world.relay) for _ in "12")
    lender.near.link = lender.far.link = GOOD
    node.say(wire.Hello(1), world.create(log), world.attach(log, since=0))
    await node.until(lambda: wire.Done(1, "read") in node.heard)
    token = wire.Beside(b"t" * 16)
    for peer in (node, lender) if first == "session" else (lender, node):
        peer.say(token)
        await asyncio.sleep(0)
    await lender.until(lambda: lender.last == wire.Done(0, "beside"))
    world.now += 60_000
    world.relay.hub.tick()
    lender.near.send_live(wire.encode(wire.Live(1, b"by the lender")))
    await lender.until(lambda: lender.live == [wire.Records(1, ((0, b"by the lender"),))])
    assert not node.live
    node.say(wire.Live(1, b"in doubt"))
    await node.until(lambda: node.last == wire.Records(1, ((0, b"in doubt"),)))
    assert lender.live[-1] == wire.Records(1, ((0, b"in doubt"),))
    heard = len(node.heard)
    world.now += 1_000
    lender.near.send_live(wire.encode(wire.Live(1, b"no more")))
    await lender.until(lambda: lender.live[-1] == wire.Records(1, ((0, b"no more"),)))
    assert len(node.heard) == heard
    lender.near.close()
    await lender.until(lambda: lender.closed)
    node.say(wire.Live(1, b"by the stream"))
    await node.until(lambda: wire.Records(1, ((0, b"by the stream"),)) in node.heard)
    again, stranger = Peer(world.relay), Peer(world.relay)
    stranger.say(token)
    again.say(wire.Beside(b"u" * 16))
    node.say(wire.Beside(b"u" * 16))
    await again.until(lambda: again.last == wire.Done(0, "beside"))
    world.now += 15_000
    world.relay.hub.tick()
    await stranger.until(lambda: stranger.closed)
    assert not node.closed and not again.closed
    world.store.close()


async def test_who_lends_says_nothing_else_and_ends_with_the_session(tmp_path: Path) -> None:
    world = World(tmp_path, RelayLimits())
    node, lender, other = (Peer(world.relay) for _ in "123")
    node.say(wire.Hello(1), wire.Beside(b"t" * 16))
    lender.say(wire.Beside(b"t" * 16))
    await lender.until(lambda: lender.last == wire.Done(0, "beside"))
    other.say(wire.Beside(b"o" * 16), wire.Hello(1))
    await other.until(lambda: other.closed)
    assert isinstance(other.last, wire.Bye) and other.last.code == "malformed"
    node.near.close()
    await lender.until(lambda: lender.closed)
    world.store.close()
