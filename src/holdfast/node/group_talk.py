"""Jobs of what is said in a group: out under the present epoch, in under the sender's."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Final

from holdfast.core.chat import content
from holdfast.core.group.entries import Entry
from holdfast.core.group.epochs import Epoch, place
from holdfast.core.group.franking import message_key
from holdfast.core.group.senders import Inbound, Outbound, announced, read, timed, untimed
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.padding import TooLong
from holdfast.node import (
    group_cards,
    group_early,
    group_giving,
    group_keys,
    group_state,
    moderation,
    ordering,
    polls,
    taking,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import LEFT, Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.taking import Arrived, Outage

Said = content.GroupEntries | content.GroupKey | content.GroupAsk | content.GroupHistory
MAX_WAITING: Final = 4_096
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Of records of a group that came before what opens them."""
MAX_TAKEN: Final = 4_096
"""Records of all groups that are known again when another home brings them."""
WAITS: Final = 30 * 86_400_000
LEAVING: Final = 600_000
"""Milliseconds after somebody left before the owner's node renews the key."""
MISSING: Final = 120_000
"""Milliseconds before what is missing between two messages is told of."""
TELL_AGAIN: Final = 60_000
"""Milliseconds between two times that somebody who is behind is told."""


# Out.


def say(desk: Desk, work: Work, cid: str, said: content.Known) -> int:
    """Say something in a group; the number of its record. What has no key to be said under yet
    waits for one. Raises `ApiError`."""
    data = content.encode(said)
    if len(data) > content.MAX_SAID:
        raise ApiError("too-long", "this is too long for one message; split it")
    group = group_state.opened(desk, work, cid)
    if isinstance(said, taking.SLOWED) and group_state.is_too_soon(desk, work, cid, b"", work.now):
        slow = group.view.number("slow")
        raise ApiError("rate", f"members write here once in {slow} seconds; wait a little")
    if not group.view.holds(group.me.root):
        raise ApiError("not-allowed", "you are not in this group any more")
    if group.roster.is_stuck(group.roster.all):
        # Two admins removed people at once: whoever wants to speak renews the key.
        group_keys.renew(desk, work, group)
        group_keys.settle(desk, work, group)
    seq = group_giving.number(work, cid)
    epoch, clock = group.epochs.now(), ordering.tick(work, cid)
    if epoch is None:
        work.db.execute("INSERT INTO group_queue VALUES (?, ?, ?, ?)", (cid, seq, data, clock))
        group_keys.ask(desk, work, group)
        return seq
    _post(desk, work, group, epoch, seq, clock, data)
    return seq


def _post(
    desk: Desk, work: Work, group: Group, epoch: Epoch, seq: int, clock: int, data: bytes
) -> None:
    outbound = Outbound.load(group.keys.outbound) if group.keys.outbound else None
    if outbound is not None and not _goes_on(desk, group, outbound):
        outbound = None
    if outbound is None or not outbound.fits(epoch, work.now):
        # The time, so that a disk that was set back does not count the same again.
        group.keys.counter = max(group.keys.counter + 1, work.now)
        outbound, record = Outbound.begin(
            epoch,
            group.me,
            desk.identity(work).account,
            group.keys.counter,
            work.now,
            desk.entropy,
        )
        desk.begun[group.cid] = outbound.session
        group_giving.post(desk, work, group.cid, record)
    group_giving.post(
        desk, work, group.cid, outbound.seal(epoch, timed(clock, data), desk.entropy), seq
    )
    group.keys.outbound = outbound.dump(desk.entropy)
    group_state.keep(desk, work, group)


def _goes_on(desk: Desk, group: Group, outbound: Outbound) -> bool:
    """Whether this run of the program began the session. An earlier one's may have said more than
    this disk knows, if it was set back: its keys are not used again."""
    return desk.begun.get(group.cid) == outbound.session


def flush(desk: Desk, work: Work, group: Group) -> None:
    """Say what waited for a key."""
    epoch = group.epochs.now()
    if epoch is None or not group.view.holds(group.me.root):
        return
    for seq, data, clock in rows(
        work.db,
        "SELECT seq, content, clock FROM group_queue WHERE contact = ? ORDER BY seq",
        group.cid,
    ):
        _post(desk, work, group, epoch, seq, clock, data)
    work.db.execute("DELETE FROM group_queue WHERE contact = ?", (group.cid,))


