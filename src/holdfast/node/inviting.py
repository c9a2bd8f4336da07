"""Jobs of first contact: making, ending and answering invitations."""

from __future__ import annotations

from typing import Any, Final

from holdfast.core.chat import content, names
from holdfast.core.seal import invitation as seal
from holdfast.core.seal.bundle import BadBundle
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.link import MAX_HOMES, Link
from holdfast.core.seal.pairwise import KeyChanged, require_same_device
from holdfast.node import (
    answering,
    blocking,
    devices,
    effects,
    files,
    homes,
    rehousing,
    requests,
    views,
)
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_inbox, unpack_inbox
from holdfast.node.effects import Follow
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import ContactRemoved, Invitation

HOUR: Final = 3_600_000
MAX_HOURS: Final = 24 * 365
DEVICE: Final = "device"
"""What the invitation of a device of one's own is for, in the place of a contact."""
CODE: Final = 900_000
"""Milliseconds that it is good."""
ONE: Final = 8
"""Answers that the accept log of an invitation for one ever takes."""
MANY: Final = 2_000
KEPT: Final = 7 * 24 * HOUR
"""Milliseconds an ended invitation is still listed, and its bundle kept by relays."""


def create(
    desk: Desk,
    work: Work,
    many: bool,
    hours: int,
    label: str,
    renews: str = "",
    group: str = "",
    device: bool = False,
) -> Invitation:
    """A new invitation and its two logs at each of my relays; `renews` is the contact that it is
    for, if it is no new one, `group` the title of the group that it leads into, `device` whether it
    links a device."""
    if not 1 <= hours <= MAX_HOURS:
        raise ApiError("bad-params", f"an invitation lasts from 1 to {MAX_HOURS} hours")
    mine = desk.homes(work)[:MAX_HOMES]
    if not mine:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    expires = work.now + (CODE if device else hours * HOUR)
    made = seal.Invitation.create(
        desk.identity(work),
        mine,
        expires,
        desk.profile(work, group),
        work.now,
        desk.entropy,
        many,
        device,
    )
    id = desk.entropy(8).hex()
    bundle, accept = made.bundle_caps, made.accept_caps
    wrapped = desk.rows.wrap("invitation", id.encode(), 0, made.dump(), desk.entropy)
    work.db.execute(
        "INSERT INTO invitation (id, state, secret, counter, bundle, accept, label, created,"
        " expires, renews) VALUES (?, 'preparing', ?, 0, ?, ?, ?, ?, ?, ?)",
        (
            id,
            wrapped,
            bundle.locator,
            accept.locator,
            names.clean(label),
            work.now,
            expires,
            renews,
        ),
    )
    for home in mine:
        desk.want(work, bundle, home)
        desk.want(work, accept, home, MANY if many else ONE)
        work.after.append(Follow(accept, home, 0, ("accept", id)))
    publish(desk, work, id, made)
    desk.touch_invitation(work, id)
    return views.invitation(work.db, desk.rows, id, work.now)


