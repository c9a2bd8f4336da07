"""Jobs of blocking: whose words count for nothing, between two, in groups, and on every device of
this person's. Source: spec/chat.md, "Requests"; spec/devices.md, "What devices tell each other".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.chat import sync
from holdfast.node import effects, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.schema import Contact

BEFORE: Final = "blocked "
"""What `meta` calls the state that a contact had before."""


def contact(desk: Desk, work: Work, cid: str, blocked: bool) -> Contact:
    """Stop, or go on, reading what a contact sends."""
    (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
    somebody(desk, work, root, blocked)
    return views.contact(work.db, cid)


def somebody(desk: Desk, work: Work, root: bytes, blocked: bool) -> None:
    """The same, by who they are: a contact, or not."""
    here(desk, work, root, blocked)
    desk.say_own(work, sync.Blocked((root,), blocked))


def here(desk: Desk, work: Work, root: bytes, blocked: bool) -> None:
    """On this device."""
    work.db.execute("DELETE FROM blocked WHERE root = ?", (root,))
    found = row(work.db, "SELECT id, state FROM contact WHERE root = ? AND kind = 'person'", root)
    if found is not None:
        cid, state = found
        _conversation(desk, work, cid, state, blocked)
        desk.touch_contact(work, cid)
    elif blocked:
        work.db.execute("INSERT INTO blocked VALUES (?, ?)", (root, work.now))


def _conversation(desk: Desk, work: Work, cid: str, state: str, blocked: bool) -> None:
    if blocked == (state == "blocked"):
        return
    if blocked:
        desk.put(work, BEFORE + cid, state)
        state = "blocked"
    else:
        state = desk.get(work, BEFORE + cid) or "active"
    work.db.execute("UPDATE contact SET state = ? WHERE id = ?", (state, cid))
    for id, stored in rows(work.db, "SELECT id, inbox FROM contact WHERE ? IN (id, belongs)", cid):
        inbox = unpack_inbox(stored)
        for home in inbox.homes:
            if blocked:
                work.after.append(effects.Unfollow(inbox.caps, home))
            else:
                since = desk.position(work, inbox.caps.locator, str(home))
                work.after.append(effects.Follow(inbox.caps, home, since, ("inbox", id)))


def is_blocked(work: Work, root: bytes) -> bool:
    """Whether what somebody says counts for nothing."""
    found = row(
        work.db,
        "SELECT EXISTS (SELECT 1 FROM blocked WHERE root = ?1) OR EXISTS"
        " (SELECT 1 FROM contact WHERE root = ?1 AND kind = 'person' AND state = 'blocked')",
        root,
    )
    return bool(found[0])


def tell_all(desk: Desk, work: Work, own: str) -> None:
    """A new device of this person's learns of everybody who is blocked."""
    found = rows(
        work.db,
        "SELECT root FROM blocked UNION"
        " SELECT root FROM contact WHERE kind = 'person' AND state = 'blocked' ORDER BY 1",
    )
    roots = [root for (root,) in found]
    for start in range(0, len(roots), sync.MAX_BLOCKED):
        part = tuple(roots[start : start + sync.MAX_BLOCKED])
        desk.say_own(work, sync.Blocked(part, True), own)
