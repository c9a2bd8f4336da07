"""What a node keeps of a group: the roster, the epochs' secrets, its logs, its own session.

Read from the database once and kept open between jobs, as sessions are; a job that fails has
it forgotten and read again.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from holdfast.core.caps import Home
from holdfast.core.chat import names
from holdfast.core.group import entries
from holdfast.core.group.entries import AnyOp, Body, Entry, Renewal
from holdfast.core.group.epochs import Epoch, Epochs, commitment, log_caps, log_secret
from holdfast.core.group.roster import Roster, View
from holdfast.core.seal.identity import Party, Secret
from holdfast.core.seal.invitation import Inbox
from holdfast.node import effects
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_inbox, unpack_inbox
from holdfast.node.effects import Follow
from holdfast.node.homes import acceptable
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

OWES = "left "
"""What `meta` calls it, with the group's id, that somebody left, or lost a device, and the key is
not new yet."""
LEFT = 7 * 86_400_000
"""Milliseconds for which an epoch and a log are kept after others followed."""


class HeldEpoch(Secret):
    """An epoch's secret; `until` is when it goes, 0 while it is the present one."""

    tips: tuple[bytes, ...]
    secret: bytes
    until: int = 0


class Keys(Secret):
    """What is secret of a group, as it is kept."""

    epochs: list[HeldEpoch]
    outbound: bytes = b""
    counter: int = 0
    """Sessions that this device began."""
    given: dict[bytes, bytes] = {}
    """People that I added, by the entry: the head whose secret they were given last."""
    locators: dict[bytes, bytes] = {}
    """Logs by the renewal that began them, for who was given no secret of it."""
    delivery: tuple[bytes, ...] = ()
    """Private keys of my cards, the newest first."""


@dataclass
class Group:
    """One group, open."""

    cid: str
    roster: Roster
    epochs: Epochs
    keys: Keys
    me: Party

    @property
    def view(self) -> View:
        """How it is now."""
        return self.roster.view()


def opened(desk: Desk, work: Work, cid: str) -> Group:
    """A group by its conversation; forgotten again if the job fails. Raises `ApiError`."""
    group = desk.groups.get(cid)
    if group is None:
        found = row(work.db, "SELECT secret, counter FROM groups WHERE contact = ?", cid)
        if found is None:
            raise ApiError("not-found", "this is not a group")
        secret, counter = found
        plain = desk.rows.unwrap("groups", cid.encode(), counter, secret)
        kept = msgspec.msgpack.decode(plain, type=Keys)
        stored = rows(work.db, "SELECT body FROM group_entry WHERE contact = ? ORDER BY place", cid)
        first, *others = (entries.decode(body) for (body,) in stored)
        roster = Roster(first)
        for entry in others:
            roster.add(entry)
        epochs = Epochs(roster)
        for held in kept.epochs:
            epochs.hold(held.tips, held.secret)
        group = desk.groups[cid] = Group(cid, roster, epochs, kept, desk.identity(work).party)
    work.undo.append(lambda: forget(desk, cid))
    return group


def forget(desk: Desk, cid: str) -> None:
    """Read the group again next time."""
    desk.groups.pop(cid, None)


def keep(desk: Desk, work: Work, group: Group) -> None:
    """Store what is secret; every change must come here before the job ends."""
    (counter,) = row(work.db, "SELECT counter FROM groups WHERE contact = ?", group.cid)
    now = group.epochs.now()
    before = {held.secret: held.until for held in group.keys.epochs}
    group.keys.epochs = []
    for epoch in list(group.epochs.held.values()):
        until = 0 if epoch is now else before.get(epoch.secret) or work.now + LEFT
        if until and until <= work.now:
            group.epochs.drop(epoch)
        else:
            group.keys.epochs.append(HeldEpoch(epoch.tips, epoch.secret, until))
    plain = msgspec.msgpack.encode(group.keys)
    wrapped = desk.rows.wrap("groups", group.cid.encode(), counter + 1, plain, desk.entropy)
    work.db.execute(
        "UPDATE groups SET secret = ?, counter = ? WHERE contact = ?",
        (wrapped, counter + 1, group.cid),
    )


def make(desk: Desk, work: Work, founding: Entry, own_name: str) -> Group:
    """A group that is new here, with its conversation."""
    me = desk.identity(work).party
    nowhere = pack_inbox(Inbox(log_caps(bytes(96)), ()))
    # A conversation that came out of a backup has neither keys nor a roster of its own.
    known = row(work.db, "SELECT id FROM contact WHERE root = ?", founding.hash)
    cid = desk.entropy(8).hex() if known is None else str(known[0])
    work.db.execute("DELETE FROM group_entry WHERE contact = ?", (cid,))
    work.db.execute(
        "INSERT OR IGNORE INTO contact (id, kind, root, own_name, state, added, active, timer,"
        " inbox, outbox, session, counter)"
        " VALUES (?, 'group', ?, ?, 'group', ?, ?, 0, ?, ?, x'', 0)",
        (cid, founding.hash, own_name, work.now, work.now, nowhere, nowhere),
    )
    work.db.execute("INSERT INTO groups (contact, secret, counter) VALUES (?, x'', 0)", (cid,))
    roster = Roster(founding)
    group = desk.groups[cid] = Group(cid, roster, Epochs(roster), Keys([]), me)
    desk.taken.clear()
    work.undo.append(lambda: forget(desk, cid))
    _insert(work, cid, founding)
    return group


