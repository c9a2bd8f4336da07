"""Jobs of groups, as this side's person does them."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from holdfast.core.chat import names
from holdfast.core.group import entries
from holdfast.core.group.entries import Add, AnyOp, Appoint, Cut, Leave, Remove, Set, Unban
from holdfast.core.group.epochs import commitment
from holdfast.core.group.roster import MAX_MEMBERS, first_body
from holdfast.node import (
    blocking,
    group_cards,
    group_devices,
    group_giving,
    group_keys,
    group_notes,
    group_state,
    group_talk,
    inviting,
    moderation,
    polls,
    views,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Author, Contact, GroupMember, GroupVoid, Role
from holdfast.node.schema import Group as Shown

MAX_SLOW: Final = 86_400
MAX_HISTORY: Final = 200
MAX_TIMER: Final = 31_536_000
ONCE: Final = 512 * 1024
"""Bytes of roster that newcomers are sent each for themselves, all together; above, it is put into
the log once."""
BEHIND: Final = 7 * 86_400_000


def create(desk: Desk, work: Work, title: str, members: list[str]) -> Contact:
    """Found a group with contacts."""
    clean = names.clean(title)
    if not clean:
        raise ApiError("bad-params", "a name needs at least one letter that can be seen")
    people = _people(work, members)
    identity = desk.identity(work)
    secret = desk.entropy(32)
    homes = tuple(str(home) for home in group_state.places(desk, work, None))
    own_name = str(desk.get(work, "name"))
    body = first_body(
        identity.devices, identity.party.device, clean, own_name, desk.entropy(32), work.now
    )
    body = msgspec.structs.replace(body, renewal=entries.Renewal(commitment(b"", secret), homes))
    founding = entries.sign(body, identity.account)
    group = group_state.make(desk, work, founding, clean)
    group.epochs.hold((founding.hash,), secret)
    group_state.begin_log(desk, work, group, founding, secret)
    desk.note(work, group.cid, "group-made", text=clean)
    _add(desk, work, group, people)
    group_keys.post_card(desk, work, group)
    group_talk.after(desk, work, group)
    group_devices.share(desk, work, group)
    return views.contact(work.db, group.cid)


def _people(work: Work, members: list[str]) -> dict[str, str]:
    """Contacts by id or name, with their names. Raises `ApiError`."""
    found = {}
    for text in members[:MAX_MEMBERS]:
        cid = views.resolve(work.db, text)
        kind, state, own_name = row(
            work.db, "SELECT kind, state, own_name FROM contact WHERE id = ?", cid
        )
        if kind != "person" or state not in ("active", "joining"):
            raise ApiError("not-allowed", f"{own_name} cannot be added: they cannot be written to")
        found[cid] = own_name
    return found


def _add(desk: Desk, work: Work, group: Group, people: dict[str, str]) -> None:
    """Entries that add contacts, for who is in the group and for themselves."""
    ops: list[Add] = []
    for cid, own_name in people.items():
        listed = desk.session(work, cid).peer_list
        root = group_giving.root_of(desk, work, cid)
        if not group.view.holds(root):
            ops.append(Add(own_name, listed))
    before = group.epochs.now()
    made = []
    for start in range(0, len(ops), entries.MAX_ADDS):
        entry = group_state.act(desk, work, group, *ops[start : start + entries.MAX_ADDS])
        group_notes.note(desk, work, group, entry)
        made.append(entry)
    epoch = group.epochs.now()
    if before is not None and len(group.roster) > 1 + len(made):
        for entry in made:
            group_giving.publish(desk, work, group, before, entry)
    added = [listed.root for entry in made for listed in entry.lists]
    size = sum(len(entry.data) for entry in group.roster.entries)
    if size * len(added) > ONCE:
        group_giving.give_all(desk, work, group, added)
    else:
        for root in added:
            group_giving.give(desk, work, group, root, *group.roster.entries)
            _tell(desk, work, group, root)
    for entry in made:
        if epoch is not None:
            group.keys.given[entry.hash] = epoch.head


def _tell(desk: Desk, work: Work, group: Group, root: bytes) -> None:
    """Tell a newcomer what was said last, if the group wants that."""
    cid = group_giving.contact_of(work, root)
    said = polls.history(work, group)
    if cid is not None and said is not None:
        desk.say(work, cid, said)


def add(desk: Desk, work: Work, cid: str, members: list[str]) -> Shown:
    """Add contacts."""
    group = _mine(desk, work, cid)
    if group.roster.is_stuck(group.roster.all):
        group_keys.renew(desk, work, group)
    _add(desk, work, group, _people(work, members))
    group_talk.after(desk, work, group)
    return show(desk, work, cid)


def remove(desk: Desk, work: Work, cid: str, member: str, ban: bool) -> Shown:
    """Remove a member, with a fresh key for those who stay."""
    group = _mine(desk, work, cid)
    root = _member(work, group, member)
    cuts = tuple(
        Cut(session, group_talk.heard(desk, work, cid, session))
        for (session,) in rows(
            work.db,
            "SELECT session FROM group_sender WHERE contact = ? AND root = ?"
            " ORDER BY at DESC, session LIMIT 256",
            cid,
            root,
        )
    )
    entry = group_keys.replace(desk, work, group, Remove(root, ban, cuts))
    group_notes.note(desk, work, group, entry)
    group_talk.after(desk, work, group)
    return show(desk, work, cid)


def block(desk: Desk, work: Work, cid: str, member: str, blocked: bool) -> Shown:
    """Take nothing of what a member says, here or between us, or take it again."""
    group = group_state.opened(desk, work, cid)
    root = _member(work, group, member)
    if root == group.me.root:
        raise ApiError("bad-params", "that is you")
    blocking.somebody(desk, work, root, blocked)
    return show(desk, work, cid)


def answer_report(
    desk: Desk, work: Work, cid: str, id: str, delete: bool, expel: bool, ban: bool
) -> Shown:
    """Remove what was reported, its author, both or nothing."""
    root = moderation.answer(desk, work, cid, id, delete)
    if expel:
        return remove(desk, work, cid, views.member_id(root), ban)
    return show(desk, work, cid)


def introduce(desk: Desk, work: Work, cid: str, member: str) -> None:
    """Invite a member who is no contact."""
    group = _mine(desk, work, cid)
    group_cards.introduce(desk, work, cid, _member(work, group, member))


def unban(desk: Desk, work: Work, cid: str, member: str) -> Shown:
    """Let somebody be added again."""
    group = _mine(desk, work, cid)
    root = _find(work, group, member, group.view.banned)
    return _do(desk, work, group, Unban(root))


def appoint(desk: Desk, work: Work, cid: str, member: str, role: Role) -> Shown:
    """Give somebody a role."""
    group = _mine(desk, work, cid)
    return _do(desk, work, group, Appoint(_member(work, group, member), role))


def change(desk: Desk, work: Work, cid: str, **given: Any) -> Shown:
    """Change settings of the group."""
    group = _mine(desk, work, cid)
    most = {"timer": MAX_TIMER, "slow": MAX_SLOW, "history": MAX_HISTORY}
    ops: list[AnyOp] = []
    for key, value in given.items():
        if value is None:
            continue
        if key in most and not 0 <= value <= most[key]:
            raise ApiError("bad-params", f"{key} goes from 0 to {most[key]}")
        text = names.clean(value) if key == "title" else str(value)
        if not text:
            raise ApiError("bad-params", "a name needs at least one letter that can be seen")
        if text != group.view.setting(key):
            ops.append(Set(key, text))
    return _do(desk, work, group, *ops) if ops else show(desk, work, cid)


def renew(desk: Desk, work: Work, cid: str) -> Shown:
    """Begin with a fresh key."""
    group = _mine(desk, work, cid)
    group_keys.renew(desk, work, group)
    group_talk.after(desk, work, group)
    return show(desk, work, cid)


def leave(desk: Desk, work: Work, cid: str) -> Contact:
    """Leave a group; its conversation stays."""
    group = _mine(desk, work, cid)
    epoch = group.epochs.now()
    if group.view.role(group.me.root) == "owner" and len(group.view.roots()) > 1:
        raise ApiError("not-allowed", "make somebody else the owner first, then leave")
    entry = group_state.act(desk, work, group, Leave())
    if epoch is not None:
        group_giving.publish(desk, work, group, epoch, entry)
    group_notes.note(desk, work, group, entry)
    work.db.execute("UPDATE contact SET state = 'left' WHERE id = ?", (cid,))
    work.db.execute("DELETE FROM group_queue WHERE contact = ?", (cid,))
    group_keys.show(desk, work, group)
    group_state.keep(desk, work, group)
    return views.contact(work.db, cid)


def delete(desk: Desk, work: Work, cid: str) -> None:
    """Leave if I am in it, and delete the conversation with its keys."""
    (state,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if state == "group":
        leave(desk, work, cid)
    group_state.forget(desk, cid)
    inviting.delete_rows(desk, work, cid)


def _do(desk: Desk, work: Work, group: Group, *ops: AnyOp) -> Shown:
    """An entry without a fresh key, told in the log."""
    if group.roster.is_stuck(group.roster.all):
        group_keys.renew(desk, work, group)
    before = group.epochs.now()
    entry = group_state.act(desk, work, group, *ops)
    if before is not None:
        group_giving.publish(desk, work, group, before, entry)
    group_notes.note(desk, work, group, entry)
    group_talk.after(desk, work, group)
    return show(desk, work, group.cid)


def _mine(desk: Desk, work: Work, cid: str) -> Group:
    group = group_state.opened(desk, work, cid)
    if not group.view.holds(group.me.root):
        raise ApiError("not-allowed", "you are not in this group any more")
    return group


def _member(work: Work, group: Group, text: str) -> bytes:
    return _find(work, group, text, group.view.roots())


def _find(work: Work, group: Group, text: str, roots: list[bytes]) -> bytes:
    """One of these by id, contact's id or name. Raises `ApiError`."""
    contact = row(work.db, "SELECT root FROM contact WHERE id = ? AND kind = 'person'", text)
    for root in roots:
        if views.member_id(root) == text or (contact and contact[0] == root):
            return root
    called = [
        root
        for root in roots
        if views.name_of(work.db, group.cid, root).casefold() == text.casefold()
    ]
    if len(called) > 1:
        raise ApiError("not-found", f"several members are called {text}; use an id")
    if not called:
        raise ApiError("not-found", f"nobody in this group is called {text}")
    return called[0]


