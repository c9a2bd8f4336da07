"""How entries and keys of groups get to those who should have them, and to nobody else.

Entries go into the group's log, under the epoch before them; secrets go over the pairwise
channel to members, and are given only to who is one now. Whoever lacks something asks a
contact who is in the group. Source: spec/seal.md, "Groups"; spec/chat.md, "Groups".
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from holdfast.core.chat import content, names
from holdfast.core.group import entries
from holdfast.core.group.entries import BadEntry, Entry, Leave
from holdfast.core.group.epochs import Epoch, log_secret
from holdfast.core.group.roster import Roster, Unknown
from holdfast.node import group_cards, group_giving, group_notes, group_state, requests
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

ASK_AGAIN: Final = 10_000
"""Milliseconds between two requests for what is missing."""
ASKED: Final = 3
"""Contacts that are asked at once."""
MAX_STRAY: Final = 8_000
MAX_STRAY_BYTES: Final = 16 * 1024 * 1024
"""Of entries that cannot be taken yet."""


def by_name(desk: Desk, work: Work, gid: bytes) -> Group | None:
    """A group that is here, by its own name."""
    found = row(
        work.db,
        "SELECT id FROM contact JOIN groups ON groups.contact = id WHERE root = ?",
        gid,
    )
    return None if found is None else group_state.opened(desk, work, found[0])


def read_entries(plain: bytes) -> list[Entry]:
    """The entries of a record; what is none is left out."""
    try:
        bodies = msgspec.msgpack.decode(plain, type=list[bytes])
    except (msgspec.MsgspecError, RecursionError):
        return []
    return decoded(bodies)


def decoded(bodies: list[bytes] | tuple[bytes, ...]) -> list[Entry]:
    """What is an entry of these."""
    found = []
    for body in bodies:
        with contextlib.suppress(BadEntry):
            found.append(entries.decode(body))
    return found


# Taking entries.


def take(desk: Desk, work: Work, group: Group, new: list[Entry]) -> bool:
    """Take entries, and those that waited for them; whether anything changed."""
    for entry in new:
        if entry.hash not in group.roster and entry.body.group == group.roster.id:
            _stray(work, group.roster.id, entry)
    changed, again = False, True
    while again:
        again = False
        for hash, body in rows(
            work.db, "SELECT hash, body FROM group_stray WHERE groupid = ?", group.roster.id
        ):
            entry = entries.decode(body)
            try:
                took = group_state.take(work, group, entry)
            except Unknown:
                continue
            except BadEntry:
                took = False
            _gone(work, group.roster.id, hash)
            if took:
                changed = again = True
                group_notes.note(desk, work, group, entry)
                if entry.renewed or any(isinstance(op, Leave) for op in entry.body.ops):
                    desk.put(work, group_state.OWES + group.cid, work.now)
    if row(work.db, "SELECT 1 FROM group_stray WHERE groupid = ?", group.roster.id):
        ask(desk, work, group)
    return changed


def wait(work: Work, gid: bytes, new: list[Entry]) -> None:
    """Keep entries of a group that is not here."""
    for entry in new:
        if (entry.body.group or entry.hash) == gid:
            _stray(work, gid, entry)


def _stray(work: Work, gid: bytes, entry: Entry) -> None:
    many, size = row(work.db, "SELECT count(*), coalesce(sum(length(body)), 0) FROM group_stray")
    if many < MAX_STRAY and size < MAX_STRAY_BYTES:
        work.db.execute(
            "INSERT OR IGNORE INTO group_stray VALUES (?, ?, ?, ?)",
            (gid, entry.hash, entry.data, work.now),
        )


def _gone(work: Work, gid: bytes, hash: bytes) -> None:
    work.db.execute("DELETE FROM group_stray WHERE groupid = ? AND hash = ?", (gid, hash))


def came(desk: Desk, work: Work, said: content.GroupEntries) -> Group | None:
    """A contact passes entries and cards on; the group if they changed it."""
    group = by_name(desk, work, said.group)
    new = decoded(said.entries)
    if group is None:
        wait(work, said.group, new)
        return None
    group_cards.take(work, group, *said.cards)
    before = group.epochs.now() or _last(group)
    back = [entry for entry in new if entry.renewed and entry.hash not in group.roster]
    if not take(desk, work, group, new):
        return None
    # Who goes on with another device has no way to tell the log.
    back = [entry for entry in back if entry.hash in group.roster]
    if back and before is not None:
        group_giving.publish(desk, work, group, before, *back)
    return group


def _joined(desk: Desk, work: Work, gid: bytes, tips: tuple[bytes, ...]) -> Group | None:
    """The group of entries that came before, if they reach to these and I am a member."""
    for hash in tips:
        known = "SELECT 1 FROM group_stray WHERE groupid = ? AND hash = ?"
        if not row(work.db, known, gid, hash):
            return None
    stored = rows(work.db, "SELECT body FROM group_stray WHERE groupid = ?", gid)
    left = [entries.decode(body) for (body,) in stored]
    founding = next((entry for entry in left if entry.hash == gid), None)
    if founding is None:
        return None
    roster, again = Roster(founding), True
    while again:
        again = False
        for entry in left:
            with contextlib.suppress(BadEntry):
                again = roster.add(entry) or again
    view = roster.view()
    if not view.holds(desk.identity(work).party.root) or any(hash not in roster for hash in tips):
        return None
    group = group_state.make(desk, work, founding, names.clean(view.setting("title")) or "?")
    for entry in roster.entries[1:]:
        group_state.take(work, group, entry)
    work.db.execute("DELETE FROM group_stray WHERE groupid = ?", (gid,))
    return group


# Keys.


def key_came(desk: Desk, work: Work, cid: str, said: content.GroupKey) -> Group | None:
    """A contact gives a secret; the group if it is one of mine from then on."""
    group = by_name(desk, work, said.group) or _joined(desk, work, said.group, said.tips)
    if group is None:
        return None
    fresh = not group.keys.epochs
    try:
        known = group.roster.past(said.tips)
    except Unknown:
        ask(desk, work, group, cid)
        return None
    if not group.roster.view(said.tips).holds(group_giving.root_of(desk, work, cid)):
        return None
    if not _hold(desk, work, group, said.tips, known, said.secret, said.log, said.owner):
        return None
    if fresh:
        _greet(desk, work, group)
        post_card(desk, work, group)
    return group


def _hold(
    desk: Desk,
    work: Work,
    group: Group,
    tips: tuple[bytes, ...],
    known: int,
    secret: bytes,
    log: bytes,
    owner: bytes,
) -> bool:
    """Keep a secret that was given, and read the log that goes with it."""
    entry = group.roster.renewal(known)
    if entry is None or not group.roster.view(tips).holds(group.me.root):
        return False
    present = group.epochs.at(known)
    if present is not None and present.secret != secret:
        return False  # what I can derive myself nobody tells me otherwise
    if present is None and group.epochs.hold(tips, secret) is None:
        return False
    mine = group.epochs.held.get(entry.hash)
    if mine is None or log_secret(mine.secret) == log:
        group_state.use_log(desk, work, group, entry, log, owner)
    return True


def come_back(desk: Desk, work: Work, cid: str) -> None:
    """A contact can be written to again: the groups of a backup, which have no keys here, are asked
    of them, with the entry by which I go on in it with this device."""
    root = group_giving.root_of(desk, work, cid)
    groups = "SELECT id FROM contact WHERE kind = 'group' AND state = 'group'"
    for (other,) in rows(work.db, groups):
        group = group_state.opened(desk, work, other)
        if group.keys.epochs or not group.view.holds(root):
            continue
        mine = [
            entry.data
            for entry in group.roster.entries
            if entry.renewed and entry.body.device == group.me.device
        ]
        with contextlib.suppress(ApiError):
            desk.say(work, cid, content.GroupEntries(group.roster.id, tuple(mine)))
            desk.say(work, cid, content.GroupAsk(group.roster.id, group.roster.tips))


def post_card(desk: Desk, work: Work, group: Group) -> None:
    """Tell the group who I am in it, and a key for what only I may read."""
    epoch = group.epochs.now()
    if epoch is not None:
        card = group_cards.mine(desk, work, group)
        group_giving.post(desk, work, group.cid, epoch.seal("card", card, desk.entropy))


def _greet(desk: Desk, work: Work, group: Group) -> None:
    """The first note of a group that somebody added me to."""
    me = group.me.root
    here = "SELECT 1 FROM message WHERE contact = ? AND note IN ('group-made', 'group-joined')"
    if row(work.db, here, group.cid):
        return  # back after a backup
    for entry in group.roster.entries:
        if any(listed.root == me for listed in entry.lists):
            author = entry.body.root
            desk.note(work, group.cid, "group-joined", author=author)
            if not _is_known(desk, work, author):
                requests.ask(desk, work, group.cid)
            return


def _is_known(desk: Desk, work: Work, root: bytes) -> bool:
    """Whether this is a contact whom I have accepted."""
    cid = group_giving.contact_of(work, root)
    return cid is not None and cid not in desk.strangers


def wrapped_came(desk: Desk, work: Work, group: Group, plain: bytes) -> bool | None:
    """A record with secrets for members who are not contacts of its author; whether one was
    for me that I lacked. None: the entries that it belongs to are not here yet."""
    found = group_cards.unwrapped(group, plain)
    if found is None:
        return False
    tips, log, secret = found
    try:
        known = group.roster.past(tips)
    except Unknown:
        ask(desk, work, group)
        return None
    return _hold(desk, work, group, tips, known, secret, log, b"")


# Asking.


def ask(desk: Desk, work: Work, group: Group, cid: str | None = None) -> None:
    """Ask own devices and contacts who are in the group for what is missing."""
    (asked,) = row(work.db, "SELECT asked FROM groups WHERE contact = ?", group.cid)
    if work.now - asked < ASK_AGAIN:
        return
    whom = [] if cid is None else [cid]
    whom += group_giving.ways(desk, work, group, group.me.root)
    for root in group_giving.by_activity(work, group):
        other = None if root == group.me.root else group_giving.contact_of(work, root)
        if other is not None and other not in whom:
            whom.append(other)
    if not whom:
        _ask_all(desk, work, group)
    for other in whom[:ASKED]:
        with contextlib.suppress(ApiError):
            said = content.GroupAsk(group.roster.id, group.roster.tips)
            group_giving.say(desk, work, other, said)
    work.db.execute("UPDATE groups SET asked = ? WHERE contact = ?", (work.now, group.cid))


def _ask_all(desk: Desk, work: Work, group: Group) -> None:
    """Nobody in the group is a contact: ask in the log, under the newest epoch that is held."""
    epoch = _last(group)
    if epoch is not None:
        plain = group_cards.ask(desk, work, group)
        group_giving.post(
            desk, work, group.cid, epoch.seal("ask", plain, desk.entropy), where=epoch
        )


def asked_in_log(desk: Desk, work: Work, group: Group, epoch: Epoch, plain: bytes) -> None:
    """A member asks everybody: one of those who lead answers, in the same log."""
    asked = group_cards.asked(group, plain)
    if asked is None or asked.root == group.me.root or not group_giving.may_have(group, asked.root):
        return
    if not group.view.has_device(asked.root, asked.device) or not _answers(group):
        return
    (told,) = row(work.db, "SELECT told FROM groups WHERE contact = ?", group.cid)
    if work.now - told < ASK_AGAIN:
        return
    work.db.execute("UPDATE groups SET told = ? WHERE contact = ?", (work.now, group.cid))
    known = group.roster.past(hash for hash in asked.tips if hash in group.roster)
    missing = without(group, known)
    if missing:
        group_giving.publish(desk, work, group, epoch, *missing)
    group_giving.wrap(desk, work, group, epoch, [asked.root])


def _answers(group: Group) -> bool:
    """Whether it is me who answers: who renewed the key last, else the owner."""
    renewal = group.roster.renewal(group.roster.all)
    author = renewal.body.root if renewal else b""
    return group.me.root == (author if group.view.holds(author) else group.view.owner)


def asked(desk: Desk, work: Work, cid: str, said: content.GroupAsk) -> None:
    """A contact lacks something of a group: a member is given it, nobody else."""
    group = by_name(desk, work, said.group)
    if group is None:
        return
    root = group_giving.root_of(desk, work, cid)
    if not group_giving.may_have(group, root):
        return
    known = group.roster.past(hash for hash in said.tips if hash in group.roster)
    group_giving.give(desk, work, group, root, *without(group, known))


def without(group: Group, known: int) -> list[Entry]:
    """Entries that are not in a set, ancestors first."""
    roster = group.roster
    return [roster.entries[i] for i in roster.order(roster.all & ~known)]


# What a change brings.


def settle(desk: Desk, work: Work, group: Group) -> None:
    """After the roster or the keys changed: renew if that is mine to do, give newcomers what
    they cannot derive, show it."""
    roster = group.roster
    if roster.is_stuck(roster.all) and _is_mine_to_renew(group):
        renew(desk, work, group)
    _give_newcomers(desk, work, group)
    show(desk, work, group)
    group_state.keep(desk, work, group)


def _is_mine_to_renew(group: Group) -> bool:
    """Of the last entries' authors the first who is still there and leads."""
    view = group.view
    for hash in group.roster.tips:
        author = group.roster.entries[group.roster.index[hash]].body.root
        if view.role(author) in ("admin", "owner"):
            return author == group.me.root
    return view.role(group.me.root) == "owner"


