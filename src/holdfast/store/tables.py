"""The embedded store's tables and what is done to them, on one thread, in transactions.

A record's row id is its log's key times 2^32 plus its sequence number: one tree, in which
each log is contiguous, and no second index to keep for reading it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import apsw

from holdfast.core import wire
from holdfast.core.log.server import DENIED, Found, Refusal
from holdfast.store.base import Quota, StoreFailed

SCHEMA_VERSION: Final = 1
DAY: Final = 86_400_000
SEQ_BITS: Final = 32
ROW_COST: Final = 64
"""Bytes a record is counted beside its body: row header, index entry, page slack."""
READ_BYTES: Final = 128 * 1024
SWEEP_ROWS: Final = 2_000
CACHED_LOGS: Final = 20_000

_SCHEMA: Final = """
CREATE TABLE logs(
    key INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,
    append BLOB NOT NULL,
    read BLOB NOT NULL,
    owner BLOB NOT NULL,
    most INTEGER NOT NULL,
    next INTEGER NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX logs_used ON logs(used);
CREATE TABLE records(row INTEGER PRIMARY KEY, expires INTEGER NOT NULL, body BLOB NOT NULL)
    STRICT;
CREATE INDEX records_expires ON records(expires);
"""


def connect(path: Path, *, vfs: str | None, readonly: bool) -> apsw.Connection:
    """Open the database so that a commit returns after its bytes are on the disk."""
    mode = (
        apsw.SQLITE_OPEN_READONLY
        if readonly
        else (apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    )
    db = apsw.Connection(str(path), flags=mode, vfs=vfs)
    db.set_busy_timeout(5_000)
    if not readonly:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=FAST")
        db.execute("PRAGMA journal_size_limit=67108864")
        db.execute("PRAGMA wal_autocheckpoint=4000")
    db.execute("PRAGMA cache_size=-32768")
    return db


@dataclass(slots=True)
class _Log:
    """What changes about a log with every append."""

    most: int
    next: int
    records: int
    bytes: int


class Tables:
    """All changes. Call the verbs between `begin` and `commit`."""

    def __init__(self, path: Path, quota: Quota, vfs: str | None = None) -> None:
        self._path = path
        self._quota = quota
        self._db = connect(path, vfs=vfs, readonly=False)
        self._logs: dict[int, _Log] = {}
        self._changed: set[int] = set()
        self._rows: list[tuple[int, int, bytes]] = []
        self._room = 0
        version = self._one("PRAGMA user_version")
        if version == 0:
            with self._db:
                self._db.execute(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise StoreFailed(
                f"the relay's database has version {version}, this program knows"
                f" {SCHEMA_VERSION}; use the program that made it"
            )

    def begin(self) -> None:
        """Start a transaction, knowing how much room the disk has."""
        if len(self._logs) > CACHED_LOGS:
            self._logs.clear()
        self._db.execute("BEGIN IMMEDIATE")
        self._room = self._measure()

    def commit(self) -> None:
        """Make everything since `begin` durable. Raises apsw.Error; then nothing is known."""
        self._write_rows()
        self._db.executemany(
            "UPDATE logs SET next=?, records=?, bytes=? WHERE key=?",
            [
                (log.next, log.records, log.bytes, key)
                for key in sorted(self._changed)
                if (log := self._logs.get(key)) is not None
            ],
        )
        self._changed.clear()
        self._db.execute("COMMIT")

    def make(self, frame: wire.Create, now: int) -> Refusal | None:
        """See `Store.make`."""
        same = self._db.execute(
            "SELECT append, read, owner, most FROM logs WHERE name=?", (frame.log_id,)
        ).fetchone()
        if same is not None:
            asked = (frame.append, frame.read, frame.owner, frame.limit)
            return None if same == asked else DENIED
        if self._one("SELECT count(*) FROM (SELECT 1 FROM logs LIMIT ?)", self._quota.logs) >= (
            self._quota.logs
        ):
            return Refusal("full", "this relay keeps no more logs; use another one")
        if self._room <= 0:
            return _disk_full()
        self._db.execute(
            "INSERT INTO logs VALUES(?,?,?,?,?,?,1,0,0,?)",
            (
                self._free_key(),
                frame.log_id,
                frame.append,
                frame.read,
                frame.owner,
                frame.limit,
                _day(now),
            ),
        )
        return None

    def append(self, key: int, expires: int, body: bytes) -> tuple[Refusal | None, int]:
        """See `Store.append`."""
        log = self._log(key)
        if log is None:
            return DENIED, 0
        cost = len(body) + ROW_COST
        if (log.most and log.next > log.most) or log.next >> SEQ_BITS:
            return Refusal("closed", "this log took all the records it ever takes"), 0
        if log.records >= self._quota.log_records or log.bytes + cost > self._quota.log_bytes:
            return Refusal(
                "full",
                f"this log is full: at most {self._quota.log_records} records and"
                f" {self._quota.log_bytes} bytes until its reader trims it",
            ), 0
        if cost > self._room:
            return _disk_full(), 0
        self._room -= cost
        seq = log.next
        log.next = seq + 1
        log.records += 1
        log.bytes += cost
        self._changed.add(key)
        self._rows.append(((key << SEQ_BITS) + seq, expires, body))
        return None, seq

    def trim(self, key: int, upto: int) -> Refusal | None:
        """See `Store.trim`."""
        log = self._log(key)
        if log is None:
            return DENIED
        self._write_rows()
        upto = min(upto, (1 << SEQ_BITS) - 1)
        gone = self._all(
            "DELETE FROM records WHERE row BETWEEN ? AND ? RETURNING length(body)",
            key << SEQ_BITS,
            (key << SEQ_BITS) + upto,
        )
        self._forget(key, len(gone), sum(size + ROW_COST for (size,) in gone))
        return None

    def drop(self, key: int) -> Refusal | None:
        """See `Store.drop`. A log that is gone already is dropped."""
        self.trim(key, (1 << SEQ_BITS) - 1)
        self._db.execute("DELETE FROM logs WHERE key=?", (key,))
        self._logs.pop(key, None)
        return None

    def touch(self, key: int, now: int) -> None:
        """Note use, to the day: not a write for every attach."""
        self._db.execute(
            "UPDATE logs SET used=? WHERE key=? AND used<?", (_day(now), key, _day(now))
        )

    def sweep(self, now: int) -> bool:
        """Delete some of what has expired; whether there may be more."""
        self._write_rows()
        gone = self._all(
            "DELETE FROM records WHERE row IN (SELECT row FROM records WHERE expires<=? LIMIT ?)"
            " RETURNING row, length(body)",
            now,
            SWEEP_ROWS,
        )
        for row, size in gone:
            self._forget(row >> SEQ_BITS, 1, size + ROW_COST)
        idle = self._all(
            "SELECT key FROM logs WHERE used<=? ORDER BY used LIMIT 10",
            now - self._quota.idle_seconds * 1000,
        )
        for (key,) in idle:
            self.drop(key)
        return len(gone) == SWEEP_ROWS or len(idle) == 10

    def close(self) -> None:
        """Move the journal into the database and let go of it."""
        self._db.close()

    def _free_key(self) -> int:
        while self._one("SELECT count(*) FROM logs WHERE key=?", key := draw_key()):
            pass
        return key

    def _write_rows(self) -> None:
        if self._rows:
            self._db.executemany("INSERT INTO records VALUES(?,?,?)", self._rows)
            self._rows.clear()

    def _forget(self, key: int, records: int, size: int) -> None:
        log = self._log(key)
        if log is not None and records:
            log.records -= records
            log.bytes -= size
            self._changed.add(key)

    def _log(self, key: int) -> _Log | None:
        log = self._logs.get(key)
        if log is None:
            row = self._db.execute(
                "SELECT most, next, records, bytes FROM logs WHERE key=?", (key,)
            ).fetchone()
            if row is None:
                return None
            log = self._logs[key] = _Log(*row)
        return log

    def _measure(self) -> int:
        """Bytes that may still be stored, by the quota and by the file system."""
        page = self._one("PRAGMA page_size")
        used = page * (self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count"))
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize - self._quota.disk_reserve
        # A record is written twice, to the journal and then to its place.
        return min(self._quota.disk_bytes - used, free // 2)

    def _all(self, sql: str, *values: int) -> list[tuple[int, ...]]:
        return cast("list[tuple[int, ...]]", self._db.execute(sql, values).fetchall())

    def _one(self, sql: str, *values: int) -> int:
        return int(self._db.execute(sql, values).get)


class Views:
    """All questions, on a connection of their own that no commit holds up."""

    def __init__(self, path: Path, quota: Quota, vfs: str | None = None) -> None:
        self._db = connect(path, vfs=vfs, readonly=True)
        self._quota = quota

    def find(self, name: bytes, now: int) -> Found | None:
        """See `Store.find`: the same two statements for a present and an absent log."""
        row = self._db.execute(
            "SELECT key, append, read, owner, next, used FROM logs WHERE name=?", (name,)
        ).fetchone()
        key, append, read, owner, coming, used = row or (0, b"", b"", b"", 0, 0)
        first = self._db.execute(
            "SELECT row FROM records WHERE row BETWEEN ? AND ? LIMIT 1",
            (key << SEQ_BITS, ((key + 1) << SEQ_BITS) - 1),
        ).fetchone()
        if row is None or used <= now - self._quota.idle_seconds * 1000:
            return None
        seq = coming if first is None else first[0] - (key << SEQ_BITS)
        return Found(key, append, read, owner, seq, coming)

    def read(self, key: int, since: int, now: int) -> tuple[Sequence[tuple[int, bytes]], bool]:
        """See `Store.read`."""
        base = key << SEQ_BITS
        records: list[tuple[int, bytes]] = []
        size = 0
        last = (1 << SEQ_BITS) - 1
        cursor = self._db.execute(
            "SELECT row, body FROM records WHERE row BETWEEN ? AND ? AND expires>?",
            (base + min(since, last) + 1, base + last, now),
        )
        for row, body in cursor:
            if records and size + len(body) > READ_BYTES:
                cursor.close()
                return records, True
            records.append((row - base, body))
            size += len(body) + 16
        return records, False

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()


def draw_key() -> int:
    """A random key: keys in the order of creation would match two relays' disks."""
    return secrets.randbelow((1 << 31) - 1) + 1


def _day(now: int) -> int:
    """The end of the day: exact times would let two relays' disks be matched."""
    return (now // DAY + 1) * DAY


def _disk_full() -> Refusal:
    return Refusal("full", "this relay's disk is as full as its operator allows; try later")
