import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.core.caps import Caps, Home
from holdfast.drive import logs
from holdfast.drive.logs import (
    Appended,
    CaughtUp,
    Created,
    Down,
    Live,
    LogEvent,
    Logs,
    Received,
    Refused,
    Up,
)
from holdfast.paths import websocket
from holdfast.relay.keys import Secrets, now_ms
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import Relay
from holdfast.store.embedded import Embedded
from holdfast.testing.memory import MemoryPath

T = TypeVar("T")


class Events:
    """What a node was told, and waiting for it."""

    def __init__(self) -> None:
        self.all: list[LogEvent] = []
        self._came = asyncio.Event()

    def __call__(self, event: LogEvent) -> None:
        self.all.append(event)
        self._came.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.all if isinstance(event, kind)]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self._came.clear()
                await self._came.wait()


@dataclass
class World:
    path: MemoryPath
    home: Home
    relay: Relay
    start: Callable[[], Relay]
    stop: Callable[[], None]

    def node(self) -> tuple[Logs, Events]:
        events = Events()
        return Logs(self.path.connect, now_ms, secrets.token_bytes, events), events


@asynccontextmanager
async def world(data: Path, limits: RelayLimits | None = None) -> AsyncIterator[World]:
    path = MemoryPath()
    limits = limits or RelayLimits()
    loop = asyncio.get_running_loop()
    keys = Secrets(data)
    stores: list[Embedded] = []

    def start() -> Relay:
        store = Embedded(
            data / "logs",
            quota=limits.store,
            clock=now_ms,
            post=loop.call_soon_threadsafe,
            failed=lambda text: None,
        )
        stores.append(store)
        relay = Relay(store, keys, limits, now_ms, loop.call_soon)
        path.relays[keys.pin] = relay.accept
        return relay

    def stop() -> None:
        path.relays.clear()
        for channel in path.channels:
            channel.cut()
        stores.pop().close()

    home = keys.home("relay.example", 443)
    yield World(path, home, start(), start, stop)
    stop()


def caps() -> Caps:
    return Caps.make(secrets.token_bytes(128))


def rid() -> bytes:
    return secrets.token_bytes(16)


