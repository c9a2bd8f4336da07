"""A backup: one encrypted file with everything that a new machine needs, and no ratchet.

It holds who one is (the root key), contacts, conversations, settings and relays as a database of
the node's own kind under a key of its own, which a passphrase wraps, and the sealed chunks
of files as they lie in the spool. Sessions are left out on purpose: a ratchet that is set back
would use its keys twice. Source: spec/seal.md, "Backup".

    file = "HOLDFAST BACKUP 1\n" + length of wrapped key (2) + wrapped key
         + for each part: length of name (1) + name + size (8) + bytes
         + 0
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.seal import rest
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.keys import BadKey
from holdfast.node import blocking, channel_feed, channel_state, group_state, talking
from holdfast.node.database import TooNew, WrongKey, close_database, open_database, row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.spool import LEAVES

MAGIC: Final = b"HOLDFAST BACKUP 1\n"
DATABASE: Final = "database"
PIECE: Final = 1 << 20
_NAME: Final = re.compile(r"database|[0-9a-f]{32}(\.leaves)?")
_TABLES: Final = {
    "relay": {},
    "contact": {
        "session": "x''",
        "counter": "0",
        "accept": "NULL",
        "said": "''",
        "told": "''",
        "through": "''",
        "device": "x''",
    },
    "message": {},
    "reaction": {},
    "file": {},
    "call": {"secret": "x''", "homes": "''"},
    "group_entry": {},
    "group_card": {},
    "channel": {"mark_at": "0", "marked": "0"},
    "channel_post": {"posted": "0"},
    "channel_removed": {},
    "blocked": {},
}
"""What is copied, in this order, and the columns that are not taken as they are."""
_PERSON: Final = "person"
_VALUES: Final = ("name", "settings", "cursor")


class BadBackup(ValueError):
    """The file cannot be used; the sentence says why and what to do."""


class _Person(msgspec.Struct, array_like=True, frozen=True):
    version: int
    root: bytes
    recovery: bytes
    devices: bytes


@dataclass(frozen=True)
class Summary:
    """What is in a backup."""

    contacts: int
    messages: int


def write_database(desk: Desk, work: Work, path: Path, key: bytes) -> Summary:
    """A job: what is to be kept, as a database of its own. Raises OSError, `apsw.Error`."""
    identity = desk.identity(work)
    root = identity.root_key.private_bytes_raw()
    recovery = desk.rows.unwrap("meta", b"recovery", 0, desk.get(work, "recovery"))
    person = _Person(1, root, recovery, identity.devices.encode())
    copy = open_database(path, key)
    try:
        with copy:
            for table, changed in _TABLES.items():
                _copy(work.db, copy, table, changed, _kept(table))
            channel_state.reveal(desk, copy)
            for name in _VALUES:
                if (value := desk.get(work, name)) is not None:
                    copy.execute("INSERT INTO meta VALUES (?, ?)", (name, value))
            copy.execute(
                "INSERT INTO meta VALUES (?, ?)", (_PERSON, msgspec.msgpack.encode(person))
            )
        (contacts,) = row(copy, "SELECT count(*) FROM contact")
        (messages,) = row(copy, "SELECT count(*) FROM message WHERE kind <> 'note'")
    finally:
        close_database(copy)
    return Summary(contacts, messages)


def _kept(table: str) -> str:
    """Echo is the old machine's own; uploads belong to no message."""
    people = "SELECT id FROM contact WHERE NOT echo AND kind NOT IN ('device', 'own')"
    return {
        "contact": "NOT echo AND kind NOT IN ('device', 'own')",
        "message": f"contact IN ({people})",
        "reaction": f"message IN (SELECT id FROM message WHERE contact IN ({people}))",
        "file": f"message IN (SELECT id FROM message WHERE contact IN ({people}))",
        "call": f"contact IN ({people})",
        "group_entry": f"contact IN ({people})",
        "group_card": f"contact IN ({people})",
        "channel": f"contact IN ({people})",
        "channel_post": f"contact IN ({people})",
        "channel_removed": f"contact IN ({people})",
    }.get(table, "1")


def _copy(
    source: apsw.Connection,
    target: apsw.Connection,
    table: str,
    changed: dict[str, str],
    which: str,
) -> None:
    columns = [name for (_, name, *_) in rows(target, f"PRAGMA table_info({table})")]
    wanted = ", ".join(changed.get(name, name) for name in columns)
    marks = ", ".join("?" * len(columns))
    target.executemany(
        f"INSERT INTO {table} VALUES ({marks})",
        source.execute(f"SELECT {wanted} FROM {table} WHERE {which}"),
    )


