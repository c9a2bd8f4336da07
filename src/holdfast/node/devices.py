"""Jobs of devices: those of this person, and those that contacts have besides their first.

A row of `contact` is a session with one device. A contact's first one has the conversation;
further ones are rows of kind `device` that belong to it; this person's others are of kind `own`.
The device list that the root signed decides: who is not in the newest one is nobody's device any
more. Source: spec/devices.md.
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from holdfast.core.caps import Caps
from holdfast.core.chat import content, names, sync
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.invitation import Inbox
from holdfast.core.seal.keys import BadKey
from holdfast.node import effects, group_state
from holdfast.node.database import row, rows
from holdfast.node.desk import COPIED, Desk, pack_inbox, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Device, DevicesChanged

NAMES: Final = "device-names"
"""What `meta` calls the names of this person's devices."""
UNLINKED: Final = "unlinked"
"""And when this device was removed by another one."""
PENDING: Final = "renewal/"
"""And the invitations of devices that are to be followed, by their row."""
LIVE: Final = ("active", "joining")


# What this person's devices are called.


def known_names(desk: Desk, work: Work) -> dict[bytes, sync.Named]:
    """By device."""
    stored = desk.get(work, NAMES)
    found = [] if stored is None else msgspec.msgpack.decode(stored, type=list[sync.Named])
    return {one.device: one for one in found}


def keep_names(desk: Desk, work: Work, found: dict[bytes, sync.Named]) -> None:
    """What devices are called; those that are not listed are forgotten."""
    listed = {one.ed25519 for one in desk.identity(work).devices.devices}
    kept = [one for device, one in found.items() if device in listed]
    desk.put(work, NAMES, msgspec.msgpack.encode(kept))
    work.after.append(effects.Tell(DevicesChanged()))


def name_device(desk: Desk, work: Work, device: bytes, name: str) -> None:
    """Call a device something, without telling the others."""
    found = known_names(desk, work)
    since = found[device].since if device in found else work.now
    found[device] = sync.Named(device, names.clean(name), since)
    keep_names(desk, work, found)


def listed(desk: Desk, work: Work) -> list[Device]:
    """This person's devices, the first one first."""
    identity = desk.identity(work)
    found = known_names(desk, work)
    shown = []
    for number, one in enumerate(identity.devices.devices):
        named = found.get(one.ed25519)
        shown.append(
            Device(
                id=one.ed25519.hex()[:16],
                name="" if named is None else named.name,
                since=0 if named is None else named.since,
                here=one.ed25519 == identity.account.ed25519,
                first=number == 0,
            )
        )
    return shown


def find(desk: Desk, work: Work, id: str) -> bytes:
    """A device's key by its id. Raises `ApiError`."""
    for one in desk.identity(work).devices.devices:
        if one.ed25519.hex()[:16] == id:
            return one.ed25519
    raise ApiError("not-found", "there is no such device")


def called(desk: Desk, work: Work, device: bytes) -> str:
    """A device's name as a sentence ends with it; nothing if it has none."""
    named = known_names(desk, work).get(device)
    return f" ({named.name})" if named is not None and named.name else ""


def rename(desk: Desk, work: Work, id: str, name: str) -> list[Device]:
    """Call a device something, on all of them."""
    name_device(desk, work, find(desk, work, id), name)
    tell_names(desk, work)
    return listed(desk, work)


def tell_names(desk: Desk, work: Work, but: str = "") -> None:
    """All other devices learn list and names."""
    named = tuple(known_names(desk, work).values())
    desk.say_own(work, sync.Devices(desk.identity(work).devices.encode(), named), but=but)


# This person's list.


def relist(desk: Desk, work: Work, identity: Identity) -> None:
    """This is who I am from now on; everybody that I have a session with is told."""
    desk.change_identity(work, identity)
    for (id,) in rows(
        work.db,
        "SELECT id FROM contact WHERE kind IN ('person', 'device', 'own')"
        " AND state IN ('active', 'joining')",
    ):
        session = desk.session(work, id)
        if session.me.root == identity.devices.root and not session.frozen:
            session.tell(identity.devices)
            desk.keep(work, id, session)


def remove(desk: Desk, work: Work, id: str) -> list[Device]:
    """A device of this person's is one no longer. Raises `ApiError`."""
    device = find(desk, work, id)
    identity = desk.identity(work)
    try:
        after = identity.unlink(device)
    except BadKey as error:
        raise ApiError("not-allowed", str(error)) from None
    except ValueError as error:
        raise ApiError("not-allowed", str(error)) from None
    relist(desk, work, after)
    _let_go(desk, work, device)
    keep_names(desk, work, known_names(desk, work))
    tell_names(desk, work)
    return listed(desk, work)


