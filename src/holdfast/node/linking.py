"""Jobs of linking a device: a code that the first one shows, and seven emoji on both.

The code is an invitation with a flag of its own; the new device answers it under keys that are
nobody's yet. Nothing is given, and no list is signed, before the persons at both have said that
they see the same emoji. Source: spec/devices.md, "Linking".
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.core.caps import Home
from holdfast.core.chat import content, names, sync
from holdfast.core.seal import identity as identities
from holdfast.core.seal import verification
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.link import Link
from holdfast.core.seal.verification import FINAL, Verification
from holdfast.node import (
    blocking,
    channels,
    devices,
    effects,
    group_devices,
    history,
    homes,
    inviting,
    views,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Linking, LinkingChanged

LINKING: Final = "linking"
"""What `meta` calls a linking that goes on, or the last one."""
TRIES: Final = 8
"""Comparisons that are begun again by themselves, after one of the two was restarted."""
ANEW: Final = bytes(16)
"""Name of a cancel by which the first device, which was restarted, asks for another comparison."""
OVER: Final = b"\xff" * 16
"""And of one by which it ends a linking before a comparison has a name."""

State = Literal["open", "confirmed", "done", "cancelled", "expired", "mismatch"]


class _Kept(msgspec.Struct):
    role: Literal["old", "new"]
    name: str
    invitation: str = ""
    past: bool = False
    state: State = "open"
    tries: int = 0


def _kept(desk: Desk, work: Work) -> _Kept | None:
    stored = desk.get(work, LINKING)
    return None if stored is None else msgspec.msgpack.decode(stored, type=_Kept)


def _keep(desk: Desk, work: Work, kept: _Kept) -> None:
    desk.put(work, LINKING, msgspec.msgpack.encode(kept))
    work.after.append(effects.Tell(LinkingChanged(view(desk, work))))


def _row(work: Work, kept: _Kept) -> str | None:
    """The session with the other side, if there is one."""
    state = "state = 'linking'" if kept.role == "old" else "state IN ('joining', 'active')"
    found = row(work.db, f"SELECT id FROM contact WHERE kind = 'own' AND {state}")
    return None if found is None else str(found[0])


def view(desk: Desk, work: Work) -> Linking | None:
    """How far it is."""
    kept = _kept(desk, work)
    if kept is None:
        return None
    code = qr = ""
    expires = 0
    state: str = kept.state
    machine = desk.linking
    if state == "open":
        state = "connecting" if _row(work, kept) is not None else "waiting"
        if machine is not None and machine.state in ("compare", "confirmed"):
            state = machine.state
        if kept.invitation and state == "waiting":
            made = views.invitation(work.db, desk.rows, kept.invitation, work.now)
            expires = made.expires
            if made.state == "preparing":
                state = "preparing"
            elif made.state != "open":
                state = "expired"
            else:
                code, qr = made.link, made.qr
    return Linking(
        here=kept.role,
        state=state,  # type: ignore[arg-type]
        name=kept.name,
        code=code,
        qr=qr,
        expires=expires,
        emoji=[] if machine is None else machine.emoji,
        past=kept.past,
    )


def is_new(desk: Desk, work: Work) -> bool:
    """Whether this node waits to be told whose device it is."""
    kept = _kept(desk, work)
    return kept is not None and kept.role == "new" and kept.state != "done"


# The first device.


def show(desk: Desk, work: Work, past: bool) -> Linking:
    """A code for one new device, for a quarter of an hour. Raises `ApiError`."""
    identity = desk.identity(work)
    if identity.root is None:
        raise ApiError("not-allowed", str(identities.NotFirst()))
    if len(identity.devices.devices) >= identities.MAX_DEVICES:
        raise ApiError("not-allowed", "a person has at most 16 devices; remove one first")
    _end(desk, work, "cancelled")
    made = inviting.create(desk, work, False, 1, "", renews=inviting.DEVICE, device=True)
    desk.linking = None
    _keep(desk, work, _Kept("old", "", made.id, past))
    shown = view(desk, work)
    assert shown is not None
    return shown


def published(desk: Desk, work: Work, invitation: str) -> None:
    """A relay has the bundle of an invitation: if it is the code's, it can be shown."""
    kept = _kept(desk, work)
    if kept is not None and kept.invitation == invitation:
        work.after.append(effects.Tell(LinkingChanged(view(desk, work))))


def tick(desk: Desk, work: Work) -> None:
    """What nobody goes on with ends."""
    kept = _kept(desk, work)
    if kept is None or kept.state != "open" or kept.role != "old":
        return
    shown, machine = view(desk, work), desk.linking
    if shown is not None and shown.state == "expired":
        _end(desk, work, "expired")
    elif machine is not None and machine.name is not None:
        if machine.expire(work.now):
            _end(desk, work, "cancelled")
    elif (id := _row(work, kept)) is not None:
        (since,) = row(work.db, "SELECT added FROM contact WHERE id = ?", id)
        if work.now - since >= inviting.CODE:
            _end(desk, work, "expired")


