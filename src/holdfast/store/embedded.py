"""The store inside the relay: SQLite, one thread that commits and one that reads.

What arrives while a commit is on its way to the disk is the next commit's batch: under
load many appends share one sync, and a lone append waits for nobody. No lock is held and
no task is made for a record.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from holdfast.core import wire
from holdfast.core.log.server import Found
from holdfast.store.base import Answer, Appended, Quota, Records, StoreFailed
from holdfast.store.tables import Tables, Views

_Job = Callable[[Tables], Callable[[], None] | None]
"""Runs in a transaction on the commit thread; what it returns is called once it is durable."""

_FAILED: Final = (
    "the relay could not write its database and has stopped, so that it promises nothing"
    " it does not keep: {error}. Check the disk, then start it again"
)


class Embedded:
    """A `Store` in one file.

    `post` runs a function soon on the thread that owns the store (for a loop:
    `call_soon_threadsafe`). `clock` gives milliseconds and is called on any thread.
    Raises `StoreFailed` if the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        quota: Quota,
        clock: Callable[[], int],
        post: Callable[[Callable[[], None]], object],
        failed: Callable[[str], None],
        vfs: str | None = None,
    ) -> None:
        self._quota = quota
        self._clock = clock
        self._post = post
        self._failed = failed
        self._gathered: list[_Job] = []
        self._backlog = 0
        self._flying = False
        self._writes: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Callable[[Views], Callable[[], None]] | None] = (
            queue.SimpleQueue()
        )
        try:
            self._tables = Tables(path, quota, vfs)
            self._views = Views(path, quota, vfs)
        except (apsw.Error, OSError) as error:
            raise StoreFailed(
                f"the relay's database {path} cannot be opened: {error}. Check that the disk"
                " has room and that no other relay uses this directory"
            ) from error
        self._threads = [
            threading.Thread(target=self._commit, name="store-commit", daemon=True),
            threading.Thread(target=self._answer, name="store-read", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def crowded(self) -> bool:
        """See `Store.crowded`."""
        return self._backlog > self._quota.backlog_bytes

    def make(self, frame: wire.Create, done: Answer) -> None:
        """See `Store.make`."""

        def job(tables: Tables) -> Callable[[], None]:
            refusal = tables.make(frame, self._clock())
            return lambda: done(refusal)

        self._write(job)

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """See `Store.append`."""
        size = len(body)
        self._backlog += size

        def job(tables: Tables) -> Callable[[], None]:
            refusal, seq = tables.append(key, expires, body)

            def report() -> None:
                self._backlog -= size
                done(refusal, seq)

            return report

        self._write(job)

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """See `Store.trim`."""

        def job(tables: Tables) -> Callable[[], None]:
            refusal = tables.trim(key, upto)
            return lambda: done(refusal)

        self._write(job)

    def drop(self, key: int, done: Answer) -> None:
        """See `Store.drop`."""

        def job(tables: Tables) -> Callable[[], None]:
            refusal = tables.drop(key)
            return lambda: done(refusal)

        self._write(job)

    def touch(self, key: int) -> None:
        """See `Store.touch`."""

        def job(tables: Tables) -> None:
            tables.touch(key, self._clock())

        self._write(job)

    def sweep(self) -> None:
        """See `Store.sweep`. Goes on by itself, in small steps, while there is more."""

        def job(tables: Tables) -> Callable[[], None] | None:
            return self.sweep if tables.sweep(self._clock()) else None

        self._write(job)

    def find(self, name: bytes, found: Callable[[Found | None], None]) -> None:
        """See `Store.find`."""

        def job(views: Views) -> Callable[[], None]:
            log = views.find(name, self._clock())
            return lambda: found(log)

        self._reads.put(job)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """See `Store.read`."""

        def job(views: Views) -> Callable[[], None]:
            records, more = views.read(key, since, self._clock())
            return lambda: done(records, more)

        self._reads.put(job)

    def close(self) -> None:
        """Commit what was gathered and end both threads; answers may no longer come."""
        if self._gathered:
            self._writes.put(self._gathered)
            self._gathered = []
        self._writes.put(None)
        self._reads.put(None)
        for thread in self._threads:
            thread.join(30)

    def _write(self, job: _Job) -> None:
        self._gathered.append(job)
        if not self._flying:
            # At the end of this turn of the loop, so that the turn's appends go together.
            self._flying = True
            self._post(self._send)

    def _send(self) -> None:
        if self._gathered:
            batch, self._gathered = self._gathered, []
            self._writes.put(batch)
        else:
            self._flying = False

    def _committed(self, reports: list[Callable[[], None]]) -> None:
        self._send()
        for report in reports:
            report()

    def _commit(self) -> None:
        tables = self._tables
        while (batch := self._writes.get()) is not None:
            try:
                tables.begin()
                reports = [report for job in batch if (report := job(tables)) is not None]
                tables.commit()
            except Exception as error:  # noqa: BLE001 -- whatever it is: stop promising
                self._stop(error)
                return
            self._post(functools.partial(self._committed, reports))
        tables.close()

    def _answer(self) -> None:
        views = self._views
        while (job := self._reads.get()) is not None:
            try:
                report = job(views)
            except Exception as error:  # noqa: BLE001 -- whatever it is: stop promising
                self._stop(error)
                return
            self._post(report)
        views.close()

    def _stop(self, error: Exception) -> None:
        self._post(functools.partial(self._failed, _FAILED.format(error=error)))