def _let_go(desk: Desk, work: Work, device: bytes) -> None:
    """Nothing more goes to an own device, but for the list that says why, and nothing is read."""
    for id, stored in rows(
        work.db, "SELECT id, inbox FROM contact WHERE kind = 'own' AND device = ?", device
    ):
        inbox = unpack_inbox(stored)
        for home in inbox.homes:
            desk.drop(work, inbox.caps, home)
        work.db.execute("DELETE FROM passing WHERE own = ?", (id,))
        work.db.execute("UPDATE contact SET state = 'removed' WHERE id = ?", (id,))
        work.db.execute("DELETE FROM meta WHERE name = ?", (PENDING + id,))


def sweep(work: Work) -> None:
    """Forget removed devices that were told, or could not be for long."""
    work.db.execute(
        "DELETE FROM contact WHERE kind = 'own' AND state = 'removed' AND"
        " (active < ? OR id NOT IN (SELECT contact FROM unsent))",
        (work.now - 30 * 86_400_000,),
    )


def relisted(desk: Desk, work: Work, found: DeviceList) -> None:
    """Another device says that this person has other devices now; only the root's word counts."""
    identity = desk.identity(work)
    if identity.root is not None or identity.devices.follow(found) != "newer":
        return
    if not found.holds(identity.account.ed25519, identity.account.curve25519):
        _unlinked(desk, work)
        return
    relist(desk, work, Identity.linked(identity.account, found))
    left = {one.ed25519 for one in found.devices}
    for (device,) in rows(work.db, "SELECT device FROM contact WHERE kind = 'own'"):
        if device not in left:
            _let_go(desk, work, device)
    keep_names(desk, work, known_names(desk, work))


def _unlinked(desk: Desk, work: Work) -> None:
    """This device is no longer one of its person's: every session is deleted. What was said stays,
    to be read by whoever has the machine."""
    desk.put(work, UNLINKED, work.now)
    for id, stored in rows(
        work.db, "SELECT id, inbox FROM contact WHERE kind IN ('person', 'device', 'own')"
    ):
        inbox = unpack_inbox(stored)
        for home in inbox.homes:
            desk.drop(work, inbox.caps, home)
        desk.forget(id)
    for (id,) in rows(work.db, "SELECT id FROM contact WHERE kind = 'group' AND state = 'group'"):
        group_state.end(desk, work, id)
    work.db.execute("DELETE FROM contact WHERE kind IN ('device', 'own')")
    work.db.execute("DELETE FROM outgoing")
    work.db.execute("DELETE FROM unsent")
    work.db.execute("DELETE FROM passing")
    work.db.execute("UPDATE contact SET session = x'', state = 'unlinked' WHERE kind = 'person'")
    for (id,) in rows(work.db, "SELECT id FROM contact WHERE kind = 'person'"):
        work.after.append(effects.Due(id, None))
        desk.touch_contact(work, id)
    work.after.append(effects.Tell(DevicesChanged()))
    work.after.append(effects.Relays())


# Devices of contacts.


def learned(desk: Desk, work: Work, id: str) -> None:
    """The session of this row may have brought a newer list."""
    kind, belongs = row(work.db, "SELECT kind, belongs FROM contact WHERE id = ?", id)
    session = desk.session(work, id)
    found = DeviceList.decode(session.peer_list)
    if kind == "own":
        if found.root == desk.identity(work).devices.root:
            relisted(desk, work, found)
        return
    take_list(desk, work, belongs or id, found)


def take_list(desk: Desk, work: Work, cid: str, found: DeviceList) -> None:
    """A contact's list: if it is newer, who is not in it is no device of theirs any more."""
    (stored,) = row(work.db, "SELECT listed FROM contact WHERE id = ?", cid)
    before = DeviceList.decode(stored) if stored else None
    if before is not None and before.version >= found.version:
        return
    work.db.execute("UPDATE contact SET listed = ? WHERE id = ?", (found.encode(), cid))
    if before is None:
        return
    then, now = ({one.ed25519 for one in each.devices} for each in (before, found))
    if then & now:  # else a backup was restored, which is said otherwise
        for note, many in (("device-added", len(now - then)), ("device-removed", len(then - now))):
            if many:
                desk.note(work, cid, note, count=many)
    for id, device in rows(work.db, "SELECT id, device FROM contact WHERE belongs = ?", cid):
        if device not in now:
            _forget(desk, work, id)
    (session,) = row(work.db, "SELECT length(session) FROM contact WHERE id = ?", cid)
    if session and desk.session(work, cid).peer.device not in now:
        _promote(desk, work, cid)
    desk.touch_contact(work, cid)


def listed_version(work: Work, cid: str) -> int:
    """Of the newest list of a contact's that is known."""
    (stored,) = row(work.db, "SELECT listed FROM contact WHERE id = ?", cid)
    return DeviceList.decode(stored).version if stored else 0


