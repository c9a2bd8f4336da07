"""Jobs of what comes from a contact: records, contents, what relays say of ours."""

from __future__ import annotations

from typing import Final

from holdfast.core.chat import content, names
from holdfast.core.seal import renewal
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import Opened, Pairwise
from holdfast.node import (
    answering,
    comparing,
    devices,
    effects,
    files,
    franks,
    group_devices,
    group_keys,
    group_talk,
    history,
    homes,
    inviting,
    linking,
    renewing,
    requests,
    syncing,
    taking,
    talking,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.taking import Arrived

SILENT: Final = ("blocked", "frozen", "used", "restored", "unlinked", "meeting")
"""States in which nothing is said to a contact."""
MAX_RESEND: Final = 500
"""Records that one request to send again brings; the peer asks on for the rest."""


def received(desk: Desk, work: Work, cid: str, came: Arrived) -> None:
    """A record came into a contact's inbox at one of its homes."""
    found = row(work.db, "SELECT state, inbox, kind, belongs FROM contact WHERE id = ?", cid)
    if found is None or found[0] in ("blocked", "unlinked", "removed"):
        return
    if found[3] and row(
        work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'blocked'", found[3]
    ):
        return
    if came.blob[:1] == renewal.KIND:
        renewing.heard(desk, work, cid, came.locator, came.blob)
    inbox = unpack_inbox(found[1])
    if inbox.caps.locator != came.locator or found[0] == "restored":
        return
    session = desk.session(work, cid)
    before, listed = session.received, session.peer_list
    try:
        opened = session.open(came.blob, work.now)
    except Unopenable:
        opened = Opened()
    changed = session.received != before or bool(session.frozen)
    if changed:
        _awake(desk, work, cid, found[0], session)
        _acknowledged(desk, work, cid, opened.acked)
        if found[2] == "own" and found[0] == "joining":
            linking.connected(desk, work, cid)
        for message in opened.messages:
            if found[2] == "own":
                _take_own(desk, work, cid, message.content)
            else:
                _take(desk, work, cid, message.content, came, found[3])
        if not _reads(work, cid, inbox.caps.locator):
            return  # what came has ended it
        _send_again(desk, work, cid, opened.resend)
        desk.keep(work, cid, session)
        if found[2] == "own":
            history.go_on(desk, work, cid)
        if session.peer_list != listed:
            devices.learned(desk, work, cid)
            if not _reads(work, cid, inbox.caps.locator):
                return  # it is over, or its session stands for the conversation now
    _advance(desk, work, inbox.caps.locator, came.home, came.seq)
    if session.gap is None:
        _settle(desk, work, cid)
    else:
        work.after.append(effects.Missing(cid))


def _reads(work: Work, cid: str, locator: bytes) -> bool:
    """Whether this is the inbox of this row still."""
    found = row(work.db, "SELECT inbox FROM contact WHERE id = ?", cid)
    return found is not None and unpack_inbox(found[0]).caps.locator == locator


def _advance(desk: Desk, work: Work, locator: bytes, home: str, seq: int) -> None:
    """Remember in memory how far was read; the job's failure takes it back."""
    place = (locator, home)
    before = desk.seen.get(place, 0)
    if seq > before:
        desk.seen[place] = seq
        work.undo.append(lambda: desk.seen.update({place: before}))


def _settle(desk: Desk, work: Work, cid: str) -> None:
    """Nothing is missing: what was read at each home need not be kept there."""
    (stored,) = row(work.db, "SELECT inbox FROM contact WHERE id = ?", cid)
    inbox = unpack_inbox(stored)
    for home in inbox.homes:
        seq = desk.seen.get((inbox.caps.locator, str(home)), 0)
        if seq and seq != desk.position(work, inbox.caps.locator, str(home)):
            work.db.execute(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                (inbox.caps.locator, str(home), seq),
            )
            work.after.append(effects.Trim(inbox.caps, home, seq))


def _awake(desk: Desk, work: Work, cid: str, state: str, session: Pairwise) -> None:
    """Their first answer makes a contact active; a broken session freezes it."""
    new = state
    if session.frozen:
        new = "frozen"
    elif session.received and state in ("joining", "used"):
        new = "active"
    if new == state or (session.frozen == "removed" and _has_another(work, cid)):
        return
    work.db.execute("UPDATE contact SET state = ? WHERE id = ?", (new, cid))
    if new == "active":
        work.db.execute("UPDATE contact SET accept = NULL WHERE id = ?", (cid,))
        group_keys.come_back(desk, work, cid)
    else:
        work.db.execute("UPDATE contact SET verified = NULL, direct = 0 WHERE id = ?", (cid,))
        desk.note(work, cid, "key-changed")
    desk.touch_contact(work, cid)


def _has_another(work: Work, cid: str) -> bool:
    """Whether a contact has another device that can take the place of a removed one."""
    other = "SELECT 1 FROM contact WHERE belongs = ? AND state IN ('active', 'joining')"
    return row(work.db, other, cid) is not None


def _acknowledged(desk: Desk, work: Work, cid: str, upto: int) -> None:
    """The contact has everything of ours up to here: nothing of it is kept to be sent."""
    work.db.execute("DELETE FROM outgoing WHERE contact = ? AND seq <= ?", (cid, upto))
    work.db.execute("DELETE FROM unsent WHERE contact = ? AND seq <= ?", (cid, upto))
    homes.acknowledged(desk, work, cid, upto)
    _mark(
        desk,
        work,
        cid,
        "delivered",
        rows(
            work.db,
            "SELECT id FROM message WHERE contact = ? AND seq <= ?"
            " AND state IN ('waiting', 'sent') ORDER BY id",
            cid,
            upto,
        ),
    )


def _mark(desk: Desk, work: Work, cid: str, state: str, found: list[tuple[int]]) -> None:
    for (id,) in found:
        work.db.execute("UPDATE message SET state = ? WHERE id = ?", (state, id))
        desk.touch_message(work, id)
    if found:
        desk.touch_contact(work, cid)


def _send_again(desk: Desk, work: Work, cid: str, ranges: tuple[tuple[int, int], ...]) -> None:
    """Append the very same bytes again, at every home."""
    if not ranges:
        return
    (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", cid)
    inbox = unpack_inbox(stored)
    for first, last in ranges:
        for seq, rid, blob in rows(
            work.db,
            "SELECT seq, rid, blob FROM outgoing WHERE contact = ? AND seq BETWEEN ? AND ?"
            " ORDER BY seq LIMIT ?",
            cid,
            first,
            last,
            MAX_RESEND,
        ):
            desk.send_to_homes(work, cid, inbox, seq, rid, blob)


def caught_up(desk: Desk, work: Work, cid: str) -> None:
    """Every home's stored records were read: what is missing now is asked for."""
    if _is_silent(work, cid):
        return
    session = desk.session(work, cid)
    session.caught_up(work.now)
    work.after.append(effects.Due(cid, session.due(desk.receipts(work, cid))))


def control(desk: Desk, work: Work, cid: str) -> None:
    """The session wants a turn: acknowledge, change keys, ask for what is missing."""
    if _is_silent(work, cid):
        return
    session = desk.session(work, cid)
    due = session.due(desk.receipts(work, cid))
    if due is None or due > work.now:
        work.after.append(effects.Due(cid, due))
        return
    desk.post(work, cid, session, session.control(work.now, desk.entropy))


def _is_silent(work: Work, cid: str) -> bool:
    found = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    return found is None or found[0] in SILENT


# What relays say of ours.


def appended(desk: Desk, work: Work, rid: bytes, home: str) -> None:
    """A relay has this record on its disk."""
    work.db.execute("DELETE FROM unsent WHERE rid = ? AND home = ?", (rid, home))
    found = row(work.db, "SELECT contact, seq FROM outgoing WHERE rid = ?", rid)
    if found is None:
        if (made := inviting.published(desk, work, rid)) is not None:
            renewing.published(desk, work, made)
            linking.published(desk, work, made)
        renewing.appended(desk, work, rid, home)
        answering.is_there(desk, work, rid)
        return
    cid, seq = found
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND kind IN ('group', 'channel')", cid):
        # Nobody acknowledges what is said to many: it is kept until every home has it.
        if not row(work.db, "SELECT 1 FROM unsent WHERE rid = ?", rid):
            work.db.execute("DELETE FROM outgoing WHERE rid = ?", (rid,))
    else:
        homes.appended(desk, work, cid, home)
    waiting = "SELECT id FROM message WHERE contact = ? AND seq = ? AND state = 'waiting'"
    _mark(desk, work, cid, "sent", rows(work.db, waiting, cid, seq))


def handed(desk: Desk, work: Work, rid: bytes) -> None:
    """The contact has this record, by no relay; its own word of that is still to come."""
    found = row(work.db, "SELECT contact, seq FROM outgoing WHERE rid = ?", rid)
    if found is not None:
        waiting = "SELECT id FROM message WHERE contact = ? AND seq = ? AND state = 'waiting'"
        _mark(desk, work, found[0], "sent", rows(work.db, waiting, *found))


# Contents.


def _take_own(desk: Desk, work: Work, id: str, data: bytes) -> None:
    """Another device of this person's speaks, or one that is being linked."""
    try:
        said = content.decode(data)
    except content.Malformed:
        return
    match said:
        case content.Verify():
            linking.step(desk, work, id, said.step)
        case content.Moved():
            homes.moved(desk, work, id, said)
        case content.Unknown():
            syncing.take(desk, work, id, data)


def take(desk: Desk, work: Work, cid: str, data: bytes) -> None:
    """What a contact said, as another device of this person's heard it."""
    _take(desk, work, cid, data, None)


def _take(
    desk: Desk, work: Work, cid: str, data: bytes, came: Arrived | None, belongs: str = ""
) -> None:
    """One content. What does not fit what is known here changes nothing. `belongs`: it came from a
    further device of this contact. `came`: with this record, if it is no copy."""
    try:
        said = content.decode(data)
    except content.Malformed:
        return
    device, cid = cid, belongs or cid
    if isinstance(said, content.Moved):
        homes.moved(desk, work, device, said)
        return
    if not requests.has_effect(desk, work, cid, said):
        return
    proof = franks.proved(desk, work, cid, device, said)
    if proof is None:
        return
    devices.pass_on(desk, work, cid, said, data)
    if taking.change(desk, work, cid, b"", said, came.outage if came else None):
        franks.keep(work, cid, said, proof)
        return
    match said:
        case content.Read():
            _read(desk, work, cid, said)
        case content.SetTimer():
            talking.timed(desk, work, cid, said.seconds)
        case content.Profile():
            _renamed(desk, work, cid, names.clean(said.name))
        case content.Got():
            files.theirs_now(desk, work, cid, said.mid)
        case content.Device():
            devices.led(desk, work, cid, said)
        case content.Spare():
            homes.learnt(desk, work, cid, said)
        case content.Ring() | content.Answer() | content.Burst() | content.Places():
            live = came is not None and came.live
            work.after.append(effects.Heard(device, said, live))
        case content.Verify() if not belongs:
            comparing.step(desk, work, cid, said.step)
        case (
            content.GroupEntries()
            | content.GroupKey()
            | content.GroupAsk()
            | content.GroupHistory()
        ):
            known = group_keys.by_name(desk, work, said.group)
            group = group_talk.from_contact(desk, work, cid, said)
            if group is not None and known is None:
                group_devices.share(desk, work, group)


def _read(desk: Desk, work: Work, cid: str, said: content.Read) -> None:
    upto = taking.find(work, cid, said.mid, True)
    if upto is None:
        return
    at = min(said.at, work.now)
    found = rows(
        work.db,
        "UPDATE message SET state = 'read', read_at = ? WHERE contact = ? AND id <= ? AND mine"
        " AND kind <> 'note' AND state IN ('waiting', 'sent', 'delivered') RETURNING id",
        at,
        cid,
        upto,
    )
    desk.touch_message(work, *sorted(id for (id,) in found))
    if found:
        desk.touch_contact(work, cid)


def _renamed(desk: Desk, work: Work, cid: str, name: str) -> None:
    (own_name,) = row(work.db, "SELECT own_name FROM contact WHERE id = ?", cid)
    if name and name != own_name:
        work.db.execute("UPDATE contact SET own_name = ? WHERE id = ?", (name, cid))
        desk.note(work, cid, "renamed", text=name)
        desk.touch_contact(work, cid)
