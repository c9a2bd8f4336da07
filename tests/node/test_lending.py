"""Datagrams beside a stream: lent, lost, and lent again, with a real relay on loopback."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core import ladder
from holdfast.core.caps import Caps, Home
from holdfast.core.log.events import By
from holdfast.core.seen import QUIC
from holdfast.drive.logs import CaughtUp, Created, Live, LogEvent, Logs
from holdfast.node import lending
from holdfast.node.ways import Ways
from holdfast.paths import quic, websocket
from holdfast.paths.base import Attempt, Channel, Handler
from holdfast.relay import program
from holdfast.testing.between import Between


def now() -> int:
    return time.monotonic_ns() // 1_000_000


@asynccontextmanager
async def relay(data: Path) -> AsyncIterator[Home]:
    stop, said = asyncio.Event(), asyncio.Queue[str]()
    task = asyncio.create_task(program.run(data, ("127.0.0.1", 0), say=said.put_nowait, stop=stop))
    try:
        yield Home.parse(await said.get())
    finally:
        stop.set()
        await task


class End:
    """A node that talks over one log and hears another."""

    def __init__(self, net: Between, *paths: str) -> None:
        async def by_udp(home: Home, handler: Handler, attempt: Attempt) -> Channel:
            return await quic.connect(replace(home, port=net.port), handler, attempt)

        known = {"websocket": websocket.connect, QUIC: by_udp}
        self.ways = Ways({name: known[name] for name in paths}, now)  # type: ignore[misc]
        self.logs = Logs(self._connect, now, secrets.token_bytes, self.heard)
        self.live: list[bytes] = []
        self.events: list[LogEvent] = []

    async def _connect(self, home: Home, handler: Handler) -> Channel:
        self.channel = await self.ways.connect(home, handler)
        self.ways.lend(home, self.channel)
        return self.channel

    def heard(self, event: LogEvent) -> None:
        self.events.append(event)
        if isinstance(event, Live):
            self.live.append(event.body)

    async def stop(self) -> None:
        await self.logs.stop()
        await self.ways.stop()


@asynccontextmanager
async def talking(
    data: Path, *paths: str, udp: bool = True
) -> AsyncIterator[tuple[End, End, Caps, Home, Between]]:
    async with relay(data) as home, Between(home.port) as net:
        net.loses = lambda data, sent: not udp
        one, other = End(net, *paths), End(net, *paths)
        log = Caps.make(secrets.token_bytes(128))
        one.logs.create(log, home)
        await until(lambda: any(isinstance(e, Created) for e in one.events))
        other.logs.follow(log.only("read"), home, 0, bare=True)
        await until(lambda: any(isinstance(e, CaughtUp) for e in other.events))
        one.logs.pass_on(log.only("append"), home, b"", 4096)
        try:
            yield one, other, log.only("append"), home, net
        finally:
            await one.stop()
            await other.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(lending, "AGAIN_SECONDS", 0.05)
    for kind in ladder.REST:
        monkeypatch.setitem(ladder.REST, kind, 200)


async def test_live_frames_outlive_udp(tmp_path: Path) -> None:
    async with talking(tmp_path / "relay", "websocket", QUIC) as (one, other, log, home, net):
        await until(lambda: one.logs.link(home) and other.logs.link(home))
        assert one.channel.path == "websocket"  # type: ignore[attr-defined]
        sent = 0

        async def say(times: int) -> None:
            nonlocal sent
            for _ in range(times):
                assert one.logs.pass_on(log, home, b"%d" % sent, 4096, by=by)
                sent += 1
                await asyncio.sleep(0.02)

        by: By = "datagram"
        before = len(net.sent)
        await say(20)
        assert len(net.sent) >= before + 10  # a busy machine may have thought it silent
        net.loses = lambda data, sent: True
        by = "stream"
        await say(50)
        # Until the relay sees that nothing answers, some are lost; then it uses both ways as well.
        await until(lambda: {b"%d" % n for n in range(50, sent)} <= set(other.live))
        await until(lambda: one.logs.link(home) is None)
        await until(lambda: one.ways.finding().verdict == "udp-block")
        net.loses = lambda data, sent: False
        await until(lambda: one.logs.link(home) and other.logs.link(home))
        await until(lambda: one.ways.finding().verdict == "clear")
        before, by = len(net.sent), "datagram"
        await say(20)
        assert len(net.sent) >= before + 10
        assert not any("closed" in str(event) for event in one.events)


async def test_without_udp_everything_goes_by_the_stream(tmp_path: Path) -> None:
    async with talking(tmp_path / "relay", "websocket", QUIC, udp=False) as all:
        one, other, log, home, _ = all
        assert one.logs.pass_on(log, home, b"by the stream", 4096)
        await until(lambda: b"by the stream" in other.live)


async def test_quic_alone_carries_everything(tmp_path: Path) -> None:
    async with talking(tmp_path / "relay", QUIC) as (one, other, log, home, net):
        assert one.logs.pass_on(log, home, b"sound", 4096)
        await until(lambda: b"sound" in other.live)
        assert one.logs.pass_on(log, home, b"x" * 30_000, 4096)  # too much for a datagram
        await until(lambda: b"x" * 30_000 in other.live)
        assert max(net.sent) <= 1_200
        assert one.channel.lender is None  # type: ignore[attr-defined]


async def test_another_network_costs_no_handshake(tmp_path: Path) -> None:
    async with talking(tmp_path / "relay", QUIC) as (one, other, log, home, _):
        before = one.channel
        one.ways.move()
        other.ways.move()
        async with asyncio.timeout(60):
            while b"still here" not in other.live:  # what was on its way is gone
                one.logs.pass_on(log, home, b"still here", 4096)
                await asyncio.sleep(0.05)
        assert one.channel is before


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)
