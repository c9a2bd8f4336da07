"""What a disk may hold after the power went, made from a recording of what was written.

`Disk` is a VFS for SQLite (https://sqlite.org/vfs.html) and stands for the operating system's
files under the relay's store; it passes everything on and
records every write, truncation, sync, creation and deletion. `crash_states` cuts the
recording at a point and builds what may be found then: what was synced is there, what was
not is there, lost, or there in parts of one sector each, in any combination, each file for
itself; a file's name appears or goes for certain only with a sync of its directory. That
is the contract of fsync(2) and no more: what survives all of these states survives a disk.

A recording and a seed always give the same states.
"""

# ruff: noqa: N802  the methods have SQLite's names

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, Literal

import apsw

from holdfast.store.files import OsFiles

SECTOR: Final = 512
_JOURNALS: Final = (
    apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)
_numbers = count()


@dataclass(frozen=True, slots=True)
class Create:
    """A name appeared. `announced`: the file's first sync also syncs the directory, as
    SQLite does for journals."""

    file: str
    announced: bool


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A name went; `synced` with a sync of the directory."""

    file: str
    synced: bool


@dataclass(frozen=True, slots=True)
class SyncNames:
    """All names are on the disk as they are."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The test's own note: by now this was promised to somebody."""

    note: object


Operation = Create | Write | Truncate | Sync | Delete | SyncNames | Mark


class Disk(apsw.VFS):
    """Give `vfs` to SQLite for plain databases, `cipher_vfs` for encrypted ones, whose
    recording is then of encrypted pages. Close the connections before `close`."""

    def __init__(self) -> None:
        self.vfs = f"recording{next(_numbers)}"
        self.cipher_vfs = f"multipleciphers-{self.vfs}"
        self.operations: list[Operation] = []
        super().__init__(self.vfs, "unix")

    def mark(self, note: object) -> None:
        """Note what was just promised."""
        self.operations.append(Mark(note))

    def close(self) -> None:
        """Make the names unusable again."""
        self.unregister()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Record the creation of a file that was not there."""
        if name is None:  # a temporary file: gone with the process in any case
            return apsw.VFSFile("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        new = not Path(path).exists()
        file = _File(self.operations, path, name, flags)
        if new:
            self.operations.append(Create(path, bool(flags[0] & _JOURNALS)))
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Record a deletion."""
        super().xDelete(filename, syncdir)
        self.operations.append(Delete(filename, syncdir))


class DiskFiles(OsFiles):
    """The operating system's files under a store, recorded on the same disk."""

    def __init__(self, disk: Disk) -> None:
        self._operations = disk.operations
        self._open: dict[int, tuple[str, int]] = {}

    def create(self, path: Path) -> int:
        """See `Files.create`."""
        descriptor = super().create(path)
        self._open[descriptor] = (str(path), 0)
        self._operations += (Create(str(path), False), SyncNames())
        return descriptor

    def write(self, descriptor: int, parts: Sequence[bytes]) -> None:
        """See `Files.write`."""
        super().write(descriptor, parts)
        path, size = self._open[descriptor]
        data = b"".join(parts)
        self._open[descriptor] = (path, size + len(data))
        self._operations.append(Write(path, size, data))

    def sync(self, descriptor: int) -> None:
        """See `Files.sync`."""
        super().sync(descriptor)
        self._operations.append(Sync(self._open[descriptor][0]))

    def cut(self, path: Path, size: int) -> None:
        """See `Files.cut`."""
        super().cut(path, size)
        self._operations += (Truncate(str(path), size), Sync(str(path)))

    def remove(self, path: Path) -> None:
        """See `Files.remove`."""
        super().remove(path)
        self._operations.append(Delete(str(path), False))


