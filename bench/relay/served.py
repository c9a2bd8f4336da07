"""A relay in a process of its own, with or without TLS, and what it uses."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import uvloop

from holdfast.core.caps import Home
from holdfast.core.log.limits import Limits
from holdfast.drive.http import HttpConnection
from holdfast.relay import program
from holdfast.relay.certificate import load_or_make
from holdfast.relay.front import Front
from holdfast.relay.limits import RelayLimits
from holdfast.store.base import Quota

OPEN = RelayLimits(
    connections=10**6,
    connections_per_address=10**6,
    connection=Limits(
        appends_per_second=10**9, bytes_per_second=10**12, creates=10**9, handles=10**6
    ),
    store=Quota(log_records=10**9, log_bytes=10**12, disk_bytes=40 * 1024**3),
)


class PlainFront(Front):
    """The same without TLS, to see what TLS costs."""

    def _connection(self) -> asyncio.Protocol:
        return HttpConnection(self._door, self.open)


def serve(directory: str, tls: bool, place: str | None, pipe: Connection) -> None:
    """The relay's process."""
    if not tls:
        program.Front = PlainFront  # type: ignore[misc]
    program.tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        listen = ("127.0.0.1", 0)
        runner.run(program.run(Path(directory), listen, limits=OPEN, place=place, say=pipe.send))


@dataclass
class Served:
    """A running relay."""

    home: Home
    key_hash: bytes
    process: psutil.Process

    def cpu(self) -> float:
        """Core-seconds it has used so far, of all its threads."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Bytes of memory that are its own."""
        return int(self.process.memory_full_info().uss)


@contextlib.contextmanager
def relay(directory: Path, tls: bool = True, place: str | None = None) -> Iterator[Served]:
    """A relay that serves while the context lasts, or a front end of a cluster at `place`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(str(directory), tls, place, theirs))
    process.start()
    try:
        home = Home.parse(ours.recv())
        key_hash = load_or_make(directory, "localhost", program.now_ms()).key_hash
        yield Served(home, key_hash, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.join(20)
