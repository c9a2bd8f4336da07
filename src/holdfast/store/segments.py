"""Segments' files: where they are, one written as a whole, and records read out of them."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from holdfast.store import entries
from holdfast.store.files import Files
from holdfast.store.index import LAST_SEQ, SEQ_BITS, Place

PIECE: Final = 1024 * 1024
"""Bytes that are written and synced at a time: who commits waits for the same disk."""
OPEN_FILES: Final = 64


def path_of(folder: Path, number: int, sorted_: bool) -> Path:
    """Where a segment is."""
    return folder / f"{number:08}.{'kept' if sorted_ else 'log'}"


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """A segment's bytes, read as they are looked at."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield memoryview(b"")
            return
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        view = memoryview(data)
        try:
            yield view
        finally:
            view.release()
            data.close()


def write(
    files: Files, path: Path, number: int, seed: int, records: Iterable[tuple[int, int, bytes]]
) -> tuple[int, list[Place]]:
    """A segment of these records (row, end of life, body), durable: its bytes and where each is.
    Without records there is no file."""
    places: list[Place] = []
    descriptor, size, count, parts = -1, 0, 0, list[bytes]()
    at = entries.BATCH.size

    def put() -> None:
        nonlocal descriptor, size, count, at
        if descriptor < 0:
            descriptor = files.create(path)
        count += 1
        files.write(descriptor, [entries.batch(number, count, parts, seed), *parts])
        files.sync(descriptor)
        parts.clear()
        size = at
        at += entries.BATCH.size

    try:
        for row, expires, body in records:
            key, seq = row >> SEQ_BITS, row & LAST_SEQ
            parts += (entries.entry(entries.RECORD, key, seq, expires, body), body)
            places.append((row, expires, number, at, len(body)))
            at += entries.HEAD.size + len(body)
            if at - size >= PIECE:
                put()
        if parts:
            put()
    finally:
        if descriptor >= 0:
            files.close(descriptor)
    return size, places


class Segments:
    """Reads records out of segments' files, for one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[int, int] = OrderedDict()

    def body(self, place: Place) -> bytes:
        """One record. Raises `Damaged`, or FileNotFoundError if compaction moved it."""
        row, _, segment, at, size = place
        data = os.pread(self._descriptor(segment), entries.HEAD.size + size, at)
        return entries.body_of(data, row >> SEQ_BITS, row & LAST_SEQ)

    def _descriptor(self, number: int) -> int:
        found = self._open.get(number)
        if found is not None:
            self._open.move_to_end(number)
            return found
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            found = os.open(path_of(self._folder, number, False), flags)
        except FileNotFoundError:
            found = os.open(path_of(self._folder, number, True), flags)
        self._open[number] = found
        if len(self._open) > OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        return found

    def close(self, numbers: Sequence[int] | None = None) -> None:
        """Let go of these files, or of all."""
        for number in list(self._open) if numbers is None else numbers:
            found = self._open.pop(number, None)
            if found is not None:
                os.close(found)
