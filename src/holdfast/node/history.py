"""Jobs of handing the past over to a new device: pages through the devices' own session.

A page is a record like any other: it is sealed, sent again until it was taken, and follows once
the ones before were acknowledged, so that neither a crash nor a lost relay leaves a hole.
Source: spec/devices.md, "The past".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.core.chat import content, names, sync
from holdfast.node import effects, files, rehousing
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import PastProgress

PAST: Final = "past/"
"""What `meta` calls how far a device was told, and how far this one was."""
ON_THE_WAY: Final = 32
"""Pages that are not acknowledged yet."""
BYTES: Final = 48_000
"""Of a page, about."""
LONGEST: Final = 52_000
"""Bytes of one text, so that a page has room for it; what few have that is longer is cut."""
_LINES: Final = (
    "SELECT id, contact, mine, mid, kind, text, at, received, state, edited, deleted, seen, timer,"
    " expires, reply_mid, reply_mine, author, reply_author, remover, place FROM message"
    " WHERE kind IN ('text', 'file')"
)
_TOLD: Final = (
    "SELECT id FROM contact WHERE NOT request AND (kind = 'person' AND NOT echo"
    " OR kind = 'group' AND state = 'group')"
)
"""Conversations with a past to tell."""


class _Way(msgspec.Struct):
    contacts: list[str]
    """Conversations that are not told whole yet."""
    upto: int
    """Told of the first one of these."""
    last: int
    left: int
    total: int
    pages: list[int]
    """Sequence numbers of those on the way."""


def _way(desk: Desk, work: Work, id: str) -> _Way | None:
    stored = desk.get(work, PAST + id)
    return None if stored is None else msgspec.msgpack.decode(stored, type=_Way)


def _keep(desk: Desk, work: Work, id: str, way: _Way) -> None:
    if way.left <= 0 and not way.pages and not way.contacts:
        work.db.execute("DELETE FROM meta WHERE name = ?", (PAST + id,))
    else:
        desk.put(work, PAST + id, msgspec.msgpack.encode(way))
    done = way.total - max(0, way.left)
    work.after.append(effects.Tell(PastProgress(done, way.total)))


def prepare(desk: Desk, work: Work, id: str) -> int:
    """Everything up to now is to be told to this device; how many messages that are, or how much
    room their places need, whichever is more."""
    contacts = [cid for (cid,) in rows(work.db, _TOLD + " ORDER BY active DESC, id")]
    (last,) = row(work.db, "SELECT coalesce(max(id), 0) FROM message")
    (total,) = row(
        work.db,
        f"SELECT count(*) FROM message WHERE kind IN ('text', 'file') AND contact IN ({_TOLD})",
    )
    way = _Way(contacts, 0, last, total, total, [])
    desk.put(work, PAST + id, msgspec.msgpack.encode(way))
    return int(total)


def expect(desk: Desk, work: Work, id: str, said: sync.Welcome) -> None:
    """The other side will tell so much: what comes meanwhile stands behind it."""
    work.db.execute("DELETE FROM sqlite_sequence WHERE name = 'message'")
    work.db.execute("INSERT INTO sqlite_sequence VALUES ('message', ?)", (said.room,))
    _keep(desk, work, id, _Way([], 0, said.room, said.total, said.total, []))


def room(desk: Desk, work: Work, id: str) -> int:
    """The last place of what is told."""
    way = _way(desk, work, id)
    return 0 if way is None else way.last


def go_on(desk: Desk, work: Work, id: str) -> None:
    """Send pages while few are on their way."""
    way = _way(desk, work, id)
    if way is None or not (way.contacts or way.pages):
        return
    acked = desk.session(work, id).acked
    way.pages = [seq for seq in way.pages if seq > acked]
    while len(way.pages) < ON_THE_WAY and way.contacts:
        _page(desk, work, id, way)
    _keep(desk, work, id, way)


def _page(desk: Desk, work: Work, id: str, way: _Way) -> None:
    """One page, of one conversation; or that there is no more of it."""
    lines: list[sync.Line] = []
    size, cid = 0, way.contacts[0]
    found = rows(
        work.db,
        _LINES + " AND contact = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
        cid,
        way.upto,
        way.last,
        sync.MAX_PAGE,
    )
    for one in found:
        line = _line(work, one)
        weight = len(msgspec.msgpack.encode(line))
        if lines and size + weight > BYTES:
            break
        size += weight
        lines.append(line)
        way.upto = one[0]
    who = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
    if len(lines) == len(found) < sync.MAX_PAGE or who is None:
        way.contacts, way.upto = way.contacts[1:], 0
    if lines and who is not None:
        way.left = max(0, way.left - len(lines)) if way.contacts else 0
        desk.say_own(work, sync.Past(who[0], tuple(lines), way.left), id)
        way.pages.append(desk.session(work, id).sent)


def _line(work: Work, found: tuple[Any, ...]) -> sync.Line:
    id, _, mine, mid, kind, text, at, received, state, edited, deleted, seen = found[:12]
    timer, expires, reply, reply_mine, author, reply_author, remover, place = found[12:]
    file = b""
    if kind == "file" and row(work.db, "SELECT 1 FROM file WHERE message = ?", id):
        file = content.encode(rehousing.said(work, id))
    return sync.Line(
        bool(mine),
        mid,
        kind,
        _cut(text),
        at,
        received,
        state,
        edited,
        bool(deleted),
        bool(seen),
        timer,
        expires,
        reply or b"",
        bool(reply_mine),
        tuple(
            sync.Emoji(bool(m), emoji, when, by)
            for m, emoji, when, by in rows(
                work.db,
                "SELECT mine, emoji, at, author FROM reaction WHERE message = ?"
                " ORDER BY mine DESC, at LIMIT ?",
                id,
                sync.MAX_REACTIONS,
            )
        ),
        file,
        id,
        author,
        reply_author,
        remover,
        place if place != id else 0,
    )


def _cut(text: str) -> str:
    data = text.encode()
    return text if len(data) <= LONGEST else data[:LONGEST].decode(errors="ignore") + "…"


def told(desk: Desk, work: Work, id: str, said: sync.Past) -> None:
    """A page came: what is not here yet is put in."""
    way = _way(desk, work, id)
    found = row(
        work.db,
        "SELECT id, kind = 'group' FROM contact WHERE root = ? AND kind IN ('person', 'group')",
        said.root,
    )
    if way is None or way.contacts:
        return
    if found is not None:
        (cursor,) = row(
            work.db, "SELECT coalesce((SELECT value FROM meta WHERE name = 'cursor'), 0)"
        )
        for number, line in enumerate(said.lines, cursor + 1):
            if 0 < line.place <= way.last and _fits(line, bool(found[1])):
                _put(desk, work, found[0], line, number)
        desk.put(work, "cursor", cursor + len(said.lines))
        desk.touch_contact(work, found[0])
    way.left = said.left
    _keep(desk, work, id, way)


def _fits(line: sync.Line, group: bool) -> bool:
    """In a group what others said has an author, and between two nothing has."""
    others = [(line.mine, line.author), *((one.mine, one.author) for one in line.reactions)]
    return all(len(author) == (0 if mine or not group else 32) for mine, author in others)


def _put(desk: Desk, work: Work, cid: str, line: sync.Line, cursor: int) -> None:
    state = line.state
    if state not in ("sent", "delivered", "read", "received", "unsent"):
        state = "sent" if line.mine else "received"
    kind = "file" if line.kind == "file" else "text"
    if row(
        work.db,
        "SELECT 1 FROM message WHERE contact = ? AND mine = ? AND author = ? AND mid = ?",
        cid,
        line.mine,
        line.author,
        line.mid,
    ):
        return
    name = names.clean_file(line.text) if kind == "file" else names.clean_text(line.text)
    work.db.execute(
        "INSERT OR IGNORE INTO message (id, contact, cursor, mine, mid, kind, text, at, received,"
        " edited, deleted, reply_mid, reply_mine, state, seen, timer, expires, author,"
        " reply_author, remover, place)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            line.place,
            cid,
            cursor,
            line.mine,
            line.mid,
            kind,
            name,
            line.at,
            line.received,
            line.edited,
            line.deleted,
            line.reply or None,
            line.reply_mine if line.reply else None,
            state,
            line.mine or line.seen,
            line.timer,
            line.expires,
            line.author,
            line.reply_author,
            line.remover,
            line.order,
        ),
    )
    if not work.db.changes():
        return
    if line.expires:
        work.after.append(effects.Expire(line.expires))
    for one in line.reactions:
        work.db.execute(
            "INSERT OR IGNORE INTO reaction (message, mine, author, emoji, at)"
            " VALUES (?, ?, ?, ?, ?)",
            (line.place, one.mine, one.author, names.clean_emoji(one.emoji), one.at),
        )
    if line.file and not line.deleted:
        _file(desk, work, cid, line)


def _file(desk: Desk, work: Work, cid: str, line: sync.Line) -> None:
    """What was said of a file; its bytes can be asked for while a relay has them."""
    try:
        said = content.decode(line.file)
    except content.Malformed:
        return
    if isinstance(said, content.File) and files.is_file(said):
        files.attach(desk, work, cid, line.place, said, "offered")
