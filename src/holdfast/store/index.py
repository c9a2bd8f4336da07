"""The store's index in SQLite: which logs there are, and where their records are.

It is a checkpoint: it knows everything up to the end of one segment, and what came later is
read out of the later segments when the store is opened. A record's row is its log's key
times 2^32 plus its sequence number: one tree, in which each log is contiguous.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, cast

import apsw

from holdfast.store import entries
from holdfast.store.base import StoreFailed

VERSION: Final = 2
ROWS: Final = 100
"""Of one statement."""
SEQ_BITS: Final = 32
LAST_SEQ: Final = (1 << SEQ_BITS) - 1
EXPIRED_ROWS: Final = 2_000

Place = tuple[int, int, int, int, int]
"""Row, end of life (ms), segment, where in it the entry starts, bytes of the body."""

_SCHEMA: Final = """
CREATE TABLE logs(
    key INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,
    append BLOB NOT NULL,
    read BLOB NOT NULL,
    owner BLOB NOT NULL,
    most INTEGER NOT NULL,
    next INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX logs_used ON logs(used);
CREATE TABLE records(
    row INTEGER PRIMARY KEY,
    expires INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    size INTEGER NOT NULL
) STRICT;
CREATE INDEX records_expires ON records(expires);
CREATE TABLE segments(
    number INTEGER PRIMARY KEY,
    sorted INTEGER NOT NULL,
    size INTEGER NOT NULL,
    live INTEGER NOT NULL
) STRICT;
CREATE TABLE state(checkpoint INTEGER NOT NULL, seed INTEGER NOT NULL) STRICT;
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


@dataclass(frozen=True, slots=True)
class Made:
    """A log as it was made."""

    name: bytes
    append: bytes
    read: bytes
    owner: bytes
    most: int


@dataclass(slots=True)
class Changes:
    """What happened since a checkpoint, of all logs; by key."""

    made: dict[int, Made] = field(default_factory=dict)
    next: dict[int, int] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    trims: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, None] = field(default_factory=dict)
    fresh: list[Place] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    """Of the segments that end here."""

    def mention(self, key: int) -> bool:
        """Whether this log changed."""
        return key in self.next or key in self.used or key in self.trims or key in self.dropped


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is not written any more. `sorted`: by compaction, in the order of rows."""

    number: int
    sorted: bool
    size: int
    live: int
    """Bytes of entries that are still wanted."""


class Index:
    """All changes, on one thread, each method one transaction."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._db = connect(path, vfs=vfs, readonly=False)
        version = int(self._db.execute("PRAGMA user_version").get)
        if version == 0:
            with self._db:
                self._db.execute(_SCHEMA)
                seed = secrets.randbits(32)
                self._db.execute("INSERT INTO state VALUES(0, ?)", (seed,))
                self._db.execute(f"PRAGMA user_version={VERSION}")
        elif version != VERSION:
            raise StoreFailed(
                f"the relay's database has version {version}, this program knows"
                f" {VERSION}; use the program that made it"
            )
        self.checkpoint, self.seed = cast(
            "tuple[int, int]", self._db.execute("SELECT checkpoint, seed FROM state").fetchone()
        )

    def segments(self) -> list[Segment]:
        """All that the index knows, by number."""
        rows = self._db.execute("SELECT number, sorted, size, live FROM segments ORDER BY number")
        return [Segment(number, bool(kind), size, live) for number, kind, size, live in rows]

    def apply(self, changes: Changes) -> list[Segment]:
        """Know of these too; what is left empty, and is no longer listed."""
        db = self._db
        freed: Counter[int] = Counter()
        with db:
            for key in changes.dropped:
                self._delete(key, LAST_SEQ, freed)
            db.executemany("DELETE FROM logs WHERE key=?", ((key,) for key in changes.dropped))
            for key, upto in changes.trims.items():
                if key not in changes.dropped:
                    self._delete(key, upto, freed)
            db.executemany(
                "INSERT INTO logs VALUES(?,?,?,?,?,?,1,0)",
                (
                    (key, made.name, made.append, made.read, made.owner, made.most)
                    for key, made in changes.made.items()
                    if key not in changes.dropped
                ),
            )
            db.executemany(
                "UPDATE logs SET next=? WHERE key=?",
                ((coming, key) for key, coming in changes.next.items()),
            )
            db.executemany(
                "UPDATE logs SET used=? WHERE key=?",
                ((used, key) for key, used in changes.used.items()),
            )
            trims, dropped = changes.trims, changes.dropped
            # Log by log: as they came, each would have to look for its place in the tree.
            logs: defaultdict[int, list[Place]] = defaultdict(list)
            for place in changes.fresh:
                key = place[0] >> SEQ_BITS
                if (place[0] & LAST_SEQ) > trims.get(key, 0) and key not in dropped:
                    logs[key].append(place)
            kept = [place for key in sorted(logs) for place in logs[key]]
            for at in range(0, len(kept), ROWS):
                part = kept[at : at + ROWS]
                db.execute(
                    "INSERT INTO records VALUES" + ",".join(["(?,?,?,?,?)"] * len(part)),
                    tuple(chain.from_iterable(part)),
                )
            for number, size in changes.sizes.items():
                db.execute("INSERT INTO segments VALUES(?,0,?,0)", (number, size))
            for _, _, segment, _, size in kept:
                freed[segment] -= size + entries.HEAD.size
            empty = self._free(freed)
            self.checkpoint = max(changes.sizes, default=self.checkpoint)
            db.execute("UPDATE state SET checkpoint=?", (self.checkpoint,))
        return empty

    def expire(self, now: int) -> tuple[bool, list[Segment]]:
        """Forget some of what has expired; whether there may be more, and what is left empty."""
        freed: Counter[int] = Counter()
        with self._db:
            gone = self._db.execute(
                "DELETE FROM records WHERE row IN"
                " (SELECT row FROM records WHERE expires<=? LIMIT ?) RETURNING segment, size",
                (now, EXPIRED_ROWS),
            ).fetchall()
            for segment, size in cast("list[tuple[int, int]]", gone):
                freed[segment] += size + entries.HEAD.size
            empty = self._free(freed)
        return len(gone) == EXPIRED_ROWS, empty

    def wanted(self, places: Iterable[tuple[int, int, int]]) -> list[Place]:
        """See `wanted`."""
        return wanted(self._db, places)

    def move(
        self,
        old: Iterable[int],
        new: Segment,
        moved: Iterable[Place],
        lost: Iterable[int],
    ) -> None:
        """The records of some segments are in a new one; and rows that the disk lost."""
        with self._db:
            self._db.executemany("DELETE FROM records WHERE row=?", ((row,) for row in lost))
            self._db.executemany("DELETE FROM segments WHERE number=?", ((each,) for each in old))
            self._db.executemany(
                "UPDATE records SET segment=?, offset=? WHERE row=?",
                ((segment, offset, row) for row, _, segment, offset, _ in moved),
            )
            if new.size:
                self._db.execute(
                    "INSERT INTO segments VALUES(?,1,?,?)", (new.number, new.size, new.live)
                )

    def idle(self, before: int) -> list[int]:
        """Keys of some logs that nobody used since."""
        rows = self._db.execute(
            "SELECT key FROM logs WHERE used<=? ORDER BY used LIMIT 100", (before,)
        )
        return [key for (key,) in rows]

    def close(self) -> None:
        """Move the journal into the database and let go of it."""
        self._db.close()

    def _delete(self, key: int, upto: int, freed: Counter[int]) -> None:
        gone = self._db.execute(
            "DELETE FROM records WHERE row BETWEEN ? AND ? RETURNING segment, size",
            (key << SEQ_BITS, (key << SEQ_BITS) + upto),
        )
        for segment, size in cast("list[tuple[int, int]]", gone.fetchall()):
            freed[segment] += size + entries.HEAD.size

    def _free(self, freed: Counter[int]) -> list[Segment]:
        """Count bytes out of segments, and delist those in which none is left."""
        self._db.executemany(
            "UPDATE segments SET live=live-? WHERE number=?",
            ((size, number) for number, size in freed.items()),
        )
        empty = self._db.execute(
            "DELETE FROM segments WHERE live=0 RETURNING number, sorted, size, live"
        )
        return [Segment(number, bool(kind), size, live) for number, kind, size, live in empty]