def _forget(desk: Desk, work: Work, id: str) -> None:
    (stored,) = row(work.db, "SELECT inbox FROM contact WHERE id = ?", id)
    inbox = unpack_inbox(stored)
    for home in inbox.homes:
        desk.drop(work, inbox.caps, home)
    work.db.execute("DELETE FROM unsent WHERE contact = ?", (id,))
    work.db.execute("DELETE FROM contact WHERE id = ?", (id,))
    work.db.execute("DELETE FROM meta WHERE name = ?", (PENDING + id,))
    desk.forget(id)
    work.after.append(effects.Due(id, None))


def forget_all(desk: Desk, work: Work, cid: str) -> None:
    """All further devices of a contact."""
    for (id,) in rows(work.db, "SELECT id FROM contact WHERE belongs = ?", cid):
        _forget(desk, work, id)


def _promote(desk: Desk, work: Work, cid: str) -> None:
    """The conversation's own device is gone: another one of theirs takes its place."""
    found = row(
        work.db,
        "SELECT id, inbox, outbox, accept, said, state FROM contact WHERE belongs = ?"
        " AND state IN ('active', 'joining') ORDER BY added LIMIT 1",
        cid,
    )
    if found is None:
        return
    id, inbox, outbox, accept, said, state = found
    old, counter = row(work.db, "SELECT inbox, counter FROM contact WHERE id = ?", cid)
    session = desk.session(work, id)
    before = unpack_inbox(old)
    for home in before.homes:
        desk.drop(work, before.caps, home)
    for table in ("outgoing", "unsent", "leaving"):
        work.db.execute(f"DELETE FROM {table} WHERE contact = ?", (cid,))
        work.db.execute(f"UPDATE {table} SET contact = ? WHERE contact = ?", (cid, id))
    work.db.execute(
        "UPDATE message SET seq = NULL, state = 'sent' WHERE contact = ? AND mine"
        " AND kind <> 'note' AND state IN ('waiting', 'sent')",
        (cid,),
    )
    work.db.execute("DELETE FROM contact WHERE id = ?", (id,))
    work.db.execute(
        "UPDATE contact SET inbox = ?, outbox = ?, accept = ?, said = ?, state = ? WHERE id = ?",
        (inbox, outbox, accept, said, state, cid),
    )
    desk.forget(id)
    desk.forget(cid)
    desk.keep(work, cid, session, counter)
    log = unpack_inbox(inbox)
    for home in log.homes:
        since = desk.position(work, log.caps.locator, str(home))
        work.after.append(effects.Unfollow(log.caps, home))
        work.after.append(effects.Follow(log.caps, home, since, ("inbox", cid)))
    work.after.append(effects.Due(id, None))


# How a new device comes to be known.


def insert(
    desk: Desk, work: Work, kind: str, root: bytes, device: bytes, state: str, **values: object
) -> str:
    """A row for a session that there is not yet; its id."""
    nowhere = pack_inbox(Inbox(Caps.make(desk.entropy(128)), ()))
    fields = {
        "id": desk.entropy(8).hex(),
        "kind": kind,
        "root": root,
        "device": device,
        "state": state,
        "own_name": "",
        "added": work.now,
        "active": work.now,
        "inbox": nowhere,
        "outbox": nowhere,
        "session": b"",
        "counter": 0,
    }
    fields |= values
    marks = ", ".join("?" * len(fields))
    work.db.execute(
        f"INSERT INTO contact ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values())
    )
    return str(fields["id"])


def introduce(desk: Desk, work: Work, cid: str, *own: str, but: str = "") -> None:
    """Own devices learn of a contact, and hear from here what it says until they do themselves."""
    said = _person(desk, work, cid)
    if said is None:
        return
    desk.say_own(work, said, *own, but=but)
    (session,) = row(work.db, "SELECT length(session) FROM contact WHERE id = ?", cid)
    for (id,) in rows(work.db, "SELECT id FROM contact WHERE kind = 'own' AND state = 'active'"):
        if session and id != but and (not own or id in own):
            work.db.execute("INSERT OR IGNORE INTO passing VALUES (?, ?)", (cid, id))


def changed(desk: Desk, work: Work, cid: str) -> None:
    """What this person chose about a contact, told to own devices."""
    said = _person(desk, work, cid)
    if said is not None:
        desk.say_own(work, said)


def _person(desk: Desk, work: Work, cid: str) -> sync.Person | None:
    """A contact as own devices are told of it, if they are."""
    found = row(
        work.db,
        "SELECT root, name, own_name, added, timer, verified = root, state, length(session),"
        " listed FROM contact WHERE id = ? AND kind = 'person' AND NOT echo AND NOT request",
        cid,
    )
    if found is None:
        return None
    root, name, own_name, added, timer, verified, state, session, stored = found
    if session:
        stored = desk.session(work, cid).peer_list
    if not stored or state in ("used", "unlinked"):
        return None
    return sync.Person(
        root, stored, name, own_name, added, timer, bool(verified), state == "blocked"
    )


