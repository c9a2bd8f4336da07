"""What every kind of message has in common when it is written."""

from __future__ import annotations

from holdfast.core.chat import content
from holdfast.node import effects, ordering, requests, views
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Message


def number(id: str) -> int:
    """A message's id as its row. Raises `ApiError`."""
    if not id.isascii() or not id.isdigit() or len(id) > 18:
        raise ApiError("not-found", "there is no such message")
    return int(id)


def may_write(state: str) -> None:
    """Raises `ApiError` if nothing can be sent to a contact in this state."""
    why = {
        "frozen": "their identity has changed; compare emoji in person, then invite each other"
        " again",
        "unlinked": "this device was removed by another one of yours; link it again to go on",
        "left": "you have left this group",
        "removed": "you are not in this group any more",
        "used": "the invitation had been used by somebody else; ask for a new one",
        "blocked": "you have blocked this contact; unblock them to write",
    }.get(state)
    if why is not None:
        raise ApiError("not-allowed", why)


def known(work: Work, cid: str, key: str | None) -> Message | None:
    """The message that was written with this key before."""
    if key is None:
        return None
    found = row(work.db, "SELECT id FROM message WHERE contact = ? AND client_key = ?", cid, key)
    return None if found is None else views.message(work.db, found[0])


def begin(work: Work, cid: str, key: str | None) -> tuple[Message | None, int]:
    """Before a message of mine: the one that was written with this key before, or the lifetime of a
    new one. Raises `ApiError` if nothing can be sent."""
    if (before := known(work, cid, key)) is not None:
        return before, 0
    state, timer = row(work.db, "SELECT state, timer FROM contact WHERE id = ?", cid)
    may_write(state)
    return None, int(timer)


def ref(desk: Desk, work: Work, cid: str, mid: bytes, mine: bool, author: bytes) -> content.Ref:
    """A reference of mine to a message; in a group it says whose it is."""
    if not row(work.db, "SELECT 1 FROM contact WHERE id = ? AND kind = 'group'", cid):
        return content.Ref(mid, mine, author)
    return content.Ref(mid, mine, desk.identity(work).party.root if mine else author)


def reply_ref(desk: Desk, work: Work, cid: str, reply_to: str | None) -> content.Ref | None:
    """The message replied to, as its author's and its id. Raises `ApiError`."""
    if reply_to is None:
        return None
    target = row(
        work.db,
        "SELECT mid, mine, author FROM message WHERE id = ? AND contact = ?"
        " AND kind IN ('text', 'file')",
        number(reply_to),
        cid,
    )
    if target is None:
        raise ApiError("not-found", "the message you reply to is gone")
    mid, mine, author = target
    return ref(desk, work, cid, mid, bool(mine), author)


def insert_mine(
    desk: Desk,
    work: Work,
    cid: str,
    mid: bytes,
    kind: str,
    text: str,
    reply: content.Ref | None,
    timer: int,
    seq: int | None,
    key: str | None,
) -> int:
    """A message of mine that record `seq` carries; its row. Who is written to is accepted."""
    expires = work.now + timer * 1000 if timer else 0
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, text, at, received, reply_mid,"
        " reply_mine, reply_author, state, seen, timer, expires, seq, client_key)"
        " VALUES (?, 0, 1, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 1, ?, ?, ?, ?)",
        (
            cid,
            mid,
            kind,
            text,
            work.now,
            work.now,
            reply.mid if reply else None,
            int(reply.mine) if reply else None,
            reply.author if reply and not reply.mine else b"",
            timer,
            expires,
            seq,
            key,
        ),
    )
    id = work.db.last_insert_rowid()
    if clock := ordering.now(work, cid):
        ordering.put(work, id, clock, desk.identity(work).party.root, mid)
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    requests.accept(desk, work, cid)
    if expires:
        work.after.append(effects.Expire(expires))
    return id


def insert_theirs(
    work: Work,
    cid: str,
    author: bytes,
    kind: str,
    text: str,
    said: content.Text | content.File,
    to: tuple[bool | None, bytes],
) -> int:
    """A message of somebody else's; `to`: whose message it replies to. Its row."""
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, author, mid, kind, text, at, received,"
        " reply_mid, reply_mine, reply_author, state, timer)"
        " VALUES (?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'received', ?)",
        (
            cid,
            author,
            said.mid,
            kind,
            text,
            min(said.at, work.now),
            work.now,
            said.reply.mid if said.reply else None,
            *to,
            said.timer,
        ),
    )
    return int(work.db.last_insert_rowid())