def again(desk: Desk, work: Work, cid: str) -> bool:
    """Go on in a group that came out of a backup, whose keys are to be asked for: an entry says
    that this is my device now. False if I am not in it any more, as far as the backup knows."""
    if not row(work.db, "SELECT 1 FROM group_entry WHERE contact = ?", cid):
        return False
    plain = msgspec.msgpack.encode(Keys([]))
    wrapped = desk.rows.wrap("groups", cid.encode(), 0, plain, desk.entropy)
    work.db.execute(
        "INSERT INTO groups (contact, secret, counter) VALUES (?, ?, 0)", (cid, wrapped)
    )
    group = opened(desk, work, cid)
    try:
        act(desk, work, group, entries.Devices(desk.identity(work).devices.encode()))
    except ApiError:
        work.db.execute("DELETE FROM groups WHERE contact = ?", (cid,))
        forget(desk, cid)
        return False
    return True


def take(work: Work, group: Group, entry: Entry) -> bool:
    """Take an entry and keep it; False if it is here. Raises `entries.BadEntry`."""
    if not group.roster.add(entry):
        return False
    _insert(work, group.cid, entry)
    return True


def _insert(work: Work, cid: str, entry: Entry) -> None:
    lists = iter(entry.lists)
    for op in entry.body.ops:
        if isinstance(op, entries.Found | entries.Add):
            # Until they say themselves what they are called.
            work.db.execute(
                "INSERT OR IGNORE INTO group_card (contact, root, at, name, body)"
                " VALUES (?, ?, 0, ?, x'')",
                (cid, next(lists).root, names.clean(op.name) or "?"),
            )
    work.db.execute(
        "INSERT INTO group_entry (contact, hash, body) VALUES (?, ?, ?)",
        (cid, entry.hash, entry.data),
    )


def act(desk: Desk, work: Work, group: Group, *ops: AnyOp, secret: bytes | None = None) -> Entry:
    """An entry of my own behind all that is here. `secret` begins a fresh epoch, whose log is at
    my relays. Raises `ApiError` if I may not."""
    identity = desk.identity(work)
    renewal = None
    if secret is not None:
        said = commitment(group.roster.id, secret)
        renewal = Renewal(said, tuple(str(home) for home in places(desk, work, group)))
    me = group.me
    known = group.view.devices(me.root)
    there = known is not None and known.holds(me.device, me.curve25519)
    # A device that was linked since is not in this group; the list of its entries stays.
    listed = known.head if known is not None and there else identity.devices.head
    body = Body(
        1, group.roster.id, group.roster.tips, me.root, me.device, listed, work.now, ops, renewal
    )
    try:
        entry = entries.sign(body, identity.account)
        take(work, group, entry)
    except entries.BadEntry as error:
        raise ApiError("not-allowed", f"this cannot be done in the group: {error}") from None
    if secret is not None:
        group.epochs.hold((entry.hash,), secret)
    return entry


def is_too_soon(desk: Desk, work: Work, cid: str, author: bytes, at: int) -> bool:
    """Whether a member (empty: me) says more than the group's slow mode lets them; it does not
    hold for admins. Two seconds are let pass, since clocks are read twice."""
    group = opened(desk, work, cid)
    slow = group.view.number("slow")
    if not slow or group.view.role(author or group.me.root) != "member":
        return False
    (last,) = row(
        work.db,
        "SELECT coalesce(max(at), 0) FROM message WHERE contact = ? AND mine = ? AND author = ?"
        " AND kind <> 'note' AND note <> 'told'",
        cid,
        int(not author),
        author,
    )
    return bool(last and abs(at - last) < slow * 1000 - (2_000 if author else 0))


# Logs.


def places(desk: Desk, work: Work, group: Group | None) -> tuple[Home, ...]:
    """Where a new log is made: at relays of mine, and where the group was. Raises `ApiError`."""
    found = list(desk.homes(work)[:2])
    if group is not None:
        renewal = group.roster.renewal(group.roster.all)
        before = renewal.body.renewal.homes if renewal and renewal.body.renewal else ()
        found += [home for home in map(Home.parse, before) if str(home) not in desk.lost]
    found += desk.homes(work)[2:]
    if not found:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    return tuple(dict.fromkeys(found))[:3]


