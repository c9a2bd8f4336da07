"""Files that are there whole or not at all, and directories that one process holds. Each raises
OSError; a file that was not written is as it was before."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from holdfast.store.files import sync_directory


def write(path: Path, content: bytes) -> None:
    """On the disk when it returns, readable by its owner alone."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    sync_directory(path.parent)


def keep(path: Path, make: Callable[[], bytes]) -> bytes:
    """The file's content; made and written at first."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    content = make()
    write(path, content)
    return content


def hold(path: Path) -> int | None:
    """Lock a file for this process, as long as the descriptor is open; None if another one has."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    return lock
