"""What was admitted, on the disk before it is acknowledged.

One file a day of arrival; a frame is the length and CRC-32 of a MessagePack array of entries,
all of one group commit. A torn last frame is cut off when the file is opened. If the disk is
full the group is refused, the file is cut back to the last whole frame, and the next group
may fit again. Nothing in an entry says who sent it or when, beyond five minutes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from holdfast.store.files import sync_directory

DAY: Final = 86_400
STEP: Final = 300
"""Seconds: the grain of time in everything that is kept."""
MAX_FRAME: Final = 8 * 1024 * 1024
GROUP: Final = 4_096
"""Entries that share one sync at most."""

Text = Annotated[str, Meta(max_length=48)]


class Entry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One function's part of one admitted report."""

    at: Annotated[int, Meta(ge=0)]
    """Second at which its five minutes of arrival began."""
    source: Annotated[str, Meta(pattern=r"^[cfma]\Z")]
    """c: complaint with a token; f: from the form; m: measured; a: alive."""
    region: Text
    operator: Text
    function: Text
    ok: bool = False
    verdict: Text = ""
    rate: Annotated[int, Meta(ge=0)] = 0
    control: Annotated[int, Meta(ge=0)] = 0
    spent: Annotated[bytes, Meta(max_length=32)] = b""
    """Of the token, so that it is not spent again; with the first entry of its report."""
    kind: Text = ""
    window: Annotated[int, Meta(ge=0)] = 0
    grade: Annotated[int, Meta(ge=0, le=5)] = 0
    """Of calls, 1 bad to 5 excellent; 0: none were measured."""


class JournalError(Exception):
    """The journal cannot be written or read; the sentence says why and what to do."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is in whole frames of a file, each with the offset behind it; ends where it is
    damaged."""
    offset = 0
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        crc = int.from_bytes(data[offset + 4 : offset + 8], "big")
        body = data[offset + 8 : offset + 8 + size]
        if size > MAX_FRAME or len(body) < size or zlib.crc32(body) != crc:
            return
        offset += 8 + size
        yield offset, body


def frames(data: bytes) -> Iterator[tuple[int, list[Entry]]]:
    """Entries of whole frames, each with the offset behind it; ends where it is damaged."""
    for offset, body in bodies(data):
        try:
            entries = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        yield offset, entries


def frame(entries: Sequence[Entry]) -> bytes:
    """Entries as one frame."""
    body = _encoder.encode(entries)
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


Settled = Callable[[str], object]
"""Called with "" when an entry group is durable, else with the sentence why it is not."""


class Journal:
    """Appends in a thread of its own; `post` runs a function soon on the owner's thread."""

    def __init__(self, folder: Path, post: Callable[[Callable[[], object]], object]) -> None:
        self._folder = folder
        self._post = post
        self._file: int | None = None
        self._day = -1
        self._end = 0
        self._queue: queue.SimpleQueue[tuple[tuple[Entry, ...], Settled] | None] = (
            queue.SimpleQueue()
        )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"the folder {folder} cannot be made: {error.strerror}. Choose another with --data"
            ) from error
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def append(self, entries: tuple[Entry, ...], settled: Settled) -> None:
        """Make entries of one report durable; `settled` hears of it on the owner's thread."""
        self._queue.put((entries, settled))

    def close(self) -> None:
        """Write what was taken, and end."""
        self._queue.put(None)
        self._thread.join()

    def days(self) -> list[int]:
        """Days since 1970 that have a file, in order."""
        return sorted(int(path.stem) for path in self._folder.glob("*.journal"))

    def read(self, day: int) -> Iterator[Entry]:
        """A day's entries in order. Raises `JournalError`."""
        try:
            data = self._path(day).read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{self._path(day)} cannot be read: {error.strerror}") from error
        for _, entries in frames(data):
            yield from entries

    def _path(self, day: int) -> Path:
        return self._folder / f"{day}.journal"

    # On the thread.

    def _work(self) -> None:
        going = True
        while going:
            group: list[tuple[tuple[Entry, ...], Settled]] = []
            first = self._queue.get()
            while first is not None:
                group.append(first)
                if len(group) >= GROUP:
                    break
                try:
                    first = self._queue.get_nowait()
                except queue.Empty:
                    break
            going = first is not None
            if group:
                why = self._write(group)
                self._post(lambda group=group, why=why: _settle(group, why))  # type: ignore[misc]
        if self._file is not None:
            os.close(self._file)

    def _write(self, group: Sequence[tuple[tuple[Entry, ...], Settled]]) -> str:
        by_day: dict[int, list[Entry]] = {}
        for entries, _ in group:
            for entry in entries:
                by_day.setdefault(entry.at // DAY, []).append(entry)
        try:
            for day, gathered in sorted(by_day.items()):
                self._open(day)
                assert self._file is not None
                data = memoryview(frame(gathered))
                while data:
                    data = data[os.write(self._file, data) :]
                os.fdatasync(self._file)
                self._end = os.lseek(self._file, 0, os.SEEK_CUR)
        except OSError as error:
            self._cut()
            return f"it could not be written to the disk ({error.strerror}). Try again later"
        return ""

    def _open(self, day: int) -> None:
        if day == self._day and self._file is not None:
            return
        if self._file is not None:
            os.close(self._file)
            self._file = None
        path = self._path(day)
        new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._day, self._end = day, 0
        for end, _ in frames(path.read_bytes()):
            self._end = end
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)
        if new:
            sync_directory(self._folder)

    def _cut(self) -> None:
        """Back to the last whole frame; if even that fails, the file is opened anew."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
        except OSError:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


def _settle(group: Sequence[tuple[tuple[Entry, ...], Settled]], why: str) -> None:
    for _, settled in group:
        settled(why)
