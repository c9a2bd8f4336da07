"""What a relay asks of a store of logs.

Every call returns at once and is answered later, through its callback, on the thread or
loop that owns the store. Answers to writes of one log come in the order of the writes, and
only after what they report is durable. A store that could not make something durable answers
nothing any more and calls `failed` once: after a failed sync nobody knows what is on the
disk, so the one honest thing is to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal

Answer = Callable[[Refusal | None], None]
"""None when it was done."""
Appended = Callable[[Refusal | None, int], None]
"""The refusal, or None and the record's sequence number."""
Records = Sequence[tuple[int, bytes]]
"""Sequence numbers and bodies, in order."""


class StoreFailed(Exception):
    """The store cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How much is kept, and for how long."""

    log_records: int = 20_000
    log_bytes: int = 256 * 1024 * 1024
    log_rate: int = 10_000
    """Records a second that come to one log, from all connections together."""
    logs: int = 1_000_000
    disk_bytes: int = 10 * 1024**3
    """All segments and the index together; appends are refused before it is reached."""
    disk_reserve: int = 256 * 1024 * 1024
    """Bytes of the file system that are left to others."""
    idle_seconds: int = 180 * 86_400
    """A log that nobody attached for so long is gone, with its records."""
    ripe_seconds: int = 3_600
    """How long records lie on the disk in the order in which they came, and what was deleted
    beside them."""
    stale_seconds: int = 12 * 3_600
    """How long what was deleted lies among much that is kept."""
    backlog_bytes: int = 32 * 1024 * 1024
    """Bytes waiting for the disk beyond which `crowded` is true."""

    @property
    def segment_bytes(self) -> int:
        """The size at which a segment is closed; so much room is left for compaction."""
        return min(64 * 1024 * 1024, self.disk_bytes // 8)


class Store(Protocol):
    """Logs under names that clients chose, each with a key of the store's own."""

    def make(self, frame: wire.Create, done: Answer) -> None:
        """Make a log; made before with the same verifiers and limit is done as well."""

    def find(self, name: bytes, found: Callable[[Found | Refusal | None], None]) -> None:
        """Look a log up by name. The work is the same whether it exists or not. A refusal says
        that nobody knows now."""

    def touch(self, key: int) -> None:
        """Somebody with a right to the log came: it is not idle."""

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """Add a record that is kept until `expires` (milliseconds since 1970)."""

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """Records after `since`, about 128 KiB of them, and whether there are more."""

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """Delete records up to and including `upto`."""

    def drop(self, key: int, done: Answer) -> None:
        """Delete a log."""

    def sweep(self) -> None:
        """Delete what has expired. Call it every minute or so."""

    @property
    def crowded(self) -> bool:
        """More waits to become durable than is healthy: refuse for a while."""

    def close(self) -> None:
        """Finish what was begun and let go of the files."""


@runtime_checkable
class Shared(Store, Protocol):
    """A store that other relays write to as well, and that tells of it."""

    guarantee: str
    """What an acknowledgement promises, in words."""

    async def aclose(self) -> None:
        """As `close`, awaited."""

    def tells(
        self, publish: Callable[[int, int, bytes], None], gone: Callable[[int], None]
    ) -> None:
        """Whom to tell of records and live frames (number 0) of followed logs, whoever put them
        there, and of logs that were dropped."""

    def follow(self, key: int) -> None:
        """Somebody wants to know what comes to a log."""

    def unfollow(self, key: int) -> None:
        """Somebody does not want to know any more."""

    def live(self, key: int, body: bytes) -> None:
        """Hand a live frame to whoever follows, here or elsewhere."""
