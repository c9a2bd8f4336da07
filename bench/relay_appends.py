"""How many durable appends a second a relay does, and how fast records are delivered.

`python bench/relay_appends.py [--seconds N] [--dir DIR]`. Two measurements:

- *store*: the embedded store alone, fed as fast as its backlog allows.
- *relay*: a relay process on loopback TLS, with writers and a follower in this process.

Processor time is that of the process measured, both threads; "per core-second" divides by
it. DIR should be on the disk that matters: a sync in memory costs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import secrets
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import uvloop

from holdfast.core import wire
from holdfast.core.caps import Caps, Home
from holdfast.core.log.limits import Limits
from holdfast.core.log.server import Found
from holdfast.drive.logs import Appended, CaughtUp, LogEvent, Logs, Received
from holdfast.paths import websocket
from holdfast.relay.keys import now_ms
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import run, tune
from holdfast.store.base import Quota
from holdfast.store.embedded import Embedded

BODY = 1_136
"""Bytes of a small message's record: the 512 class in its envelopes."""
LOGS = 200
WINDOW = 2_000
"""Appends on their way at any time."""
OPEN = RelayLimits(
    connection=Limits(appends_per_second=10**9, bytes_per_second=10**12),
    store=Quota(log_records=10**9, log_bytes=10**12),
)


def cores() -> float:
    """Processor seconds of this process so far."""
    return time.process_time()


async def store(directory: Path, seconds: float) -> tuple[int, float, float]:
    """Appends made durable, seconds taken, processor seconds."""
    loop = asyncio.get_running_loop()
    kept = Embedded(
        directory / "store",
        quota=OPEN.store,
        clock=now_ms,
        post=loop.call_soon_threadsafe,
        failed=print,
    )
    made = asyncio.Semaphore(0)
    for i in range(LOGS):
        frame = wire.Create(1, i.to_bytes(16, "big"), b"a" * 32, b"r" * 32, b"o" * 32)
        kept.make(frame, lambda _: made.release())
    for _ in range(LOGS):
        await made.acquire()
    keys: list[int] = []
    for i in range(LOGS):
        found: asyncio.Future[Found | None] = loop.create_future()
        kept.find(i.to_bytes(16, "big"), found.set_result)
        log = await found
        assert log is not None
        keys.append(log.key)
    body, expires, done, running = secrets.token_bytes(BODY), now_ms() + 10**9, 0, 0
    finished = asyncio.Event()
    end = time.monotonic() + seconds

    def settled(_refusal: object, _seq: int) -> None:
        nonlocal done, running
        done += 1
        if time.monotonic() < end:
            kept.append(keys[done % LOGS], expires, body, settled)
        else:
            running -= 1
            if not running:
                finished.set()

    began, used = time.monotonic(), cores()
    for i in range(WINDOW):
        running += 1
        kept.append(keys[i % LOGS], expires, body, settled)
    await finished.wait()
    took, used = time.monotonic() - began, cores() - used
    kept.close()
    return done, took, used


def serve(directory: str, pipe: Connection) -> None:
    """The relay's process."""
    tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Path(directory), ("127.0.0.1", 0), limits=OPEN, say=pipe.send))


class Crowd:
    """Writers to many logs and one follower of them all."""

    def __init__(self, home: Home, end: float) -> None:
        self.home = home
        self.end = end
        self.caps = [Caps.make(secrets.token_bytes(128)) for _ in range(LOGS)]
        self.by_locator = {caps.locator: caps for caps in self.caps}
        self.sent: dict[bytes, float] = {}
        self.delays: list[float] = []
        self.appended = self.caught_up = 0
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self.body = secrets.token_bytes(BODY - 44)
        self.reader = Logs(websocket.connect, now_ms, secrets.token_bytes, self.on_read)
        self.writer = Logs(websocket.connect, now_ms, secrets.token_bytes, self.on_write)

    async def prepare(self) -> None:
        for caps in self.caps:
            self.reader.create(caps, self.home)
            self.reader.follow(caps, self.home, 0)
        await self.ready.wait()

    def write(self, caps: Caps) -> None:
        rid = secrets.token_bytes(16)
        self.sent[rid] = time.monotonic()
        self.writer.append(caps, self.home, rid, self.body, 3_600)

    def on_read(self, event: LogEvent) -> None:
        if isinstance(event, CaughtUp):
            self.caught_up += 1
            if self.caught_up == LOGS:
                self.ready.set()
        elif isinstance(event, Received):
            self.delays.append(time.monotonic() - self.sent.pop(event.rid))
            self.settled()

    def on_write(self, event: LogEvent) -> None:
        if isinstance(event, Appended):
            self.appended += 1
            if time.monotonic() < self.end:
                self.write(self.by_locator[event.locator])
            self.settled()

    def settled(self) -> None:
        if not self.sent and time.monotonic() >= self.end:
            self.done.set()


async def relay(directory: Path, seconds: float, window: int) -> tuple[int, float, float, Crowd]:
    """The same through the whole relay; `window` appends are on their way at any time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(str(directory), theirs))
    process.start()
    try:
        home = Home.parse(await asyncio.to_thread(ours.recv))
        measured = psutil.Process(process.pid)
        crowd = Crowd(home, 0)
        await crowd.prepare()
        times = measured.cpu_times()
        before, began = times.user + times.system, time.monotonic()
        crowd.end = began + seconds
        for i in range(window):
            crowd.write(crowd.caps[i % LOGS])
        async with asyncio.timeout(seconds + 60):
            await crowd.done.wait()
        times = measured.cpu_times()
        took, used = time.monotonic() - began, times.user + times.system - before
        await crowd.reader.stop()
        await crowd.writer.stop()
        return crowd.appended, took, used, crowd
    finally:
        process.terminate()
        process.join(10)


def row(name: str, count: int, took: float, used: float, delays: list[float] | None) -> None:
    """One line of the table."""
    cut = statistics.quantiles(delays, n=100) if delays else None
    p50, p99 = (f"{cut[49] * 1e3:8.1f}", f"{cut[98] * 1e3:8.1f}") if cut else (" " * 8, " " * 8)
    print(f"{name:28}{count:10,}{count / took:12,.0f}{count / used:16,.0f}  {p50}{p99}", flush=True)


def figures(seconds: float = 5.0) -> list[tuple[str, str]]:
    """What `make bench` prints."""
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        base = Path(directory)
        kept, _, cpu = runner.run(store(base, seconds))
        appended, _, used, _ = runner.run(relay(base / "relay", seconds, WINDOW))
    what = f"Durable appends of {BODY:,} bytes"
    return [
        (f"{what}, store alone", f"{kept / cpu:,.0f} a core-second"),
        (f"{what}, whole relay", f"{appended / used:,.0f} a core-second"),
    ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    parser.add_argument("--dir", type=Path, default=None, help="where the databases are made")
    options = parser.parse_args()
    print(f"records of {BODY} bytes, {LOGS} logs, {os.cpu_count()} cores")
    print(
        f"{'':28}{'durable':>10}{'a second':>12}{'a core-second':>16}  {'p50 ms':>8}{'p99 ms':>8}"
    )
    with (
        tempfile.TemporaryDirectory(dir=options.dir) as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        base = Path(directory)
        row("store alone", *runner.run(store(base, options.seconds)), None)
        for window in (WINDOW, 20, 1):
            data = base / f"relay-{window}"
            done = runner.run(relay(data, options.seconds, window))
            row(f"relay, {window} on their way", *done[:3], done[3].delays)


if __name__ == "__main__":
    main()
