"""Reaches a relay as a node does, with something to send that is worth nothing later, and says how.

For hosts of the lab: `reacher.py ADDRESS SECONDS` prints a line of JSON when it is connected, and
one at the end.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from itertools import pairwise

from holdfast.core.caps import Caps, Home
from holdfast.drive.logs import Live, LogEvent, Logs, Up
from holdfast.node.ways import Ways, paths
from holdfast.paths.base import Channel, Handler

EVERY = 0.02


def now() -> int:
    return time.monotonic_ns() // 1_000_000


async def main(address: str, seconds: float) -> None:
    home, log = Home.parse(address), Caps.make(secrets.token_bytes(128))
    ways = Ways(paths(), now)
    began = time.monotonic()
    up = asyncio.Event()
    came: list[tuple[float, int]] = []
    by: list[str] = []

    async def connect(home: Home, handler: Handler) -> Channel:
        channel = await ways.connect(home, handler)
        by.append(channel.path)  # type: ignore[attr-defined]
        ways.lend(home, channel)
        return channel

    def hear(event: LogEvent) -> None:
        if isinstance(event, Up):
            up.set()
        elif isinstance(event, Live):
            came.append((time.monotonic(), int.from_bytes(event.body[:4], "big")))

    logs = Logs(connect, now, secrets.token_bytes, hear)
    logs.create(log, home)
    logs.follow(log, home, 0, bare=True)
    await up.wait()
    print(json.dumps({"by": by[0], "seconds": time.monotonic() - began}), flush=True)
    sent: dict[int, float] = {}
    used = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number = len(sent)
        if logs.pass_on(log, home, number.to_bytes(4, "big") + bytes(100), 4096, "safe"):
            sent[number] = time.monotonic()
            used += logs.link(home) is not None
        await asyncio.sleep(EVERY)
    await asyncio.sleep(0.5)
    heard: dict[int, float] = {}
    for at, number in came:
        heard.setdefault(number, at)
    gaps = sorted(heard.values())
    finding = ways.finding()
    print(
        json.dumps(
            {
                "by": by,
                "sent": len(sent),
                "with datagrams": used,
                "lost": len(sent) - len(heard),
                "gap": max((b - a for a, b in pairwise(gaps)), default=0),
                "verdict": finding.verdict,
                "evidence": list(finding.evidence),
            }
        ),
        flush=True,
    )
    await logs.stop()
    await ways.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