# What is shown.


def show(desk: Desk, work: Work, cid: str) -> Shown:
    """Who is in a group and what holds in it."""
    group = group_state.opened(desk, work, cid)
    view = group.view
    adders = {}
    for entry in group.roster.entries:
        for listed in entry.lists:
            adders[listed.root] = entry.body.root
    members = []
    for one in view.members():
        contact = row(
            work.db,
            "SELECT id, verified = root FROM contact WHERE root = ? AND kind = 'person'",
            one.root,
        )
        me, adder = one.root == group.me.root, adders.get(one.root, one.root)
        members.append(
            GroupMember(
                id=views.member_id(one.root),
                name=str(desk.get(work, "name")) if me else views.name_of(work.db, cid, one.root),
                role=one.role,
                me=me,
                contact="" if contact is None else contact[0],
                blocked=blocking.is_blocked(work, one.root),
                verified=bool(contact and contact[1]),
                added_by="" if adder == one.root else _called(desk, work, group, adder),
                since=one.since,
            )
        )
    key = {"owner": 0, "admin": 1, "member": 2}
    members.sort(key=lambda one: (key[one.role], one.name.casefold()))
    renewal = group.roster.renewal(group.roster.all)
    since = 0 if renewal is None else group.roster.past((renewal.hash,))
    left = any(
        isinstance(op, Leave) or group.roster.entries[i].renewed
        for i in group.roster.order(group.roster.all & ~since)
        for op in group.roster.entries[i].body.ops
    )
    missing = group.epochs.now() is None
    return Shown(
        id=cid,
        title=names.clean(view.setting("title")) or "?",
        role=cast(Any, view.role(group.me.root) or ""),
        members=members,
        banned=[
            Author(id=views.member_id(root), name=views.name_of(work.db, cid, root))
            for root in view.banned
        ],
        timer=view.number("timer"),
        slow=view.number("slow"),
        history=view.number("history"),
        adding="members" if view.setting("adding") == "members" else "admins",
        keys="renew" if renewal is None or left else "missing" if missing else "fresh",
        behind=[
            views.name_of(work.db, cid, root)
            for (root,) in rows(
                work.db,
                "SELECT DISTINCT author FROM message WHERE contact = ? AND stale AND received > ?",
                cid,
                work.now - BEHIND,
            )
        ],
        requests=[
            Author(id=views.member_id(root), name=own_name, contact=person)
            for person, root, own_name in rows(
                work.db,
                "SELECT c.id, c.root, coalesce(nullif(c.name, ''), c.own_name)"
                " FROM group_request r JOIN contact c ON c.id = r.person WHERE r.contact = ?"
                " ORDER BY r.at, c.id",
                cid,
            )
        ],
        reports=moderation.reports(work, cid),
        voided=[
            GroupVoid(
                who=_called(desk, work, group, void.entry.body.root),
                by=_called(desk, work, group, void.by.body.root),
                what=_what(work, group, void.entry),
                at=void.entry.body.at,
            )
            for void in group.roster.voided()
        ],
    )


def _called(desk: Desk, work: Work, group: Group, root: bytes) -> str:
    if root == group.me.root:
        return str(desk.get(work, "name"))
    return views.name_of(work.db, group.cid, root)


def _what(work: Work, group: Group, entry: entries.Entry) -> list[str]:
    said = []
    for op in entry.body.ops:
        match op:
            case Add(name):
                said.append(f"add {names.clean(name)}")
            case Remove(root) | Unban(root) | Appoint(root):
                kind = type(op).__name__.lower()
                said.append(f"{kind} {views.name_of(work.db, group.cid, root)}")
            case Set(key, _):
                said.append(f"set {key}")
            case _:
                said.append(type(op).__name__.lower())
    return said or ["renew"]
