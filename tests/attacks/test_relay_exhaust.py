"""relay-exhaust: slow connections, full logs, floods of new ones, and honest people all the same.

Everything that an attacker can hold on to is bounded by where it comes from: connections, logs
made, a log's records, handshakes at a time, and frames that do not come whole. The twins take
those bounds away, and then honest people are refused.
"""

import asyncio
import contextlib
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from holdfast.core import caps, wire
from holdfast.core.caps import Caps, Home
from holdfast.core.log.limits import Limits
from holdfast.paths import tls
from holdfast.relay import front
from holdfast.relay.admission import Rules
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import run
from holdfast.store.base import Quota
from holdfast.testing.processes import Processes

ATTACKER, HONEST = "127.0.0.1", "127.0.0.2"
UNBOUND = 10**9


@asynccontextmanager
async def relay(data: Path, **about: Any) -> AsyncIterator[Home]:
    stop, said = asyncio.Event(), asyncio.Queue[str]()
    task = asyncio.create_task(
        run(data, ("0.0.0.0", 0), advertise="127.0.0.1", say=said.put_nowait, stop=stop, **about)
    )
    first = asyncio.create_task(said.get())
    await asyncio.wait([task, first], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    home = Home.parse(await first)
    try:
        yield home
    finally:
        stop.set()
        await task


class Raw(asyncio.Protocol):
    """A client that does as it likes: TLS, then whatever is written."""

    def __init__(self) -> None:
        self.frames: list[wire.RelayFrame] = []
        self.closed = asyncio.Event()
        self.ready = asyncio.Event()
        self._rest = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.ready.set()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            self._upgraded, data = True, data[end + 4 :]
        while len(data) >= 2:
            size, at = data[1], 2
            if size == 126:
                size, at = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, at = int.from_bytes(data[2:10], "big"), 10
            if len(data) < at + size:
                break
            if data[0] == 0x82:
                self.frames.append(wire.decode_relay(data[at : at + size]))
            data = data[at + size :]
        self._rest = data

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def failed(self, why: str) -> None:
        self.ready.set()
        self.closed.set()

    def say(self, *frames: wire.ClientFrame) -> None:
        self.transport.write(b"".join(masked(wire.encode(frame)) for frame in frames))

    async def until(self, true) -> None:
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.005)