def write(
    path: Path, wrapped: bytes, database: Path, files: Iterable[Path], went: Callable[[int], None]
) -> int:
    """Put everything into one file, whole or not at all; its size. `went` is told of bytes
    written. Slow: not for the loop's thread. Raises OSError."""
    part = path.with_name(path.name + ".part")
    done = 0
    try:
        with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            out.write(MAGIC + len(wrapped).to_bytes(2, "big") + wrapped)
            for name, source in [(DATABASE, database), *((one.name, one) for one in files)]:
                with contextlib.suppress(FileNotFoundError), source.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    out.write(bytes([len(name)]) + name.encode() + size.to_bytes(8, "big"))
                    for piece in _pieces(file, size):
                        out.write(piece)
                        done += len(piece)
                        went(done)
            out.write(b"\0")
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def _pieces(file: BinaryIO, size: int) -> Iterable[bytes]:
    """Exactly so many bytes, zeros behind what a file that shrank still has."""
    while size:
        piece = file.read(min(PIECE, size)) or bytes(min(PIECE, size))
        size -= len(piece)
        yield piece


def read(path: Path, folder: Path, passphrase: str) -> bytes:
    """Take a backup apart into an empty folder: `database` and spools; the database's key.
    Slow: not for the loop's thread. Raises `BadBackup`, `rest.WrongPassphrase`, OSError."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadBackup("this is no backup of Holdfast's, or of a newer one")
        wrapped = file.read(int.from_bytes(_exactly(file, 2), "big"))
        key = rest.unwrap_key(wrapped, passphrase)
        seen = set()
        while length := _exactly(file, 1)[0]:
            name = _exactly(file, length).decode("ascii", "replace")
            size = int.from_bytes(_exactly(file, 8), "big")
            if not _NAME.fullmatch(name) or name in seen:
                raise BadBackup("the backup is damaged: it has a part that there cannot be")
            if size > os.fstat(file.fileno()).st_size:
                raise BadBackup(_CUT)
            seen.add(name)
            with open(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as out:
                while size:
                    piece = _exactly(file, min(PIECE, size))
                    out.write(piece)
                    size -= len(piece)
                out.flush()
                os.fsync(out.fileno())
        if DATABASE not in seen:
            raise BadBackup("the backup is damaged: its conversations are missing")
    return key


_CUT: Final = "the backup was cut off; take another copy of it"


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise BadBackup(_CUT)
    return data


def restore(desk: Desk, work: Work, folder: Path, key: bytes) -> None:
    """A job, in a database that has no identity yet: everything out of a backup that `read` took
    apart, and a new device. Raises `BadBackup`."""
    try:
        copy = open_database(folder / DATABASE, key)
    except (WrongKey, apsw.Error) as error:
        raise BadBackup(f"the backup is damaged: {error}") from None
    except TooNew:
        raise BadBackup("the backup was made by a newer Holdfast; update this one") from None
    try:
        if (said := row(copy, "PRAGMA integrity_check(1)")[0]) != "ok":
            raise BadBackup(f"the backup is damaged: {said}")
        person = msgspec.msgpack.decode(
            row(copy, "SELECT value FROM meta WHERE name = ?", _PERSON)[0], type=_Person
        )
        root = Ed25519PrivateKey.from_private_bytes(person.root)
        identity = Identity.renew(root, DeviceList.decode(person.devices), work.now, desk.entropy)
        desk.keep_identity(work, identity, person.recovery)
        for name in _VALUES:
            if (found := row(copy, "SELECT value FROM meta WHERE name = ?", name)) is not None:
                desk.put(work, name, found[0])
        for table in _TABLES:
            _copy(copy, work.db, table, {}, "1")
        channel_state.wrap_all(desk, work)
    except (apsw.Error, BadKey, ValueError, TypeError) as error:
        raise BadBackup(f"the backup is damaged: {error}") from None
    finally:
        copy.close()
    _settle(desk, work, folder)


def _settle(desk: Desk, work: Work, folder: Path) -> None:
    """Nothing is under way any more; every conversation waits for its contact."""
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state = 'blocked'"):
        desk.put(work, blocking.BEFORE + cid, "restored")
    # A group's keys are ratchets too: they are asked of contacts who are in it.
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE kind = 'group' AND state = 'group'"):
        if group_state.again(desk, work, cid):
            desk.put(work, group_state.OWES + cid, work.now)
        else:
            work.db.execute("UPDATE contact SET state = 'left' WHERE id = ?", (cid,))
    work.db.execute(
        "UPDATE contact SET state = 'restored' WHERE kind NOT IN ('group', 'channel')"
        " AND state <> 'blocked'"
    )
    work.db.execute(
        "UPDATE message SET state = 'unsent' WHERE mine AND kind <> 'note'"
        " AND state IN ('waiting', 'sent')"
    )
    for id, state in rows(work.db, "SELECT id, state FROM file"):
        here = (folder / id).exists()
        if here:
            for name in (id, id + LEAVES):
                with contextlib.suppress(FileNotFoundError):
                    shutil.move(folder / name, desk.files / name)
        whole = here and state in ("sending", "sent", "whole")
        work.db.execute(
            "UPDATE file SET state = ?, homes = iif(contact IN (SELECT contact FROM channel),"
            " homes, '') WHERE id = ?",
            ("whole" if whole else "gone", id),
        )
    channel_feed.again(desk, work)
    talking.expire(desk, work)
