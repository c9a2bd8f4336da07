"""Jobs of files: what a message carries, how far it has come, what is to go.

The bytes themselves are in spools beside the database and move in `transfers`; the rows
here say what they are, and are what a start after a crash goes on from.
"""

from __future__ import annotations

import base64
import binascii
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from holdfast.core.caps import Home
from holdfast.core.chat import content, names
from holdfast.core.seal import chunks
from holdfast.core.seal.chunks import BadChunk, FileKeys
from holdfast.node import channel_state, effects, messages, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import FileKind, Message
from holdfast.node.spool import Spool

LIFETIME: Final = 30 * 86_400
"""Seconds a relay keeps chunks that nobody has said to have."""
POSTED: Final = 90 * 86_400
"""The same in a channel, where as long as the post."""
KEPT_UPLOAD: Final = 86_400_000
"""Milliseconds before an upload that is in no message is deleted."""
BY_ITSELF: Final = {"voice": 5 * 1024 * 1024, "picture": 5 * 1024 * 1024, "file": 1024 * 1024}
"""Bytes up to which a file is fetched without being asked for."""
RESERVE: Final = 256 * 1024 * 1024
"""Bytes of the disk that files leave to others."""


@dataclass(frozen=True)
class Stored:
    """A row of `file`, as those that move it need it."""

    id: str
    message: int
    contact: str
    mine: bool
    state: str
    root: bytes = field(repr=False)
    keys: FileKeys = field(repr=False)
    homes: tuple[Home, ...]
    lifetime: int
    have: bytes = field(repr=False)
    upto: dict[str, int]


def load(work: Work, id: str) -> Stored | None:
    """One file, if it is in a message."""
    found = row(
        work.db,
        "SELECT f.message, f.contact, f.mine, f.state, f.root, f.secret, f.size, f.chunk, f.homes,"
        " f.have, f.writes, c.kind FROM file f JOIN contact c ON c.id = f.contact"
        " WHERE f.id = ? AND f.message IS NOT NULL",
        id,
    )
    if found is None:
        return None
    message, contact, mine, state, root, secret, size, chunk, homes, have, writes, kind = found
    upto = rows(work.db, "SELECT home, upto FROM file_home WHERE file = ?", id)
    return Stored(
        id,
        message,
        contact,
        bool(mine),
        state,
        root,
        FileKeys(secret, size, chunk, writes or None),
        tuple(Home.parse(text) for text in homes.split()),
        POSTED if kind == "channel" else LIFETIME,
        have,
        dict(upto),
    )


# Mine.


def uploaded(work: Work, id: str, keys: FileKeys, root: bytes) -> None:
    """All bytes of an upload are on the disk, sealed."""
    work.db.execute(
        "INSERT INTO file (id, mine, size, chunk, secret, writes, root, state, added)"
        " VALUES (?, 1, ?, ?, ?, ?, ?, 'upload', ?)",
        (id, keys.size, keys.chunk, keys.secret, keys.writes, root, work.now),
    )


@dataclass(frozen=True)
class Offer:
    """What the sender says of a file."""

    name: str
    kind: FileKind
    media: str
    thumb: bytes
    width: int
    height: int
    duration: int
    wave: bytes


