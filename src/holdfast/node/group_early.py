"""Groups whose roster is read from their log before anything else is known of them.

Many who are added at once are each given a secret, and find the roster in the log under it. Until
all of it is here, nothing is shown, and nothing of it is believed.
"""

from __future__ import annotations

from typing import cast

from holdfast.core.chat import content
from holdfast.core.group.epochs import Epoch, log_caps
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.invitation import Inbox
from holdfast.node import effects, group_keys, group_talk
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_inbox, unpack_inbox
from holdfast.node.effects import Follow
from holdfast.node.homes import acceptable
from holdfast.node.keeper import Work

MOST = 8
"""Groups of one contact whose roster is awaited."""


def follow(desk: Desk, work: Work, cid: str, said: content.GroupKey) -> None:
    """Read the roster from the log that a contact gave a key of."""
    homes = acceptable(desk, work, said.homes[: content.MAX_HOMES])
    (waiting,) = row(work.db, "SELECT count(*) FROM group_early WHERE contact = ?", cid)
    if not homes or waiting >= MOST or group_keys.by_name(desk, work, said.group):
        return
    log = Inbox(log_caps(said.log), homes)
    work.db.execute(
        "INSERT OR REPLACE INTO group_early VALUES (?, ?, ?, ?, ?)",
        (said.group, cid, content.encode(said), pack_inbox(log), work.now),
    )
    _follow(work, said.group, log)
    work.after.append(effects.Relays())


def _follow(work: Work, gid: bytes, log: Inbox) -> None:
    for home in log.homes:
        work.after.append(Follow(log.caps, home, 0, ("group-early", gid.hex())))


def resume(work: Work) -> None:
    """Go on after a start."""
    for gid, log in rows(work.db, "SELECT groupid, log FROM group_early ORDER BY at, groupid"):
        _follow(work, gid, unpack_inbox(log))


def received(desk: Desk, work: Work, id: str, blob: bytes) -> None:
    """A record came in such a log: entries wait until there are all; the rest is read again."""
    gid = bytes.fromhex(id)
    found = row(work.db, "SELECT contact, said, log FROM group_early WHERE groupid = ?", gid)
    if found is None:
        return
    cid, data, log = found
    said = cast(content.GroupKey, content.decode(data))
    try:
        kind, plain = Epoch(gid, said.tips, said.secret).open(blob)
    except Unopenable:
        return
    if kind != "entries":
        return
    group_keys.wait(work, gid, group_keys.read_entries(plain))
    group = group_keys.key_came(desk, work, cid, said)
    if group is None:
        return
    work.db.execute("DELETE FROM group_early WHERE groupid = ?", (gid,))
    # From its start, as a log of a group that is known.
    inbox = unpack_inbox(log)
    for home in inbox.homes:
        work.after.append(effects.Unfollow(inbox.caps, home))
        work.after.append(Follow(inbox.caps, home, 0, ("group", group.cid)))
    group_talk.after(desk, work, group)