def masked(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + bytes(4) + payload
    if size < 65_536:
        return bytes((0x82, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((0x82, 0x80 | 127)) + size.to_bytes(8, "big") + bytes(4) + payload


async def secured(home: Home, source: str) -> Raw:
    """TLS, and nothing said yet."""
    raw = Raw()
    context = tls.client_context(classic=True)
    layer = tls.TlsLayer(context, raw, failed=raw.failed)
    await asyncio.get_running_loop().create_connection(
        lambda: layer, home.host, home.port, local_addr=(source, 0)
    )
    await raw.ready.wait()
    raw.engine = layer.connection  # type: ignore[attr-defined]
    return raw


def request(home: Home, connection: SSL.Connection) -> bytes:
    path = caps.request_path(home, tls.key_hash(connection))
    return (
        f"GET {path} HTTP/1.1\r\nHost: {home.label}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def connected(home: Home, source: str) -> Raw:
    """As far as a node comes: greeted, and hello said."""
    raw = await secured(home, source)
    raw.transport.write(request(home, raw.engine))  # type: ignore[attr-defined]
    await raw.until(lambda: raw.frames or raw.closed.is_set())
    raw.say(wire.Hello(wire.VERSION))
    return raw


def create(home: Home, log: Caps, handle: int = 1) -> wire.Create:
    pin = home.pin
    append, read, owner = (log.verifier(role, pin) for role in ("append", "read", "owner"))
    return wire.Create(handle, log.log_id(pin), append, read, owner)


def attach(home: Home, log: Caps, handle: int = 1, since: int | None = None) -> wire.Attach:
    pin = home.pin
    append, read, owner = (log.token(role, pin) for role in ("append", "read", "owner"))
    return wire.Attach(handle, log.log_id(pin), append, read, owner, since)


def is_attached(raw: Raw, handle: int) -> bool | None:
    """None: there is no answer yet."""
    for frame in raw.frames:
        if isinstance(frame, wire.Attached) and frame.handle == handle:
            return True
        if isinstance(frame, wire.Refused) and frame.handle == handle and not frame.n:
            return False
    return None


async def own_log(home: Home, source: str) -> Raw:
    """Somebody with a log that they made just now."""
    raw, log = await connected(home, source), Caps.make(secrets.token_bytes(128))
    raw.say(create(home, log), attach(home, log))
    await raw.until(lambda: len(raw.frames) >= 3 or raw.closed.is_set())
    return raw


async def is_served(home: Home, body: bytes = b"honest") -> bool:
    """Whether an honest person makes a log and a record is acknowledged."""
    raw = await own_log(home, HONEST)
    if raw.closed.is_set():
        return False
    raw.say(wire.Append(1, 1, 3600, body))
    await raw.until(lambda: isinstance(raw.frames[-1], (wire.Acked, wire.Refused, wire.Bye)))
    raw.transport.abort()
    return isinstance(raw.frames[-1], wire.Acked) and not any(
        isinstance(frame, wire.Refused) for frame in raw.frames
    )


@pytest.mark.parametrize("bound", [True, False], ids=["defended", "twin"])
async def test_connections_from_one_place_leave_room_for_others(
    tmp_path: Path, bound: bool
) -> None:
    limits = RelayLimits(connections=40, connections_per_address=25 if bound else UNBOUND)
    async with relay(tmp_path / "relay", limits=limits) as home:
        held = [await connected(home, ATTACKER) for _ in range(45)]
        assert await is_served(home) == bound
        for raw in held:
            raw.transport.abort()


@pytest.mark.parametrize("bound", [True, False], ids=["defended", "twin"])
async def test_logs_filled_from_one_place_leave_room_on_the_disk(
    tmp_path: Path, bound: bool
) -> None:
    quota = Quota(disk_bytes=8_000_000, disk_reserve=0, log_bytes=200_000)
    rules = Rules(per_address=5 if bound else UNBOUND)
    limits = RelayLimits(store=quota)
    async with relay(tmp_path / "relay", limits=limits, rules=rules) as home:
        raw = await connected(home, ATTACKER)
        n = 0
        for handle in range(1, 61):
            log = Caps.make(secrets.token_bytes(128))
            raw.say(create(home, log, handle), attach(home, log, handle))
            await raw.until(lambda: is_attached(raw, handle) is not None)  # noqa: B023
            if not is_attached(raw, handle):
                break
            for _ in range(3):
                n += 1
                raw.say(wire.Append(handle, n, 86_400, bytes(60_000)))
        raw.say(wire.Detach(1))
        await raw.until(lambda: wire.Done(1, "detach") in raw.frames)
        assert await is_served(home, bytes(60_000)) == bound
        raw.transport.abort()


@pytest.mark.parametrize("bound", [True, False], ids=["defended", "twin"])
async def test_who_takes_no_answers_is_let_go(
    tmp_path: Path, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "CLOSE_SECONDS", 0.1)
    limits = RelayLimits(
        unsent_bytes=300_000 if bound else UNBOUND, connection=Limits(appends_per_second=UNBOUND)
    )
    async with relay(tmp_path / "relay", limits=limits) as home:
        raw = await connected(home, ATTACKER)
        raw.transport.pause_reading()
        ended = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20 if bound else 1):
                while not raw.transport._raw.is_closing():
                    raw.say(*[wire.Probe(16_384)] * 20)
                    await asyncio.sleep(0.01)
                ended = True
        assert ended == bound
        raw.transport.abort()


@pytest.mark.parametrize("bound", [True, False], ids=["defended", "twin"])
async def test_frames_that_never_come_whole_are_bounded_together(
    tmp_path: Path, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.relay.program.TICK_SECONDS", 0.05)
    limits = RelayLimits(partial_bytes=1_000_000 if bound else UNBOUND)
    async with relay(tmp_path / "relay", limits=limits) as home:
        held = [await connected(home, ATTACKER) for _ in range(10)]
        part = masked(bytes(200_000))[:150_000]
        for raw in held:
            raw.transport.write(part)
        gone = lambda: sum(raw.closed.is_set() for raw in held)  # noqa: E731
        if bound:
            await held[0].until(lambda: gone() >= 3)
        await asyncio.sleep(0.3)
        said = [raw.frames[-1] for raw in held if raw.closed.is_set()]
        assert 3 <= len(said) < 10 if bound else not said, said
        assert await is_served(home)
        for raw in held:
            raw.transport.abort()


async def test_a_frame_that_dribbles_has_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.relay.program.TICK_SECONDS", 0.05)
    async with relay(tmp_path / "relay", limits=RelayLimits(frame_seconds=0)) as home:
        slow, idle = await connected(home, ATTACKER), await connected(home, ATTACKER)
        slow.transport.write(masked(bytes(60_000))[:30_000])
        await slow.until(slow.closed.is_set)
        assert isinstance(slow.frames[-1], wire.Bye) and slow.frames[-1].code == "rate"
        assert not idle.closed.is_set()
        idle.transport.abort()


@pytest.mark.parametrize("bound", [True, False], ids=["defended", "twin"])
async def test_handshakes_in_a_flood_wait_for_who_is_connected(
    tmp_path: Path, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two turns of the loop are never more than a few handshakes."""
    if not bound:
        monkeypatch.setattr(front, "HANDSHAKES", UNBOUND)
    most = 0
    begin, go = front._Arrival.begin, front.Turns._go
    begun = 0

    def counted(arrival: front._Arrival) -> None:
        nonlocal begun
        begun += 1
        begin(arrival)

    def turn(turns: front.Turns) -> None:
        nonlocal begun, most
        begun = 0
        go(turns)
        most = max(most, begun)

    monkeypatch.setattr(front._Arrival, "begin", counted)
    monkeypatch.setattr(front.Turns, "_go", turn)
    async with relay(tmp_path / "relay") as home:
        loop = asyncio.get_running_loop()
        hello = _hello()
        made = [
            await loop.create_connection(asyncio.Protocol, home.host, home.port) for _ in range(60)
        ]
        await asyncio.sleep(0.1)
        for transport, _ in made:
            transport.write(hello)  # all before the relay's part of this loop has a turn
        async with asyncio.timeout(60):
            while most == 0 or begun == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert (most <= front.HANDSHAKES) if bound else most > 8
        assert await is_served(home)
        for transport, _ in made:
            transport.abort()


def _hello() -> bytes:
    connection = SSL.Connection(tls.client_context(classic=True), None)
    connection.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(16_384)


# With real processes and a clock: how late honest records come.


@dataclass
class Honest:
    """Pairs who write to one another; how long each record took, in seconds."""

    home: Home
    delays: list[float] = field(default_factory=list)

    async def measure(self, pairs: int, seconds: float) -> float:
        """p95."""
        self.delays = []
        await asyncio.gather(*(self._pair(seconds) for _ in range(pairs)))
        return statistics.quantiles(self.delays, n=20)[18]

    async def _pair(self, seconds: float) -> None:
        log = Caps.make(secrets.token_bytes(128))
        writer, reader = await connected(self.home, HONEST), await connected(self.home, HONEST)
        writer.say(create(self.home, log), attach(self.home, log))
        await writer.until(lambda: any(isinstance(f, wire.Attached) for f in writer.frames))
        reader.say(attach(self.home, log, since=0))
        await reader.until(lambda: wire.Done(1, "read") in reader.frames)
        end, n = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            n += 1
            began, had = time.perf_counter(), len(reader.frames)
            writer.say(wire.Append(1, n, 3600, bytes(1_000)))
            async with asyncio.timeout(60):
                while len(reader.frames) == had:
                    await asyncio.sleep(0)
            self.delays.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        for raw in (writer, reader):
            raw.transport.abort()


async def attack(home: Home, count: int) -> list[Raw]:
    """Slow connections of every kind, and a log filled to its brim."""
    held: list[Raw] = []
    for number in range(count):
        source = f"127.1.{number % 4}.1"
        kind = number % 4
        if kind == 0:  # a request that never ends
            raw = await secured(home, source)
            raw.transport.write(b"GET / HTTP/1.1\r\nX-")
        else:
            raw = await connected(home, source)
            if kind == 1:  # a frame that never ends
                raw.transport.write(masked(bytes(60_000))[:20_000])
            elif kind == 2:  # everything is asked for, nothing is read
                raw.transport.pause_reading()
                raw.say(*[wire.Probe(16_384)] * 30)
        held.append(raw)
    full = await own_log(home, "127.1.0.2")
    for n in range(1, 400):
        full.say(wire.Append(1, n, 86_400, bytes(60_000)))
        if n % 20 == 0:
            await asyncio.sleep(0.01)
    held.append(full)
    return held


async def play(count: int, directory: Path) -> dict[str, float]:
    with Processes(directory) as programs:
        program = programs.relay("relay", listen="0.0.0.0:0", advertise="127.0.0.1")
        home = Home.parse(program.address)
        honest = Honest(home)
        await honest.measure(10, 2)
        before = await honest.measure(10, 8)
        held = await attack(home, count)
        during = await honest.measure(10, 8)
        for raw in held:
            raw.transport.abort()
    assert during <= 2 * before, f"p95 {before * 1e3:.1f} ms before, {during * 1e3:.1f} ms during"
    return {"connections": count, "p95 before, ms": before * 1e3, "p95 during, ms": during * 1e3}


def prove(seed: int, count: int, directory: Path) -> dict[str, float]:
    """`count` slow connections and a full log: honest p95 at most doubles."""
    return asyncio.run(play(count, directory))
