"""How many durable records a core-second a relay delivers, and how late.

`python bench/relay/throughput.py [--seconds N] [--pairs N] [--runs N] [--dir DIR]`

Pairs of a writer and a reader, each a connection, each pair a log. *one in flight*: a writer
sends the next record when the last one was delivered and acknowledged. *pipelined*: it keeps
so many on their way. *half load*: so many a second as half of what one in flight reached.
A record of 1,024 bytes is delivered once its reader has it; it was synced before that.
*disk*: how long a record had to wait for the disk alone, until the first sync had ended that began
after it was sent, as the relay's own syncs went; what is more is the relay's and that of who loads
it, on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import secrets
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent))

import links
import served

from holdfast.core import wire

BODY = secrets.token_bytes(1_024)
PAIRS = 200


class Pair:
    """One log, its writer and its reader."""

    def __init__(self, name: bytes, window: int, end: float) -> None:
        self.name = name
        self.window = window
        self.end = end
        self.sent = self.delivered = self.acked = 0
        self.times: list[float] = []
        self.delays: list[float] = []
        self.done = asyncio.Event()
        self.prepared = asyncio.Event()

    async def connect(self, relay: served.Served, tls: bool) -> None:
        self.writer = await links.link(relay.home, relay.key_hash, tls, self.on_writer)
        self.reader = await links.link(relay.home, relay.key_hash, tls, self.on_reader)
        token = bytes(32)
        verifier = hashlib.sha256(token).digest()
        create = wire.Create(1, self.name, verifier, verifier, verifier)
        self.writer.send([links.masked(wire.encode(create))])
        attach = wire.Attach(1, self.name, append=token, read=None)
        self.writer.send([links.masked(wire.encode(attach))])
        await self.prepared.wait()
        self.prepared.clear()
        attach = wire.Attach(1, self.name, read=token, since=0)
        self.reader.send([links.masked(wire.encode(attach))])
        await self.prepared.wait()

    def write(self, count: int) -> None:
        now = time.perf_counter()
        frames = []
        for _ in range(count):
            self.sent += 1
            self.times.append(now)
            frames.append(links.append(1, self.sent, BODY))
        self.writer.send(frames)

    def on_writer(self, message: bytes) -> None:
        tag = message[1]
        if tag == 67:
            self.acked = wire.decode_relay(message).upto  # type: ignore[union-attr]
            self.go_on()
        elif tag == 66:
            self.prepared.set()
        elif tag in (70, 71):
            raise AssertionError(wire.decode_relay(message))

    def on_reader(self, message: bytes) -> None:
        if links.is_records(message):
            now = time.perf_counter()
            came = len(links.records(message))
            for at in range(self.delivered, self.delivered + came):
                self.delays.append(now - self.times[at])
            self.delivered += came
            self.go_on()
        elif message[1] == 69:
            self.prepared.set()

    def go_on(self) -> None:
        settled = min(self.acked, self.delivered)
        if time.perf_counter() >= self.end:
            if settled == self.sent:
                self.done.set()
        elif self.window and (room := self.window - (self.sent - settled)) * 2 > self.window:
            self.write(room)

    async def paced(self, rate: float) -> None:
        """So many records a second, whatever comes back."""
        await asyncio.sleep(secrets.randbelow(1000) / 1000 / rate)
        due = time.perf_counter()
        while due < self.end:
            self.write(1)
            due += 1 / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))


@dataclass
class Result:
    delivered: int
    seconds: float
    cpu: float
    delays: list[float]
    sent: list[float] = field(default_factory=list)
    """When, by `time.perf_counter`."""
    disk: list[float] = field(default_factory=list)
    """Seconds that each record had to wait for the disk."""

    @property
    def per_core(self) -> float:
        return self.delivered / self.cpu


async def load(
    relay: served.Served, tls: bool, pairs: int, window: int, seconds: float, rate: float = 0
) -> Result:
    """`window` in flight for each pair, or with `rate` so many a second for all together."""
    crowd = [Pair(secrets.token_bytes(16), window, 0) for _ in range(pairs)]
    for at in range(0, pairs, 50):
        await asyncio.gather(*(pair.connect(relay, tls) for pair in crowd[at : at + 50]))
    began, before = time.perf_counter(), relay.cpu()
    for pair in crowd:
        pair.end = began + seconds
        if window:
            pair.write(window)
    async with asyncio.timeout(seconds + 60):
        if rate:
            await asyncio.gather(*(pair.paced(rate / pairs) for pair in crowd))
            while any(pair.delivered < pair.sent for pair in crowd):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        else:
            await asyncio.gather(*(pair.done.wait() for pair in crowd))
    took, used = time.perf_counter() - began, relay.cpu() - before
    for pair in crowd:
        pair.writer.close()
        pair.reader.close()
    delays = [delay for pair in crowd for delay in pair.delays]
    sent = [at for pair in crowd for at in pair.times]
    return Result(sum(pair.delivered for pair in crowd), took, used, delays, sent)


def once(
    directory: Path | None, tls: bool, pairs: int, window: int, seconds: float, rate: float = 0
) -> Result:
    """One run with a relay of its own. The collector of garbage is off here meanwhile: where it
    paused, the relay would seem late."""
    gc.collect()
    gc.disable()
    try:
        return _once(directory, tls, pairs, window, seconds, rate)
    finally:
        gc.enable()


def _once(
    directory: Path | None, tls: bool, pairs: int, window: int, seconds: float, rate: float
) -> Result:
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=directory) as place,
        served.relay(Path(place), tls) as relay,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        result = runner.run(load(relay, tls, pairs, window, seconds, rate))
    began = [sync[0] for sync in relay.syncs]
    for at in result.sent:
        if (following := bisect_right(began, at)) < len(began):
            result.disk.append(relay.syncs[following][1] - at)
    return result


def show(name: str, results: list[Result], means: str = "") -> None:
    """One line of the table: medians."""
    per_core = statistics.median(result.per_core for result in results)
    rate = statistics.median(result.delivered / result.seconds for result in results)
    p50, p99 = cuts([result.delays for result in results])
    print(f"{name:38}{rate:10,.0f}{per_core:14,.0f}{p50:9.2f}{p99:9.2f}  {means}", flush=True)


def cuts(runs: list[list[float]]) -> tuple[float, float]:
    """p50 and p99 (ms), medians of the runs' own."""
    found = [statistics.quantiles(run, n=100) for run in runs]
    p50, p99 = (statistics.median(one[at] for one in found) * 1e3 for at in (49, 98))
    return p50, p99


