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
    devices,
    effects,
    files,
    group_devices,
    history,
    linking,
    messages,
    polls,
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
        case sync.Past():
            history.told(desk, work, id, said)
        case sync.Gone() | sync.Copy() | sync.Seen() | sync.Hidden():
            cid = _contact(work, said.root)
            told = isinstance(said, sync.Seen | sync.Hidden)
            if cid is not None and (told or not _is_group(work, cid)):
                _about(desk, work, cid, said)


def _contact(work: Work, root: bytes) -> str | None:
    found = row(
        work.db, "SELECT id FROM contact WHERE root = ? AND kind IN ('person', 'group')", root
    )
    return None if found is None else str(found[0])


def _is_group(work: Work, cid: str) -> bool:
    return row(work.db, "SELECT 1 FROM contact WHERE id = ? AND kind = 'group'", cid) is not None


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
    cid = _contact(work, said.root)
    if cid is None:
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
    desk: Desk, work: Work, cid: str, said: sync.Gone | sync.Copy | sync.Seen | sync.Hidden
) -> None:
    match said:
        case sync.Gone():
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
        case sync.Copy():
            try:
                what = content.decode(said.content)
            except content.Malformed:
                return
            if not isinstance(what, devices.PASSED):
                return
            if said.mine:
                _said(desk, work, cid, what, min(said.at, work.now))
            else:
                desk.take_content(desk, work, cid, said.content)


def _said(desk: Desk, work: Work, cid: str, what: content.Known | content.Unknown, at: int) -> None:
    """What another device of mine said to a contact."""
    match what:
        case content.Text() | content.Poll() | content.File():
            _message(desk, work, cid, what)
        case content.Vote():
            id = taking.find(work, cid, what.ref.mid, what.ref.mine)
            if id is not None and polls.count(work, id, True, b"", what.choices, at):
                desk.touch_message(work, id)
        case content.Pin():
            id = taking.find(work, cid, what.ref.mid, what.ref.mine)
            if id is not None:
                polls.pinned(work, id, what.on, at)
                desk.touch_message(work, id)
        case content.Edit():
            id = taking.find(work, cid, what.mid, True, b"", "text")
            if id is not None:
                work.db.execute(
                    "UPDATE message SET text = ?, edited = ? WHERE id = ?",
                    (names.clean_text(what.text), at, id),
                )
                desk.touch_message(work, id)
        case content.Delete():
            id = taking.find(work, cid, what.mid, True)
            if id is not None:
                talking.wipe(desk, work, id)
                desk.touch_message(work, id)
                desk.touch_contact(work, cid)
        case content.React():
            id = taking.find(work, cid, what.ref.mid, what.ref.mine)
            if id is not None:
                talking.set_reaction(work, id, True, names.clean_emoji(what.emoji), at)
                desk.touch_message(work, id)
        case content.SetTimer():
            work.db.execute("UPDATE contact SET timer = ? WHERE id = ?", (what.seconds, cid))
            desk.note(work, cid, "timer", count=what.seconds)
            desk.touch_contact(work, cid)


def _message(
    desk: Desk, work: Work, cid: str, what: content.Text | content.Poll | content.File
) -> None:
    known = "SELECT 1 FROM message WHERE contact = ? AND mine = 1 AND mid = ?"
    if row(work.db, known, cid, what.mid) is not None:
        return
    if isinstance(what, content.File):
        mine = what.reply.mine if what.reply else None
        found = files.offered(desk, work, cid, b"", what, (mine, b""))
        if found is None:
            return
        id = found
    else:
        text = what.question if isinstance(what, content.Poll) else what.text
        reply = what.reply if isinstance(what, content.Text) else None
        id = messages.insert_mine(
            desk, work, cid, what.mid, "text", names.clean_text(text), reply, what.timer, None, None
        )
        if isinstance(what, content.Poll):
            polls.keep(work, id, what.options, what.many)
    expires = work.now + what.timer * 1000 if what.timer else 0
    work.db.execute(
        "UPDATE message SET mine = 1, state = 'sent', seen = 1, at = ?, expires = ? WHERE id = ?",
        (min(what.at, work.now), expires, id),
    )
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)
