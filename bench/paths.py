"""What each path costs beside a plain TLS WebSocket: bytes on the wire, round trips, rate.

`python bench/paths.py`. Through a tap on loopback that counts the bytes of TLS or UDP and above:

- a log is made at a relay, and records are appended one after the other, each when the one before
  is durable;
- the same with 50 ms on the way, each way: the first record's time, in round trips, and one more
  for each connection by TCP, whose own handshake the tap answers at once;
- many records of 60,000 bytes at once, without the tap: the rate until all are durable.

The plain TLS WebSocket is that of picows and the standard library's TLS, to a program that answers
each message with a byte and keeps nothing. The path of small exchanges holds itself to what hostile
networks bear, so its rate is theirs; records are fewer there, and no rate is taken.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

from holdfast.core.caps import Caps, Home
from holdfast.core.seen import QUIC, SMALL
from holdfast.drive.logs import Appended, LogEvent, Logs
from holdfast.node.ways import Path as Way
from holdfast.node.ways import paths
from holdfast.paths.base import Attempt
from holdfast.relay import certificate
from holdfast.relay.keys import now_ms
from holdfast.testing.between import Between
from holdfast.testing.processes import Processes
from holdfast.testing.tap import Tap

RECORDS = {SMALL: 10}
USUAL = 200
BODY = 1_000
"""Bytes of a record before its envelope."""
LARGE = 60_000
MANY = {QUIC: 100}
USUALLY_MANY = 1_000
DELAY = 0.05


class Writer:
    """Appends to a log of its own."""

    def __init__(self, way: Way, home: Home) -> None:
        self._home, self._caps = home, Caps.make(secrets.token_bytes(128))
        self._logs = Logs(
            lambda home, handler: way(home, handler, Attempt()),
            now_ms,
            secrets.token_bytes,
            self._heard,
        )
        self._durable = asyncio.Semaphore(0)
        self._logs.create(self._caps, home)

    def _heard(self, event: LogEvent) -> None:
        if isinstance(event, Appended):
            self._durable.release()

    async def append(self, size: int, count: int = 1) -> float:
        """Seconds until the relay has so many more records."""
        began = time.monotonic()
        for _ in range(count):
            self._logs.append(self._caps, self._home, secrets.token_bytes(16), bytes(size), 3_600)
        for _ in range(count):
            await self._durable.acquire()
        return time.monotonic() - began

    async def stop(self) -> None:
        await self._logs.stop()


class Plain:
    """The same by a plain WebSocket."""

    def __init__(self, transport: WSTransport, answers: asyncio.Semaphore) -> None:
        self._transport, self._answers = transport, answers

    async def append(self, size: int, count: int = 1) -> float:
        """Seconds until so many messages were answered."""
        began = time.monotonic()
        message = bytes(size)
        for _ in range(count):
            self._transport.send(WSMsgType.BINARY, message)
        for _ in range(count):
            await self._answers.acquire()
        return time.monotonic() - began

    async def stop(self) -> None:
        self._transport.disconnect()


class _Answering(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(WSMsgType.BINARY, b"\0")


class _Counting(WSListener):
    def __init__(self, answers: asyncio.Semaphore) -> None:
        self._answers = answers

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._answers.release()


Open = Callable[[Home], Awaitable["Writer | Plain"]]


logging.getLogger("picows").setLevel(logging.ERROR)


async def plain(home: Home) -> Plain:
    """A WebSocket to whoever is there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answers = asyncio.Semaphore(0)
    transport, _ = await ws_connect(
        lambda: _Counting(answers), f"wss://{home.label}/", ssl_context=context
    )
    return Plain(transport, answers)


async def serve_plain(stack: AsyncExitStack, place: Path) -> Home:
    """The other side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificate.make(key, "127.0.0.1", datetime.datetime.now(datetime.UTC))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (place / "plain.pem").write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "plain.pem")
    server = await ws_create_server(
        lambda _: _Answering(), "127.0.0.1", 0, ssl=context, max_frame_size=2**20
    )
    stack.callback(server.close)
    return Home("127.0.0.1", server.sockets[0].getsockname()[1], bytes(16), bytes(32))


@dataclass
class Cost:
    """Of one path."""

    first: float
    each: float
    size: float
    connections: int
    trips: float
    rate: float


async def through(name: str, way: Open, home: Home, delay: float, count: int) -> tuple:
    """Seconds of the first record and of each other, bytes, connections."""
    if name == QUIC:
        async with Between(home.port, delay) as net:
            found = await _appended(way, replace(home, port=net.port), count)
            return *found, sum(net.sent) + sum(net.received), 1
    async with Tap(home, delay) as tap:
        found = await _appended(way, tap.home, count)
        ports = {one.port for one in tap.passed}
        return *found, len(tap.sent) + len(tap.received), len(ports)


async def _appended(way: Open, home: Home, count: int) -> tuple[float, list[float]]:
    began = time.monotonic()
    writer = await way(home)
    await writer.append(BODY)
    first = time.monotonic() - began
    rest = [await writer.append(BODY) for _ in range(count - 1)]
    await writer.stop()
    return first, rest


async def measure(name: str, way: Open, home: Home) -> Cost:
    """All of one path."""
    count = RECORDS.get(name, USUAL)
    first, rest, size, connections = await through(name, way, home, 0.0, count)
    late, _, _, opened = await through(name, way, home, DELAY, 1)
    trips = late / (2 * DELAY) + (0 if name == QUIC else opened)
    rate = 0.0
    if name != SMALL:
        writer = await way(home)
        await writer.append(BODY)
        many = MANY.get(name, USUALLY_MANY)
        rate = many * LARGE / await writer.append(LARGE, many)
        await writer.stop()
    return Cost(first, statistics.median(rest), size / count, connections, trips, rate)


def _of(way: Way) -> Open:
    async def opened(home: Home) -> Writer:
        return Writer(way, home)

    return opened


async def _all(place: Path, relay: Home) -> dict[str, Cost]:
    async with AsyncExitStack() as stack:
        found = {"plain": await measure("plain", plain, await serve_plain(stack, place))}
        for name, way in paths().items():
            found[name] = await measure(name, _of(way), relay)
        return found


def figures() -> list[tuple[str, str]]:
    """Rows of the table in README."""
    rows = []
    with tempfile.TemporaryDirectory() as place, Processes(Path(place)) as run:
        costs = asyncio.run(_all(Path(place), Home.parse(run.relay().address)))
    base = costs["plain"]
    for name, cost in costs.items():
        what = "a plain TLS WebSocket" if name == "plain" else name
        times = f"{cost.size / base.size:.1f} times plain"
        rows.append(
            (
                f"{what}: first record, then each (p50); round trips until the first",
                f"{cost.first * 1000:.0f} ms, {cost.each * 1000:.1f} ms; {cost.trips:.1f}",
            )
        )
        rows.append(
            (
                f"{what}: bytes a record of {BODY} ({RECORDS.get(name, USUAL)} records)",
                f"{cost.size:,.0f}, {times}, {cost.connections} connections",
            )
        )
        if cost.rate:
            rows.append(
                (
                    f"{what}: rate of records of {LARGE:,}",
                    f"{cost.rate / 1e6:.1f} MB/s, {100 * cost.rate / base.rate:.0f} % of plain",
                )
            )
    return rows


if __name__ == "__main__":
    for row in figures():
        print(*row, sep=": ")
