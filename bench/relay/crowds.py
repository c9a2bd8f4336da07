"""What many connections cost a relay, and what it does with one frame for all of them.

`python bench/relay/crowds.py [--idle N] [--followers N] [--joins N] [--dir DIR]`

*idle*: the memory of its own that each connection adds, with its log attached and followed.
*fan-out*: live frames of 200 bytes to so many followers of one log, and how late they come; as
fast as it goes, and at 400 a second. *joins*: two logs made, one attached and one record appended,
over and over from so many connections, each waiting for its answer; a core-second of the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent))

import links
import served

from holdfast.core import wire

TOKEN = bytes(32)
VERIFIER = hashlib.sha256(TOKEN).digest()
FRAME = 200
AT_ONCE = 100
"""Connections that join over and over."""


def create(name: bytes) -> bytes:
    return links.masked(wire.encode(wire.Create(1, name, VERIFIER, VERIFIER, VERIFIER)))


def follow(name: bytes) -> bytes:
    attach = wire.Attach(1, name, append=TOKEN, read=TOKEN, since=0)
    return links.masked(wire.encode(attach))


class Follower:
    """A connection that follows a log."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.ready = asyncio.Event()

    async def connect(self, relay: served.Served, tls: bool, name: bytes) -> None:
        self.link = await links.link(relay.home, relay.key_hash, tls, self.got)
        self.link.send([create(name), follow(name)])
        await self.ready.wait()

    def got(self, message: bytes) -> None:
        if message[1] == 69:
            if b"read" in message:
                self.ready.set()
        elif links.is_records(message):
            now, at = time.perf_counter_ns(), message.find(b"SENT")
            while at >= 0:
                sent = int.from_bytes(message[at + 4 : at + 12], "big")
                self.delays.append((now - sent) / 1e6)
                at = message.find(b"SENT", at + FRAME)


async def gather(count: int, relay: served.Served, tls: bool, name: bytes | None) -> list[Follower]:
    crowd = [Follower() for _ in range(count)]
    for at in range(0, count, 100):
        await asyncio.gather(
            *(
                one.connect(relay, tls, name or secrets.token_bytes(16))
                for one in crowd[at : at + 100]
            )
        )
    return crowd


async def idle(relay: served.Served, tls: bool, count: int) -> float:
    """KiB a connection."""
    await gather(100, relay, tls, None)  # what is made once is made
    await asyncio.sleep(1)
    before = relay.memory()
    crowd = await gather(count, relay, tls, None)
    await asyncio.sleep(2)
    used = relay.memory() - before
    assert not any(one.link.lost.is_set() for one in crowd)
    return used / count / 1024


async def fan_out(
    relay: served.Served, tls: bool, followers: int, rate: float, seconds: float
) -> tuple[float, float, float, float]:
    """Source frames a second that reached all, of the relay's cores used, share delivered, p99."""
    name = secrets.token_bytes(16)
    crowd = await gather(followers, relay, tls, name)
    source = crowd[0]
    sent = 0
    began, before = time.perf_counter(), relay.cpu()
    while (now := time.perf_counter()) < began + seconds:
        while sent < (now - began) * rate:
            sent += 1
            stamp = b"SENT" + time.perf_counter_ns().to_bytes(8, "big")
            live = wire.Live(1, stamp.ljust(FRAME, b"."))
            source.link.send([links.masked(wire.encode(live))])
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    used = relay.cpu() - before
    came = sum(len(one.delays) for one in crowd)
    delays = [delay for one in crowd for delay in one.delays]
    p99 = statistics.quantiles(delays, n=100)[98] if delays else 0.0
    return sent / seconds, used / seconds, came / (sent * followers), p99


async def joins(relay: served.Served, tls: bool, count: int, at_once: int = AT_ONCE) -> float:
    """Joins a core-second."""
    done = asyncio.Event()
    left = count

    def got(message: bytes) -> None:
        nonlocal left
        if message[1] == 67:
            left -= 1
            if left <= 0:
                done.set()
        elif message[1] == 70:
            raise AssertionError(message)

    crowd = [await links.link(relay.home, relay.key_hash, tls, got) for _ in range(at_once)]
    before = relay.cpu()
    # Acknowledgements are cumulative: each connection waits for its own.
    for at in range(count // at_once):
        for one in crowd:
            name = secrets.token_bytes(16)
            frames = [create(name), create(secrets.token_bytes(16)), follow(name)]
            one.send([*frames, links.append(1, at + 1, bytes(600))])
        target = count - at_once * (at + 1)
        async with asyncio.timeout(20):
            while left > target:  # noqa: ASYNC110
                await asyncio.sleep(0)
    return count / (relay.cpu() - before)


def one(what: str, tls: bool, count: int, rate: float = 0) -> tuple[float, ...]:
    """A measurement with a relay of its own."""
    with (
        tempfile.TemporaryDirectory() as place,
        served.relay(Path(place), tls) as relay,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if what == "idle":
            return (runner.run(idle(relay, tls, count)),)
        if what == "joins":
            return (runner.run(joins(relay, tls, count)),)
        return runner.run(fan_out(relay, tls, count, rate, 4))


def figures(runs: int = 5) -> list[tuple[str, str]]:
    """Medians of so many runs."""

    def median(what: str, tls: bool, count: int, at: int = 0, rate: float = 0) -> float:
        return statistics.median(one(what, tls, count, rate)[at] for _ in range(runs))

    plain, tls = (median("idle", each, 2_000) for each in (False, True))
    fans = [one("fan-out", True, 1_000, 800) for _ in range(runs)]
    sent, used, share, _ = (statistics.median(column) for column in zip(*fans, strict=True))
    made = median("joins", True, 5_000)
    return [
        ("Memory of an idle connection, plain / TLS", f"{plain:.0f} / {tls:.0f} KiB"),
        (
            "Joins from 100 at once (two logs, attached, first record), TLS",
            f"{made:,.0f} a core-second",
        ),
        (
            "Live frames of 200 bytes to 1,000 who follow, TLS",
            f"{sent:,.0f} a second, {share:.1%} came, {used:.2f} cores",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=2_000)
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--joins", type=int, default=5_000)
    parser.add_argument("--only", choices=("plain", "tls"))
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    asked = parser.parse_args()
    for tls in (False, True):
        kind = "TLS" if tls else "plain"
        if asked.only and asked.only != kind.lower():
            continue
        for what in ("idle", "joins", "fan-out 400", "fan-out 800"):
            with (
                tempfile.TemporaryDirectory(dir=asked.dir) as place,
                served.relay(Path(place), tls) as relay,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                if what == "idle":
                    size = runner.run(idle(relay, tls, asked.idle))
                    print(f"{kind}: {size:.1f} KiB an idle connection", flush=True)
                elif what == "joins":
                    rate = runner.run(joins(relay, tls, asked.joins))
                    print(f"{kind}: {rate:,.0f} joins a core-second", flush=True)
                else:
                    asked_rate = float(what.split()[1])
                    found = runner.run(fan_out(relay, tls, asked.followers, asked_rate, 4))
                    rate, used, share, p99 = found
                    print(
                        f"{kind}: {rate:,.0f} live frames/s to {asked.followers:,}: {share:.1%}"
                        f" came, p99 {p99:.0f} ms, {used:.2f} cores",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