class _File(apsw.VFSFile):
    def __init__(
        self,
        operations: list[Operation],
        path: str,
        name: str | apsw.URIFilename,
        flags: list[int],
    ) -> None:
        self._operations = operations
        self._path = path
        super().__init__("unix", name, flags)

    def xLock(self, level: int) -> None:
        # SQLite may try to lock a file that is open for reading when it closes it, and
        # takes a failure for "not now"; anything but busy would come out of close here.
        try:
            super().xLock(level)
        except apsw.IOError as error:
            raise apsw.BusyError from error

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._operations.append(Write(self._path, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._operations.append(Truncate(self._path, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._operations.append(Sync(self._path))


Way = Literal["kept", "lost", "torn"]
"""What happened to everything that was not synced: the process alone died and all is
there; nothing is; some of it is, in sectors, in any order."""


@dataclass(frozen=True)
class Crash:
    """One state: files by name, and what had been promised before it."""

    at: int
    """Operations that had been made."""
    way: Way
    files: dict[str, bytes]
    promised: tuple[object, ...]

    def write(self, directory: Path) -> None:
        """Put the files, by their last name, into an empty directory."""
        for name, content in self.files.items():
            (directory / Path(name).name).write_bytes(content)

    def __str__(self) -> str:
        return f"crash after {self.at} operations, unsynced writes {self.way}"


def crash_states(
    operations: Sequence[Operation],
    seed: int,
    number: int,
    since: int = 0,
    extra: Callable[[random.Random], dict[str, bytes]] | None = None,
) -> Iterator[Crash]:
    """`number` states of crashes after operation `since`, each at a point and in a way
    that the seed chooses. `extra` may add files of its own, such as a stale shared memory."""
    dice = random.Random(seed)
    for _ in range(number):
        at = dice.randint(since, len(operations))
        way: Way = dice.choices(("kept", "lost", "torn"), (1, 2, 5))[0]
        disk = _Model()
        for operation in operations[:at]:
            disk.apply(operation)
        files = disk.crash(way, dice)
        if extra is not None:
            files |= extra(dice)
        notes = tuple(each.note for each in operations[:at] if isinstance(each, Mark))
        yield Crash(at, way, files, notes)


@dataclass(eq=False)
class _Inode:
    announced: bool
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)


class _Model:
    """Files as the disk has them, and what is still on its way."""

    def __init__(self) -> None:
        self._now: dict[str, _Inode] = {}
        self._durable: dict[str, _Inode] = {}

    def apply(self, operation: Operation) -> None:
        match operation:
            case Create(file, announced):
                self._now[file] = _Inode(announced)
            case Write(file) | Truncate(file):
                self._now[file].pending.append(operation)
            case Sync(file):
                inode = self._now.get(file)
                if inode is not None:
                    for each in inode.pending:
                        _apply(inode.durable, each)
                    inode.pending.clear()
                    if inode.announced:
                        inode.announced = False
                        self._durable = dict(self._now)
            case SyncNames():
                self._durable = dict(self._now)
            case Delete(file, synced):
                self._now.pop(file, None)
                if synced:
                    self._durable = dict(self._now)

    def crash(self, way: Way, dice: random.Random) -> dict[str, bytes]:
        names = {"kept": self._now, "lost": self._durable}.get(way)
        if names is None:
            either = (self._now, self._durable)
            found = {
                name: dice.choice(either).get(name)
                for name in sorted(self._now.keys() | self._durable.keys())
            }
            names = {name: inode for name, inode in found.items() if inode is not None}
        luck = {"kept": 1.0, "lost": 0.0}.get(way, dice.choice((0.1, 0.5, 0.9)))
        files = {}
        for name, inode in names.items():
            content = bytearray(inode.durable)
            for each in inode.pending:
                for piece in _sectors(each):
                    if dice.random() < luck:
                        _apply(content, piece)
            files[name] = bytes(content)
        return files


def _apply(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        size = operation.size
        if size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))
        return
    end = operation.offset + len(operation.data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data


def _sectors(operation: Write | Truncate) -> Iterator[Write | Truncate]:
    if isinstance(operation, Truncate):
        yield operation
        return
    start, data = operation.offset, operation.data
    while data:
        length = SECTOR - start % SECTOR
        yield Write(operation.file, start, data[:length])
        start, data = start + length, data[length:]