def pass_on(desk: Desk, work: Work, cid: str, said: object, data: bytes) -> None:
    """What a contact said goes to own devices that do not hear it themselves."""
    found = rows(work.db, "SELECT own FROM passing WHERE contact = ?", cid)
    if found and isinstance(said, PASSED):
        (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
        with contextlib.suppress(ApiError):  # too long to have anything around it
            desk.say_own(work, sync.Copy(root, False, work.now, data), *(id for (id,) in found))


PASSED: Final = (*COPIED, content.Read, content.Profile)


def lead(desk: Desk, work: Work, said: sync.Meet) -> None:
    """An own device wants to be led to another one: of a contact, or of this person's."""
    identity = desk.identity(work)
    ours = any(one.ed25519 == said.device for one in identity.devices.devices)
    if ours != (said.root == identity.devices.root) and said.to == identity.account.ed25519:
        return
    if said.to == identity.account.ed25519:
        _begin(desk, work, "own", said.root, said.device, said.link)
    elif not ours:
        return
    elif said.root == identity.devices.root:
        for (id,) in rows(
            work.db, "SELECT id FROM contact WHERE kind = 'own' AND device = ?", said.to
        ):
            desk.say_own(work, said, id)
    else:
        _lead_to_contact(desk, work, said)


def _lead_to_contact(desk: Desk, work: Work, said: sync.Meet) -> None:
    found = row(
        work.db,
        "SELECT id FROM contact WHERE root = ? AND kind = 'person'"
        " AND state IN ('active', 'joining')",
        said.root,
    )
    if found is None:
        return
    target = row(
        work.db,
        "SELECT id FROM contact WHERE belongs = ? AND device = ?"
        " AND state IN ('active', 'joining')",
        found[0],
        said.to,
    )
    what = content.Device(said.device, said.to, said.link)
    desk.say_to_device(work, (target or found)[0], what)


def led(desk: Desk, work: Work, cid: str, said: content.Device) -> None:
    """A contact has a further device, which one of their others vouches for."""
    (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", cid)
    if said.to != desk.identity(work).account.ed25519:
        meet = sync.Meet(root, said.to, said.device, said.link)
        for (id,) in rows(
            work.db, "SELECT id FROM contact WHERE kind = 'own' AND device = ?", said.to
        ):
            desk.say_own(work, meet, id)
        return
    _begin(desk, work, "device", root, said.device, said.link)


def _begin(desk: Desk, work: Work, kind: str, root: bytes, device: bytes, link: str) -> None:
    """Answer the invitation of a device that is on the list of its person."""
    belongs = ""
    if kind == "own" and root != desk.identity(work).devices.root:
        kind = "device"
    if kind == "device":
        found = row(
            work.db,
            "SELECT id, state, device, length(session) FROM contact WHERE root = ?"
            " AND kind = 'person'",
            root,
        )
        if found is None or found[1] in ("blocked", "unlinked"):
            return
        belongs, state, first, session = found
        if session and desk.session(work, belongs).peer.device == device:
            return
        if state == "restored" and first == device:
            _answer(desk, work, belongs, state, device, link)
            return
    known = row(
        work.db,
        "SELECT id, state FROM contact WHERE kind = ? AND root = ? AND device = ?",
        kind,
        root,
        device,
    )
    if known is None:
        id = insert(desk, work, kind, root, device, "meeting", belongs=belongs)
        known = (id, "meeting")
    _answer(desk, work, known[0], known[1], device, link)


def _answer(desk: Desk, work: Work, id: str, state: str, device: bytes, link: str) -> None:
    if state in (*LIVE, "removed"):
        return
    mine = desk.identity(work).account.ed25519
    if state == "restored" and mine < device:
        return  # both invite: the other follows
    desk.put(work, PENDING + id, link)
    work.after.append(effects.Renewed(id))


def connected(desk: Desk, work: Work, id: str) -> None:
    """A session that an own device led to stands: it need pass nothing on any more."""
    root, through, kind = row(work.db, "SELECT root, through, kind FROM contact WHERE id = ?", id)
    if through and kind == "person":
        desk.say_own(work, sync.Met(root))
    work.db.execute("UPDATE contact SET through = '' WHERE id = ?", (id,))


def met(desk: Desk, work: Work, own: str, said: sync.Met) -> None:
    """An own device hears this contact by itself."""
    work.db.execute(
        "DELETE FROM passing WHERE own = ? AND contact IN"
        " (SELECT id FROM contact WHERE root = ? AND kind = 'person')",
        (own, said.root),
    )