def wanted(db: apsw.Connection, places: Iterable[tuple[int, int, int]]) -> list[Place]:
    """Which of these entries (row, segment, offset) are the record of that row."""
    found = []
    for row, segment, offset in places:
        place = db.execute(
            "SELECT row, expires, segment, offset, size FROM records WHERE row=?", (row,)
        ).fetchone()
        if place is not None and place[2:4] == (segment, offset):
            found.append(cast("Place", place))
    return found


class Lookup:
    """All questions, on a connection of their own that no change holds up."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._db = connect(path, vfs=vfs, readonly=True)

    def count(self) -> int:
        """Logs."""
        return int(self._db.execute("SELECT count(*) FROM logs").get)

    def find(self, name: bytes, after: int = 0) -> tuple[int, Made, int, int, int] | None:
        """Key, log, its next sequence number, day of last use, and the first record after
        `after`, or 0. The same two statements for a present and an absent log."""
        row = self._db.execute(
            "SELECT key, append, read, owner, most, next, used FROM logs WHERE name=?", (name,)
        ).fetchone()
        key, append, read, owner, most, coming, used = row or (0, b"", b"", b"", 0, 0, 0)
        first = self._db.execute(
            "SELECT row FROM records WHERE row BETWEEN ? AND ? LIMIT 1",
            ((key << SEQ_BITS) + after + 1, (key << SEQ_BITS) + LAST_SEQ),
        ).fetchone()
        if row is None:
            return None
        seq = first[0] & LAST_SEQ if first else 0
        return key, Made(name, append, read, owner, most), coming, used, seq

    def load(self, key: int) -> tuple[Made, int, int] | None:
        """A log, its next sequence number, day of last use."""
        row = self._db.execute(
            "SELECT name, append, read, owner, most, next, used FROM logs WHERE key=?", (key,)
        ).fetchone()
        return row and (Made(*row[:5]), row[5], row[6])

    def tally(self, key: int, after: int, before: int) -> tuple[int, int]:
        """How many records a log has between two others, and their bytes."""
        base = key << SEQ_BITS
        return cast(
            "tuple[int, int]",
            self._db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM records WHERE row BETWEEN ? AND ?",
                (base + after + 1, base + before - 1),
            ).fetchone(),
        )

    def places(
        self, key: int, after: int, before: int, now: int, most: int
    ) -> tuple[list[Place], bool]:
        """Records of a log between two others, in order, about `most` bytes of them, and
        whether there are more."""
        base = key << SEQ_BITS
        found: list[Place] = []
        cursor = self._db.execute(
            "SELECT row, expires, segment, offset, size FROM records"
            " WHERE row BETWEEN ? AND ? AND expires>?",
            (base + after + 1, base + before - 1, now),
        )
        for place in cursor:
            if most < 0:
                cursor.close()
                return found, True
            found.append(cast("Place", place))
            most -= place[4] + 16
        return found, False

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()
