"""Jobs of message requests: who comes unasked waits, unseen and unheard, until the person says.

Unasked is who answers a link for many, who writes from within a group, and a group into which
somebody unasked adds one. Of them a few messages are kept; nothing rings, notifies or tells them
that anybody is there. Source: spec/chat.md, "Requests".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.chat import content
from holdfast.node import devices, effects, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import Contact

KEPT: Final = 10
"""Messages of one stranger."""
WITHIN: Final = 2
"""What `request` is of who writes from within a group."""
WAITING: Final = 200
"""Strangers who wait at once; more are not taken."""
_MESSAGES: Final = (content.Text, content.Poll, content.File)
_QUIET: Final = (
    *_MESSAGES,
    content.Edit,
    content.Delete,
    content.React,
    content.Profile,
    content.Got,
    content.Moved,
    content.SetTimer,
    content.GroupEntries,
    content.GroupKey,
    content.GroupAsk,
    content.GroupHistory,
)
"""What a stranger may say and nobody notices."""


def resume(desk: Desk, work: Work) -> None:
    """Who waits, after a start."""
    desk.strangers = {cid for (cid,) in rows(work.db, "SELECT id FROM contact WHERE request")}


def is_full(work: Work) -> bool:
    """Whether so many wait that nobody else is taken."""
    (many,) = row(work.db, "SELECT count(*) FROM contact WHERE request AND kind = 'person'")
    return int(many) >= WAITING


def ask(desk: Desk, work: Work, cid: str, within: bool = False) -> None:
    """This conversation waits to be accepted; `within` a group, whose leaders are told of what is
    ugly: then what cannot be shown to them is not taken."""
    if desk.settings(work).admit:
        return
    work.db.execute("UPDATE contact SET request = ? WHERE id = ?", (1 + within, cid))
    desk.strangers.add(cid)
    work.undo.append(lambda: desk.strangers.discard(cid))


def accept(desk: Desk, work: Work, cid: str) -> Contact:
    """From now on a contact, or a group, like any other."""
    if row(work.db, "UPDATE contact SET request = 0 WHERE id = ? AND request RETURNING 1", cid):
        desk.strangers.discard(cid)
        work.undo.append(lambda: desk.strangers.add(cid))
        kind, state = row(work.db, "SELECT kind, state FROM contact WHERE id = ?", cid)
        if kind == "person" and state in ("active", "joining"):
            devices.introduce(desk, work, cid)
            due = desk.session(work, cid).due(desk.receipts(work, cid))
            work.after.append(effects.Due(cid, due))
        desk.touch_contact(work, cid)
    return views.contact(work.db, cid)


def has_effect(desk: Desk, work: Work, cid: str, said: content.Known | content.Unknown) -> bool:
    """Whether what a contact says counts: of strangers only what nobody notices, and not much."""
    if not is_stranger(desk, cid):
        return True
    if not isinstance(said, _QUIET):
        return False
    (request,) = row(work.db, "SELECT request FROM contact WHERE id = ?", cid)
    if request == WITHIN and isinstance(said, (content.Edit, content.Poll, content.File)):
        return False
    if not isinstance(said, _MESSAGES):
        return True
    (many,) = row(
        work.db,
        "SELECT count(*) FROM message WHERE contact = ? AND mine = 0 AND kind IN ('text', 'file')",
        cid,
    )
    return int(many) < KEPT


def is_stranger(desk: Desk, cid: str) -> bool:
    """Whether nobody has accepted this conversation."""
    return cid in desk.strangers