def renew(desk: Desk, work: Work, group: Group) -> None:
    """Begin a fresh epoch, in a log of its own. Raises `ApiError` if I may not."""
    replace(desk, work, group)


def replace(desk: Desk, work: Work, group: Group, *ops: entries.AnyOp) -> Entry:
    """An entry of mine with a fresh secret, told in the log that was and given to who stays."""
    before = group.epochs.now() or _last(group)
    work.db.execute("DELETE FROM meta WHERE name = ?", (group_state.OWES + group.cid,))
    secret = desk.entropy(32)
    entry = group_state.act(desk, work, group, *ops, secret=secret)
    if before is not None:
        group_giving.publish(desk, work, group, before, entry)
    group_state.begin_log(desk, work, group, entry, secret)
    group_giving.spread(desk, work, group, before)
    return entry


def _last(group: Group) -> Epoch | None:
    """The newest epoch that is held."""
    held = list(group.epochs.held.values())
    return max(held, key=lambda epoch: group.roster.past(epoch.tips).bit_count(), default=None)


def _give_newcomers(desk: Desk, work: Work, group: Group) -> None:
    """Whom I added and who cannot derive the present secret from the one they were given."""
    epoch = group.epochs.now()
    if epoch is None or not group.keys.given:
        return
    heads, known = set(), group.roster.all
    while True:
        heads.add(group.roster.head_of(known))
        source = group.roster.source(known)
        if source is None or source == known:
            break
        known = source
    for hash, given in list(group.keys.given.items()):
        if given in heads:
            continue
        entry = group.roster.entries[group.roster.index[hash]]
        for listed in entry.lists:
            group_giving.give(desk, work, group, listed.root)
        group.keys.given[hash] = epoch.head


def show(desk: Desk, work: Work, group: Group) -> None:
    """Bring the conversation up to the roster: its title, its timer, whether I am in it."""
    view, cid = group.view, group.cid
    title = names.clean(view.setting("title")) or "?"
    (before,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    left = any(
        isinstance(op, Leave)
        for entry in group.roster.entries
        if entry.body.root == group.me.root
        for op in entry.body.ops
    )
    out = "left" if before == "left" or left else "removed"
    state = "group" if view.holds(group.me.root) else out
    work.db.execute(
        "UPDATE contact SET state = ?, own_name = ?, timer = ?, members = ?, leads = ?"
        " WHERE id = ?",
        (
            state,
            title,
            view.number("timer"),
            len(view.roots()),
            view.role(group.me.root) in ("admin", "owner"),
            cid,
        ),
    )
    if state != "group":
        group_state.leave_all(desk, work, cid)
        work.db.execute("DELETE FROM group_waiting WHERE contact = ?", (cid,))
    desk.touch_contact(work, cid)
