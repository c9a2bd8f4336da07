"""What a relay's operator can watch: numbers without a name in them, and whether it is there.

Both are answered on the one port: numbers on a path that only the operator knows, and whether it
is there on one that follows from the relay's address. To everybody else they are pages that the
site does not have.
Source: the OpenMetrics specification 1.0; spec/paths.md, "The front".
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from holdfast.core.caps import b64, hkdf
from holdfast.drive.http import Response

NUMBERS: Final = "numbers/1"
HEALTH: Final = "health/1"
_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Watched:
    """A page on the path that `secret` and `label` give under a TLS key."""

    secret: bytes
    label: str
    answer: Callable[[], Response | Awaitable[Response]]

    def path(self, tls_key_hash: bytes) -> str:
        """Like those of nodes: a machine in the middle learns no path of use."""
        return path_of(self.secret, self.label, tls_key_hash)


def path_of(secret: bytes, label: str, tls_key_hash: bytes) -> str:
    """The HTTP path."""
    return "/" + b64(hkdf(secret, label, tls_key_hash, length=18))


def operators(key: bytes) -> bytes:
    """The operator's secret, from the relay's permanent key (32 raw bytes)."""
    return hkdf(key, "operator/1")


def healthy() -> Response:
    """The relay is there."""
    return Response(200, (("content-type", "text/plain"), ("cache-control", "no-store")), b"ok\n")


@dataclass(frozen=True)
class Number:
    """One gauge, or a counter if its name ends in `_total`."""

    name: str
    help: str
    value: float
    of_all: Callable[[Sequence[float]], float] = sum
    """What is said if there are several processes with one each."""

    def joined(self, others: Sequence[float]) -> Number:
        """Of all together."""
        return replace(self, value=self.of_all([self.value, *others]))


def page(numbers: Sequence[Number]) -> Response:
    """Numbers as OpenMetrics."""
    lines = []
    for one in numbers:
        family = one.name.removesuffix("_total")
        kind = "gauge" if family == one.name else "counter"
        value = int(one.value) if one.value == int(one.value) else one.value
        lines += [f"# TYPE {family} {kind}", f"# HELP {family} {one.help}", f"{one.name} {value}"]
    text = "\n".join([*lines, "# EOF", ""])
    return Response(200, (("content-type", _TYPE), ("cache-control", "no-store")), text.encode())


def process(started: float) -> list[Number]:
    """Of this process; `started` in seconds since 1970."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    files = 0
    with contextlib.suppress(OSError):
        files = len(os.listdir("/proc/self/fd"))
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        Number("process_start_time_seconds", "When it began, since 1970.", started, min),
        Number("process_cpu_seconds_total", "Processor time.", used.ru_utime + used.ru_stime),
        Number("process_resident_memory_bytes", "Memory.", memory),
        Number("process_open_fds", "Open files and connections.", files),
        Number("process_max_fds", "The most there may be.", most, min),
    ]


def disk(logs: Path, limit: int) -> list[Number]:
    """Of what is kept."""
    used = 0
    with contextlib.suppress(OSError), os.scandir(logs) as found:
        for one in found:
            with contextlib.suppress(OSError):
                used += one.stat().st_size
    free = 0
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(logs).free
    return [
        Number("holdfast_disk_bytes", "Kept records and their index.", used),
        Number("holdfast_disk_limit_bytes", "Beyond it records are refused.", limit),
        Number("holdfast_disk_free_bytes", "Of the file system.", free, min),
    ]