def thumb_bytes(text: str) -> bytes:
    """A small picture out of base64. Raises `ApiError`."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("bad-params", "the small picture is not base64") from None
    if len(data) > content.MAX_THUMB:
        raise ApiError("too-long", f"a small picture has at most {content.MAX_THUMB} bytes")
    if data and views.picture_type(data) is None:
        raise ApiError("bad-params", "the small picture is no JPEG, PNG or WebP")
    return data


def send(
    desk: Desk,
    work: Work,
    cid: str,
    upload: str,
    offer: Offer,
    reply_to: str | None,
    key: str | None,
) -> Message:
    """Make a message of an upload."""
    known, timer = messages.begin(work, cid, key)
    if known is not None:
        return known
    found = row(
        work.db,
        "SELECT secret, size, chunk, root FROM file WHERE id = ? AND state = 'upload'",
        upload,
    )
    if found is None:
        raise ApiError("not-found", "there is no such upload, or it was sent already")
    secret, size, chunk, root = found
    homes = channel_state.homes(desk, work, cid) or desk.homes(work)[: content.MAX_HOMES]
    if not homes:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    reply = messages.reply_ref(desk, work, cid, reply_to)
    start = first_bytes(desk.files / upload, FileKeys(secret, size, chunk))
    name, media = names.clean_file(offer.name), names.clean_media(offer.media, start)
    mid = desk.entropy(16)
    said = content.File(
        mid,
        work.now,
        offer.kind,
        name,
        media,
        size,
        chunk,
        secret,
        root,
        tuple(str(home) for home in homes),
        offer.thumb,
        offer.width,
        offer.height,
        offer.duration,
        offer.wave,
        reply,
        timer,
    )
    seq = desk.say(work, cid, said)
    id = messages.insert_mine(desk, work, cid, mid, "file", name, reply, timer, seq, key)
    work.db.execute(
        "UPDATE file SET message = ?, contact = ?, kind = ?, name = ?, media = ?, homes = ?,"
        " thumb = ?, width = ?, height = ?, duration = ?, wave = ?, state = 'sending'"
        " WHERE id = ?",
        (
            id,
            cid,
            offer.kind,
            name,
            media,
            " ".join(said.homes),
            offer.thumb,
            offer.width,
            offer.height,
            offer.duration,
            offer.wave,
            upload,
        ),
    )
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)
    work.after.append(effects.Move(upload))
    return views.message(work.db, id)


def sent(desk: Desk, work: Work, id: str, home: str, upto: int, count: int) -> None:
    """So many chunks are at a home for certain."""
    found = row(work.db, "SELECT message, state FROM file WHERE id = ?", id)
    if found is None or found[1] not in ("sending", "sent"):
        return
    work.db.execute("INSERT OR REPLACE INTO file_home VALUES (?, ?, ?)", (id, home, upto))
    work.db.execute("UPDATE file SET done = max(done, ?) WHERE id = ?", (upto, id))
    if upto == count and found[1] == "sending" and found[0] is not None:
        work.db.execute("UPDATE file SET state = 'sent' WHERE id = ?", (id,))
        desk.touch_message(work, found[0])


def theirs_now(desk: Desk, work: Work, cid: str, mid: bytes) -> None:
    """They have all of a file of mine: no relay need keep it."""
    found = row(
        work.db,
        "SELECT f.id, f.message FROM file f JOIN message m ON m.id = f.message"
        " WHERE m.contact = ? AND m.mine AND m.mid = ? AND f.state IN ('sending', 'sent')",
        cid,
        mid,
    )
    if found is None:
        return
    id, message = found
    if not _has_more_readers(work, cid):
        drop_logs(desk, work, id)
    work.db.execute("UPDATE file SET state = 'whole' WHERE id = ?", (id,))
    work.after.append(effects.Halt(id, gone=False))
    desk.touch_message(work, message)


def _has_more_readers(work: Work, cid: str) -> bool:
    """Whether other devices, theirs or mine, may still want it: it stays for its time then."""
    more = "SELECT 1 FROM contact WHERE belongs = ? OR (kind = 'own' AND state = 'active')"
    return row(work.db, more, cid) is not None


def keep_there(desk: Desk, work: Work, cid: str, mid: bytes) -> None:
    """A post is appended again: the chunks of its file as well, if they are here."""
    for (id,) in rows(
        work.db,
        "UPDATE file SET state = 'sending', done = 0 WHERE mine AND state IN ('sent', 'whole')"
        " AND message = (SELECT id FROM message WHERE contact = ? AND mine AND mid = ?)"
        " RETURNING id",
        cid,
        mid,
    ):
        work.db.execute("DELETE FROM file_home WHERE file = ?", (id,))
        work.after.append(effects.Halt(id, gone=False))
        work.after.append(effects.Move(id))


def drop_logs(desk: Desk, work: Work, id: str) -> None:
    """Delete a file of mine from its relays."""
    stored = load(work, id)
    if stored is not None:
        for part in range(stored.keys.parts):
            for home in stored.homes:
                desk.drop(work, stored.keys.caps(part), home)


# Theirs.


def offered(
    desk: Desk,
    work: Work,
    cid: str,
    author: bytes,
    said: content.File,
    to: tuple[bool | None, bytes],
) -> int | None:
    """Somebody sends a file, in reply `to` a message of whom: its row, or None if it is none."""
    if not is_file(said):
        return None
    name = names.clean_file(said.name)
    message = messages.insert_theirs(work, cid, author, "file", name, said, to)
    small = said.size <= BY_ITSELF[_kind(said)[0]]
    small = small and has_room(desk.files, said.size) and cid not in desk.strangers
    id = attach(desk, work, cid, message, said, "fetching" if small else "offered")
    if small:
        work.after.append(effects.Move(id))
    return message


def is_file(said: content.File) -> bool:
    """Whether what is said of a file can be."""
    try:
        for text in said.homes:
            Home.parse(text)
        FileKeys(said.secret, said.size, said.chunk)
    except ValueError:
        return False
    return chunks.count(said.size, said.chunk) <= chunks.MAX_SIZE // chunks.LARGE


def _kind(said: content.File) -> tuple[str, str]:
    """What it is shown as, and its media type, as far as they agree."""
    kind = said.kind if said.kind in BY_ITSELF else "file"
    media = said.media if said.media in names.MEDIA else names.OCTETS
    if not media.startswith({"picture": "image/", "voice": "audio/"}.get(kind, "")):
        kind = "file"
    return kind, media


def attach(desk: Desk, work: Work, cid: str, message: int, said: content.File, state: str) -> str:
    """A message carries this file, whose bytes are not here; its id."""
    kind, media = _kind(said)
    id = desk.entropy(16).hex()
    posted = tuple(str(home) for home in channel_state.homes(desk, work, cid))
    work.db.execute(
        "INSERT INTO file (id, message, contact, mine, kind, name, media, size, chunk, secret,"
        " root, homes, thumb, width, height, duration, wave, state, added)"
        " VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            message,
            cid,
            kind,
            names.clean_file(said.name),
            media,
            said.size,
            said.chunk,
            said.secret,
            said.root,
            " ".join(posted or said.homes),
            said.thumb if views.picture_type(said.thumb) else b"",
            said.width,
            said.height,
            said.duration,
            bytes(value & 31 for value in said.wave),
            state,
            work.now,
        ),
    )
    return id


def first_bytes(path: Path, keys: FileKeys) -> bytes:
    """How a file that is here begins; empty if it cannot be read."""
    try:
        spool = Spool(path, keys)
    except OSError:
        return b""
    try:
        return b"".join(spool.plain(0, min(64, keys.size)))
    except (OSError, BadChunk):
        return b""
    finally:
        spool.close()


def has_room(folder: Path, size: int) -> bool:
    """Whether the disk takes so many bytes and keeps its reserve."""
    try:
        return shutil.disk_usage(folder).free > size + RESERVE
    except OSError:
        return False


def fetch(desk: Desk, work: Work, id: str) -> Message:
    """Get what was offered."""
    message, file, mine, state, size = _of_message(work, id)
    if not mine and state in ("offered", "gone"):
        if not has_room(desk.files, size):
            raise ApiError("storage", "there is not enough room on the disk for it; make room")
        work.db.execute("UPDATE file SET state = 'fetching' WHERE id = ?", (file,))
        work.after.append(effects.Move(file))
        desk.touch_message(work, message)
    return views.message(work.db, message)


def cancel(desk: Desk, work: Work, id: str) -> Message:
    """Get it no further, and keep nothing of it."""
    message, file, mine, state, _ = _of_message(work, id)
    if mine:
        raise ApiError("not-allowed", "a file of your own is taken back like any message")
    if state in ("fetching", "gone"):
        work.db.execute(
            "UPDATE file SET state = 'offered', done = 0, have = x'' WHERE id = ?", (file,)
        )
        work.after.append(effects.Halt(file, gone=True))
    desk.touch_message(work, message)
    return views.message(work.db, message)


def _of_message(work: Work, id: str) -> tuple[int, str, bool, str, int]:
    found = row(
        work.db,
        "SELECT message, id, mine, state, size FROM file WHERE message = ?",
        messages.number(id),
    )
    if found is None:
        raise ApiError("not-found", "there is no such file")
    return cast("tuple[int, str, bool, str, int]", found)


def came(work: Work, id: str, have: bytes, done: int) -> None:
    """These chunks are on the disk for certain."""
    work.db.execute(
        "UPDATE file SET have = ?, done = ? WHERE id = ? AND state = 'fetching'", (have, done, id)
    )


def whole(desk: Desk, work: Work, id: str) -> None:
    """All of it is here; by how it begins its type is believed or not."""
    found = row(
        work.db,
        "SELECT f.message, f.contact, m.mid, f.media, f.kind, f.secret, f.size, f.chunk, m.mine"
        " FROM file f"
        " JOIN message m ON m.id = f.message WHERE f.id = ? AND f.state = 'fetching'",
        id,
    )
    if found is None:
        return
    message, cid, mid, media, kind, secret, size, chunk, mine = found
    start = first_bytes(desk.files / id, FileKeys(secret, size, chunk))
    media = names.clean_media(media, start)
    if media == names.OCTETS:
        kind = "file"
    work.db.execute(
        "UPDATE file SET state = 'whole', have = x'', media = ?, kind = ? WHERE id = ?",
        (media, kind, id),
    )
    (state,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if state == "active" and not mine:
        desk.say(work, cid, content.Got(mid))
    desk.touch_message(work, message)


def gone(desk: Desk, work: Work, id: str) -> None:
    """No relay has it any more."""
    for (message,) in rows(
        work.db,
        "UPDATE file SET state = 'gone' WHERE id = ? AND state = 'fetching' RETURNING message",
        id,
    ):
        desk.touch_message(work, message)


# What goes.


def forget(desk: Desk, work: Work, message: int) -> None:
    """A message goes or was taken back: its file goes with it, from relays too if it is mine
    and they do not have it yet."""
    found = row(work.db, "SELECT id, mine, state FROM file WHERE message = ?", message)
    if found is None:
        return
    id, mine, state = found
    if mine and state in ("sending", "sent"):
        drop_logs(desk, work, id)
    work.db.execute("DELETE FROM file WHERE id = ?", (id,))
    work.after.append(effects.Halt(id, gone=True))


def forget_contact(desk: Desk, work: Work, cid: str) -> None:
    """As `forget`, for a whole conversation."""
    for (message,) in rows(work.db, "SELECT message FROM file WHERE contact = ?", cid):
        forget(desk, work, message)


def discard(work: Work, upload: str) -> None:
    """An upload is not wanted."""
    found = rows(work.db, "DELETE FROM file WHERE id = ? AND state = 'upload' RETURNING id", upload)
    if not found:
        raise ApiError("not-found", "there is no such upload, or it was sent already")
    work.after.append(effects.Halt(upload, gone=True))


def sweep(work: Work) -> None:
    """Uploads that nobody sent."""
    for (id,) in rows(
        work.db,
        "DELETE FROM file WHERE state = 'upload' AND added < ? RETURNING id",
        work.now - KEPT_UPLOAD,
    ):
        work.after.append(effects.Halt(id, gone=True))


def resume(desk: Desk, work: Work) -> None:
    """Go on with what was on its way; delete spools that belong to nothing."""
    known = {id for (id,) in rows(work.db, "SELECT id FROM file")}
    for path in desk.files.iterdir():
        if path.stem not in known:
            path.unlink(missing_ok=True)
    for (id,) in rows(
        work.db,
        "SELECT id FROM file WHERE state IN ('sending', 'fetching')"
        " OR (state = 'sent' AND EXISTS (SELECT 1 FROM file_home h WHERE h.file = file.id))"
        " ORDER BY added",
    ):
        work.after.append(effects.Move(id))
