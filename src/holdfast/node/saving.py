"""Making a backup while the node runs, and beginning with one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import apsw

from holdfast.core.seal import rest
from holdfast.drive.http import Request, Response, plain
from holdfast.node import backup
from holdfast.node.database import rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Backup, BackupProgress
from holdfast.node.spool import LEAVES

T = TypeVar("T")
FOLDER: Final = "backup"
MADE: Final = "made"
GIVEN: Final = "given"
LEAST: Final = 10
"""Characters of a passphrase: whoever finds the file can try as many as there is time for."""
STEP: Final = 4 << 20
"""Bytes between two reports of how far it is."""

Do = Callable[[Callable[[Desk, Work], T]], Awaitable[T]]


class Saving:
    """`home` is the node's folder, `do` runs a job of the keeper's."""

    def __init__(
        self, home: Path, entropy: Callable[[int], bytes], tell: Callable[[BackupProgress], None]
    ) -> None:
        self._folder = home / FOLDER
        self._files = home / "files"
        self._entropy = entropy
        self._tell = tell
        self._busy = False

    @property
    def made(self) -> Path:
        """What the interface fetches."""
        return self._folder / MADE

    @property
    def given(self) -> Path:
        """What came over the interface, to begin with."""
        return self._folder / GIVEN

    def tidy(self) -> None:
        """Nothing lies about that was for a moment."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def back_up(
        self, do: Do[backup.Summary], passphrase: str, path: str, files: bool
    ) -> Backup:
        """See `NodeApi.back_up`."""
        if len(passphrase) < LEAST:
            raise ApiError("bad-params", f"a backup's passphrase has at least {LEAST} characters")
        target = self._target(path)
        with self._working() as folder:
            key = self._entropy(32)
            found: list[Path] = []

            def job(desk: Desk, work: Work) -> backup.Summary:
                if files:
                    for (id,) in rows(work.db, "SELECT id FROM file WHERE message IS NOT NULL"):
                        found.extend((self._files / id, self._files / (id + LEAVES)))
                return backup.write_database(desk, work, folder / backup.DATABASE, key)

            try:
                summary = await do(job)
                wrapped = await asyncio.to_thread(rest.wrap_key, key, passphrase, self._entropy)
                database = folder / backup.DATABASE
                total = sum(one.stat().st_size for one in [database, *found] if one.exists())
                went = self._reporter(total)
                size = await asyncio.to_thread(backup.write, target, wrapped, database, found, went)
            except (OSError, apsw.Error) as error:
                raise ApiError("storage", f"the backup was not written: {_why(error)}") from None
        return Backup(
            path=str(target) if path else "",
            size=size,
            contacts=summary.contacts,
            messages=summary.messages,
        )

    def _target(self, path: str) -> Path:
        if not path:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return self.made
        target = Path(path)
        if not target.is_absolute() or not target.parent.is_dir():
            raise ApiError("bad-params", "a backup needs the whole path of a file in a folder")
        if target.exists():
            raise ApiError("bad-params", f"{target} exists already; choose another name")
        return target

    @contextmanager
    def _working(self) -> Iterator[Path]:
        if self._busy:
            raise ApiError("not-allowed", "a backup is being made already")
        self._busy = True
        folder = self._folder / "parts"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
            yield folder
        except OSError as error:
            raise ApiError("storage", f"the disk did not take it: {_why(error)}") from None
        finally:
            self._busy = False
            shutil.rmtree(folder, ignore_errors=True)

    def _reporter(self, total: int) -> Callable[[int], None]:
        loop, told = asyncio.get_running_loop(), 0

        def went(done: int) -> None:
            nonlocal told
            if done - told >= STEP or done == total:
                told = done
                loop.call_soon_threadsafe(self._tell, BackupProgress(done, total))

        return went

    async def restore(
        self,
        passphrase: str,
        path: str,
        begin: Callable[[Callable[[Desk, Work], None]], Awaitable[T]],
    ) -> T:
        """Take a backup apart and give `begin` the job that puts it into a new database."""
        source = Path(path) if path else self.given
        with self._working() as folder:
            try:
                key = await asyncio.to_thread(backup.read, source, folder, passphrase)
            except FileNotFoundError:
                raise ApiError("bad-params", "there is no such file; choose the backup") from None
            except rest.WrongPassphrase as error:
                raise ApiError("wrong-passphrase", str(error)) from None
            except backup.BadBackup as error:
                raise ApiError("bad-params", str(error)) from None
            try:
                found = await begin(lambda desk, work: backup.restore(desk, work, folder, key))
            except backup.BadBackup as error:
                raise ApiError("bad-params", str(error)) from None
        self.given.unlink(missing_ok=True)
        return found

    # Over HTTP, for the interface.

    def give(self, request: Request) -> Response:
        """The backup that was made goes out."""
        try:
            file = self.made.open("rb")
        except OSError:
            return plain(404, "There is no backup; make one first.")
        size = self.made.stat().st_size

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(backup.PIECE):
                    yield piece

        headers = (
            ("content-type", "application/octet-stream"),
            ("content-disposition", "attachment; filename=holdfast.backup"),
            ("cache-control", "no-store"),
        )
        return Response(200, headers, b"", pieces(), size)

    def take(self, request: Request) -> Incoming | Response:
        """A backup comes in, to begin with."""
        length = request.header("content-length")
        if not length.isdecimal() or len(length) > 15:
            return plain(411, "Say how many bytes the file has.")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if shutil.disk_usage(self._folder).free < 3 * int(length):
                return plain(507, "There is not enough room on the disk for this file; make room.")
            return Incoming(self.given)
        except OSError as error:
            return plain(507, f"The disk did not take it: {_why(error)}.")


class Incoming:
    """A backup coming in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_suffix(".part")
        self._file = self._part.open("wb")

    def write(self, data: bytes) -> Response | None:
        """More of it."""
        try:
            self._file.write(data)
        except OSError as error:
            self.abort()
            return plain(507, f"The disk did not take it: {_why(error)}.")
        return None

    async def end(self) -> Response:
        """All came."""
        self._file.close()
        self._part.rename(self._path)
        return Response(204)

    def abort(self) -> None:
        """It does not come to an end: leave nothing."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
