"""Jobs of groups on several devices of one person.

Each device is in the roster, under its person's list, with a session, a card and a delivery key of
its own. The first device of that list says in every group which devices there are now; whichever
has a group gives it to the others, in the session between the two. Source: spec/groups.md,
"Devices".
"""

from __future__ import annotations

import contextlib

from holdfast.core.chat import content, sync
from holdfast.core.group import entries
from holdfast.core.group.roster import dropped
from holdfast.node import group_giving, group_keys, group_state, group_talk, requests
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError


def relist(desk: Desk, work: Work, group: Group) -> None:
    """Say in a group which devices I have now, if that is this device's to do. What one lacks that
    was removed is a fresh key."""
    listed, known = desk.identity(work).devices, group.view.devices(group.me.root)
    if known is None or known.version >= listed.version:
        return
    left = [one.ed25519 for one in known.devices if one in listed.devices]
    if left[:1] != [group.me.device]:
        return
    said = entries.Devices(listed.encode())
    if dropped(known, listed):
        group_keys.replace(desk, work, group, said)
        return
    before = group.epochs.now()
    entry = group_state.act(desk, work, group, said)
    if before is not None:
        group_giving.publish(desk, work, group, before, entry)


def _all(desk: Desk, work: Work) -> list[Group]:
    found = rows(work.db, "SELECT id FROM contact WHERE kind = 'group' AND state = 'group'")
    return [group_state.opened(desk, work, id) for (id,) in found]


def relisted(desk: Desk, work: Work) -> None:
    """I have other devices now: every group is told."""
    for group in _all(desk, work):
        with contextlib.suppress(ApiError):
            relist(desk, work, group)
        group_talk.after(desk, work, group)


def linked(desk: Desk, work: Work, id: str) -> None:
    """An own device was linked: it is given every group."""
    relisted(desk, work)
    for group in _all(desk, work):
        share(desk, work, group, id)


def share(desk: Desk, work: Work, group: Group, *ids: str) -> None:
    """Give a group to own devices: these, or all. One that waits to be accepted is not given."""
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND request", group.cid):
        return
    with contextlib.suppress(ApiError):
        relist(desk, work, group)
    for id in group_giving.ways(desk, work, group, group.me.root):
        if not ids or id in ids:
            group_giving.give_to(desk, work, group, group.me.root, id, *group.roster.entries)


def came(desk: Desk, work: Work, id: str, said: sync.Group) -> None:
    """An own device says something about a group; what it has accepted is accepted here."""
    try:
        what = content.decode(said.content)
    except content.Malformed:
        return
    if not isinstance(what, content.GroupEntries | content.GroupKey | content.GroupAsk):
        return
    group_talk.from_contact(desk, work, id, what)
    found = row(work.db, "SELECT id FROM contact WHERE root = ? AND kind = 'group'", what.group)
    if found is not None and isinstance(what, content.GroupKey):
        requests.accept(desk, work, found[0])
