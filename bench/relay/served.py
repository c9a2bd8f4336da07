"""A relay in a process of its own, with or without TLS, and what it uses."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import uvloop

from holdfast.core.caps import Home
from holdfast.core.log.limits import Limits
from holdfast.drive.http import HttpConnection
from holdfast.relay import program
from holdfast.relay.admission import Rules
from holdfast.relay.certificate import load_or_make
from holdfast.relay.front import Front
from holdfast.relay.keys import now_ms
from holdfast.relay.limits import RelayLimits
from holdfast.relay.mesh import Part
from holdfast.relay.processes import Parent
from holdfast.store import embedded
from holdfast.store.base import Quota
from holdfast.store.files import OsFiles

OPEN = RelayLimits(
    connections=10**6,
    connections_per_address=10**6,
    connection=Limits(
        appends_per_second=10**9, bytes_per_second=10**12, creates=10**9, handles=10**6
    ),
    store=Quota(log_records=10**9, log_bytes=10**12, disk_bytes=40 * 1024**3),
)

SYNCS = "syncs"
"""In the relay's folder, once it has ended."""

RULES = Rules(per_address=10**9)


class PlainFront(Front):
    """The same without TLS, to see what TLS costs."""

    def _connection(self) -> asyncio.Protocol:
        return HttpConnection(self._door, self.open)


class Timed(OsFiles):
    """Notes when each sync began and ended."""

    def __init__(self) -> None:
        self.times = array("d")

    def sync(self, descriptor: int) -> None:
        """See `Files.sync`."""
        began = time.perf_counter()
        super().sync(descriptor)
        self.times.extend((began, time.perf_counter()))


def serve(directory: str, tls: bool, place: str | None, count: int, pipe: Connection) -> None:
    """The relay's process, or the parent of so many."""
    if not tls:
        program.Front = PlainFront  # type: ignore[misc]
    program.tune()
    data, listen = Path(directory), ("127.0.0.1", 0)

    def one(part: Part | None) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            say = pipe.send if part is None else lambda _: None
            runner.run(
                program.run(data, listen, limits=OPEN, rules=RULES, place=place, part=part, say=say)
            )

    if count == 1:
        files = Timed()
        embedded.OsFiles = lambda: files  # type: ignore[misc,assignment]
        one(None)
        (data / SYNCS).write_bytes(files.times.tobytes())
    else:
        Parent(data, listen, count, udp=False, serve=one, say=pipe.send, note=print).run()


@dataclass
class Served:
    """A running relay."""

    home: Home
    key_hash: bytes
    process: psutil.Process
    syncs: list[tuple[float, float]] = field(default_factory=list)
    """When each began and ended, by `time.perf_counter`: of a relay of one process that keeps its
    own logs, once it has ended."""

    def cpu(self) -> float:
        """Core-seconds it has used so far, of all its threads."""
        used = [one.cpu_times() for one in self.processes]
        return float(sum(times.user + times.system for times in used))

    def memory(self) -> int:
        """Bytes of memory that are its own."""
        return int(sum(one.memory_full_info().uss for one in self.processes))

    @property
    def processes(self) -> list[psutil.Process]:
        """Those that serve."""
        return self.process.children() or [self.process]


@contextlib.contextmanager
def relay(
    directory: Path, tls: bool = True, place: str | None = None, count: int = 1
) -> Iterator[Served]:
    """A relay of `count` processes that serves while the context lasts, or a front end of a cluster
    at `place`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(str(directory), tls, place, count, theirs))
    process.start()
    try:
        home = Home.parse(ours.recv())
        key_hash = load_or_make(directory, "localhost", now_ms()).key_hash
        found = Served(home, key_hash, psutil.Process(process.pid))
        yield found
    finally:
        process.terminate()
        process.join(20)
    if (syncs := directory / SYNCS).exists():
        times = array("d", syncs.read_bytes())
        found.syncs += zip(times[::2], times[1::2], strict=True)