# In.


def received(desk: Desk, work: Work, cid: str, came: Arrived) -> None:
    """A record came in a group's log at one of its homes."""
    place = (came.locator, came.home, came.seq)
    work.db.execute("INSERT OR REPLACE INTO position VALUES (?, ?, ?)", place)
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'group'", cid) is None:
        return
    name = hashlib.sha256(cid.encode() + came.blob).digest()
    if name in desk.taken:
        return  # from another home
    group = group_state.opened(desk, work, cid)
    if _open(desk, work, group, came.blob, came.outage):
        _taken(desk, work, name)
        return
    many, size = row(
        work.db,
        "SELECT count(*), coalesce(sum(length(blob)), 0) FROM group_waiting WHERE contact = ?",
        cid,
    )
    if many < MAX_WAITING and size < MAX_WAITING_BYTES:
        work.db.execute(
            "INSERT OR IGNORE INTO group_waiting VALUES (?, ?, ?, ?)",
            (cid, came.rid, came.blob, work.now),
        )


def _taken(desk: Desk, work: Work, name: bytes) -> None:
    if len(desk.taken) >= MAX_TAKEN:
        del desk.taken[next(iter(desk.taken))]
    desk.taken[name] = None
    work.undo.append(lambda: desk.taken.pop(name, None))


def _open(desk: Desk, work: Work, group: Group, blob: bytes, outage: Outage | None) -> bool:
    """Take a record; False if what opens it may still come."""
    try:
        kind, id = place(blob)
        epoch = group.epochs.by_id(id)
        if epoch is None:
            group_keys.ask(desk, work, group)
            return False
        kind, plain = epoch.open(blob)
        if kind == "sender":
            _announced(desk, work, group, epoch, plain)
        elif kind == "message":
            return _message(desk, work, group, epoch, plain, outage)
        elif kind == "card":
            group_cards.take(work, group, plain)
        elif kind == "keys":
            took = group_keys.wrapped_came(desk, work, group, plain)
            if took:
                after(desk, work, group)
            return took is not None
        elif kind == "report":
            moderation.came(desk, work, group, plain)
        elif kind == "ask":
            group_keys.asked_in_log(desk, work, group, epoch, plain)
        elif kind == "entries" and group_keys.take(
            desk, work, group, group_keys.read_entries(plain)
        ):
            after(desk, work, group)
    except Unopenable:
        pass
    return True


def _announced(desk: Desk, work: Work, group: Group, epoch: Epoch, plain: bytes) -> None:
    inbound = announced(epoch, plain, group.epochs.view(epoch))
    state = inbound.state
    known = row(
        work.db,
        "SELECT 1 FROM group_sender WHERE contact = ? AND device = ?"
        " AND (session = ? OR count = ?)",
        group.cid,
        state.device,
        state.session,
        state.counter,
    )
    if known is not None:
        return
    work.db.execute(
        "INSERT INTO group_sender (contact, device, session, count, root, epoch, state, counter,"
        " at) VALUES (?, ?, ?, ?, ?, ?, x'', 0, ?)",
        (
            group.cid,
            state.device,
            state.session,
            state.counter,
            state.root,
            state.epoch,
            work.now,
        ),
    )
    if state.device == group.me.device:
        group.keys.counter = max(group.keys.counter, state.counter)
        group_state.keep(desk, work, group)
        retry(desk, work, group)
        return
    _keep_sender(desk, work, group.cid, inbound)
    work.db.execute(
        "UPDATE group_sender SET statement = ?, signature = ?"
        " WHERE contact = ? AND device = ? AND session = ?",
        (*inbound.statement, group.cid, state.device, state.session),
    )
    retry(desk, work, group)


def _keep_sender(desk: Desk, work: Work, cid: str, inbound: Inbound) -> None:
    device, session = inbound.state.device, inbound.state.session
    (counter,) = row(
        work.db,
        "UPDATE group_sender SET counter = counter + 1"
        " WHERE contact = ? AND device = ? AND session = ? RETURNING counter",
        cid,
        device,
        session,
    )
    name = cid.encode() + device + session
    wrapped = desk.rows.wrap("group_sender", name, counter, inbound.dump(), desk.entropy)
    work.db.execute(
        "UPDATE group_sender SET state = ?, gap = ?,"
        " gap_since = iif(gap = 0 OR ? = 0, ?, gap_since)"
        " WHERE contact = ? AND device = ? AND session = ?",
        (wrapped, inbound.missing, inbound.missing, work.now, cid, device, session),
    )