def publish(desk: Desk, work: Work, id: str, made: seal.Invitation) -> None:
    """Append the bundle at every home; again after each start until one has it."""
    lifetime = max(60, (made.link.expires * 1000 - work.now + KEPT) // 1000)
    rid = made.link.bundle_hash[:16]
    for home in made.link.homes:
        work.after.append(
            effects.Append(made.bundle_caps, home, rid, made.record, min(lifetime, 90 * 86_400))
        )


def published(desk: Desk, work: Work, rid: bytes) -> str | None:
    """A relay has this record; if it is a bundle, its link works from now on: its invitation."""
    found = None
    for (id,) in rows(work.db, "SELECT id FROM invitation WHERE state = 'preparing'"):
        if load(desk, work, id).link.bundle_hash[:16] == rid:
            work.db.execute("UPDATE invitation SET state = 'open' WHERE id = ?", (id,))
            desk.touch_invitation(work, id)
            found = str(id)
    return found


def load(desk: Desk, work: Work, id: str) -> seal.Invitation:
    """The secret state. Raises `ApiError`."""
    found = row(work.db, "SELECT secret, counter FROM invitation WHERE id = ?", id)
    if found is None:
        raise ApiError("not-found", "there is no such invitation")
    return seal.Invitation.load(desk.rows.unwrap("invitation", id.encode(), found[1], found[0]))


def _save(desk: Desk, work: Work, id: str, made: seal.Invitation, state: str, by: str) -> None:
    (counter,) = row(work.db, "SELECT counter FROM invitation WHERE id = ?", id)
    wrapped = desk.rows.wrap("invitation", id.encode(), counter + 1, made.dump(), desk.entropy)
    work.db.execute(
        "UPDATE invitation SET secret = ?, counter = ?, state = ?, used_by = ? WHERE id = ?",
        (wrapped, counter + 1, state, by, id),
    )


def end(desk: Desk, work: Work, id: str, state: str, by: str = "") -> Invitation:
    """Delete the keys and both logs: `revoked`, `used` or `expired`."""
    made = load(desk, work, id)
    made.revoke()
    _save(desk, work, id, made, state, by)
    for home in made.link.homes:
        desk.drop(work, made.bundle_caps, home)
        desk.drop(work, made.accept_caps, home)
    desk.touch_invitation(work, id)
    return views.invitation(work.db, desk.rows, id, work.now)


def sweep(desk: Desk, work: Work) -> None:
    """End what has expired, forget what ended long ago."""
    late = work.now - seal.GRACE
    for (id,) in rows(
        work.db,
        "SELECT id FROM invitation WHERE state IN ('open', 'preparing') AND expires <= ?",
        late,
    ):
        end(desk, work, id, "expired")
    work.db.execute(
        "DELETE FROM invitation WHERE state NOT IN ('open', 'preparing')"
        " AND max(created, expires) <= ?",
        (work.now - KEPT,),
    )
    work.db.execute("DELETE FROM unwanted WHERE since <= ?", (work.now - KEPT,))


# Somebody answered.


def answered(desk: Desk, work: Work, id: str, home: str, seq: int, record: bytes) -> str | None:
    """A record came into an accept log: a contact, or nothing; the new contact's id."""
    found = row(work.db, "SELECT state FROM invitation WHERE id = ?", id)
    if found is None or found[0] not in ("open", "preparing"):
        return None
    made = load(desk, work, id)
    work.db.execute(
        "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
        (made.accept_caps.locator, home, seq),
    )
    (renews,) = row(work.db, "SELECT renews FROM invitation WHERE id = ?", id)
    expected = row(work.db, "SELECT kind, root, device FROM contact WHERE id = ?", renews)
    own = expected is not None and expected[0] == "own"
    try:
        contact = made.open_accept(record, desk.identity(work), work.now, desk.entropy, own)
    except (Unopenable, seal.Used):
        return None
    if isinstance(contact, seal.Repeat):
        return None
    if made.link.device:
        cid = _own_device(desk, work, contact, "linking", None)
        end(desk, work, id, "used", cid)
        return cid
    if expected is not None and expected[2] and expected[1:] != _who(contact):
        return None  # led to one device, and another one answers
    if blocking.is_blocked(work, contact.devices.root):
        return None  # whoever is blocked stays so, whatever they answer
    known = row(
        work.db,
        "SELECT 1 FROM contact WHERE root = ? AND kind <> 'own'",
        contact.devices.root,
    )
    if made.link.many and known is None and requests.is_full(work):
        return None
    cid = add(desk, work, contact, "active", None, renews=renews if own else "")
    (within,) = row(work.db, "SELECT within FROM invitation WHERE id = ?", id)
    if known is None:
        work.db.execute("UPDATE contact SET frank = ? WHERE id = ?", (within, cid))
    if known is None and not made.link.many:
        devices.introduce(desk, work, cid)
    if made.link.many and known is None:
        requests.ask(desk, work, cid)
        desk.touch_contact(work, cid)
    _save(desk, work, id, made, "open", cid)
    if made.link.many:
        desk.touch_invitation(work, id)
    else:
        end(desk, work, id, "used", cid)
    return cid


# I answer.


def accept(
    desk: Desk,
    work: Work,
    link: Link,
    record: bytes,
    echo: bool = False,
    renews: str = "",
    only: bytes = b"",
) -> str:
    """Make the contact that a link leads to; its id. `renews` is the contact that it has to be,
    if it is to go on with another device, `only` the root that somebody new has to have. Raises
    `ApiError`."""
    mine = desk.homes(work)[:MAX_HOMES]
    if not mine:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    expected = row(work.db, "SELECT kind, root, device, state FROM contact WHERE id = ?", renews)
    is_own = expected is not None and expected[0] == "own"
    try:
        contact, answer = seal.accept(
            link,
            record,
            desk.identity(work),
            mine,
            desk.profile(work),
            work.now,
            desk.entropy,
            is_own,
        )
    except BadBundle as error:
        code = {"own-link": "own-link", "expired": "expired"}.get(error.reason, "bad-link")
        raise ApiError(code, str(error)) from None
    packed = answering.pack(link.accept, link.homes, answer)
    if link.device:
        return _own_device(desk, work, contact, "joining", packed)
    known = row(
        work.db,
        "SELECT id, state FROM contact WHERE root = ? AND kind = 'person'",
        contact.devices.root,
    )
    if only and (known is not None or contact.devices.root != only):
        raise ApiError("bad-link", "this leads to somebody else than the member who sent it")
    if not renews and blocking.is_blocked(work, contact.devices.root):
        blocking.somebody(desk, work, contact.devices.root, False)  # who is answered is heard
    if expected is not None and expected[2]:
        _require_listed(work, contact, expected, known)
        return add(desk, work, contact, "joining", packed, renews=renews)
    if renews:
        if known is None or known[0] != renews:
            raise ApiError("bad-link", "this invitation is somebody else's")
    elif known is not None and known[1] in ("active", "joining") and _works(desk, work, known[0]):
        raise ApiError("used", "this person is among your contacts already")
    cid = add(desk, work, contact, "joining", packed, keep=bool(renews))
    if not echo and known is None:
        devices.introduce(desk, work, cid)
    if echo:
        work.db.execute("UPDATE contact SET echo = 1 WHERE id = ?", (cid,))
        desk.touch_contact(work, cid)
    return cid


def _who(contact: seal.Contact) -> tuple[bytes, bytes]:
    return contact.devices.root, contact.pairwise.peer.device


def _require_listed(
    work: Work, contact: seal.Contact, expected: tuple[str, bytes, bytes, str], known: Any
) -> None:
    """The device that one was led to is the one, and its list no older than what is known.
    Raises `ApiError`."""
    older = known is not None and devices.listed_version(work, known[0]) > contact.devices.version
    if expected[1:3] != _who(contact) or older:
        raise ApiError("bad-link", "this is not the device that was told of")


def _own_device(
    desk: Desk, work: Work, contact: seal.Contact, state: str, answer: bytes | None
) -> str:
    """A session with a device that is to be one of this person's, or whose device this is to be."""
    root, device = _who(contact)
    found = row(work.db, "SELECT id FROM contact WHERE kind = 'own' AND root = ?", root)
    if found is not None:
        raise ApiError("used", "this code was answered already")
    outbox = seal.Inbox(contact.theirs.caps.only("append"), contact.theirs.homes)
    id = devices.insert(
        desk,
        work,
        "own",
        root,
        device,
        state,
        own_name=profile_name(contact.profile),
        inbox=pack_inbox(contact.mine),
        outbox=pack_inbox(outbox),
        accept=answer,
    )
    _open_inboxes(desk, work, id, contact, answer is not None)
    desk.keep(work, id, contact.pairwise, 0)
    return id


def _works(desk: Desk, work: Work, cid: str) -> bool:
    """Whether a contact can be written to and heard by the relays that it has."""
    logs = [
        {str(home) for home in unpack_inbox(stored).homes}
        for stored in row(work.db, "SELECT inbox, outbox FROM contact WHERE id = ?", cid)
    ]
    return all(log & desk.reached for log in logs)


def add(
    desk: Desk,
    work: Work,
    contact: seal.Contact,
    state: str,
    answer: bytes | None,
    keep: bool = False,
    renews: str = "",
) -> str:
    """Store a new contact, or the new session of a known one, whose inbox so far stays with
    `keep`; its id. `renews` is a device's row, if it is known which one it is."""
    found = renews or _row_of(desk, work, contact)
    if found:
        return _renew(desk, work, found, contact, state, answer, keep)
    main = row(
        work.db,
        "SELECT id, own_name FROM contact WHERE root = ? AND kind = 'person'",
        contact.devices.root,
    )
    if main is not None:
        return _further_device(desk, work, main, contact, state, answer)
    cid = desk.entropy(8).hex()
    timer = desk.settings(work).timer
    outbox = seal.Inbox(contact.theirs.caps.only("append"), contact.theirs.homes)
    work.db.execute(
        "INSERT INTO contact (id, root, own_name, state, added, active, timer, inbox, outbox,"
        " session, counter, accept) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'', 0, ?)",
        (
            cid,
            contact.devices.root,
            profile_name(contact.profile),
            state,
            work.now,
            work.now,
            timer,
            pack_inbox(contact.mine),
            pack_inbox(outbox),
            answer,
        ),
    )
    _open_inboxes(desk, work, cid, contact, answer is not None)
    desk.keep(work, cid, contact.pairwise, 0)
    devices.take_list(desk, work, cid, contact.devices)
    desk.note(work, cid, "added")
    if group := profile_group(contact.profile):
        desk.note(work, cid, "group-link", text=group)
    desk.touch_contact(work, cid)
    return cid


def _row_of(desk: Desk, work: Work, contact: seal.Contact) -> str:
    """The session that this one takes the place of; empty if of none."""
    root, device = _who(contact)
    found = row(
        work.db,
        "SELECT id FROM contact WHERE kind = 'device' AND root = ? AND device = ?",
        root,
        device,
    )
    if found is not None:
        return str(found[0])
    main = row(work.db, "SELECT id, state FROM contact WHERE root = ? AND kind = 'person'", root)
    if main is None:
        return ""
    cid, state = main
    if state in ("active", "joining"):
        peer = desk.session(work, cid).peer
        if peer.device != device and contact.devices.holds(peer.device, peer.curve25519):
            return ""
    return str(cid)


def _further_device(
    desk: Desk,
    work: Work,
    main: tuple[str, str],
    contact: seal.Contact,
    state: str,
    answer: bytes | None,
) -> str:
    """A known person by another device of theirs than the one that was met first."""
    root, device = _who(contact)
    outbox = seal.Inbox(contact.theirs.caps.only("append"), contact.theirs.homes)
    id = devices.insert(
        desk,
        work,
        "device",
        root,
        device,
        state,
        belongs=main[0],
        own_name=main[1],
        inbox=pack_inbox(contact.mine),
        outbox=pack_inbox(outbox),
        accept=answer,
    )
    _open_inboxes(desk, work, id, contact, answer is not None)
    desk.keep(work, id, contact.pairwise, 0)
    devices.take_list(desk, work, main[0], contact.devices)
    return id


def _renew(
    desk: Desk,
    work: Work,
    cid: str,
    contact: seal.Contact,
    state: str,
    answer: bytes | None,
    keep: bool,
) -> str:
    """The same person by a new invitation. What waits goes over only to the same device."""
    stored, counter, before, kind, belongs, through = row(
        work.db,
        "SELECT inbox, counter, state, kind, belongs, through FROM contact WHERE id = ?",
        cid,
    )
    old = unpack_inbox(stored)
    restored = before == "restored"
    same = before not in ("restored", "meeting") and may_resend(desk, work, cid, contact)
    for home in (*(() if keep else old.homes), *homes.left(work, cid)):
        desk.drop(work, old.caps, home)
    work.db.execute("DELETE FROM leaving WHERE contact = ?", (cid,))
    work.db.execute("DELETE FROM outgoing WHERE contact = ?", (cid,))
    work.db.execute("DELETE FROM unsent WHERE contact = ?", (cid,))
    outbox = seal.Inbox(contact.theirs.caps.only("append"), contact.theirs.homes)
    work.db.execute(
        "UPDATE contact SET state = ?, inbox = ?, outbox = ?, accept = ?, active = ?, said = ''"
        " WHERE id = ?",
        (state, pack_inbox(contact.mine), pack_inbox(outbox), answer, work.now, cid),
    )
    desk.verifications.pop(cid, None)
    _open_inboxes(desk, work, cid, contact, answer is not None)
    desk.forget(cid)
    desk.keep(work, cid, contact.pairwise, counter)
    if kind != "own":
        devices.take_list(desk, work, belongs or cid, contact.devices)
    if kind != "person" or through:
        devices.connected(desk, work, cid)
        desk.touch_contact(work, cid)
        return cid
    waiting = [
        id
        for (id,) in rows(
            work.db,
            "SELECT id FROM message WHERE contact = ? AND mine"
            " AND kind IN ('text', 'file') AND state IN ('waiting', 'sent') ORDER BY id",
            cid,
        )
    ]
    if same:
        for id in waiting:
            _say_again(desk, work, cid, id)
    else:
        work.db.execute(
            "UPDATE message SET state = 'unsent' WHERE contact = ? AND mine"
            " AND kind IN ('text', 'file') AND state IN ('waiting', 'sent')",
            (cid,),
        )
        if restored:  # the root that was compared is theirs still, and it is we who are new
            desk.note(work, cid, "restored")
        else:
            work.db.execute("UPDATE contact SET verified = NULL, direct = 0 WHERE id = ?", (cid,))
            desk.note(work, cid, "key-changed")
    desk.touch_message(work, *waiting)
    desk.touch_contact(work, cid)
    return cid


def may_resend(desk: Desk, work: Work, cid: str, contact: seal.Contact) -> bool:
    """Whether what waits for the old session may be sealed again for the new one."""
    try:
        require_same_device(desk.session(work, cid), contact.pairwise)
    except KeyChanged:
        return False
    return True


def _say_again(desk: Desk, work: Work, cid: str, id: int) -> None:
    mid, at, kind, text, timer, reply_mid, reply_mine = row(
        work.db,
        "SELECT mid, at, kind, text, timer, reply_mid, reply_mine FROM message WHERE id = ?",
        id,
    )
    if not text:
        return
    if kind == "file":
        seq = rehousing.say_again(desk, work, cid, id, desk.homes(work))
    else:
        reply = None if reply_mid is None else content.Ref(reply_mid, bool(reply_mine))
        seq = desk.say(work, cid, content.Text(mid, at, text, reply, timer))
    work.db.execute("UPDATE message SET seq = ?, state = 'waiting' WHERE id = ?", (seq, id))


def _open_inboxes(desk: Desk, work: Work, cid: str, contact: seal.Contact, initiator: bool) -> None:
    """Whoever accepts makes both inboxes; both follow their own."""
    for home in contact.mine.homes:
        if initiator:
            desk.want(work, contact.mine.caps, home)
        work.after.append(Follow(contact.mine.caps, home, 0, ("inbox", cid)))
    if initiator:
        for home in contact.theirs.homes:
            desk.want(work, contact.theirs.caps, home)
    work.after.append(effects.Relays())


def profile_group(profile: bytes) -> str:
    """The group that an invitation says it leads into; empty if none."""
    try:
        said = content.decode(profile)
    except content.Malformed:
        return ""
    return names.clean(said.group) if isinstance(said, content.Profile) else ""


def profile_name(profile: bytes) -> str:
    """The name somebody gives, as it may be shown; a stand-in if there is none."""
    try:
        said = content.decode(profile)
    except content.Malformed:
        return "?"
    return names.clean(said.name) or "?" if isinstance(said, content.Profile) else "?"


def delete_contact(desk: Desk, work: Work, cid: str) -> None:
    """Delete the conversation, its keys and the log that I own."""
    found = row(work.db, "SELECT inbox FROM contact WHERE id = ?", cid)
    if found is None:
        raise ApiError("not-found", "there is no such contact")
    inbox = unpack_inbox(found[0])
    for home in (*inbox.homes, *homes.left(work, cid)):
        desk.drop(work, inbox.caps, home)
    delete_rows(desk, work, cid)


def delete_rows(desk: Desk, work: Work, cid: str) -> None:
    """Delete a conversation here."""
    files.forget_contact(desk, work, cid)
    work.db.execute("DELETE FROM unsent WHERE contact = ?", (cid,))
    work.db.execute("DELETE FROM contact WHERE id = ?", (cid,))
    desk.forget(cid)
    desk.verifications.pop(cid, None)
    work.after.append(effects.Due(cid, None))
    work.after.append(effects.Tell(ContactRemoved(cid)))
    work.after.append(effects.Relays())