def answered(desk: Desk, work: Work, id: str) -> None:
    """A new device has answered the code: wait for it to begin comparing."""
    kept = _kept(desk, work)
    if kept is None or kept.role != "old" or kept.state != "open":
        _forget_row(desk, work, id)
        return
    (name,) = row(work.db, "SELECT own_name FROM contact WHERE id = ?", id)
    kept.name = names.clean(name)
    _keep(desk, work, kept)


# The new one.


def begin(desk: Desk, work: Work, name: str, link: Link) -> None:
    """A job, in a database that has no identity yet: keys of this device's own."""
    desk.make_identity(work, names.clean(name) or "Holdfast")
    desk.joins = True
    for home in link.homes:
        homes.add(work, home)
    _keep(desk, work, _Kept("new", names.clean(name)))


def answer(desk: Desk, work: Work, link: Link, record: bytes) -> Linking:
    """Answer the code. Raises `ApiError`."""
    inviting.accept(desk, work, link, record)
    shown = view(desk, work)
    assert shown is not None
    return shown


def connected(desk: Desk, work: Work, id: str) -> None:
    """The other side answers: compare."""
    kept = _kept(desk, work)
    if kept is None or kept.role != "new" or kept.state != "open":
        return
    session = desk.session(work, id)
    machine = desk.linking = Verification(session.me, session.peer)
    _went(desk, work, id, kept, machine.start(work.now, desk.entropy))


