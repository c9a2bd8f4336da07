"""What an operator does with a store from outside: see whether it is whole, get room back, copy.

`verify` and `backup` may be done while a relay runs on it: neither changes anything, and what the
relay is writing at the time is taken up to the last batch that is whole.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import apsw

from holdfast.store import entries, recovery
from holdfast.store.base import Quota, StoreFailed
from holdfast.store.files import OsFiles, sync_directory, sync_file
from holdfast.store.index import SEQ_BITS, Index, Lookup, connect, wanted
from holdfast.store.keeper import Keeper
from holdfast.store.segments import path_of
from holdfast.store.shelf import Shelf

_T = TypeVar("_T")
ATTEMPTS: Final = 20
"""A running relay may put its segments in order while they are read: then once more."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `missing`: records that the index has and no segment."""

    logs: int
    records: int
    bytes: int
    segments: int
    damaged: int
    missing: int

    def __add__(self, other: Report) -> Report:
        both = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Report(*(one + two for one, two in both))

    @property
    def whole(self) -> bool:
        """Whether nothing is lost."""
        return not self.damaged and not self.missing


class _Changed(Exception):
    """The relay moved something in the meantime."""


def verify(folder: Path, progress: Callable[[int, int], object]) -> Report:
    """Read everything and check every checksum; `progress` is told how many segments were read,
    of how many. `records` and `bytes` are those a checkpoint knows. Raises `StoreFailed`."""
    return _attempts(folder, lambda: _verify(folder, progress))


def backup(folder: Path, target: Path) -> None:
    """Copy the store into a new directory, where it is whole. Segments that are not written any
    more share their room with it if it is on the same file system. Raises `StoreFailed`."""
    if target.exists():
        raise StoreFailed(f"the directory {target} exists already; name a directory that does not")

    def copy() -> None:
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        _copy(folder, part)
        sync_directory(part)
        part.rename(target)
        sync_directory(target.parent)

    _attempts(folder, copy)


def compact(folder: Path, now: int) -> tuple[int, int]:
    """Forget what has expired, and put what is left in order; bytes before and after. The relay
    must be stopped. Raises `StoreFailed`."""
    quota = Quota(ripe_seconds=0)
    try:
        with _opened(folder):
            pass
        with closing(Index(folder / recovery.INDEX)) as index:
            before, files = recovery.stored(folder), OsFiles()
            draw = recovery.tidy(folder, index, files)
            with closing(Lookup(folder / recovery.INDEX)) as lookup:
                shelf = Shelf(lookup, quota, lambda: now, draw())
                recovery.replay(folder, index, files, shelf)
                keeper = Keeper(index, files, folder, quota, draw, lambda *_: None)
                keeper.checkpoint(shelf.freeze(draw()))
            while keeper.expire(now) or keeper.compact(short=True):
                pass
            return before, recovery.stored(folder)
    except (apsw.Error, OSError) as error:
        raise StoreFailed(f"{folder} cannot be compacted: {error}") from error


@contextmanager
def _opened(folder: Path) -> Iterator[apsw.Connection]:
    """The index as it is at one moment."""
    if not (folder / recovery.INDEX).exists():
        raise StoreFailed(f"{folder} is no relay's store: it has no {recovery.INDEX}")
    with closing(connect(folder / recovery.INDEX, vfs=None, readonly=True)) as db:
        yield db


def _attempts(folder: Path, act: Callable[[], _T]) -> _T:
    for _ in range(ATTEMPTS):
        try:
            return act()
        except (_Changed, FileNotFoundError):
            continue
        except (apsw.Error, OSError) as error:
            raise StoreFailed(f"{folder}: {error}") from error
    raise StoreFailed(f"{folder} was changed again and again while it was read; try later")


def _verify(folder: Path, progress: Callable[[int, int], object]) -> Report:
    with _opened(folder) as db:
        db.execute("BEGIN")  # one moment, however long it takes
        checkpoint, seed = _state(db)
        logs, records = (
            int(db.execute(f"SELECT count(*) FROM {t}").get) for t in ("logs", "records")
        )
        sealed = {
            number: bool(kind) for number, kind in db.execute("SELECT number, sorted FROM segments")
        }
        tail = [number for number in recovery.numbers(folder, "log") if number > checkpoint]
        damaged = found = size = 0
        for count, number in enumerate([*sealed, *tail]):
            progress(count, len(sealed) + len(tail))
            path = path_of(folder, number, sealed.get(number, False))
            try:
                data = memoryview(path.read_bytes())
            except FileNotFoundError:
                if _now(folder, number):
                    continue  # lost: its records are missing
                raise
            places: list[tuple[int, int, int]] = []
            for part in entries.scan(data, number, seed):
                for entry in entries.entries(data, part):
                    if entry is None:
                        damaged += 1
                    elif entry[0] == entries.RECORD:
                        places.append(((entry[1] << SEQ_BITS) + entry[2], number, entry[4]))
            if number in sealed:
                kept = wanted(db, places)
                found += len(kept)
                size += sum(place[4] for place in kept)
        return Report(logs, records, size, len(sealed) + len(tail), damaged, records - found)


def _now(folder: Path, number: int) -> bool:
    """Whether the index lists this segment at this moment too."""
    with _opened(folder) as db:
        return bool(db.execute("SELECT count(*) FROM segments WHERE number=?", (number,)).get)


def _state(db: apsw.Connection) -> tuple[int, int]:
    checkpoint, seed = db.execute("SELECT checkpoint, seed FROM state").fetchone() or (0, 0)
    return int(str(checkpoint)), int(str(seed))


def _copy(folder: Path, part: Path) -> None:
    with _opened(folder) as source, closing(apsw.Connection(str(part / recovery.INDEX))) as db:
        with db.backup("main", source, "main") as copying:
            copying.step()
        db.execute("PRAGMA journal_mode=DELETE")
        checkpoint, _ = _state(db)
        for number, kind in db.execute("SELECT number, sorted FROM segments").fetchall():
            _share(path_of(folder, int(str(number)), bool(kind)), part)
        for number in recovery.numbers(folder, "log"):
            if number > checkpoint:
                path = path_of(folder, number, False)
                (part / path.name).write_bytes(path.read_bytes())
        if _state(source)[0] != checkpoint:
            raise _Changed  # a later segment may have gone before it was copied
    for path in part.iterdir():
        sync_file(path)


def _share(path: Path, part: Path) -> None:
    try:
        os.link(path, part / path.name)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, part / path.name)
