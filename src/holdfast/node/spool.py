"""A file's sealed chunks on this machine's disk: what is sent, and what came.

Only ciphertext is written; its key is in the encrypted database. Chunk i stands at i times
the length of a full one. Beside what is sent lie the hashes of its chunks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.core.seal.chunks import OVERHEAD, SALT, BadChunk, FileKeys, Tree, leaf
from holdfast.store.files import sync_directory

LEAVES = ".leaves"


class Spool:
    """One file's chunks at `path`; made when it is first written."""

    def __init__(self, path: Path, keys: FileKeys) -> None:
        self.path = path
        self.keys = keys
        self._slot = keys.chunk + OVERHEAD
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, index: int, sealed: bytes) -> None:
        """Put a chunk in its place. Raises OSError."""
        done = 0
        while done < len(sealed):
            done += os.pwrite(self._file, sealed[done:], index * self._slot + done)

    def read(self, index: int) -> bytes:
        """A chunk as it was written; shorter or zeros if it was not. Raises OSError."""
        return os.pread(self._file, self.keys.sealed_length(index), index * self._slot)

    def plain(self, start: int, end: int) -> Iterator[bytes]:
        """The file's bytes from `start` to before `end`. Raises `BadChunk`, OSError."""
        chunk = self.keys.chunk
        while start < end:
            index, skip = divmod(start, chunk)
            piece = self.keys.open(index, self.read(index))[skip : skip + end - start]
            if not piece:
                raise BadChunk("not a chunk of this file")
            start += len(piece)
            yield piece

    def sync(self) -> None:
        """What was written is on the disk. Raises OSError."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Intake:
    """Plain bytes come in, of a known number; sealed chunks go to the disk."""

    def __init__(self, path: Path, keys: FileKeys, entropy: Callable[[int], bytes]) -> None:
        self.keys = keys
        self.received = 0
        self._spool = Spool(path, self.keys)
        self._entropy = entropy
        self._rest = bytearray()
        self._leaves: list[bytes] = []

    def write(self, data: bytes) -> None:
        """More of the file. Raises OSError when the disk is full, ValueError beyond the size."""
        self.received += len(data)
        if self.received > self.keys.size:
            raise ValueError("more bytes than were announced")
        self._rest += data
        chunk = self.keys.chunk
        taken = 0
        while len(self._rest) - taken >= chunk:
            self._seal(bytes(self._rest[taken : taken + chunk]))
            taken += chunk
        if taken:
            del self._rest[:taken]

    def _seal(self, plain: bytes) -> None:
        index = len(self._leaves)
        sealed = self.keys.seal(index, plain, self._entropy(SALT))
        self._spool.write(index, sealed)
        self._leaves.append(leaf(sealed))

    def end(self) -> bytes:
        """All came: put it on the disk; the root. Raises OSError; ValueError if some is
        missing. Slow: not for the loop's thread."""
        if self.received != self.keys.size:
            raise ValueError("fewer bytes than were announced")
        if len(self._leaves) < self.keys.count:
            self._seal(bytes(self._rest))
        path = self._spool.path.with_suffix(LEAVES)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join(self._leaves))
            file.flush()
            os.fdatasync(file.fileno())
        self._spool.sync()
        self._spool.close()
        sync_directory(path.parent)
        return Tree(self._leaves).root

    def abort(self) -> None:
        """It is not wanted: leave nothing."""
        self._spool.close()
        remove(self._spool.path)


def load_tree(path: Path) -> Tree:
    """The tree of what is sent, from the hashes beside it. Raises OSError."""
    data = path.with_suffix(LEAVES).read_bytes()
    return Tree([data[i : i + 32] for i in range(0, len(data), 32)])


def remove(path: Path) -> None:
    """Delete a spool and what lies beside it, if they are there."""
    path.unlink(missing_ok=True)
    path.with_suffix(LEAVES).unlink(missing_ok=True)
