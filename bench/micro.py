"""Small exchanges on the harshest network reported: what they carry beside what it lets through.

`python bench/micro.py [--megabytes 10]`, as root. In the packet lab every connection of a person
freezes after 12 packets or 15 KB, both directions counted, and of more than 12 new connections a
minute the rest hang (scenarios tcp16-20 and conn-count at their worst). A file of so many
megabytes is appended to a log at a relay in records, each acknowledged when it is durable. What
the limits let through is 12 connections a minute of 15 KB, or of 12 packets of 1,448 bytes, of
which the handshake takes its part.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from holdfast.core.caps import Caps, Home
from holdfast.drive.logs import Appended, LogEvent, Logs
from holdfast.lab import rules
from holdfast.lab.hosts import Lab, Place
from holdfast.node.ways import paths
from holdfast.relay.keys import now_ms
from holdfast.testing.processes import Processes

KILOBYTES, PACKETS, CONNECTIONS = 15, 12, 12
RECORD = 8_000
ALLOWED = min(KILOBYTES * 1_000, PACKETS * 1_448) * CONNECTIONS / 60
"""Bytes a second in both directions, handshakes included."""
PERSON, RELAY = "10.9.0.2", "10.9.0.3"


async def carry(home: Home, size: int) -> None:
    """On the person's host: append so many bytes, and say how it goes."""
    caps = Caps.make(secrets.token_bytes(128))
    waiting: set[bytes] = set()
    done = asyncio.Event()

    def heard(event: LogEvent) -> None:
        if isinstance(event, Appended):
            waiting.discard(event.rid)
            if not waiting:
                done.set()

    logs = Logs(paths()["micro"], now_ms, secrets.token_bytes, heard)
    logs.create(caps, home)
    count = -(-size // RECORD)
    began = time.monotonic()
    for _ in range(count):
        rid = secrets.token_bytes(16)
        waiting.add(rid)
        logs.append(caps, home, rid, secrets.token_bytes(RECORD), 86_400)
    while waiting:
        done.clear()
        try:
            async with asyncio.timeout(60):
                await done.wait()
        except TimeoutError:
            print((count - len(waiting)) * RECORD, time.monotonic() - began, flush=True)
    print(size, time.monotonic() - began, flush=True)
    await logs.stop()


def measure(size: int) -> tuple[float, int, int]:
    """Seconds, connections, and of those how many froze."""
    hosts = [Place("person", PERSON, watched=True), Place("relay", RELAY)]
    with tempfile.TemporaryDirectory() as place, Lab(hosts) as lab, Processes(Path(place)) as run:
        relay = run.relay(
            advertise=f"{RELAY}:443", listen="0.0.0.0:443", enter=lab["relay"].command([])
        )
        freeze = rules.Freeze(KILOBYTES * 1_000, PACKETS, 1, Random(1))
        crowd = rules.Crowd(CONNECTIONS, 60)
        lab.rules = [freeze, crowd]
        child = lab["person"].start(
            [sys.executable, __file__, "--carry", relay.address, str(size)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        done, seconds = 0.0, 0.0
        for line in child.stdout:
            done, seconds = map(float, line.split())
            print(f"{done / 1000:,.0f} kB in {seconds:.0f} s", file=sys.stderr, flush=True)
        if child.wait() or done < size:
            raise RuntimeError("the file did not arrive")
        flows = lab.middle.flows
        frozen = sum(
            one.packets > PACKETS or one.sent + one.received > KILOBYTES * 1_000 for one in flows
        )
        return seconds, len(flows), frozen


def figures(megabytes: float = 0.4) -> list[tuple[str, str]]:
    """Rows of the table in README."""
    size = int(megabytes * 1_000_000)
    seconds, connections, frozen = measure(size)
    rate = size / seconds
    where = "where connections freeze after 12 packets or 15 KB, 12 a minute"
    how = f"{rate:,.0f} bytes/s, {rate / ALLOWED:.0%} of the {ALLOWED:,.0f} that pass there"
    return [
        (
            f"{megabytes:g} MB by small exchanges, {where}",
            f"{seconds / 60:.1f} min, {how}; {connections} connections, {frozen} frozen",
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=0.4)
    parser.add_argument("--carry", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.carry:
        asyncio.run(carry(Home.parse(asked.carry[0]), int(asked.carry[1])))
    else:
        for row in figures(asked.megabytes):
            print(*row, sep=": ")
