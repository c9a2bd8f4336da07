"""What is done to the index beside the traffic: checkpoints, expiry, compaction.

A segment that a checkpoint has closed holds records in the order in which they came, and
deleted ones too. After a while what is left of it is copied, in the order of the logs' random
keys, into a new segment: so the disk gets its room back, and neither what was deleted nor the
order in which things came stays on it for long. What is deleted later goes with half of its
segment, or after half a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.store import entries
from holdfast.store.base import Quota
from holdfast.store.files import Files
from holdfast.store.index import SEQ_BITS, Changes, Index, Place, Segment
from holdfast.store.segments import PIECE, Segments, mapped, path_of, write


def _framing(size: int) -> int:
    """Bytes of a sorted segment that are no entries, at most."""
    return entries.BATCH.size * (size // PIECE + 2)


class Keeper:
    """On a thread of its own. `gone` is told which segments are
    no more, and how many bytes less there are."""

    def __init__(
        self,
        index: Index,
        files: Files,
        folder: Path,
        quota: Quota,
        draw: Callable[[], int],
        gone: Callable[[list[int], int], object],
    ) -> None:
        self._index = index
        self._files = files
        self._folder = folder
        self._quota = quota
        self._draw = draw
        self._gone = gone
        self._sealed: dict[int, float] = {}
        """When segments were first seen, by the monotonic clock."""
        self._stained: dict[int, float] = {}
        """When something deleted was first seen in them."""

    def checkpoint(self, changes: Changes) -> None:
        """The index knows of these changes from now on."""
        self._remove(self._index.apply(changes))

    def expire(self, now: int) -> bool:
        """Some of what has expired; whether there may be more."""
        more, empty = self._index.expire(now)
        self._remove(empty)
        return more

    def idle(self, now: int) -> list[int]:
        """Keys of some logs that nobody uses."""
        return self._index.idle(now - self._quota.idle_seconds * 1000)

    def compact(self, short: bool) -> bool:
        """One step, if there is something to do: at once if the disk is `short` of room."""
        victims = self._victims(short)
        if victims:
            self._merge(victims)
        return bool(victims)

    def _victims(self, short: bool) -> list[Segment]:
        """Segments that are to be merged into one, most garbage first."""
        now = time.monotonic()
        segments = self._index.segments()
        self._sealed = {s.number: self._sealed.get(s.number, now) for s in segments}
        stained = [s.number for s in segments if s.size - s.live > _framing(s.size)]
        self._stained = {number: self._stained.get(number, now) for number in stained}
        found: list[Segment] = []
        live = 0
        for each in sorted(segments, key=lambda s: s.live / s.size):
            ripe = now - self._sealed[each.number] >= self._quota.ripe_seconds
            wasteful = each.live * 2 < each.size
            stale = now - self._stained.get(each.number, now) >= self._quota.stale_seconds
            stale = stale and each.number in self._stained
            if (wasteful and (short or ripe)) or (ripe and (stale or not each.sorted)):
                live += each.live
                if found and live > self._quota.segment_bytes:
                    break
                found.append(each)
        return found

    def _merge(self, victims: list[Segment]) -> None:
        places = sorted(place for each in victims for place in self._live(each))
        number, source = self._draw(), Segments(self._folder)
        lost: list[int] = []

        def records() -> Iterator[tuple[int, int, bytes]]:
            for place in places:
                try:
                    yield place[0], place[1], source.body(place)
                except entries.Damaged:
                    lost.append(place[0])

        try:
            path = path_of(self._folder, number, True)
            size, moved = write(self._files, path, number, self._index.seed, records())
        finally:
            source.close()
        live = sum(place[4] + entries.HEAD.size for place in moved)
        new = Segment(number, True, size, live)
        self._index.move((each.number for each in victims), new, moved, lost)
        self._remove(victims, size)

    def _live(self, segment: Segment) -> list[Place]:
        with mapped(path_of(self._folder, segment.number, segment.sorted)) as data:
            return self._index.wanted(
                ((key << SEQ_BITS) + seq, segment.number, at)
                for part in entries.scan(data, segment.number, self._index.seed)
                for found in entries.entries(data, part)
                if found is not None
                for kind, key, seq, _, at, _ in (found,)
                if kind == entries.RECORD
            )

    def _remove(self, segments: list[Segment], added: int = 0) -> None:
        for each in segments:
            self._files.remove(path_of(self._folder, each.number, each.sorted))
        if segments:
            size = sum(each.size for each in segments) - added
            self._gone([each.number for each in segments], size)

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()
