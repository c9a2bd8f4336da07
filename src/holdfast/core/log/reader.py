"""One reader of a log at a relay: from a cursor through what is stored, then along.

A reader holds a position, not records. While its connection takes what it is given, new
records are passed on from memory; once it is slow, nothing is kept for it: it goes on from
its cursor, out of the store, when it has drained. Live frames that find it slow are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.core import wire

CHUNK: Final = 32 * 1024
"""Bytes of records in one frame, unless a single record is larger: on a thin line a frame that is
cut short was for nothing."""

State = Literal["reading", "following", "waiting", "ended"]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read stored records after `since` and answer with `fetched`."""

    since: int


class Reader:
    """A reader of `handle`, having everything up to `since`. `room` is always whether the
    connection has little enough unsent to take more."""

    __slots__ = (
        "_follow",
        "_newest",
        "_pending",
        "_seen_newest",
        "_told",
        "cursor",
        "handle",
        "state",
    )

    def __init__(self, handle: int, since: int, follow: bool) -> None:
        self.handle = handle
        self.state: State = "waiting"
        self.cursor = since
        self._follow = follow
        self._newest = since
        self._seen_newest = since
        self._told = False
        self._pending: list[tuple[int, bytes]] = []

    def go_on(self, room: bool) -> Fetch | None:
        """The connection is ready or has drained: read on if this reader waits."""
        if self.state != "waiting" or not room:
            return None
        self.state = "reading"
        self._seen_newest = self._newest
        return Fetch(self.cursor)

    def fetched(self, records: Sequence[tuple[int, bytes]], more: bool) -> None:
        """Answer to `Fetch`: records in order, and whether the store has more."""
        if self.state != "reading":
            return
        self._pending += records
        if records:
            self.cursor = records[-1][0]
        if not more:
            # What was published before the fetch and did not come with it was deleted.
            self.cursor = max(self.cursor, self._seen_newest)
        if more or self._newest > self.cursor:
            self.state = "waiting"
        else:
            self.state = "following" if self._follow else "ended"

    def stop(self) -> None:
        """Nothing more is wanted."""
        self.state = "ended"
        self._told = True
        self._pending.clear()

    def published(self, seq: int, body: bytes, room: bool) -> None:
        """A record became durable."""
        if seq > self._newest:
            self._newest = seq
        if self.state != "following" or seq <= self.cursor:
            return
        if room:
            self._pending.append((seq, body))
            self.cursor = seq
        else:
            self.state = "waiting"

    def missed(self) -> None:
        """Something may have come of which nobody told."""
        if self.state == "following":
            self.state = "waiting"

    @property
    def follows(self) -> bool:
        """Whether it wants live frames."""
        return self._follow and self.state != "ended"

    def flush(self) -> list[wire.RelayFrame]:
        """What is to be sent now: records in frames of about `CHUNK`, then `Done` once."""
        frames: list[wire.RelayFrame] = []
        if self._told and len(self._pending) == 1:  # most often
            frames.append(wire.Records(self.handle, (self._pending.pop(),)))
            return frames
        chunk: list[tuple[int, bytes]] = []
        size = 0
        for record in self._pending:
            if chunk and size + len(record[1]) > CHUNK:
                frames.append(wire.Records(self.handle, tuple(chunk)))
                chunk, size = [], 0
            chunk.append(record)
            size += len(record[1]) + 16
        if chunk:
            frames.append(wire.Records(self.handle, tuple(chunk)))
        self._pending.clear()
        if not self._told and self.state in ("following", "ended"):
            self._told = True
            frames.append(wire.Done(self.handle, "read"))
        return frames
