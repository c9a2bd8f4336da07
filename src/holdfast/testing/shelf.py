"""A relay's store in memory: what the real one promises, on a clock that a test moves.

An answer comes when its write is durable, a moment later and in order; `crash` loses what is not.
What the store holds can be taken away as a value (`dump`) and put back, so that a relay can be set
back to what it was, or many runs can begin from one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from holdfast.core import wire
from holdfast.core.log.server import DENIED, Found, Refusal
from holdfast.store.base import Answer, Appended, Records

READ_BYTES: Final = 128 * 1024
CLOSED: Final = Refusal("closed", "this log took all the records it ever takes")

After = Callable[[Callable[[], None]], object]
"""Does something after as long as a disk takes."""


@dataclass
class Log:
    """One log: what `Create` said, and records by their sequence number."""

    name: bytes
    verifiers: tuple[bytes, bytes, bytes]
    limit: int
    next: int = 1
    records: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def copy(self) -> Log:
        """Another one with the same in it."""
        return Log(self.name, self.verifiers, self.limit, self.next, dict(self.records))


class MemoryStore:
    """See `store.base.Store`. `clock` gives milliseconds."""

    crowded = False

    def __init__(self, clock: Callable[[], int], after: After) -> None:
        self.logs: dict[int, Log] = {}
        self._names: dict[bytes, int] = {}
        self._last = 0
        self._clock = clock
        self._after = after
        self._life = 0

    def dump(self) -> dict[int, Log]:
        """Everything durable."""
        return {key: log.copy() for key, log in self.logs.items()}

    def load(self, logs: dict[int, Log]) -> None:
        """Hold this and nothing else."""
        self.logs = {key: log.copy() for key, log in logs.items()}
        self._names = {log.name: key for key, log in logs.items()}
        self._last = max(self._last, *logs, 0)

    def crash(self) -> None:
        """What was not answered did not happen."""
        self._life += 1

    def make(self, frame: wire.Create, done: Answer) -> None:
        """See `Store.make`."""

        def write() -> None:
            verifiers = (frame.append, frame.read, frame.owner)
            key = self._names.get(frame.log_id)
            if key is None:
                self._last += 1
                self._names[frame.log_id] = self._last
                self.logs[self._last] = Log(frame.log_id, verifiers, frame.limit)
            elif (self.logs[key].verifiers, self.logs[key].limit) != (verifiers, frame.limit):
                done(DENIED)
                return
            done(None)

        self._later(write)

    def find(self, name: bytes, found: Callable[[Found | None], None]) -> None:
        """See `Store.find`."""

        def look() -> None:
            key = self._names.get(name)
            if key is None:
                found(None)
                return
            log = self.logs[key]
            found(Found(key, *log.verifiers, min(log.records, default=log.next), log.next))

        self._later(look)

    def touch(self, key: int) -> None:
        """No log is idle for so long here."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """See `Store.append`."""

        def write() -> None:
            log = self.logs.get(key)
            if log is None:
                done(DENIED, 0)
            elif log.limit and log.next > log.limit:
                done(CLOSED, 0)
            else:
                seq, log.next = log.next, log.next + 1
                log.records[seq] = (expires, body)
                done(None, seq)

        self._later(write)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """See `Store.read`."""

        def look() -> None:
            log, now = self.logs.get(key), self._clock()
            found: list[tuple[int, bytes]] = []
            size = 0
            for seq in sorted(log.records if log is not None else ()):
                expires, body = log.records[seq] if log is not None else (0, b"")
                if seq > since and expires > now:
                    if size > READ_BYTES:
                        done(found, True)
                        return
                    found.append((seq, body))
                    size += len(body)
            done(found, False)

        self._later(look)

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """See `Store.trim`."""

        def write() -> None:
            log = self.logs.get(key)
            if log is not None:
                for seq in [seq for seq in log.records if seq <= upto]:
                    del log.records[seq]
            done(None if log is not None else DENIED)

        self._later(write)

    def drop(self, key: int, done: Answer) -> None:
        """See `Store.drop`."""

        def write() -> None:
            log = self.logs.pop(key, None)
            if log is not None:
                del self._names[log.name]
            done(None)

        self._later(write)

    def sweep(self) -> None:
        """What has expired is not read; it need not be deleted."""

    def close(self) -> None:
        """There are no files."""

    def _later(self, work: Callable[[], None]) -> None:
        life = self._life
        self._after(lambda: work() if life == self._life else None)
