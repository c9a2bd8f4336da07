"""How many connections a relay of several processes holds, and a restart while it holds them.

`python bench/relay/held.py [--connections N] [--processes N] [--generators N] [--restart]`

A relay as its operator starts it, every connection TLS, greeted, with a log attached and followed.
Generators are processes, each with loopback addresses of its own. *held*: all are there at once;
what memory of its own the relay has for each. *restart*: its processes are replaced one by one; how
long until everybody is back, what the longest was that anybody was away, and that what was
acknowledged before is there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import multiprocessing
import secrets
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import uvloop

sys.path.insert(0, str(Path(__file__).parent))

import links

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.relay.certificate import load_or_make
from holdfast.relay.directory import restart
from holdfast.relay.keys import now_ms
from holdfast.testing.processes import Processes, RelayProgram

TOKEN = bytes(32)
VERIFIER = hashlib.sha256(TOKEN).digest()
AT_ONCE = 24
"""Connections that a generator is making."""
LATER = 0.5
"""Seconds until what was refused for a while is asked for again; nodes wait longer."""
ADDRESSES = 8
"""Of one generator."""


class Held:
    """One connection, made again when it is lost, and its log, which has one record."""

    def __init__(self, home: Home, key_hash: bytes, local: str) -> None:
        self._where = home, key_hash, local
        self.name = secrets.token_bytes(16)
        self.up = asyncio.Event()
        self.kept = self.lost = 0
        self.away = 0.0
        """The longest, in seconds."""
        self._link: links.Link | None = None

    async def keep(self, gate: asyncio.Semaphore) -> None:
        """Until cancelled."""
        since, first = time.perf_counter(), True
        while True:
            async with gate:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(60):
                        await self._connect(first)
            if not self.up.is_set():
                await asyncio.sleep(0.2)
                continue
            if not first:
                self.away = max(self.away, time.perf_counter() - since)
            first = False
            assert self._link is not None
            await self._link.lost.wait()
            self.up.clear()
            self.lost += 1
            since = time.perf_counter()

    async def _connect(self, first: bool) -> None:
        home, key_hash, local = self._where
        done = asyncio.Event()

        def got(message: bytes) -> None:
            if links.is_records(message):
                self.kept = 1
            elif message[1] == 70 and b"later" in message:
                asyncio.get_running_loop().call_later(LATER, again)
            elif message[1] == 70:
                raise AssertionError(wire.decode_relay(message))
            if message[1] == (67 if first else 69):
                done.set()

        def again() -> None:
            if first:
                link.close()  # appends are counted: from the start
            else:
                link.send(frames)

        self._link = link = await links.link(home, key_hash, True, got, local)
        attach = wire.Attach(1, self.name, append=TOKEN, read=TOKEN, since=0)
        frames = [links.masked(wire.encode(attach))]
        if first:
            made = wire.Create(1, self.name, VERIFIER, VERIFIER, VERIFIER)
            frames = [links.masked(wire.encode(made)), *frames, links.append(1, 1, bytes(100))]
        link.send(frames)
        lost = asyncio.create_task(link.lost.wait())
        came = asyncio.create_task(done.wait())
        try:
            await asyncio.wait((lost, came), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            came.cancel()
        if done.is_set() and not link.lost.is_set():
            self.up.set()


async def generate(home: Home, key_hash: bytes, number: int, count: int, pipe: Connection) -> None:
    """Hold so many; answer each question with how it is."""
    gate = asyncio.Semaphore(AT_ONCE)
    places = [f"127.{number + 1}.{each}.1" for each in range(ADDRESSES)]
    all_ = [Held(home, key_hash, places[each % ADDRESSES]) for each in range(count)]
    tasks = [asyncio.create_task(one.keep(gate)) for one in all_]
    while True:
        if not pipe.poll():
            await asyncio.sleep(0.02)
            continue
        if not pipe.recv():
            break
        up = sum(one.up.is_set() for one in all_)
        away = max(one.away for one in all_)
        lost = sum(one.lost for one in all_)
        pipe.send((up, sum(one.kept for one in all_), lost, away))
    for task in tasks:
        task.cancel()


def generator(address: str, key_hash: bytes, number: int, count: int, pipe: Connection) -> None:
    """A process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(generate(Home.parse(address), key_hash, number, count, pipe))


