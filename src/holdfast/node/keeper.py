"""One thread keeps the database: jobs run in order, and share a commit when they queue up.

A job works inside a savepoint and notes what is to follow: effects on the network and
news for the interfaces. Neither leaves before the commit that holds the job's rows, so
nothing that was sent or said can be forgotten by a crash.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import apsw

T = TypeVar("T")

MAX_BATCH: Final = 64


class StorageFailed(Exception):
    """The disk did not take it: nothing of the job happened. The sentence says why."""


@dataclass
class Work:
    """What a job has to hand."""

    db: apsw.Connection
    now: int
    after: list[Any] = field(default_factory=list)
    """What follows the commit, in order; see `node.effects`."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """Called if the job does not come to be: forgets what was kept in memory."""


class _Job(Generic[T]):
    def __init__(self, run: Callable[[Work], T], done: asyncio.Future[T]) -> None:
        self.run = run
        self.done = done
        self.result: T | None = None
        self.error: BaseException | None = None
        self.work: Work | None = None


class Keeper:
    """`connect` opens the database, on the keeper's thread. `follow` is called on the
    loop's thread with each committed job's `after`, before the job's answer is given."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        close: Callable[[apsw.Connection], None],
        clock: Callable[[], int],
        follow: Callable[[list[Any]], None],
    ) -> None:
        self._connect = connect
        self._close = close
        self._clock = clock
        self._follow = follow
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._stopping = False
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    async def start(self) -> None:
        """Open the database. Raises what `connect` raises."""
        self._thread.start()
        await self._opened

    async def run(self, job: Callable[[Work], T]) -> T:
        """Do a job and commit it. Raises what the job raises, or `StorageFailed`."""
        return await self.submit(job)

    def submit(self, job: Callable[[Work], T]) -> asyncio.Future[T]:
        """As `run`, in the order of calls, without waiting."""
        done: asyncio.Future[T] = self._loop.create_future()
        if self._stopping:
            done.set_exception(StorageFailed("the node is stopping"))
        else:
            self._jobs.put(_Job(job, done))
        return done

    async def stop(self) -> None:
        """Finish what was submitted and close the database."""
        if not self._stopping:
            self._stopping = True
            self._jobs.put(None)
        await self._closed

    # On the keeper's thread.

    def _keep(self) -> None:
        try:
            db = self._connect()
        except BaseException as error:  # noqa: BLE001  told to who waits for the database
            self._tell(self._opened.set_exception, error)
            return
        self._tell(self._opened.set_result, None)
        last = False
        while not last:
            batch: list[_Job[Any]] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) >= MAX_BATCH or self._jobs.empty():
                    break
                job = self._jobs.get()
            last = job is None
            if batch:
                self._do(db, batch)
        try:
            self._close(db)
        except apsw.Error:
            pass  # what was committed stays in the write-ahead log
        self._tell(self._closed.set_result, None)

    def _do(self, db: apsw.Connection, batch: list[_Job[Any]]) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._try(db, job)
            db.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back(db)
            for job in batch:
                if job.error is None:
                    job.error = StorageFailed(_why(error))
                    _undo(job)
        self._tell(self._settle, batch)

    def _try(self, db: apsw.Connection, job: _Job[Any]) -> None:
        job.work = Work(db, self._clock())
        db.execute("SAVEPOINT job")
        try:
            job.result = job.run(job.work)
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError):
            raise  # the disk, not the job: the whole batch falls
        except BaseException as error:  # noqa: BLE001  told to who gave the job
            job.error = error
            _undo(job)
            db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")

    def _roll_back(self, db: apsw.Connection) -> None:
        if db.in_transaction:
            try:
                db.execute("ROLLBACK")
            except apsw.Error:
                pass  # SQLite has rolled back by itself

    def _settle(self, batch: list[_Job[Any]]) -> None:
        """On the loop's thread, in order."""
        for job in batch:
            if job.error is None and job.work is not None and job.work.after:
                self._follow(job.work.after)
            if job.done.cancelled():
                continue
            if job.error is not None:
                job.done.set_exception(job.error)
                job.done.exception()  # whoever submitted it need not look
            else:
                job.done.set_result(job.result)

    def _tell(self, function: Callable[..., object], *values: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *values)
        except RuntimeError:
            pass  # the loop is gone, and with it whoever waited


def _undo(job: _Job[Any]) -> None:
    if job.work is not None:
        for forget in job.work.undo:
            forget()


def _why(error: apsw.Error) -> str:
    if isinstance(error, apsw.FullError):
        return "the disk is full; make room, then write again"
    return "the disk did not take it; look at the disk, then write again"