async def test_one_writes_and_another_reads(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        reader, read = w.node()
        writer, wrote = w.node()
        reader.create(log, w.home)
        await read.until(lambda: bool(read.of(Created)))
        first, second = rid(), rid()
        writer.append(log.only("append"), w.home, first, b"one", 60)
        await wrote.until(lambda: bool(wrote.of(Appended)))
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        writer.append(log.only("append"), w.home, second, b"two", 60)
        await read.until(lambda: len(read.of(Received)) == 2)
        assert [(r.seq, r.rid, r.body) for r in read.of(Received)] == [
            (1, first, b"one"),
            (2, second, b"two"),
        ]
        assert [a.rid for a in wrote.of(Appended)] == [first] + [
            a.rid for a in wrote.of(Appended)[1:]
        ]
        assert isinstance(read.all[0], Up)
        await reader.stop()
        await writer.stop()


async def test_live_frames_are_passed_on_and_not_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        reader, read = w.node()
        writer, wrote = w.node()
        reader.create(log, w.home)
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        writer.append(log, w.home, rid(), b"stored", 60)
        await wrote.until(lambda: bool(wrote.of(Appended)))
        writer.append(log, w.home, rid(), b"live", 0)
        await read.until(lambda: bool(read.of(Live)))
        assert read.of(Live)[0].body == b"live"
        late, later = w.node()
        late.follow(log, w.home, 0)
        await later.until(lambda: bool(later.of(CaughtUp)))
        assert [r.body for r in later.of(Received)] == [b"stored"]
        for logs in (reader, writer, late):
            await logs.stop()


async def test_everything_goes_on_after_the_relay_was_away(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        reader, read = w.node()
        writer, wrote = w.node()
        reader.create(log, w.home)
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        w.stop()
        await read.until(lambda: bool(read.of(Down)))
        sent = [rid() for _ in range(50)]
        for one in sent:
            writer.append(log, w.home, one, b"while away", 60)
        await wrote.until(lambda: bool(wrote.of(Down)))
        w.start()
        reader.retry()
        writer.retry()
        await wrote.until(lambda: len(wrote.of(Appended)) == 50)
        await read.until(lambda: len(read.of(Received)) == 50)
        assert [r.rid for r in read.of(Received)] == sent
        await reader.stop()
        await writer.stop()


async def test_what_fell_silent_is_replaced_at_once_and_then_with_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "STEADY", 10**9)
    pauses: list[int] = []

    async def pause(line: object, wait: int) -> None:
        pauses.append(wait)

    monkeypatch.setattr(logs._Line, "_pause", pause)
    async with world(tmp_path) as w:
        node, events = w.node()
        node.open(w.home)
        for times, paused in ((1, []), (2, [2 * logs.FIRST_WAIT])):
            await events.until(lambda times=times: len(events.of(Up)) == times)
            node._lines[w.home].on_closed(websocket.STALLED)
            await events.until(lambda times=times: len(events.of(Up)) == times + 1)
            assert pauses == paused
        await node.stop()


async def test_what_was_cut_in_flight_is_sent_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        reader, read = w.node()
        writer, wrote = w.node()
        reader.create(log, w.home)
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        sent = [rid() for _ in range(300)]
        for i, one in enumerate(sent):
            writer.append(log, w.home, one, b"x" * 500, 60)
            if i % 60 == 59:
                await asyncio.sleep(0.001)
                for channel in w.path.channels[1:]:
                    channel.cut()
                await wrote.until(lambda: isinstance(wrote.all[-1], (Down, Up, Appended)))
                writer.retry()
        while len(wrote.of(Appended)) < 300:
            writer.retry()
            await asyncio.sleep(0.01)

        def seen() -> list[bytes]:
            return list(dict.fromkeys(r.rid for r in read.of(Received)))

        await read.until(lambda: len(seen()) == 300)
        assert seen() == sent
        await reader.stop()
        await writer.stop()


async def test_a_wrong_capability_and_no_log_are_refused_alike(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log, other = caps(), caps()
        node, events = w.node()
        node.create(log, w.home)
        await events.until(lambda: bool(events.of(Created)))
        stranger, told = w.node()
        wrong = Caps(log.locator, append=other.append)
        stranger.append(wrong, w.home, rid(), b"x", 60)
        stranger.append(other, w.home, rid(), b"x", 60)
        await told.until(lambda: len(told.of(Refused)) == 4)
        refusals = {(r.what, r.code, r.text) for r in told.of(Refused)}
        assert len(refusals) == 2
        assert {what for what, _, _ in refusals} == {"attach", "append"}
        await node.stop()
        await stranger.stop()


async def test_a_log_with_a_limit_takes_no_more_than_that(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        node, events = w.node()
        node.create(log, w.home, limit=2)
        for _ in range(3):
            node.append(log, w.home, rid(), b"x", 60)
        await events.until(lambda: bool(events.of(Refused)))
        assert len(events.of(Appended)) == 2
        assert events.of(Refused)[0].code == "closed"
        node.trim(log, w.home, 2)
        node.append(log, w.home, rid(), b"x", 60)
        await events.until(lambda: len(events.of(Refused)) == 2)
        await node.stop()


async def test_trimmed_records_are_gone_and_a_dropped_log_is_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        log = caps()
        node, events = w.node()
        node.create(log, w.home)
        for i in range(4):
            node.append(log, w.home, rid(), b"%d" % i, 60)
        await events.until(lambda: len(events.of(Appended)) == 4)
        node.trim(log, w.home, 2)
        node.follow(log, w.home, 0)
        await events.until(lambda: bool(events.of(CaughtUp)))
        reader, read = w.node()
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        assert [r.body for r in read.of(Received)] == [b"2", b"3"]
        node.drop(log, w.home)
        await read.until(lambda: bool(read.of(Refused)))
        assert read.of(Refused)[0].code == "denied"
        await node.stop()
        await reader.stop()


async def test_a_slow_reader_is_served_from_the_store(tmp_path: Path) -> None:
    limits = RelayLimits(unsent_bytes=100_000)
    async with world(tmp_path, limits) as w:
        log = caps()
        reader, read = w.node()
        writer, wrote = w.node()
        reader.create(log, w.home)
        reader.follow(log, w.home, 0)
        await read.until(lambda: bool(read.of(CaughtUp)))
        slow = w.path.channels[0]
        slow.pause()
        for _ in range(400):
            writer.append(log, w.home, rid(), b"y" * 2_000, 60)
        writer.append(log, w.home, rid(), b"live", 0)
        await wrote.until(lambda: len(wrote.of(Appended)) == 400)
        assert slow.peer.buffered < 300_000
        slow.resume()
        await read.until(lambda: len(read.of(Received)) == 400)
        assert [r.seq for r in read.of(Received)] == list(range(1, 401))
        await reader.stop()
        await writer.stop()