class Crowd:
    """All generators."""

    def __init__(self, address: str, key_hash: bytes, generators: int, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        self.processes = []
        for number in range(generators):
            ours, theirs = context.Pipe()
            share = count // generators
            process = context.Process(
                target=generator, args=(address, key_hash, number, share, theirs)
            )
            process.start()
            self._pipes.append(ours)
            self.processes.append(process)
        self.count = count // generators * generators

    def now(self) -> tuple[int, int, int, float]:
        """Connections up, logs whose record was read, connections lost, the longest away."""
        for pipe in self._pipes:
            pipe.send(True)
        found = [pipe.recv() for pipe in self._pipes]
        up, kept, lost, away = zip(*found, strict=True)
        return sum(up), sum(kept), sum(lost), max(away)

    def until(self, lost: int, seconds: float) -> tuple[int, int, int, float]:
        """Until all are up after so many were lost. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.now()
            if now[0] == self.count and now[2] >= lost:
                return now
            time.sleep(0.1)
        raise TimeoutError(f"{self.now()} of {self.count}")

    def close(self) -> None:
        """End them."""
        for process in self.processes:
            process.kill()
            process.join()


def memory(program: RelayProgram) -> int:
    """Of all processes of the relay, their own."""
    parent = psutil.Process(program.pid)
    return sum(one.memory_full_info().uss for one in [parent, *parent.children()])


def measure(
    directory: Path, count: int, processes: int, generators: int, again: bool
) -> dict[str, float]:
    """Hold them, and with `again` restart the relay then."""
    with Processes(directory) as run:
        more = ("--processes", str(processes), "--connections", str(count * 4))
        program = run.relay(listen="0.0.0.0:0", advertise="127.0.0.1", more=more)
        key_hash = load_or_make(directory / "relay", "127.0.0.1", now_ms()).key_hash
        before, began = memory(program), time.monotonic()
        crowd = Crowd(program.address, key_hash, generators, count)
        try:
            crowd.until(0, 500)
            found = {"connections": crowd.count, "connected in, s": time.monotonic() - began}
            time.sleep(3)
            assert crowd.now()[0] == crowd.count, "some were lost again"
            found["KiB each"] = (memory(program) - before) / crowd.count / 1024
            if again:
                began = time.monotonic()
                assert restart(directory / "relay")
                _, kept, lost, away = crowd.until(crowd.count, 300)
                assert kept == crowd.count, f"{crowd.count - kept} acknowledged records are gone"
                found |= {"restarted in, s": time.monotonic() - began, "longest away, s": away}
                found["lost connections"] = lost
            return found
        finally:
            crowd.close()


def figures() -> list[tuple[str, str]]:
    """Of one run each."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as place:
        found = measure(Path(place), 50_000, 4, 4, False)
        value = f"{found['connections']:,.0f}, {found['KiB each']:.0f} KiB each"
        rows.append(("Connections held at once, TLS, 4 processes", value))
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as place:
        found = measure(Path(place), 10_000, 2, 2, True)
        value = f"{found['restarted in, s']:.0f} s, {found['longest away, s']:.1f} s"
        rows.append(("A restart under 10,000 of them: until all are back, longest away", value))
    return rows


def prove(seed: int, count: int, directory: Path) -> dict[str, float]:
    """A restart under `count` connections: everybody comes back, and nothing kept is gone."""
    return measure(directory, count, 2, 2, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=50_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--generators", type=int, default=4)
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=asked.dir) as place:
        found = measure(
            Path(place), asked.connections, asked.processes, asked.generators, asked.restart
        )
    print(", ".join(f"{name}: {value:,.1f}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
