"""The store inside the relay: a log of segments, with an index in SQLite.

Everything that changes, records and all else, is an entry in one sequence of batches
(`entries`). What arrives while a batch is on its way to the disk is the next batch: under
load many appends share one sync, and a lone append waits for nobody. Nobody waits for the
index: it follows in checkpoints (`keeper`), and what it does not know yet is in memory
(`shelf`). No lock is held and no task is made for a record.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from holdfast.core import wire
from holdfast.core.log.server import Found
from holdfast.store import entries, recovery
from holdfast.store.base import Answer, Appended, Quota, Records, StoreFailed
from holdfast.store.files import Files, OsFiles
from holdfast.store.index import LAST_SEQ, Changes, Index, Lookup, Made, Place
from holdfast.store.keeper import Keeper
from holdfast.store.segments import Segments, path_of
from holdfast.store.shelf import Shelf

READ_BYTES: Final = 128 * 1024
CHECKPOINT_SECONDS: Final = 120
"""How long a record is found only in memory and in its segment."""
MEASURE_SECONDS: Final = 0.2
"""Between two looks at how much room the disk has."""
CHANGED_LOGS: Final = 20_000
CHANGED_RECORDS: Final = 100_000
"""More than so many of them, and a checkpoint is made earlier: until then they are in memory."""
_FAILED: Final = (
    "the relay could not write its database and has stopped, so that it promises nothing"
    " it does not keep: {error}. Check the disk, then start it again"
)

_Report = tuple[Callable[..., None], tuple[Any, ...]]


@dataclass(slots=True)
class _Batch:
    """What is made durable together, and what is said then."""

    segment: int
    number: int
    parts: list[bytes]
    reports: list[_Report]
    end: tuple[int, int]
    size: int
    """Bytes of `parts`, and of what precedes them."""
    frozen: Changes | None = None
    """Everything up to here ends a segment, and is to be in the index."""


class Embedded:
    """A `Store` in one directory.

    `post` runs a function soon on the thread that owns the store (for a loop:
    `call_soon_threadsafe`). `clock` gives milliseconds and is called on any thread.
    Raises `StoreFailed` if the store cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        quota: Quota,
        clock: Callable[[], int],
        post: Callable[[Callable[[], None]], object],
        failed: Callable[[str], None],
        vfs: str | None = None,
        files: Files | None = None,
    ) -> None:
        self._folder = folder
        self._quota = quota
        self._clock = clock
        self._post = post
        self._failed = failed
        self._files = files or OsFiles()
        self._reports: list[_Report] = []
        self._written = 0
        """Bytes, by the commit thread."""
        self._removed = 0
        """Bytes, by the keeper's."""
        self._backlog = 0
        self.crowded = False
        """See `Store.crowded`."""
        self._flying = False
        self._batches = 0
        self._opened = time.monotonic()
        self._thawing: Iterator[None] | None = None
        self._due = False
        self._compacting = False
        self._writes: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._chores: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        path = folder / recovery.INDEX
        try:
            recovery.prepare(folder)
            index = Index(path, vfs)
            self._seed = index.seed
            self._draw = recovery.tidy(folder, index, self._files)
            self._views = Lookup(path, vfs)
            self._shelf = Shelf(Lookup(path, vfs), quota, clock, self._draw())
            self.damaged = recovery.replay(folder, index, self._files, self._shelf)
            self._found_bytes = recovery.stored(folder)
            self._shelf.room = self._measure()
        except (apsw.Error, OSError) as error:
            raise StoreFailed(
                f"the relay's database {folder} cannot be opened: {error}. Check that the disk"
                " has room and that no other relay uses this directory"
            ) from error
        self._segments = Segments(folder)
        self._keeper = Keeper(index, self._files, folder, quota, self._draw, self._gone)
        self._set_idle()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in (
                ("store-commit", self._commit),
                ("store-read", functools.partial(self._work, self._reads)),
                ("store-keep", functools.partial(self._work, self._chores)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def make(self, frame: wire.Create, done: Answer) -> None:
        """See `Store.make`."""
        self._answer(done, self._shelf.make(frame))

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """See `Store.append`."""
        answer = self._shelf.append(key, expires, body)
        if answer[0] is None:
            self._backlog += len(body)
            if self._backlog > self._quota.backlog_bytes:
                self.crowded = True
        self._reports.append((done, answer))
        if not self._flying:
            self._gather()

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """See `Store.trim`."""
        self._answer(done, self._shelf.trim(key, upto))
        self._hurry()

    def drop(self, key: int, done: Answer) -> None:
        """See `Store.drop`."""
        self._answer(done, self._shelf.drop(key))
        self._hurry()

    def touch(self, key: int) -> None:
        """See `Store.touch`."""
        self._shelf.touch(key)
        self._gather()

    def has(self, key: int) -> bool:
        """Whether there is such a log."""
        return self._shelf.get(key) is not None

    def find(self, name: bytes, found: Callable[[Found | None], None]) -> None:
        """See `Store.find`."""
        log = self._shelf.cached(name)
        after = log.trimmed if log else 0

        def look() -> None:
            self._post(functools.partial(self._found, name, self._views.find(name, after), found))

        self._reads.put(look)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """See `Store.read`."""
        log, now = self._shelf.get(key), self._clock()
        if log is None:
            self._reads.put(functools.partial(self._post, functools.partial(done, (), False)))
            return
        after = max(since, log.trimmed)
        before = log.older_end if log.older > after else 0
        fresh: list[Place] = []
        size, cut = 0, False
        for place in log.fresh:
            if place[2:4] >= self._shelf.durable or (cut := size > READ_BYTES):
                break
            if place[0] & LAST_SEQ > after and place[1] > now:
                fresh.append(place)
                size += place[4] + 16
        self._reads.put(lambda: self._read(key, after, before, fresh, cut, now, done))

    def sweep(self) -> None:
        """See `Store.sweep`."""
        self._set_idle()
        if time.monotonic() - self._opened > CHECKPOINT_SECONDS:
            self._checkpoint()
        self._chores.put(self._sweep)

    def close(self) -> None:
        """Commit what was gathered and end all threads; answers may no longer come."""
        if self._reports or self._shelf.parts:
            self._writes.put(self._take())
        self._writes.put(None)
        self._reads.put(None)
        self._chores.put(None)
        for thread in self._threads:
            thread.join(30)
        self._segments.close()
        self._views.close()
        self._shelf.close()
        self._keeper.close()

    # Writing, on the owner's thread.

    def _answer(self, done: Callable[..., None], *answer: Any) -> None:
        self._reports.append((done, answer))
        if not self._flying:
            self._gather()

    def _gather(self) -> None:
        if not self._flying:
            # At the end of this turn of the loop, so that the turn's appends go together.
            self._flying = True
            self._post(self._send)

    def _send(self) -> None:
        if self._reports or self._shelf.parts or self._due:
            batch = self._take()
            shelf = self._shelf
            full = (
                self._due
                or shelf.offset >= self._quota.segment_bytes
                or len(shelf.changes.used) + len(shelf.changes.next) > CHANGED_LOGS
                or len(shelf.changes.fresh) > CHANGED_RECORDS
            )
            if full and shelf.frozen is None and self._thawing is None:
                batch.frozen = shelf.freeze(self._draw())
                self._batches = 0
                self._due = False
                self._opened = time.monotonic()
            elif self._due and not batch.reports and not batch.parts:
                self._flying = False
                return
            self._writes.put(batch)
        else:
            self._flying = False

    def _take(self) -> _Batch:
        shelf = self._shelf
        reports, self._reports = self._reports, []
        if shelf.parts:
            self._batches += 1
        end, size = (shelf.segment, shelf.offset), shelf.gathered
        return _Batch(shelf.segment, self._batches, shelf.take(), reports, end, size)

    def _committed(self, batch: _Batch, room: int) -> None:
        shelf = self._shelf
        shelf.durable = batch.end
        shelf.room = room - shelf.gathered
        self._backlog = shelf.gathered
        late = len(shelf.changes.fresh) > 4 * CHANGED_RECORDS
        self.crowded = late or self._backlog > self._quota.backlog_bytes
        if batch.frozen is not None:
            self._chores.put(functools.partial(self._keep, batch.frozen))
        self._send()
        for done, answer in batch.reports:
            done(*answer)

    def _checkpoint(self) -> None:
        """Begin another segment soon, if there is anything in this one."""
        if self._shelf.offset or self._shelf.changes.sizes:
            self._due = True
            self._gather()

    def _hurry(self) -> None:
        """Something was deleted: if the disk is short, its room is wanted back now."""
        if self._short:
            self._checkpoint()

    @property
    def _short(self) -> bool:
        return self._shelf.room < self._quota.segment_bytes

    def _checkpointed(self) -> None:
        self._thawing = self._shelf.thaw()
        self._thaw()

    def _thaw(self) -> None:
        assert self._thawing is not None
        if next(self._thawing, True):
            self._thawing = None
            if self._due:
                self._gather()
        else:
            self._post(self._thaw)

    # Asking, on the owner's thread.

    def _found(
        self,
        name: bytes,
        stored: tuple[int, Made, int, int, int] | None,
        found: Callable[[Found | None], None],
    ) -> None:
        log = self._shelf.cached(name)
        if log is not None:
            key, made, coming, used = log.key, log.made, log.next, log.used
            first = stored[4] if stored and stored[0] == key else 0
            if not log.trimmed < first < log.older_end:
                first = log.older_end
        elif stored is not None and not self._shelf.is_dropped(stored[0]):
            key, made, coming, used, first = stored
        else:
            found(None)
            return
        if used <= self._clock() - self._quota.idle_seconds * 1000:
            found(None)
        else:
            found(Found(key, made.append, made.read, made.owner, first or coming, coming))

    def _set_idle(self) -> None:
        self._shelf.idle_before = self._clock() - self._quota.idle_seconds * 1000

    def _drop_idle(self, keys: list[int]) -> None:
        for key in keys:
            log = self._shelf.get(key)
            if log is not None and log.used <= self._shelf.idle_before:
                self._shelf.drop(key)
        self._gather()

    # The commit thread.

    def _commit(self) -> None:
        descriptor, current, measured, room = -1, 0, 0.0, 0
        while (batch := self._writes.get()) is not None:
            if batch.parts:
                if batch.segment != current:
                    if descriptor >= 0:
                        self._files.close(descriptor)
                    current = batch.segment
                    descriptor = self._files.create(path_of(self._folder, current, False))
                size = batch.size - entries.BATCH.size
                if size < entries.SMALL * len(batch.parts):
                    batch.parts = [b"".join(batch.parts)]
                head = entries.batch(current, batch.number, batch.parts, self._seed)
                self._files.write(descriptor, [head, *batch.parts])
                self._files.sync(descriptor)
                self._written += batch.size
            if (now := time.monotonic()) >= measured + MEASURE_SECONDS:
                measured, room = now, self._measure()
            else:
                room -= batch.size
            self._post(functools.partial(self._committed, batch, room))
        if descriptor >= 0:
            self._files.close(descriptor)

    def _measure(self) -> int:
        """Bytes that may still be stored, by the quota and by the file system."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize - self._quota.disk_reserve
        used = self._found_bytes + self._written - self._removed
        used += (self._folder / recovery.INDEX).stat().st_size
        return min(self._quota.disk_bytes - used, free) - self._quota.segment_bytes

    # The reading thread.

    def _read(
        self,
        key: int,
        after: int,
        before: int,
        fresh: list[Place],
        cut: bool,
        now: int,
        done: Callable[[Records, bool], None],
    ) -> None:
        records: list[tuple[int, bytes]] = []
        more, moved = True, 0
        while more and not records:
            room = READ_BYTES
            places, more = self._views.places(key, after, before, now, room)
            if not more:
                newest = [place for place in fresh if place[0] & LAST_SEQ > after]
                places, more = places + newest, cut and bool(newest)
            for place in places:
                if records and place[4] > room:
                    more = True
                    break
                seq = place[0] & LAST_SEQ
                try:
                    records.append((seq, self._segments.body(place)))
                except entries.Damaged:
                    pass  # its other homes have it
                except FileNotFoundError:
                    moved += 1
                    if moved == 1:  # by compaction, since it was looked up
                        more = True
                        break
                after = seq
                room -= place[4] + 16
        self._post(functools.partial(done, records, more))

    # The keeper's thread.

    def _keep(self, changes: Changes) -> None:
        self._keeper.checkpoint(changes)
        self._post(self._checkpointed)
        if self._short:
            self._sweep()

    def _sweep(self) -> None:
        now = self._clock()
        more = self._keeper.expire(now)
        if idle := self._keeper.idle(now):
            self._post(functools.partial(self._drop_idle, idle))
        if more or self._keeper.compact(self._short):
            self._chores.put(self._sweep)

    def _gone(self, numbers: list[int], size: int) -> None:
        self._removed += size
        self._reads.put(functools.partial(self._segments.close, numbers))

    # All threads.

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 -- whatever it is: stop promising
            self._post(functools.partial(self._failed, _FAILED.format(error=error)))

    def _work(self, jobs: queue.SimpleQueue[Callable[[], object] | None]) -> None:
        while (job := jobs.get()) is not None:
            job()