def begin_log(desk: Desk, work: Work, group: Group, entry: Entry, secret: bytes) -> None:
    """Make the log of a fresh epoch of mine, and use it."""
    log = log_secret(secret)
    owner = desk.entropy(32)
    assert entry.body.renewal is not None
    for home in map(Home.parse, entry.body.renewal.homes):
        desk.want(work, log_caps(log, owner), home)
    use_log(desk, work, group, entry, log, owner)


def use_log(desk: Desk, work: Work, group: Group, entry: Entry, log: bytes, owner: bytes) -> None:
    """Read the log that an entry began; it is the one to write in if it is the present one."""
    assert entry.body.renewal is not None
    caps = log_caps(log, owner or None)
    homes = acceptable(desk, work, entry.body.renewal.homes)
    packed = pack_inbox(Inbox(caps, homes))
    known = row(work.db, "SELECT log FROM group_log WHERE locator = ?", caps.locator)
    if known is None or (owner and unpack_inbox(known[0]).caps.owner is None):
        work.db.execute(
            "INSERT OR REPLACE INTO group_log VALUES (?, ?, ?, 0)",
            (caps.locator, group.cid, packed),
        )
    group.keys.locators[entry.hash] = caps.locator
    if known is None:
        for home in homes:
            since = desk.position(work, caps.locator, str(home))
            work.after.append(Follow(caps, home, since, ("group", group.cid)))
    present = group.roster.renewal(group.roster.all)
    if present is not None and present.hash == entry.hash:
        work.db.execute(
            "UPDATE group_log SET until = ? WHERE contact = ? AND locator <> ? AND until = 0",
            (work.now + LEFT, group.cid, caps.locator),
        )
        work.db.execute("UPDATE group_log SET until = 0 WHERE locator = ?", (caps.locator,))
        work.db.execute(
            "UPDATE contact SET inbox = ?, outbox = ? WHERE id = ?", (packed, packed, group.cid)
        )
    work.after.append(effects.Relays())


def logs(work: Work, cid: str) -> list[Inbox]:
    """All logs of a group that are read."""
    stored = rows(work.db, "SELECT log FROM group_log WHERE contact = ? ORDER BY until", cid)
    return [unpack_inbox(log) for (log,) in stored]


def log(work: Work, cid: str) -> Inbox:
    """The one that is written in."""
    (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", cid)
    return unpack_inbox(stored)


def log_of(desk: Desk, work: Work, cid: str, epoch: Epoch) -> Inbox | None:
    """The log that was written in under an epoch, if it is still read."""
    group = opened(desk, work, cid)
    entry = group.roster.renewal(group.roster.past(epoch.tips))
    if entry is None:
        return None
    held = group.epochs.held.get(entry.hash)
    if held is not None:
        locator = log_secret(held.secret)[:32]
    else:
        locator = group.keys.locators.get(entry.hash, b"")
    found = row(work.db, "SELECT log FROM group_log WHERE locator = ?", locator)
    return None if found is None else unpack_inbox(found[0])


def leave_logs(desk: Desk, work: Work) -> None:
    """Read no longer what has been over for a week."""
    for locator, stored in rows(
        work.db, "SELECT locator, log FROM group_log WHERE until > 0 AND until <= ?", work.now
    ):
        _let_go(desk, work, unpack_inbox(stored))
        work.db.execute("DELETE FROM group_log WHERE locator = ?", (locator,))


def leave_all(desk: Desk, work: Work, cid: str) -> None:
    """Read nothing of a group any more."""
    for inbox in logs(work, cid):
        for home in inbox.homes:
            work.after.append(effects.Unfollow(inbox.caps, home))
    work.db.execute("DELETE FROM group_log WHERE contact = ?", (cid,))
    work.after.append(effects.Relays())


def end(desk: Desk, work: Work, cid: str) -> None:
    """This device is none of its person's any more: nothing that is secret of a group stays."""
    leave_all(desk, work, cid)
    wrapped = desk.rows.wrap(
        "groups", cid.encode(), 0, msgspec.msgpack.encode(Keys([])), desk.entropy
    )
    work.db.execute("UPDATE groups SET secret = ?, counter = 0 WHERE contact = ?", (wrapped, cid))
    for table in ("group_sender", "group_waiting", "group_queue"):
        work.db.execute(f"DELETE FROM {table} WHERE contact = ?", (cid,))
    work.db.execute("UPDATE contact SET state = 'unlinked' WHERE id = ?", (cid,))
    forget(desk, cid)
    desk.touch_contact(work, cid)


def _let_go(desk: Desk, work: Work, inbox: Inbox) -> None:
    for home in inbox.homes:
        if inbox.caps.owner is not None:
            desk.drop(work, inbox.caps, home)
        else:
            work.after.append(effects.Unfollow(inbox.caps, home))
    work.after.append(effects.Relays())