def figures(runs: int = 5, seconds: float = 4.0) -> list[tuple[str, str]]:
    """Medians of so many runs."""
    rows = []
    for tls in (True, False):
        rates, half = [], 0.0
        for window in (1, 32):
            results = [once(None, tls, PAIRS, window, seconds) for _ in range(runs)]
            rates.append(statistics.median(result.per_core for result in results))
            if window == 1:
                half = statistics.median(r.delivered / r.seconds for r in results) / 2
        kind = "with TLS" if tls else "without TLS"
        name = f"Durable deliveries of 1,024 bytes, {PAIRS} pairs, one / 32 in flight, {kind}"
        value = " / ".join(f"{rate:,.0f}" for rate in rates)
        rows.append((name, f"{value} a core-second"))
        results = [once(None, tls, PAIRS, 0, seconds, half) for _ in range(runs)]
        late, disk = (cuts([r.delays for r in results]), cuts([r.disk for r in results]))
        value = f"{late[0]:.1f} / {late[1]:.1f} ms; {disk[0]:.1f} / {disk[1]:.1f} ms"
        name = f"How late at half of that load ({half:,.0f} a second), {kind}, p50 / p99"
        rows.append((f"{name}; of that the disk alone", value))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    parser.add_argument("--only", choices=("plain", "tls"))
    asked = parser.parse_args()
    print(f"{'':38}{'a second':>10}{'a core-second':>14}{'p50 ms':>9}{'p99 ms':>9}")
    for tls in (False, True):
        kind = "TLS" if tls else "plain"
        if asked.only and asked.only != kind.lower():
            continue
        results = []
        for window in (1, 32):
            runs = [
                once(asked.dir, tls, asked.pairs, window, asked.seconds) for _ in range(asked.runs)
            ]
            show(f"{kind}, {window} in flight, {asked.pairs} pairs", runs)
            results.append(runs)
        half = statistics.median(r.delivered / r.seconds for r in results[0]) / 2
        runs = [
            once(asked.dir, tls, asked.pairs, 0, asked.seconds, half) for _ in range(asked.runs)
        ]
        disk = " / ".join(f"{ms:.2f}" for ms in cuts([result.disk for result in runs]))
        show(f"{kind}, half load ({half:,.0f}/s)", runs, f"the disk alone: {disk}")


if __name__ == "__main__":
    main()
