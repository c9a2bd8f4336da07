"""Jobs of an answer to a link: appended once both inboxes are there, kept until the inviter has
replied, and given up where somebody else's was first."""

from __future__ import annotations

from typing import Final

from holdfast.core.caps import Caps, Home
from holdfast.core.seal.invitation import Inbox
from holdfast.node import effects, homes
from holdfast.node.database import row, rows
from holdfast.node.desk import LIFETIME, Desk, pack_inbox, unpack_inbox
from holdfast.node.effects import Follow
from holdfast.node.keeper import Work


def made(desk: Desk, work: Work, locator: bytes, home: str, cid: str = "") -> None:
    """A wanted log exists at a home; `cid`: it is the inbox of this contact."""
    work.db.execute("DELETE FROM wanted WHERE locator = ? AND home = ?", (locator, home))
    for (waits,) in rows(work.db, "SELECT id FROM contact WHERE accept IS NOT NULL"):
        answer(desk, work, waits)
    if cid:
        homes.arrange_one(desk, work, cid)


def answer(desk: Desk, work: Work, cid: str) -> None:
    """Append the answer to the link once both inboxes exist at one home each."""
    inbox, outbox, packed = row(
        work.db, "SELECT inbox, outbox, accept FROM contact WHERE id = ?", cid
    )
    for stored in (inbox, outbox):
        log = unpack_inbox(stored)
        lacking = rows(work.db, "SELECT home FROM wanted WHERE locator = ?", log.caps.locator)
        if len(lacking) >= len(log.homes):
            return
    if _is_there(packed):
        return
    caps, places, record = _unpack(packed)
    for home in places:
        work.after.append(effects.Append(caps, home, _rid(record), record, LIFETIME))


def is_there(desk: Desk, work: Work, rid: bytes) -> None:
    """A relay has this record; if it is an answer, it need not be repeated. It is kept
    until the inviter has replied, so that `look_again` knows where to look."""
    for cid, packed in rows(work.db, "SELECT id, accept FROM contact WHERE accept IS NOT NULL"):
        if _rid(_unpack(packed)[2]) == rid:
            there = bytes([packed[0] | _THERE]) + packed[1:]
            work.db.execute("UPDATE contact SET accept = ? WHERE id = ?", (there, cid))


def look_again(desk: Desk, work: Work) -> None:
    """Who has answered and hears nothing asks whether the accept log still exists: the
    inviter drops it with the first valid answer, and that may have been somebody else's."""
    for cid, packed in rows(
        work.db, "SELECT id, accept FROM contact WHERE accept IS NOT NULL AND state = 'joining'"
    ):
        if _is_there(packed):
            caps, places, _ = _unpack(packed)
            desk.denied.pop(caps.locator, None)
            for home in places:
                work.after.append(effects.Unfollow(caps, home))
                work.after.append(Follow(caps, home, 0, ("answer", cid)))


def refused(desk: Desk, work: Work, locator: bytes, denied_by: str) -> None:
    """The accept log is gone or full at a home; once at all of them, somebody else has used
    the link. If it was our own answer after all, the inviter's reply makes the contact
    active."""
    for cid, packed in rows(
        work.db,
        "SELECT id, accept FROM contact WHERE accept IS NOT NULL AND state = 'joining'",
    ):
        caps, places, _ = _unpack(packed)
        if caps.locator != locator:
            continue
        denied = desk.denied.setdefault(locator, set())
        denied.add(denied_by)
        if denied >= {str(home) for home in places}:
            work.db.execute("UPDATE contact SET state = 'used', accept = NULL WHERE id = ?", (cid,))
            for home in places:
                work.after.append(effects.Unfollow(caps, home))
            desk.touch_contact(work, cid)


_THERE: Final = 0x80
"""Set in a packed answer's first byte, which its length leaves free: a relay has it."""


def _is_there(packed: bytes) -> bool:
    return bool(packed[0] & _THERE)


def pack(caps: Caps, places: tuple[Home, ...], record: bytes) -> bytes:
    """An answer with the log that it goes into, as it is stored."""
    packed = pack_inbox(Inbox(caps, places))
    return len(packed).to_bytes(4, "big") + packed + record


def _unpack(data: bytes) -> tuple[Caps, tuple[Home, ...], bytes]:
    end = 4 + int.from_bytes(bytes([data[0] & ~_THERE]) + data[1:4], "big")
    inbox = unpack_inbox(data[4:end])
    return inbox.caps, inbox.homes, data[end:]


def _rid(record: bytes) -> bytes:
    """Random already, and the same after a restart."""
    return record[-16:]
