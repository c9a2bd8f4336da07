"""What the store does with its segments' files; tests put in a disk that forgets or fails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

IOV_MAX: Final = 1024


class Files(Protocol):
    """Raises OSError; then nothing is known about what is on the disk."""

    def create(self, path: Path) -> int:
        """A new file, whose name is on the disk; a descriptor for `write`."""

    def write(self, descriptor: int, parts: Sequence[bytes]) -> None:
        """Append."""

    def sync(self, descriptor: int) -> None:
        """Returns once all that was written is on the disk."""

    def cut(self, path: Path, size: int) -> None:
        """Keep the first `size` bytes, on the disk."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""

    def close(self, descriptor: int) -> None:
        """Let go of it."""


class OsFiles:
    """The operating system's."""

    def create(self, path: Path) -> int:
        """See `Files.create`."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_APPEND
        descriptor = os.open(path, flags, 0o600)
        try:
            sync_directory(path.parent)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, descriptor: int, parts: Sequence[bytes]) -> None:
        """See `Files.write`."""
        for at in range(0, len(parts), IOV_MAX):
            _write_all(descriptor, parts[at : at + IOV_MAX])

    def sync(self, descriptor: int) -> None:
        """See `Files.sync`."""
        os.fdatasync(descriptor)

    def cut(self, path: Path, size: int) -> None:
        """See `Files.cut`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_size > size:
                os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """See `Files.remove`."""
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        """See `Files.close`."""
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Returns once the names in it are on the disk."""
    sync_file(path)


def sync_file(path: Path) -> None:
    """Returns once it is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, parts: Sequence[bytes]) -> None:
    written = os.writev(descriptor, parts)
    for part in parts:
        if written >= len(part):
            written -= len(part)
            continue
        view = memoryview(part)[written:]
        written = 0
        while view:
            view = view[os.write(descriptor, view) :]
