"""Jobs of what another device of this person says: it counts as said here.

Only sessions with devices of this person's own list lead here (see `receiving`); what a contact
sends is never read with these. Source: spec/devices.md, "What devices tell each other".
"""

from __future__ import annotations

from holdfast.core.chat import content, names, sync
from holdfast.core.seal.identity import DeviceList
from holdfast.core.seal.keys import BadKey
from holdfast.node import (
    blocking,
    channels,
    devices,
    effects,
    group_devices,
    history,
    linking,
    renewing,
    requests,
    taking,
    talking,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work


def is_own(desk: Desk, work: Work, id: str) -> bool:
    """Whether this row is a session with another device of this person's, confirmed and not
    removed since."""
    found = row(work.db, "SELECT kind, state, device FROM contact WHERE id = ?", id)
    if found is None or found[:2] != ("own", "active"):
        return False
    if linking.is_new(desk, work):
        return True  # it says whose device this is, and nothing else is taken
    return any(one.ed25519 == found[2] for one in desk.identity(work).devices.devices)


def take(desk: Desk, work: Work, id: str, data: bytes) -> None:
    """One thing that an own device says. What does not fit changes nothing."""
    if not is_own(desk, work, id):
        return
    try:
        said = sync.decode(data)
    except content.Malformed:
        return
    if linking.is_new(desk, work):
        if isinstance(said, sync.Welcome):
            linking.welcomed(desk, work, id, said)
        return
    match said:
        case sync.Devices():
            _devices(desk, work, id, said)
        case sync.Me():
            desk.put(work, "name", names.clean(said.name) or "?")
            work.after.append(effects.Relays())
        case sync.Person():
            _person(desk, work, id, said)
        case sync.Meet():
            devices.lead(desk, work, said)
        case sync.Met():
            devices.met(desk, work, id, said)
        case sync.Blocked():
            for root in said.roots:
                blocking.here(desk, work, root, said.on)
        case sync.Group():
            group_devices.came(desk, work, id, said)
        case sync.Channel():
            channels.came(desk, work, said)
        case sync.Past():
            history.told(desk, work, id, said)
        case sync.Gone() | sync.Copy() | sync.Seen() | sync.Hidden():
            found = _conversation(work, said.root)
            if found is not None:
                _about(desk, work, *found, said)


def _conversation(work: Work, root: bytes) -> tuple[str, str] | None:
    """Whose root this is, or which group's or channel's; and which of these it is."""
    found = row(
        work.db,
        "SELECT id, kind FROM contact WHERE root = ? AND kind IN ('person', 'group', 'channel')",
        root,
    )
    return None if found is None else (str(found[0]), str(found[1]))


def _devices(desk: Desk, work: Work, id: str, said: sync.Devices) -> None:
    try:
        found = DeviceList.decode(said.devices)
    except BadKey:
        return
    if found.root == desk.identity(work).devices.root:
        devices.relisted(desk, work, found)
        if desk.get(work, devices.UNLINKED) is None:
            devices.keep_names(desk, work, {one.device: one for one in said.names})


def _person(desk: Desk, work: Work, id: str, said: sync.Person) -> None:
    """A contact of another device's: known here, or to be met."""
    try:
        listed = DeviceList.decode(said.devices)
    except BadKey:
        return
    if listed.root != said.root or said.root == desk.identity(work).devices.root:
        return
    name, own_name = names.clean(said.name), names.clean(said.own_name) or "?"
    found = _conversation(work, said.root)
    if found is not None and found[1] != "person":
        return
    cid = "" if found is None else found[0]
    if not cid:
        first, *more = (one.ed25519 for one in listed.devices)
        cid = devices.insert(
            desk,
            work,
            "person",
            said.root,
            first,
            "restored",
            through=id,
            own_name=own_name,
            added=min(said.added, work.now),
            active=min(said.added, work.now),
            timer=said.timer,
            listed=listed.encode(),
        )
        for device in more:
            devices.insert(
                desk, work, "device", said.root, device, "restored", through=id, belongs=cid
            )
        renewing.arrange(desk, work)
    verified = said.root if said.verified else None
    work.db.execute(
        "UPDATE contact SET name = ?, own_name = ?, verified = ? WHERE id = ?",
        (name, own_name, verified, cid),
    )
    blocking.here(desk, work, said.root, said.blocked)
    requests.accept(desk, work, cid)
    desk.touch_contact(work, cid)


def _about(
    desk: Desk,
    work: Work,
    cid: str,
    kind: str,
    said: sync.Gone | sync.Copy | sync.Seen | sync.Hidden,
) -> None:
    match said:
        case sync.Gone() if kind == "channel":
            channels.gone(desk, work, cid)
        case sync.Gone() if kind == "person":
            renewing.delete_contact(desk, work, cid)
        case sync.Seen():
            upto = row(
                work.db,
                "SELECT id FROM message WHERE contact = ? AND mine = 0 AND mid = ?",
                cid,
                said.mid,
            )
            if upto is not None and talking.see(desk, work, cid, upto[0]):
                desk.touch_contact(work, cid)
        case sync.Hidden():
            found = rows(
                work.db,
                "SELECT id, contact FROM message WHERE contact = ? AND mine = ? AND mid = ?",
                cid,
                said.mine,
                said.mid,
            )
            talking.remove(desk, work, found)
        case sync.Copy() if kind == "person":
            try:
                what = content.decode(said.content)
            except content.Malformed:
                return
            if not isinstance(what, devices.PASSED):
                return
            if not said.mine:
                desk.take_content(desk, work, cid, said.content)
            elif isinstance(what, content.SetTimer):
                talking.timed(desk, work, cid, what.seconds)
            else:
                taking.change(desk, work, cid, b"", what, None, mine=True)