def heard(desk: Desk, work: Work, cid: str, session: bytes) -> int:
    """The index behind the last message of a session that was opened here."""
    states = [inbound.state for inbound in senders(desk, work, cid, session)]
    return max((state.ahead[-1] + 1 if state.ahead else state.base for state in states), default=0)


def senders(desk: Desk, work: Work, cid: str, session: bytes) -> list[Inbound]:
    """Sessions of this name that devices have announced: one, unless somebody claims another's."""
    return [
        Inbound.load(
            desk.rows.unwrap("group_sender", cid.encode() + device + session, counter, state)
        )
        for device, state, counter in rows(
            work.db,
            "SELECT device, state, counter FROM group_sender WHERE contact = ? AND session = ?"
            " AND state <> x'' ORDER BY device",
            cid,
            session,
        )
    ]


def _message(
    desk: Desk, work: Work, group: Group, epoch: Epoch, plain: bytes, outage: Outage | None
) -> bool:
    session, message = read(plain)
    outbound = Outbound.load(group.keys.outbound) if group.keys.outbound else None
    if outbound is not None and outbound.session == session:
        if message.message_index() >= outbound.sent:
            # More than this node knows to have said: it was set back, or there is a copy of it.
            group.keys.outbound = b""
            group_state.keep(desk, work, group)
        return True
    mine = "SELECT 1 FROM group_sender WHERE contact = ? AND device = ? AND session = ?"
    if row(work.db, mine, group.cid, group.me.device, session):
        return True
    found = senders(desk, work, group.cid, session)
    if not found:
        return False
    for inbound in found:
        if inbound.state.epoch != epoch.id:
            continue
        index = message.message_index()
        try:
            exported = inbound.exported(index)
            clock, data = untimed(inbound.open(message))
        except Unopenable:
            continue
        _keep_sender(desk, work, group.cid, inbound)
        author = inbound.state.root
        stale = _stale(group, epoch)
        device = inbound.state.device
        if _counts(group, epoch, author, device, session, index, work.now):
            taking.take(desk, work, group, epoch, author, clock, data, outage, stale)
            assert exported is not None
            proof = message_key(exported) + message.to_bytes()
            of = inbound.state.device, session
            moderation.keep(work, group.cid, author, data, of, proof)
        if stale:
            _tell_behind(desk, work, group, epoch)
        break
    return True


def _stale(group: Group, epoch: Epoch) -> bool:
    """Whether somebody was removed that the sender did not know of."""
    past = group.roster.past(epoch.tips)
    effective = group.roster.effective(group.roster.all) & ~past
    return any(entry.removes for entry in _of(group, effective))


def _of(group: Group, known: int) -> list[Entry]:
    return [group.roster.entries[i] for i in group.roster.order(known)]


def _counts(
    group: Group,
    epoch: Epoch,
    author: bytes,
    device: bytes,
    session: bytes,
    index: int,
    now: int,
) -> bool:
    """Whether what a member said under an earlier epoch is still shown: of somebody who was
    removed, what was heard before; of a device that was, nothing; of others, what came within a
    week."""
    view = group.view
    if view.holds(author):
        if not view.has_device(author, device):
            return False
        past = group.roster.past(epoch.tips)
        removals = group.roster.effective(group.roster.all) & ~past
        first = min((entry.body.at for entry in _of(group, removals) if entry.removes), default=now)
        return now - first <= LEFT
    cuts = view.cuts(author)
    return cuts is not None and any(cut.session == session and index < cut.index for cut in cuts)


def _tell_behind(desk: Desk, work: Work, group: Group, epoch: Epoch) -> None:
    """Somebody writes under an old epoch: they are sent the entries they lack, under it."""
    (told,) = row(work.db, "SELECT told FROM groups WHERE contact = ?", group.cid)
    if work.now - told < TELL_AGAIN:
        return
    work.db.execute("UPDATE groups SET told = ? WHERE contact = ?", (work.now, group.cid))
    past = group.roster.past(epoch.tips)
    with contextlib.suppress(TooLong):
        group_giving.publish(desk, work, group, epoch, *_of(group, group.roster.all & ~past))


