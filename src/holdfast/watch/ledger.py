"""Signed rollups on the disk, a line a step: what restarts, replays, evidence and other
watches go by. A day is a file; lines of a step that is missing were never closed."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta, Struct

from holdfast.store import whole
from holdfast.watch import rollup
from holdfast.watch.journal import DAY
from holdfast.watch.rollup import BadRollup, Rollup, Sums

MAX_LINE = 16 * 1024 * 1024


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One step as its watch signed it."""

    rollup: msgspec.Raw
    signature: Annotated[bytes, Meta(max_length=64)] = b""


_decoder = msgspec.json.Decoder(Line)


def raw(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def message(data: bytes) -> bytes:
    """What is signed of a rollup's bytes."""
    return b"holdfast/rollup/1" + hashlib.sha256(data).digest()


def seal(one: Rollup, key: Ed25519PrivateKey) -> bytes:
    """A line, without its end."""
    data = rollup.encode(one)
    return msgspec.json.encode(Line(msgspec.Raw(data), key.sign(message(data))))


def unseal(line: bytes, key: bytes | None) -> Rollup:
    """The rollup of a line; `key` is whose signature it has to bear. Raises `BadRollup`."""
    if len(line) > MAX_LINE:
        raise BadRollup("not a rollup: too long")
    try:
        parsed = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRollup(f"not a rollup: {type(error).__name__}") from None
    data = bytes(parsed.rollup)
    if key is not None:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(parsed.signature, message(data))
        except (InvalidSignature, ValueError):
            raise BadRollup("this rollup was not signed by that watch") from None
    return rollup.decode(data)


def append(path: Path, data: bytes, sync: bool = False) -> None:
    """To a file, all of it or nothing. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[file.write(data) or 0 :]
            if sync:
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


def mend(path: Path) -> None:
    """Cut a last line that a crash left unfinished. Raises OSError."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)


class Ledger:
    """The folder of one watch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.divided = folder / "divided"
        """Is there once nothing private is left in what is published."""

    def append(self, one: Rollup, key: Ed25519PrivateKey) -> None:
        """Add a closed step. Not synced: what is lost is made again from the journal."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        append(self.path(one.at // DAY), seal(one, key) + b"\n")

    def path(self, day: int) -> Path:
        """Where a day is."""
        return self._folder / f"{day}.rollups"

    def days(self) -> list[int]:
        """That have a file, in order."""
        return sorted(int(path.stem) for path in self._folder.glob("*.rollups"))

    def after(self, day: int, at: int) -> list[bytes]:
        """A day's lines of steps that began after the second `at`."""
        found = self.lines(day)
        return found[bisect.bisect_right(found, at, key=lambda line: unseal(line, None).at) :]

    def lines(self, day: int) -> list[bytes]:
        """A day's whole lines; the last one is left out if a crash cut it short."""
        try:
            data = self.path(day).read_bytes()
        except FileNotFoundError:
            return []
        return data.split(b"\n")[:-1]

    def mend(self) -> None:
        """Cut a last line that a crash left unfinished."""
        for day in self.days()[-1:]:
            mend(self.path(day))

    def last(self) -> int:
        """The step that was closed last, -1 if none was. Raises `BadRollup`."""
        found = (lines[-1] for day in reversed(self.days()) if (lines := self.lines(day)))
        return next((unseal(line, None).at for line in found), -1)

    def read(self, since: int = 0, key: bytes | None = None) -> Iterator[Rollup]:
        """Steps in order, from the second `since` on. Raises `BadRollup`."""
        last = -1
        for day in self.days():
            if (day + 1) * DAY <= since:
                continue
            for line in self.lines(day):
                one = unseal(line, key)
                if one.at >= since and one.at > last:
                    last = one.at
                    yield one


def divide(public: Ledger, private: Ledger, key: Ed25519PrivateKey) -> None:
    """Take signs of life out of what is published, once, where an earlier version had them in it.
    A day's file is replaced whole, the private one first: a crash on the way loses nothing."""
    if private.divided.exists():
        return
    for day in public.days():
        lines = public.lines(day)
        if not any(b'["a",' in line for line in lines):
            continue
        steps = [unseal(line, raw(key)) for line in lines]
        alive = {one.at: one.rows for one in (unseal(line, None) for line in private.lines(day))}
        for one in steps:
            if rows := [row for row in one.rows if row.source == "a"]:
                alive[one.at] = rows
        _replace(private.path(day), [seal(Rollup(at, alive[at]), key) for at in sorted(alive)])
        told = [Rollup(one.at, [row for row in one.rows if row.source != "a"]) for one in steps]
        _replace(public.path(day), [seal(one, key) for one in told])
    with contextlib.suppress(OSError):  # on a full disk it is looked at once more
        private.divided.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.divided.touch()


def _replace(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole.write(path, b"".join(line + b"\n" for line in lines))


def merge(watches: Iterable[Iterable[Rollup]]) -> Iterator[Rollup]:
    """Steps of several watches, added up."""
    sums: dict[int, Sums] = {}
    for each in watches:
        for one in each:
            sums.setdefault(one.at, Sums()).merge(one.rows)
    for at in sorted(sums):
        yield Rollup(at, sums[at].rows())
