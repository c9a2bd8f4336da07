"""Opening a store: what the last process left is made good, and read up to its end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from holdfast.store import entries
from holdfast.store.base import StoreFailed
from holdfast.store.files import Files, sync_directory
from holdfast.store.index import Index
from holdfast.store.segments import mapped, path_of
from holdfast.store.shelf import Shelf

INDEX: Final = "index.db"


def prepare(folder: Path) -> None:
    """Make the directory, durable. Raises `StoreFailed` if its index was lost."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        sync_directory(folder.parent)
    elif not (folder / INDEX).exists() and (numbers(folder, "log") or numbers(folder, "kept")):
        raise StoreFailed(
            f"{folder} has records, but no {INDEX} that says whose they are. Restore it from a"
            " backup"
        )


def numbers(folder: Path, suffix: str) -> list[int]:
    """Of the segments that are there."""
    return sorted(int(path.stem) for path in folder.glob(f"*.{suffix}") if path.stem.isdecimal())


def tidy(folder: Path, index: Index, files: Files) -> Callable[[], int]:
    """Remove what a checkpoint or compaction had no time to remove; draws new numbers."""
    known = {each.number: each for each in index.segments()}
    for number in numbers(folder, "log"):
        if number <= index.checkpoint and number not in known:
            files.remove(path_of(folder, number, False))
    for number in numbers(folder, "kept"):
        if number not in known:
            files.remove(path_of(folder, number, True))
    used = (*known, *numbers(folder, "log"), index.checkpoint)
    return itertools.count(max(used) + 1).__next__


def replay(folder: Path, index: Index, files: Files, shelf: Shelf) -> int:
    """Read what no checkpoint knows onto the shelf; how many entries the disk had damaged.

    What a crash cut short was never acknowledged, and is cut off.
    """
    damaged = 0
    left = [number for number in numbers(folder, "log") if number > index.checkpoint]
    for number in left:
        path = path_of(folder, number, False)
        end = 0
        with mapped(path) as view:
            for part in entries.scan(view, number, index.seed):
                damaged += _replay(view, part, number, shelf)
                end = part.end
        if end:
            files.cut(path, end)
            shelf.changes.sizes[number] = end
        else:
            files.remove(path)
    return damaged


def _replay(view: memoryview, part: entries.Batch, number: int, shelf: Shelf) -> int:
    damaged = 0
    for found in entries.entries(view, part):
        if found is None:
            damaged += 1
        else:
            at = found[4] + entries.HEAD.size
            body = bytes(view[at : at + found[5]]) if found[0] == entries.MAKE else b""
            shelf.replay(found, body, number)
    return damaged


def stored(folder: Path) -> int:
    """Bytes of all segments."""
    return sum(each.stat().st_size for each in os.scandir(folder) if INDEX not in each.name)