def retry(desk: Desk, work: Work, group: Group) -> None:
    """Try again what waited."""
    for rid, blob in rows(
        work.db,
        "SELECT rid, blob FROM group_waiting WHERE contact = ? ORDER BY at, rid",
        group.cid,
    ):
        if row(
            work.db,
            "DELETE FROM group_waiting WHERE contact = ? AND rid = ? RETURNING 1",
            group.cid,
            rid,
        ) and not _open(desk, work, group, blob, None):
            work.db.execute(
                "INSERT OR IGNORE INTO group_waiting VALUES (?, ?, ?, ?)",
                (group.cid, rid, blob, work.now),
            )


def after(desk: Desk, work: Work, group: Group) -> None:
    """What follows when the roster or the keys changed."""
    group_keys.settle(desk, work, group)
    flush(desk, work, group)
    retry(desk, work, group)


# From contacts.


def from_contact(
    desk: Desk,
    work: Work,
    cid: str,
    said: Said,
) -> Group | None:
    """Something about a group came over a contact's channel, or an own device's; the group if that
    changed it."""
    match said:
        case content.GroupEntries():
            group = group_keys.came(desk, work, said)
        case content.GroupKey():
            group = group_keys.key_came(desk, work, cid, said)
            if group is None and said.homes:
                group_early.follow(desk, work, cid, said)
        case content.GroupAsk():
            group_keys.asked(desk, work, cid, said)
            return None
        case content.GroupHistory():
            here = group_keys.by_name(desk, work, said.group)
            if here is not None:
                polls.told(desk, work, here, group_giving.root_of(desk, work, cid), said)
            return None
    if group is not None:
        after(desk, work, group)
    return group


def tell_gaps(desk: Desk, work: Work) -> None:
    """What a member said and no relay has brought is a gap that is seen. If it comes after all, it
    is shown."""
    for cid, device, session, root, gap, told in rows(
        work.db,
        "SELECT contact, device, session, root, gap, told FROM group_sender"
        " WHERE gap > told AND gap_since <= ? ORDER BY contact, device, session",
        work.now - MISSING,
    ):
        work.db.execute(
            "UPDATE group_sender SET told = ? WHERE contact = ? AND device = ? AND session = ?",
            (gap, cid, device, session),
        )
        desk.note(work, cid, "lost", author=root, count=gap - told)
        desk.touch_contact(work, cid)


def renew_after_leaving(desk: Desk, work: Work) -> None:
    """The owner's node renews the key once some time has passed since somebody left: one key for
    all who do in that time."""
    for (name,) in rows(
        work.db,
        "SELECT name FROM meta WHERE name > ? AND name < ? AND value <= ?",
        group_state.OWES,
        group_state.OWES + "~",
        work.now - LEAVING,
    ):
        work.db.execute("DELETE FROM meta WHERE name = ?", (name,))
        cid = name.removeprefix(group_state.OWES)
        if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'group'", cid):
            group = group_state.opened(desk, work, cid)
            if group.view.owner == group.me.root:
                group_keys.renew(desk, work, group)
                after(desk, work, group)


def sweep(desk: Desk, work: Work) -> None:
    """Once a minute: what has run out, and what is still missing."""
    group_state.leave_logs(desk, work)
    ordering.sweep(work)
    tell_gaps(desk, work)
    renew_after_leaving(desk, work)
    work.db.execute("DELETE FROM group_waiting WHERE at <= ?", (work.now - WAITS,))
    work.db.execute("DELETE FROM group_stray WHERE at <= ?", (work.now - WAITS,))
    for (cid,) in rows(
        work.db,
        "SELECT contact FROM group_queue UNION SELECT contact FROM group_waiting ORDER BY 1",
    ):
        group = group_state.opened(desk, work, cid)
        if group.epochs.now() is None or row(
            work.db, "SELECT 1 FROM group_waiting WHERE contact = ?", cid
        ):
            group_keys.ask(desk, work, group)
