"""What each path costs beside a plain TLS WebSocket: bytes on the wire, connections, time.

`python bench/paths.py`. A log is made at a relay, and records are appended one after the other,
each when the one before is durable, through a tap on loopback that counts the bytes of TLS and
above. The first record's time holds the connecting. The path of small exchanges holds itself to
what hostile networks bear, so its rate is theirs; records are fewer there.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import tempfile
import time
from pathlib import Path

from holdfast.core.caps import Caps, Home
from holdfast.core.ladder import SMALL
from holdfast.drive.logs import Appended, LogEvent, Logs
from holdfast.node.ways import Path as Way
from holdfast.node.ways import paths
from holdfast.relay.program import now_ms
from holdfast.testing.processes import Processes
from holdfast.testing.tap import Tap

RECORDS = {SMALL: 10}
USUAL = 200
BODY = 1_000
"""Bytes of a record before its envelope."""


class Writer:
    """Appends, one at a time."""

    def __init__(self, way: Way) -> None:
        self.logs = Logs(way, now_ms, secrets.token_bytes, self._heard)
        self._durable = asyncio.Event()

    def _heard(self, event: LogEvent) -> None:
        if isinstance(event, Appended):
            self._durable.set()

    async def append(self, caps: Caps, home: Home) -> float:
        """Seconds until the relay has it."""
        self._durable.clear()
        began = time.monotonic()
        self.logs.append(caps, home, secrets.token_bytes(16), bytes(BODY), 3_600)
        await self._durable.wait()
        return time.monotonic() - began


async def measure(way: Way, relay: Home, count: int) -> tuple[float, list[float], int, int]:
    """Seconds of the first record, of each other, bytes on the wire, connections."""
    caps = Caps.make(secrets.token_bytes(128))
    async with Tap(relay) as tap:
        writer = Writer(way)
        writer.logs.create(caps, tap.home)
        first = await writer.append(caps, tap.home)
        rest = [await writer.append(caps, tap.home) for _ in range(count - 1)]
        await writer.logs.stop()
        ports = {one.port for one in tap.passed}
        return first, rest, len(tap.sent) + len(tap.received), len(ports)


def figures() -> list[tuple[str, str]]:
    """Rows of the table in README."""
    rows = []
    plain = 0.0
    with tempfile.TemporaryDirectory() as place, Processes(Path(place)) as run:
        relay = Home.parse(run.relay().address)
        for name, way in paths().items():
            count = RECORDS.get(name, USUAL)
            first, rest, size, connections = asyncio.run(measure(way, relay, count))
            each = size / count
            plain = plain or each
            rows.append(
                (
                    f"{name}: first record, then each (p50)",
                    f"{first * 1000:.0f} ms, {statistics.median(rest) * 1000:.1f} ms",
                )
            )
            rows.append(
                (
                    f"{name}: bytes a record of {BODY} ({count} records)",
                    f"{each:,.0f}, {each / plain:.1f} times WebSocket, {connections} connections",
                )
            )
    return rows


if __name__ == "__main__":
    for row in figures():
        print(*row, sep=": ")
