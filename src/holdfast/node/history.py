"""Jobs of handing the past over to a new device: pages through the devices' own session.

A page is a record like any other: it is sealed, sent again until it was taken, and follows once
the ones before were acknowledged, so that neither a crash nor a lost relay leaves a hole.
Source: spec/devices.md, "The past".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.core.chat import content, sync
from holdfast.node import effects, rehousing
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import PastProgress

PAST: Final = "past/"
"""What `meta` calls how far a device was told, and how far this one was."""
ON_THE_WAY: Final = 8
"""Pages that are not acknowledged yet."""
BYTES: Final = 48_000
"""Of a page, about."""
_LINES: Final = (
    "SELECT m.id, m.contact, m.mine, m.mid, m.kind, m.text, m.at, m.received, m.state, m.edited,"
    " m.deleted, m.seen, m.timer, m.expires, m.reply_mid, m.reply_mine"
    " FROM message m JOIN contact c ON c.id = m.contact"
    " WHERE c.kind = 'person' AND NOT c.echo AND m.kind IN ('text', 'file')"
)


class _Way(msgspec.Struct):
    upto: int
    last: int
    left: int
    total: int
    pages: list[int]


def _way(desk: Desk, work: Work, id: str) -> _Way | None:
    stored = desk.get(work, PAST + id)
    return None if stored is None else msgspec.msgpack.decode(stored, type=_Way)


def _keep(desk: Desk, work: Work, id: str, way: _Way) -> None:
    if way.left <= 0 and not way.pages:
        work.db.execute("DELETE FROM meta WHERE name = ?", (PAST + id,))
    else:
        desk.put(work, PAST + id, msgspec.msgpack.encode(way))
    done = way.total - max(0, way.left)
    work.after.append(effects.Tell(PastProgress(done, way.total)))


def prepare(desk: Desk, work: Work, id: str) -> int:
    """Everything up to now is to be told to this device; how many messages that are."""
    total, last = row(work.db, "SELECT count(*), coalesce(max(id), 0) FROM (" + _LINES + ")")
    desk.put(work, PAST + id, msgspec.msgpack.encode(_Way(0, last, total, total, [])))
    return int(total)


def expect(desk: Desk, work: Work, id: str, total: int) -> None:
    """The other side will tell so much."""
    _keep(desk, work, id, _Way(0, 0, total, total, []))


def go_on(desk: Desk, work: Work, id: str) -> None:
    """Send pages while few are on their way."""
    way = _way(desk, work, id)
    if way is None:
        return
    acked = desk.session(work, id).acked
    way.pages = [seq for seq in way.pages if seq > acked]
    while len(way.pages) < ON_THE_WAY and way.upto < way.last:
        _page(desk, work, id, way)
    _keep(desk, work, id, way)


def _page(desk: Desk, work: Work, id: str, way: _Way) -> None:
    """One page, of one conversation."""
    lines: list[sync.Line] = []
    size, cid = 0, ""
    for found in rows(
        work.db,
        _LINES + " AND m.id > ? AND m.id <= ? ORDER BY m.id LIMIT ?",
        way.upto,
        way.last,
        sync.MAX_PAGE,
    ):
        line = _line(work, found)
        weight = len(msgspec.msgpack.encode(line))
        if lines and (size + weight > BYTES or found[1] != cid):
            break
        cid, size = found[1], size + weight
        lines.append(line)
        way.upto = found[0]
    if not lines:
        way.upto, way.left = way.last, 0
        return
    way.left = max(0, way.left - len(lines))
    (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
    desk.say_own(work, sync.Past(root, tuple(lines), way.left), id)
    way.pages.append(desk.session(work, id).sent)


def _line(work: Work, found: tuple[Any, ...]) -> sync.Line:
    id, _, mine, mid, kind, text, at, received, state, edited, deleted, seen = found[:12]
    timer, expires, reply, reply_mine = found[12:]
    file = b""
    if kind == "file" and row(work.db, "SELECT 1 FROM file WHERE message = ?", id):
        file = content.encode(rehousing.said(work, id))
    return sync.Line(
        bool(mine),
        mid,
        kind,
        text,
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
            sync.Emoji(bool(m), emoji, when)
            for m, emoji, when in rows(
                work.db, "SELECT mine, emoji, at FROM reaction WHERE message = ?", id
            )
        ),
        file,
    )


def told(desk: Desk, work: Work, id: str, said: sync.Past) -> None:
    """A page came: what is not here yet is put in."""
    found = row(work.db, "SELECT id FROM contact WHERE root = ? AND kind = 'person'", said.root)
    if found is not None:
        for line in said.lines:
            _put(work, found[0], line)
        desk.touch_contact(work, found[0])
    way = _way(desk, work, id)
    if way is not None:
        way.left = said.left
        _keep(desk, work, id, way)


def _put(work: Work, cid: str, line: sync.Line) -> None:
    state = line.state
    if state not in ("sent", "delivered", "read", "received", "unsent"):
        state = "sent" if line.mine else "received"
    (cursor,) = row(
        work.db,
        "INSERT INTO meta VALUES ('cursor', 1) ON CONFLICT(name)"
        " DO UPDATE SET value = value + 1 RETURNING value",
    )
    kind = "file" if line.kind == "file" else "text"
    work.db.execute(
        "INSERT OR IGNORE INTO message (contact, cursor, mine, mid, kind, text, at, received,"
        " edited, deleted, reply_mid, reply_mine, state, seen, timer, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            cid,
            cursor,
            line.mine,
            line.mid,
            kind,
            line.text,
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
        ),
    )
    if not work.db.changes():
        return
    message = work.db.last_insert_rowid()
    for one in line.reactions:
        work.db.execute(
            "INSERT OR IGNORE INTO reaction (message, mine, author, emoji, at)"
            " VALUES (?, ?, x'', ?, ?)",
            (message, one.mine, one.emoji, one.at),
        )
