"""What happens in a group, as its conversation tells it."""

from __future__ import annotations

from holdfast.core.chat import names
from holdfast.core.group.entries import Add, Appoint, Entry, Leave, Remove, Set, Unban
from holdfast.node import views
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work


def note(desk: Desk, work: Work, group: Group, entry: Entry) -> None:
    """What an entry does, in the conversation."""
    author, view = entry.body.root, group.view
    added = [op.name for op in entry.body.ops if isinstance(op, Add)]
    if added:
        shown = ", ".join(names.clean(name) or "?" for name in added[:8])
        desk.note(
            work, group.cid, "group-added", author=author, text=shown, count=max(0, len(added) - 8)
        )
    for op in entry.body.ops:
        match op:
            case Remove(root, ban):
                who = views.name_of(work.db, group.cid, root)
                said = "group-banned" if ban else "group-removed"
                desk.note(work, group.cid, said, author=author, text=who)
            case Unban(root):
                who = views.name_of(work.db, group.cid, root)
                desk.note(work, group.cid, "group-unbanned", author=author, text=who)
            case Appoint(root, role):
                who = views.name_of(work.db, group.cid, root)
                desk.note(work, group.cid, f"group-{role}", author=author, text=who)
            case Leave():
                desk.note(work, group.cid, "group-left", author=author)
            case Set("title", value):
                clean = names.clean(value) or "?"
                desk.note(work, group.cid, "renamed", author=author, text=clean)
            case Set("timer", _):
                desk.note(work, group.cid, "timer", author=author, count=view.number("timer"))
