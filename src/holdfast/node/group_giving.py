"""Who is given what of a group: entries, cards and secrets, over the sessions with each device of a
member, and in the group's log.

A device is given something if it is in its person's list in the roster at that moment, and no
other is. Source: spec/groups.md, "Epochs", "Asking".
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from holdfast.core.chat import content, sync
from holdfast.core.group.entries import Entry
from holdfast.core.group.epochs import Epoch
from holdfast.node import group_cards, group_state
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_caps
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

CARDS: Final = 120
"""Cards in one content."""
PIECE: Final = 40_000
"""Bytes of entries in one content."""
Said = content.GroupEntries | content.GroupKey | content.GroupAsk


def post(
    desk: Desk,
    work: Work,
    cid: str,
    record: bytes,
    seq: int | None = None,
    where: Epoch | None = None,
) -> int:
    """Append a record to the group's log at every home, now and until each has it; `where`: to
    the log of that epoch, if it is still read."""
    inbox = group_state.log(work, cid)
    if where is not None:
        inbox = group_state.log_of(desk, work, cid, where) or inbox
    if seq is None:
        seq = number(work, cid)
    rid = desk.entropy(16)
    work.db.execute(
        "INSERT OR REPLACE INTO outgoing (contact, seq, rid, blob, caps) VALUES (?, ?, ?, ?, ?)",
        (cid, seq, rid, record, pack_caps(inbox.caps)),
    )
    desk.send_to_homes(work, cid, inbox, seq, rid, record)
    return seq


def number(work: Work, cid: str) -> int:
    """A number for one more record."""
    (seq,) = row(work.db, "UPDATE groups SET sent = sent + 1 WHERE contact = ? RETURNING sent", cid)
    return int(seq)


def publish(desk: Desk, work: Work, group: Group, epoch: Epoch, *new: Entry) -> None:
    """Tell the log of entries, under an epoch that its readers have."""
    plain = msgspec.msgpack.encode(tuple(entry.data for entry in new))
    post(desk, work, group.cid, epoch.seal("entries", plain, desk.entropy), where=epoch)


def contact_of(work: Work, root: bytes) -> str | None:
    """The contact who this member is, if it is one that can be written to."""
    found = row(
        work.db,
        "SELECT id FROM contact WHERE root = ? AND kind = 'person'"
        " AND state IN ('active', 'joining')",
        root,
    )
    return None if found is None else str(found[0])


def root_of(desk: Desk, work: Work, cid: str) -> bytes:
    """The root of who a session is with: a contact, or me on another device."""
    root, kind = row(work.db, "SELECT root, kind FROM contact WHERE id = ?", cid)
    return desk.identity(work).party.root if kind == "own" else bytes(root)


def ways(desk: Desk, work: Work, group: Group, root: bytes) -> list[str]:
    """The sessions with devices of a member that are in the roster."""
    if root == group.me.root:
        found = rows(
            work.db, "SELECT id, device FROM contact WHERE kind = 'own' AND state = 'active'"
        )
    elif (cid := contact_of(work, root)) is not None:
        more = "SELECT id, device FROM contact WHERE belongs = ? AND state IN ('active', 'joining')"
        found = [(cid, desk.session(work, cid).peer.device), *rows(work.db, more, cid)]
    else:
        found = []
    return [id for id, device in found if group.view.has_device(root, device)]


def say(desk: Desk, work: Work, id: str, said: Said) -> None:
    """Say something about a group in one session. Raises `ApiError`."""
    (kind,) = row(work.db, "SELECT kind FROM contact WHERE id = ?", id)
    if kind == "own":
        desk.say_own(work, sync.Group(content.encode(said)), id)
    else:
        desk.say_to_device(work, id, said)


def give(desk: Desk, work: Work, group: Group, root: bytes, *new: Entry) -> None:
    """Give a member these entries and the present secret over the pairwise channels, if they are
    a contact, or me on my other devices."""
    if not may_have(group, root):
        return
    for id in ways(desk, work, group, root):
        # A contact to whom nothing can be sent is told by whoever can.
        with contextlib.suppress(ApiError):
            give_to(desk, work, group, root, id, *new)


def give_to(desk: Desk, work: Work, group: Group, root: bytes, id: str, *new: Entry) -> None:
    """The same in one session with a device of theirs. Raises `ApiError`."""
    epoch = group.epochs.now()
    _say_entries(desk, work, id, group, list(new))
    if epoch is not None:
        say(desk, work, id, key_of(work, group, epoch, root))
    if new:
        _say_cards(desk, work, id, group)


def key_of(
    work: Work, group: Group, epoch: Epoch, root: bytes, early: bool = False
) -> content.GroupKey:
    """The present secret as a content for a member; `early`: they find the roster in the log."""
    inbox = group_state.log(work, group.cid)
    caps = inbox.caps
    leads = group.view.role(root) in ("admin", "owner")
    owner = caps.owner if leads and caps.owner is not None else b""
    assert caps.append is not None and caps.read is not None
    log = caps.locator + caps.append + caps.read
    homes = tuple(str(home) for home in inbox.homes) if early else ()
    return content.GroupKey(group.roster.id, epoch.tips, epoch.secret, log, owner, homes)


def give_all(desk: Desk, work: Work, group: Group, roots: list[bytes]) -> None:
    """Give many newcomers the present secret; the roster is in the log once for all of them."""
    epoch = group.epochs.now()
    if epoch is None:
        return
    piece: list[Entry] = []
    for entry in group.roster.entries:
        if piece and sum(len(one.data) for one in piece) + len(entry.data) > PIECE:
            publish(desk, work, group, epoch, *piece)
            piece = []
        piece.append(entry)
    publish(desk, work, group, epoch, *piece)
    for root in roots:
        for id in ways(desk, work, group, root) if may_have(group, root) else ():
            with contextlib.suppress(ApiError):
                say(desk, work, id, key_of(work, group, epoch, root, early=True))


def _say_entries(desk: Desk, work: Work, id: str, group: Group, new: list[Entry]) -> None:
    piece: list[bytes] = []
    for entry in [*new, None]:
        full = entry is None or sum(map(len, piece)) + len(entry.data) > PIECE
        if piece and full:
            say(desk, work, id, content.GroupEntries(group.roster.id, tuple(piece)))
            piece = []
        if entry is not None:
            piece.append(entry.data)


def _say_cards(desk: Desk, work: Work, id: str, group: Group) -> None:
    bodies = group_cards.bodies(work, group)
    for start in range(0, len(bodies), CARDS):
        part = tuple(bodies[start : start + CARDS])
        say(desk, work, id, content.GroupEntries(group.roster.id, cards=part))


def spread(desk: Desk, work: Work, group: Group, before: Epoch | None) -> None:
    """Give a fresh secret to every member, those who are active first: over the pairwise channel
    where there is one, and by their card, in a record of the epoch before, where there is none."""
    others = []
    for root in by_activity(work, group):
        if root == group.me.root or contact_of(work, root) is not None:
            give(desk, work, group, root)
        else:
            others.append(root)
    if before is not None:
        wrap(desk, work, group, before, others)


def wrap(desk: Desk, work: Work, group: Group, before: Epoch, roots: list[bytes]) -> None:
    """The present secret for members who are not contacts, in the log of the epoch before."""
    epoch = group.epochs.now()
    wanted = {root for root in roots if may_have(group, root)}
    cards = [card for card in group_cards.every(work, group) if card.root in wanted]
    if epoch is None or not cards:
        return
    caps = group_state.log(work, group.cid).caps
    assert caps.append is not None and caps.read is not None
    log = caps.locator + caps.append + caps.read
    for plain in group_cards.wrapped(group, epoch, log, cards):
        post(desk, work, group.cid, before.seal("keys", plain, desk.entropy), where=before)


def by_activity(work: Work, group: Group) -> list[bytes]:
    """Members, who spoke last first."""
    last = dict(
        rows(
            work.db,
            "SELECT author, max(received) FROM message WHERE contact = ? GROUP BY author",
            group.cid,
        )
    )
    return sorted(group.view.roots(), key=lambda root: -last.get(root, 0))


def may_have(group: Group, root: bytes) -> bool:
    """Whether somebody may be given what is secret of a group: a member as far as is known
    here now."""
    return group.view.holds(root)
