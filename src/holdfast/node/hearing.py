"""Jobs of what arrives: records of an inbox, acknowledgements, and turns of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.core.chat import content, names
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import CannotSend, Opened, Pairwise
from holdfast.node import effects, inviting, talking, verifying
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work

FROZEN_NOTES: Final = {
    "rollback": "lost",
    "fork": "key-changed",
    "removed": "key-changed",
}


@dataclass
class Outage:
    """A time without any relay, while what was stored meanwhile is being read."""

    since: int
    until: int


def received(
    desk: Desk,
    work: Work,
    cid: str,
    home: str,
    seq: int,
    blob: bytes,
    outage: Outage | None,
) -> None:
    """A record came from an inbox at a home."""
    found = row(work.db, "SELECT state, inbox FROM contact WHERE id = ?", cid)
    if found is None or found[0] == "blocked":
        return
    state, inbox = found[0], unpack_inbox(found[1])
    place = (inbox.caps.locator, home)
    desk.seen[place] = max(seq, desk.seen.get(place, 0))
    session = desk.session(work, cid)
    before = session.received, session.acked, session.frozen
    try:
        opened = session.open(blob, work.now)
    except Unopenable:
        opened = (
            Opened()
        )  # whoever wrote it, it is not the contact: passed over, and trimmed
    else:
        if state == "joining" and session.received > 0:
            work.db.execute(
                "UPDATE contact SET state = 'active', accept = NULL WHERE id = ?",
                (cid,),
            )
            desk.touch_contact(work, cid)
    if (session.received, session.acked, session.frozen) != before or opened.messages:
        desk.keep(work, cid, session)
    _acknowledged(desk, work, cid, session.acked)
    for first, last in opened.resend:
        resend(desk, work, cid, first, last)
    for message in opened.messages:
        _content(desk, work, cid, message.content, outage)
    if session.frozen and session.frozen != before[2]:
        work.db.execute("UPDATE contact SET state = 'frozen' WHERE id = ?", (cid,))
        desk.note(work, cid, FROZEN_NOTES[session.frozen])
        desk.touch_contact(work, cid)
    _advance(desk, work, session, inbox.caps.locator, found[1])


def _advance(
    desk: Desk, work: Work, session: Pairwise, locator: bytes, stored: bytes
) -> None:
    """Remember how far was read, unless records are held back that only memory has."""
    if session.gap is not None:
        return
    inbox = unpack_inbox(stored)
    for home in inbox.homes:
        seen = desk.seen.get((locator, str(home)), 0)
        if seen > desk.position(work, locator, str(home)):
            work.db.execute(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                (locator, str(home), seen),
            )
            work.after.append(effects.Trim(inbox.caps, home, seen))


def _acknowledged(desk: Desk, work: Work, cid: str, upto: int) -> None:
    """The peer has our records up to here: they need not be kept."""
    if row(
        work.db,
        "SELECT 1 FROM outgoing WHERE contact = ? AND seq <= ? LIMIT 1",
        cid,
        upto,
    ):
        work.db.execute(
            "DELETE FROM outgoing WHERE contact = ? AND seq <= ?", (cid, upto)
        )
        work.db.execute(
            "DELETE FROM unsent WHERE contact = ? AND seq <= ?", (cid, upto)
        )
    delivered = rows(
        work.db,
        "UPDATE message SET state = 'delivered' WHERE contact = ? AND seq <= ?"
        " AND state IN ('waiting', 'sent') AND mine RETURNING id",
        cid,
        upto,
    )
    desk.touch_message(work, *sorted(id for (id,) in delivered))


def resend(desk: Desk, work: Work, cid: str, first: int, last: int) -> None:
    """The peer lacks these: the very same bytes go out again, under a new record id, so
    that no home takes them for what it has already handed on."""
    (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", cid)
    inbox = unpack_inbox(stored)
    for seq, blob in rows(
        work.db,
        "SELECT seq, blob FROM outgoing WHERE contact = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        cid,
        first,
        last,
    ):
        rid = desk.entropy(16)
        work.db.execute(
            "UPDATE outgoing SET rid = ? WHERE contact = ? AND seq = ?", (rid, cid, seq)
        )
        work.db.execute("DELETE FROM unsent WHERE contact = ? AND seq = ?", (cid, seq))
        desk.send_to_homes(work, cid, inbox, seq, rid, blob)


def appended(desk: Desk, work: Work, rid: bytes, home: str) -> None:
    """A home has a record of ours on its disk."""
    found = row(work.db, "SELECT contact, seq FROM outgoing WHERE rid = ?", rid)
    if found is None:
        inviting.published(desk, work, rid)
        inviting.answer_is_there(desk, work, rid)
        return
    cid, seq = found
    work.db.execute("DELETE FROM unsent WHERE rid = ? AND home = ?", (rid, home))
    sent = rows(
        work.db,
        "UPDATE message SET state = 'sent' WHERE contact = ? AND seq = ? AND state = 'waiting'"
        " RETURNING id",
        cid,
        seq,
    )
    desk.touch_message(work, *(id for (id,) in sent))


def caught_up(desk: Desk, work: Work, cid: str) -> None:
    """Everything stored was read: what is still missing gets asked for."""
    if row(work.db, "SELECT 1 FROM contact WHERE id = ?", cid) is None:
        return
    session = desk.session(work, cid)
    session.caught_up(work.now)
    receipts = desk.settings(work).delivery_receipts
    work.after.append(effects.Due(cid, session.due(receipts)))


def turn(desk: Desk, work: Work, cid: str) -> None:
    """The session wanted a turn now: acknowledgement, new keys, a request to resend."""
    found = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if found is None or found[0] in ("blocked", "used"):
        return
    session = desk.session(work, cid)
    due = session.due(desk.settings(work).delivery_receipts)
    if due is None:
        return
    if due > work.now:
        work.after.append(effects.Due(cid, due))
        return
    try:
        outgoing = session.control(work.now, desk.entropy)
    except CannotSend:
        return
    desk.post(work, cid, session, outgoing)


# Contents.


def _content(
    desk: Desk, work: Work, cid: str, data: bytes, outage: Outage | None
) -> None:
    try:
        said = content.decode(data)
    except content.Malformed:
        return
    match said:
        case content.Text():
            _text(desk, work, cid, said, outage)
        case content.Edit():
            found = _theirs(work, cid, said.mid)
            if found is not None:
                at = min(said.at, work.now)
                work.db.execute(
                    "UPDATE message SET text = ?, edited = ? WHERE id = ?",
                    (said.text, at, found),
                )
                desk.touch_message(work, found)
        case content.Delete():
            found = _theirs(work, cid, said.mid)
            if found is not None:
                talking.wipe(work, found)
                desk.touch_message(work, found)
                desk.touch_contact(work, cid)
        case content.React():
            _reaction(desk, work, cid, said)
        case content.Read():
            _read(desk, work, cid, said)
        case content.SetTimer():
            work.db.execute(
                "UPDATE contact SET timer = ? WHERE id = ?", (said.seconds, cid)
            )
            desk.note(work, cid, "timer", count=said.seconds)
            desk.touch_contact(work, cid)
        case content.Profile():
            _profile(desk, work, cid, names.clean(said.name))
        case content.Verify():
            verifying.step(desk, work, cid, said.step)
        case content.Unknown():
            pass  # of a newer program; there is nothing here that could show it


def _text(
    desk: Desk, work: Work, cid: str, said: content.Text, outage: Outage | None
) -> None:
    if row(
        work.db,
        "SELECT 1 FROM message WHERE contact = ? AND mine = 0 AND mid = ?",
        cid,
        said.mid,
    ):
        return  # said again for a new session
    at = min(said.at, work.now)
    if outage is not None and outage.since <= at:
        _gap(desk, work, cid, outage)
    reply = said.reply
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, text, at, received, reply_mid,"
        " reply_mine, state, timer) VALUES (?, 0, 0, ?, 'text', ?, ?, ?, ?, ?, 'received', ?)",
        (
            cid,
            said.mid,
            said.text,
            at,
            work.now,
            reply.mid if reply else None,
            None if reply is None else int(not reply.mine),
            said.timer,
        ),
    )
    id = work.db.last_insert_rowid()
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)


def _gap(desk: Desk, work: Work, cid: str, outage: Outage) -> None:
    """One more message that came after the network was away."""
    found = row(
        work.db,
        "UPDATE message SET count = count + 1 WHERE contact = ? AND note = 'gap' AND at = ?"
        " RETURNING id",
        cid,
        outage.since,
    )
    if found is None:
        desk.note(work, cid, "gap", at=outage.since, until=outage.until, count=1)
    else:
        desk.touch_message(work, found[0])


def _theirs(work: Work, cid: str, mid: bytes) -> int | None:
    """A message that the contact wrote and did not take back; nobody else may change it."""
    found = row(
        work.db,
        "SELECT id FROM message WHERE contact = ? AND mine = 0 AND mid = ? AND kind = 'text'"
        " AND NOT deleted",
        cid,
        mid,
    )
    return None if found is None else int(found[0])


def _reaction(desk: Desk, work: Work, cid: str, said: content.React) -> None:
    found = row(
        work.db,
        "SELECT id FROM message WHERE contact = ? AND mine = ? AND mid = ? AND kind = 'text'"
        " AND NOT deleted",
        cid,
        int(not said.ref.mine),
        said.ref.mid,
    )
    if found is not None:
        emoji = names.clean(said.emoji)[:32]
        talking.set_reaction(work, found[0], False, emoji, min(said.at, work.now))
        desk.touch_message(work, found[0])


def _read(desk: Desk, work: Work, cid: str, said: content.Read) -> None:
    found = row(
        work.db,
        "SELECT id FROM message WHERE contact = ? AND mine = 1 AND mid = ?",
        cid,
        said.mid,
    )
    if found is None:
        return
    changed = rows(
        work.db,
        "UPDATE message SET state = 'read', read_at = ? WHERE contact = ? AND mine AND id <= ?"
        " AND state IN ('waiting', 'sent', 'delivered') AND kind = 'text' RETURNING id",
        min(said.at, work.now),
        cid,
        found[0],
    )
    desk.touch_message(work, *sorted(id for (id,) in changed))


def _profile(desk: Desk, work: Work, cid: str, name: str) -> None:
    (before,) = row(work.db, "SELECT own_name FROM contact WHERE id = ?", cid)
    if name and name != before:
        work.db.execute("UPDATE contact SET own_name = ? WHERE id = ?", (name, cid))
        desk.note(work, cid, "renamed", text=name)
        desk.touch_contact(work, cid)
