"""Links that lead into a group: an invitation of an admin's, whose answers are admitted at once or
after the admin's word. Source: spec/groups.md, "Links".
"""

from __future__ import annotations

import contextlib

from holdfast.node import group_keys, groups, inviting, linking, views
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Group, Invitation


def create(desk: Desk, work: Work, cid: str, approve: bool, hours: int) -> Invitation:
    """A link for many into a group that I lead."""
    shown = groups.show(desk, work, cid)
    if shown.role not in ("admin", "owner"):
        raise ApiError("not-allowed", "only admins make links into a group")
    made = inviting.create(desk, work, True, hours, shown.title, group=shown.title)
    work.db.execute(
        "UPDATE invitation SET groupid = ?, approve = ? WHERE id = ?", (cid, approve, made.id)
    )
    desk.touch_invitation(work, made.id)
    return views.invitation(work.db, desk.rows, made.id, work.now)


def answered(desk: Desk, work: Work, id: str, home: str, seq: int, record: bytes) -> None:
    """A record came into an invitation's accept log: a contact, and perhaps a member."""
    person = inviting.answered(desk, work, id, home, seq, record)
    if person is not None:
        kind, state = row(work.db, "SELECT kind, state FROM contact WHERE id = ?", person)
        if state == "linking":
            linking.answered(desk, work, person)
        if kind != "person":
            return
        group_keys.come_back(desk, work, person)
    found = row(work.db, "SELECT groupid, approve FROM invitation WHERE id = ?", id)
    if person is None or found is None or not found[0]:
        return
    cid, approve = found
    work.db.execute("UPDATE contact SET via = ? WHERE id = ?", (cid, person))
    desk.touch_contact(work, person)
    if approve:
        work.db.execute(
            "INSERT OR REPLACE INTO group_request VALUES (?, ?, ?)", (cid, person, work.now)
        )
        desk.touch_contact(work, cid)
    else:
        # Who is banned stays out, whatever link they hold.
        with contextlib.suppress(ApiError):
            groups.add(desk, work, cid, [person])


def answer(desk: Desk, work: Work, cid: str, person: str, admit: bool) -> Group:
    """Admit who asks, or do not."""
    id = views.person(work.db, person)
    asked = "DELETE FROM group_request WHERE contact = ? AND person = ? RETURNING 1"
    if row(work.db, asked, cid, id) is None:
        raise ApiError("not-found", "nobody of that name asks to come in")
    if admit:
        return groups.add(desk, work, cid, [id])
    desk.touch_contact(work, cid)
    return groups.show(desk, work, cid)