def resume(desk: Desk, work: Work) -> None:
    """After a start: a comparison that was under way begins again."""
    kept = _kept(desk, work)
    if kept is None or kept.state != "open":
        return
    id = _row(work, kept)
    if kept.role == "old":
        if id is not None:
            desk.say_to_device(work, id, content.Verify(verification.cancelled(ANEW)))
    elif id is None and not desk.joins:  # ended before the code was answered: it is used anew
        kept.state = "cancelled"
        _keep(desk, work, kept)
    elif id and row(work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'active'", id):
        connected(desk, work, id)


def erase(desk: Desk, work: Work) -> None:
    """A new device that nobody confirmed is nobody's: nothing of it stays."""
    for stored, id in rows(work.db, "SELECT inbox, id FROM contact"):
        inbox = unpack_inbox(stored)
        for home in inbox.homes:
            work.after.append(effects.Drop(inbox.caps, home))
        desk.forget(id)
    for table in ("contact", "outgoing", "unsent", "wanted", "unwanted", "position", "relay"):
        work.db.execute(f"DELETE FROM {table}")
    work.db.execute("DELETE FROM meta")


# Both.


def step(desk: Desk, work: Work, id: str, body: bytes) -> None:
    """A step of the other side's."""
    kept = _kept(desk, work)
    if kept is None or _row(work, kept) != id:
        return
    said, machine = verification.read(body), desk.linking
    if kept.role == "new" and isinstance(said, verification.Cancel):
        _ended(desk, work, id, kept, said)
        return
    if kept.state != "open":
        return
    if kept.role == "old" and isinstance(said, verification.Ask):
        session = desk.session(work, id)
        machine = desk.linking = Verification(session.me, session.peer)
    elif machine is None:
        if kept.role == "old":  # restarted since
            desk.say_to_device(work, id, content.Verify(verification.cancelled(ANEW)))
        return
    out = machine.handle(body, work.now)
    if machine.state == "asked" and kept.role == "old":
        out += machine.start(work.now, desk.entropy)
    _went(desk, work, id, kept, out)


def _ended(desk: Desk, work: Work, id: str, kept: _Kept, said: verification.Cancel) -> None:
    """The first device ends what goes on, or was restarted in it."""
    machine = desk.linking
    if kept.state not in ("open", "confirmed"):
        return
    if said.name == ANEW:
        _again(desk, work, id, kept)
    elif machine is None or said.name in (OVER, machine.name):
        kept.state = "mismatch" if said.mismatch else "cancelled"
        desk.linking = None
        _keep(desk, work, kept)


def _again(desk: Desk, work: Work, id: str, kept: _Kept) -> None:
    """The new device begins another comparison, if there were not too many."""
    kept.state = "open" if kept.tries < TRIES else "cancelled"
    kept.tries += 1
    _keep(desk, work, kept)
    connected(desk, work, id)


def confirm(desk: Desk, work: Work, match: bool) -> Linking:
    """What the person at this device says of the seven emoji. Raises `ApiError`."""
    kept = _kept(desk, work)
    id = None if kept is None else _row(work, kept)
    machine = desk.linking
    if kept is None or id is None or machine is None or machine.state != "compare":
        raise ApiError("not-allowed", "there is nothing to confirm now")
    _went(desk, work, id, kept, machine.confirm(match, work.now))
    shown = view(desk, work)
    assert shown is not None
    return shown


def cancel(desk: Desk, work: Work) -> None:
    """Stop. On the first device nothing was given."""
    kept = _kept(desk, work)
    if kept is not None and kept.state == "open":
        _end(desk, work, "cancelled")


def _went(desk: Desk, work: Work, id: str, kept: _Kept, out: list[bytes]) -> None:
    machine = desk.linking
    assert machine is not None
    work.undo.append(lambda: setattr(desk, "linking", None))
    for body in out:
        desk.say_to_device(work, id, content.Verify(body))
    if machine.state == "done":
        kept.state = "confirmed" if kept.role == "new" else "done"
        if kept.role == "old":
            _link(desk, work, id, kept)
        _keep(desk, work, kept)
    elif machine.state in FINAL:
        if machine.state == "cancelled" and kept.role == "new":
            _again(desk, work, id, kept)
        elif machine.state == "mismatch":
            _end(desk, work, "mismatch")
        else:
            _keep(desk, work, kept)
    else:
        _keep(desk, work, kept)


def _end(desk: Desk, work: Work, state: State) -> None:
    kept = _kept(desk, work)
    if kept is None or kept.state != "open":
        return
    if kept.role == "old":
        if (id := _row(work, kept)) is not None:
            out = [] if desk.linking is None else desk.linking.cancel()
            for body in out or [verification.cancelled(OVER)]:
                desk.say_to_device(work, id, content.Verify(body))
            _forget_row(desk, work, id)
        found = row(work.db, "SELECT state FROM invitation WHERE id = ?", kept.invitation)
        if found is not None and found[0] in ("open", "preparing"):
            inviting.end(desk, work, kept.invitation, "revoked")
    kept.state = state
    _keep(desk, work, kept)


def _forget_row(desk: Desk, work: Work, id: str) -> None:
    (stored,) = row(work.db, "SELECT inbox FROM contact WHERE id = ?", id)
    inbox = unpack_inbox(stored)
    for home in inbox.homes:
        desk.drop(work, inbox.caps, home)
    work.db.execute("DELETE FROM unsent WHERE contact = ?", (id,))
    work.db.execute("DELETE FROM contact WHERE id = ?", (id,))
    desk.forget(id)
    work.after.append(effects.Due(id, None))


def _link(desk: Desk, work: Work, id: str, kept: _Kept) -> None:
    """Both have confirmed: sign the list with the new device, and give it what it needs."""
    session = desk.session(work, id)
    device = identities.Device(session.peer.device, session.peer.curve25519)
    after = desk.identity(work).link(device)
    work.db.execute("UPDATE contact SET state = 'active' WHERE id = ?", (id,))
    devices.relist(desk, work, after)
    named = devices.known_names(desk, work)
    named.setdefault(after.account.ed25519, sync.Named(after.account.ed25519, "", int(work.now)))
    named[device.ed25519] = sync.Named(device.ed25519, kept.name, work.now)
    devices.keep_names(desk, work, named)
    total = history.prepare(desk, work, id) if kept.past else 0
    relays = tuple(
        address
        for (address,) in rows(
            work.db, "SELECT address FROM relay WHERE mine AND NOT off ORDER BY added LIMIT 16"
        )
    )
    welcome = sync.Welcome(
        after.devices.encode(),
        tuple(named.values()),
        str(desk.get(work, "name")),
        msgspec.json.encode(desk.settings(work)).decode(),
        relays,
        kept.past,
        total,
        history.room(desk, work, id),
    )
    desk.say_own(work, welcome, id)
    for (cid,) in rows(
        work.db, "SELECT id FROM contact WHERE kind = 'person' ORDER BY active DESC"
    ):
        devices.introduce(desk, work, cid, id)
    blocking.tell_all(desk, work, id)
    group_devices.linked(desk, work, id)
    channels.share_all(desk, work, id)
    if kept.past:
        history.go_on(desk, work, id)
    devices.tell_names(desk, work, but=id)


def welcomed(desk: Desk, work: Work, id: str, said: sync.Welcome) -> None:
    """This device is told whose it is, by the one that was compared."""
    kept = _kept(desk, work)
    if kept is None or kept.role != "new" or kept.state != "confirmed" or _row(work, kept) != id:
        return
    peer = desk.session(work, id).peer
    try:
        found = DeviceList.decode(said.devices)
        if found.root != peer.root:
            return
        identity = Identity.linked(desk.identity(work).account, found)
        relays = [Home.parse(address) for address in said.relays]
        settings = msgspec.json.decode(said.settings, type=type(desk.settings(work)))
    except (BadKey, ValueError):
        return
    desk.change_identity(work, identity)
    desk.put(work, "name", names.clean(said.name))
    desk.set_settings(work, settings)
    work.db.execute("UPDATE contact SET device = ? WHERE id = ?", (peer.device, id))
    for home in relays:
        homes.add(work, home)
    devices.keep_names(desk, work, {one.device: one for one in said.names})
    for one in found.devices:
        if one.ed25519 not in (peer.device, identity.account.ed25519):
            devices.insert(desk, work, "own", found.root, one.ed25519, "restored", through=id)
    if said.past:
        history.expect(desk, work, id, said)
    kept.state = "done"
    desk.linking = None
    _keep(desk, work, kept)
    work.after.append(effects.Renewals())
    work.after.append(effects.Relays())
