"""Stored data of earlier versions.

The first version kept everything in one SQLite database, `logs.db`. What it holds becomes a
directory of segments beside it; only when that is whole and on the disk is the old one deleted,
so an upgrade that is interrupted begins again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, cast

import apsw

from holdfast.store import recovery
from holdfast.store.base import StoreFailed
from holdfast.store.files import OsFiles, sync_directory
from holdfast.store.index import Changes, Index, Made, connect
from holdfast.store.segments import path_of, write

_Row = tuple[int, bytes, bytes, bytes, bytes, int, int, int]
_Record = tuple[int, int, bytes]

SEGMENT: Final = 64 * 1024 * 1024


def upgrade(old: Path, folder: Path, say: Callable[[str], object]) -> None:
    """Make `folder` of the database `old`, if there is one. Raises `StoreFailed`."""
    if not old.exists():
        return
    try:
        if not folder.exists():
            say(f"Bringing {old} into a new form; this takes a few seconds for each gigabyte.")
            _build(old, folder)
        for each in (old, Path(f"{old}-wal"), Path(f"{old}-shm")):
            each.unlink(missing_ok=True)
    except (apsw.Error, OSError) as error:
        raise StoreFailed(
            f"{old} could not be brought into its new form: {error}. It is as it was; there must"
            " be as much room on the disk as it takes"
        ) from error


def _build(old: Path, folder: Path) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    db = connect(old, vfs=None, readonly=False)  # its journal may be a crash's
    index = Index(part / recovery.INDEX)
    try:
        version = int(db.execute("PRAGMA user_version").get)
        if version != 1:
            raise StoreFailed(f"{old} has version {version}, which this program does not know")
        _logs(db, index)
        for number, records in enumerate(_shares(db), 1):
            _segment(part, index, number, records)
    finally:
        index.close()
        db.close()
    sync_directory(part)
    part.rename(folder)
    sync_directory(folder.parent)


def _logs(db: apsw.Connection, index: Index) -> None:
    changes = Changes()
    for row in db.execute("SELECT key, name, append, read, owner, most, next, used FROM logs"):
        key, *made, coming, used = cast(
            "tuple[int, bytes, bytes, bytes, bytes, int, int, int]", row
        )
        changes.made[key] = Made(*cast("tuple[bytes, bytes, bytes, bytes, int]", tuple(made)))
        changes.next[key] = coming
        changes.used[key] = used
    index.apply(changes)


def _shares(db: apsw.Connection) -> Iterator[list[_Record]]:
    """All records, a segment's worth at a time."""
    share: list[_Record] = []
    size = 0
    for row in db.execute("SELECT row, expires, body FROM records ORDER BY row"):
        record = cast("_Record", row)
        share.append(record)
        size += len(record[2])
        if size >= SEGMENT:
            yield share
            share, size = [], 0
    if share:
        yield share


def _segment(part: Path, index: Index, number: int, records: list[_Record]) -> None:
    path = path_of(part, number, False)
    size, places = write(OsFiles(), path, number, index.seed, records)
    index.apply(Changes(fresh=places, sizes={number: size}))
