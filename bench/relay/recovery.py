"""How soon a relay serves again after kill -9, and with many records kept.

`python bench/relay/recovery.py [--records N] [--dir DIR]`

*scanned*: a store is killed with a segment that no checkpoint knows; how many records a second are
read when it is opened. *kept*: N records of 64 bytes in logs of 1,000 each are appended, and the
process is killed; how long until a store opened on them has found a log and read from it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import secrets
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from holdfast.core import wire
from holdfast.core.log.server import Found
from holdfast.relay.keys import now_ms
from holdfast.relay.program import tune
from holdfast.store.base import Quota
from holdfast.store.embedded import Embedded

QUOTA = Quota(log_records=10**9, log_bytes=10**12, disk_bytes=100 * 1024**3)
PER_LOG = 1_000


class Owner:
    """This thread, as the owner of a store."""

    def __init__(self, folder: Path, quota: Quota = QUOTA) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.store = Embedded(
            folder, quota=quota, clock=now_ms, post=self.posted.put, failed=self.failed
        )

    def failed(self, text: str) -> None:
        raise SystemExit(text)

    def wait(self, answers: list[object]) -> None:
        while not answers:
            self.posted.get()()

    def make(self, name: bytes) -> Found:
        found: list[Found | None] = []
        frame = wire.Create(1, name, bytes(32), bytes(32), bytes(32))
        self.store.make(frame, lambda _: self.store.find(name, found.append))
        self.wait(found)
        assert found[0] is not None
        return found[0]

    def append(self, keys: list[int], records: int, size: int) -> None:
        body, expires = secrets.token_bytes(size), now_ms() + 10**9
        done = 0

        def settled(refusal: object, _seq: int) -> None:
            nonlocal done
            assert refusal is None, refusal
            done += 1

        for n in range(records):
            self.store.append(keys[n // PER_LOG % len(keys)], expires, body, settled)
            while n - done > 5_000:
                self.posted.get()()
        while done < records:
            self.posted.get()()


def fill(folder: str, records: int, size: int, segment: int, pipe: Connection) -> None:
    """A process that fills a store, says so, and waits for its death."""

    class Wide(Quota):
        segment_bytes = segment

    tune()
    owner = Owner(Path(folder), Wide(log_records=10**9, log_bytes=10**12, disk_bytes=10**12))
    keys = [owner.make(secrets.token_bytes(16)).key for _ in range(max(1, records // PER_LOG))]
    last = owner.make(b"last log's name!")
    owner.append([*keys], records, size)
    owner.append([last.key], 10, size)
    pipe.send(records)
    signal.pause()


def killed(folder: Path, records: int, size: int, segment: int) -> tuple[float, float]:
    """Fill a store, kill its process, and open it: seconds until a log was found and read, and
    core-seconds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    args = (str(folder), records, size, segment, theirs)
    process = context.Process(target=fill, args=args)
    process.start()
    ours.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    began, before = time.perf_counter(), time.process_time()
    owner = Owner(folder)
    found: list[Found | None] = []
    owner.store.find(b"last log's name!", found.append)
    owner.wait(found)
    assert found[0] is not None
    read: list[object] = []
    owner.store.read(found[0].key, 0, lambda records, more: read.append(len(records)))
    owner.wait(read)
    took, used = time.perf_counter() - began, time.process_time() - before
    assert read == [10]
    owner.store.close()
    return took, used


def figures(runs: int = 5, records: int = 10_000_000) -> list[tuple[str, str]]:
    """Medians of so many runs; the large store once."""
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as place:
            rates.append(300_000 / killed(Path(place) / "logs", 300_000, 1_024, 10**10)[1])
    with tempfile.TemporaryDirectory() as place:
        took, used = killed(Path(place) / "logs", records, 64, 64 * 1024 * 1024)
    rate = statistics.median(rates)
    return [
        ("Read again after `kill -9`, records of 1,024 bytes", f"{rate:,.0f} a core-second"),
        (
            f"A relay with {records / 1e6:g} million records serves again after `kill -9`",
            f"{took:.1f} s ({used:.1f} core-seconds)",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    asked = parser.parse_args()
    tune()
    for size in (64, 1_024):
        rates = []
        for _ in range(asked.runs):
            with tempfile.TemporaryDirectory(dir=asked.dir) as place:
                _, used = killed(Path(place) / "logs", 300_000, size, 10**10)
                rates.append(300_000 / used)
        rate = statistics.median(rates)
        print(f"scanned after kill -9, {size} bytes: {rate:,.0f} a core-second", flush=True)
    with tempfile.TemporaryDirectory(dir=asked.dir) as place:
        took, used = killed(Path(place) / "logs", asked.records, 64, 64 * 1024 * 1024)
        print(
            f"{asked.records:,} records kept, after kill -9: serves in {took:.2f} s"
            f" ({used:.2f} core-seconds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
