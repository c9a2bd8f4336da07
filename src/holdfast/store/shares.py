"""A relay's logs in as many directories as it has processes, and shared out anew if that changes.

The first part is `logs`, the others `logs.1`, `logs.2` and so on. New parts are built beside the
old ones; one renaming makes them valid, so what is interrupted begins again or is finished.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from holdfast.store import entries, recovery
from holdfast.store.base import StoreFailed
from holdfast.store.care import compact
from holdfast.store.files import OsFiles, sync_directory, sync_file
from holdfast.store.index import SEQ_BITS, Changes, Index, Made, Place, connect
from holdfast.store.segments import Segments, path_of, write
from holdfast.store.shelf import draw_key

COUNT: Final = "count"
"""File that says how many parts the new ones are."""
BYTES: Final = 64 * 1024 * 1024
"""Of records in one segment."""


def folder(data: Path, number: int) -> Path:
    """Where this part is."""
    return data / (f"logs.{number}" if number else "logs")


def folders(data: Path) -> list[Path]:
    """The parts that there are."""
    found: list[Path] = []
    while (path := folder(data, len(found))).exists():
        found.append(path)
    return found


def share_out(
    data: Path, count: int, owner: Callable[[bytes], int], say: Callable[[str], object]
) -> None:
    """Make it so many parts; `owner` gives a log's by its id. The relay must be stopped. Raises
    `StoreFailed`."""
    done = data / "logs.new"
    part = data / "logs.part.new"
    try:
        if done.exists():
            _finish(data, done)
        old = folders(data)
        if not old or len(old) == count:
            return
        say(f"Sharing the logs out to {count} processes; this takes a few seconds a gigabyte.")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        _build(old, [part / str(number) for number in range(count)], owner)
        (part / COUNT).write_text(str(count))
        sync_file(part / COUNT)
        sync_directory(part)
        part.rename(done)
        sync_directory(data)
        _finish(data, done)
    except (apsw.Error, OSError) as error:
        raise StoreFailed(
            f"the logs in {data} could not be shared out anew: {error}. They are as they were;"
            " there must be as much room on the disk as they take"
        ) from error


def _finish(data: Path, done: Path) -> None:
    """The new parts are whole: they take the place of the old ones."""
    if (done / COUNT).exists():
        count = int((done / COUNT).read_text())
        for number in range(count):
            if (done / str(number)).exists():
                shutil.rmtree(folder(data, number), ignore_errors=True)
                (done / str(number)).rename(folder(data, number))
        for path in data.glob("logs.*"):
            name = path.name.removeprefix("logs.")
            if name.isdecimal() and int(name) >= count:
                shutil.rmtree(path)
        sync_directory(data)
    shutil.rmtree(done)
    sync_directory(data)


def _build(old: list[Path], new: list[Path], owner: Callable[[bytes], int]) -> None:
    for path in new:
        path.mkdir(mode=0o700)
    indexes = [Index(path / recovery.INDEX) for path in new]
    try:
        taken: list[set[int]] = [set() for _ in new]
        numbers = [0] * len(new)
        for path in old:
            compact(path, time.time_ns() // 1_000_000)
            where = _logs(path, indexes, taken, owner)
            for share in _shares(path, where, len(new)):
                for to, records in share.items():
                    numbers[to] += 1
                    _segment(new[to], indexes[to], numbers[to], records)
    finally:
        for index in indexes:
            index.close()
    for path in new:
        sync_directory(path)


def _logs(
    path: Path, indexes: list[Index], taken: list[set[int]], owner: Callable[[bytes], int]
) -> dict[int, tuple[int, int]]:
    """Bring the logs over; by their old key, their part and their key there."""
    changes = [Changes() for _ in indexes]
    where = {}
    with closing(connect(path / recovery.INDEX, vfs=None, readonly=True)) as db:
        for row in db.execute("SELECT key, name, append, read, owner, most, next, used FROM logs"):
            old, *made, coming, used = row
            log = Made(*made)
            to = owner(log.name)
            key = int(str(old))
            while key in taken[to]:
                key = draw_key()
            taken[to].add(key)
            where[int(str(old))] = to, key
            changes[to].made[key] = log
            changes[to].next[key] = int(str(coming))
            changes[to].used[key] = int(str(used))
    for index, change in zip(indexes, changes, strict=True):
        index.apply(change)
    return where


_Record = tuple[int, int, bytes]


def _shares(
    path: Path, where: dict[int, tuple[int, int]], count: int
) -> Iterator[dict[int, list[_Record]]]:
    """All records, some at a time, by the part they go to, in the order of its rows."""
    share: dict[int, list[_Record]] = defaultdict(list)
    size = 0
    segments = Segments(path)
    with closing(connect(path / recovery.INDEX, vfs=None, readonly=True)) as db:
        places = db.execute("SELECT row, expires, segment, offset, size FROM records ORDER BY row")
        for found in places:
            place: Place = found
            to, key = where[place[0] >> SEQ_BITS]
            try:
                body = segments.body(place)
            except (entries.Damaged, FileNotFoundError):
                continue  # its other homes have it
            row = (key << SEQ_BITS) + (place[0] & ((1 << SEQ_BITS) - 1))
            share[to].append((row, place[1], body))
            size += len(body)
            if size >= BYTES:
                yield _sorted(share)
                share, size = defaultdict(list), 0
    segments.close()
    if share:
        yield _sorted(share)


def _sorted(share: dict[int, list[_Record]]) -> dict[int, list[_Record]]:
    return {to: sorted(records) for to, records in sorted(share.items())}


def _segment(part: Path, index: Index, number: int, records: list[_Record]) -> None:
    path = path_of(part, number, False)
    size, places = write(OsFiles(), path, number, index.seed, records)
    index.apply(Changes(fresh=places, sizes={number: size}))
