"""Bytes of files in and out of the node over HTTP, see spec/node-api.md, "Files".

What comes in is sealed before it touches the disk; what goes out is opened piece by piece
and never parsed or decoded here.
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from holdfast.core.chat import names
from holdfast.core.chat.fetching import Fetching
from holdfast.core.seal import chunks
from holdfast.core.seal.chunks import FileKeys
from holdfast.drive.http import Request, Response, plain
from holdfast.node import files
from holdfast.node.database import row
from holdfast.node.keeper import Work
from holdfast.node.messages import number
from holdfast.node.spool import Intake, Spool

MAX_UPLOADS: Final = 8
"""Under way at a time."""
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SANDBOX: Final = ("content-security-policy", "default-src 'none'; sandbox")


class Depot:
    """`do` runs a job of the keeper; `folder` is where spools are."""

    def __init__(
        self,
        folder: Path,
        entropy: Callable[[int], bytes],
        do: Callable[[Callable[[Work], object]], Awaitable[object]],
    ) -> None:
        self.folder = folder
        self.entropy = entropy
        self.do = do
        self.uploads: set[Upload] = set()

    def take(self, request: Request) -> Upload | Response:
        """A file comes in."""
        length = request.header("content-length")
        if not length.isdecimal() or len(length) > 15:
            return plain(411, "Say how many bytes the file has.")
        size = int(length)
        if size > chunks.MAX_SIZE:
            return plain(413, "A file has at most 64 GiB.")
        if len(self.uploads) >= MAX_UPLOADS:
            return plain(429, "Too many files are coming in at once; wait until one is done.")
        if not files.has_room(self.folder, size):
            return plain(507, "There is not enough room on the disk for this file; make room.")
        try:
            upload = Upload(self, size)
        except OSError as error:
            return _disk(error)
        self.uploads.add(upload)
        return upload

    async def give(self, request: Request) -> Response:
        """A message's file goes out."""
        try:
            id = number(request.path.removeprefix("/files/"))
        except Exception:  # noqa: BLE001  whatever is wrong with it, there is no such file
            return plain(404, "There is no such file.")
        found = await self.do(lambda work: _find(work, id))
        if not isinstance(found, _Found):
            return plain(404, "There is no such file.")
        keys = found.keys
        asked = _range(request.header("range"), keys.size)
        if asked is None:
            extra = (("content-range", f"bytes */{keys.size}"),)
            return Response(416, extra)
        start, end = asked
        if not found.whole and not _here(keys, found.have, start, end):
            return plain(409, "This part of the file is not here yet.")
        inline = found.media in names.MEDIA
        shown = "inline" if inline else "attachment"
        headers = [
            ("content-type", found.media if inline else names.OCTETS),
            ("content-disposition", f"{shown}; filename*=UTF-8''{quote(found.name, safe='')}"),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, no-store"),
            _SANDBOX,
        ]
        status = 200
        if request.header("range"):
            status = 206
            headers.append(("content-range", f"bytes {start}-{end - 1}/{keys.size}"))
        try:
            spool = Spool(self.folder / found.id, keys)
        except OSError as error:
            return _disk(error)
        return Response(status, tuple(headers), b"", _pieces(spool, start, end), end - start)


class Upload:
    """One file coming in: sealed and written as it comes."""

    def __init__(self, depot: Depot, size: int) -> None:
        self._depot = depot
        self.id = depot.entropy(16).hex()
        keys = FileKeys(depot.entropy(32), size, chunks.chunk_size(size), depot.entropy(32))
        self._intake = Intake(depot.folder / self.id, keys, depot.entropy)

    def write(self, data: bytes) -> Response | None:
        """More of it."""
        try:
            self._intake.write(data)
        except (OSError, ValueError) as error:
            self.abort()
            return _disk(error) if isinstance(error, OSError) else plain(400, str(error))
        return None

    async def end(self) -> Response:
        """All came."""
        keys = self._intake.keys
        try:
            root = await asyncio.to_thread(self._intake.end)
            await self._depot.do(lambda work: files.uploaded(work, self.id, keys, root))
        except OSError as error:
            self.abort()
            return _disk(error)
        except BaseException:
            self.abort()
            raise
        self._depot.uploads.discard(self)
        body = json.dumps({"upload": self.id, "size": keys.size}).encode()
        return Response(201, (("content-type", "application/json"),), body)

    def abort(self) -> None:
        """It does not come to an end: leave nothing."""
        self._depot.uploads.discard(self)
        self._intake.abort()


@dataclass(frozen=True)
class _Found:
    id: str
    keys: FileKeys
    whole: bool
    have: bytes
    name: str
    media: str


def _find(work: Work, message: int) -> _Found | None:
    found = row(
        work.db,
        "SELECT id, secret, size, chunk, mine, state, have, name, media FROM file"
        " WHERE message = ?",
        message,
    )
    if found is None:
        return None
    id, secret, size, chunk, mine, state, have, name, media = found
    whole = bool(mine) or state == "whole"
    return _Found(id, FileKeys(secret, size, chunk), whole, have, name, media)


def _here(keys: FileKeys, have: bytes, start: int, end: int) -> bool:
    plan = Fetching(keys.count, have)
    last = max(start, end - 1) // keys.chunk
    return all(plan.has(index) for index in range(start // keys.chunk, last + 1))


def _range(header: str, size: int) -> tuple[int, int] | None:
    """The part asked for, from the first byte to behind the last; None if there is none."""
    if not header:
        return 0, size
    match = _RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    return (start, end) if start < end else None


def _pieces(spool: Spool, start: int, end: int) -> Iterator[bytes]:
    try:
        yield from spool.plain(start, end)
    finally:
        spool.close()


def _disk(error: OSError) -> Response:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return plain(507, "The disk is full; make room, then try again.")
    return plain(500, "The disk did not take it; look at the disk, then try again.")
