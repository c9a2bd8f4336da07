"""Jobs of a renewal: after a restored backup every contact is told, and begins anew with the
device that is there now. See `core.seal.renewal`."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from holdfast.core.chat import sync
from holdfast.core.seal import renewal
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.invitation import Inbox
from holdfast.core.seal.link import BadLink, Link
from holdfast.node import devices, effects, inviting
from holdfast.node.database import row, rows
from holdfast.node.desk import LIFETIME, Desk, pack_inbox, unpack_inbox
from holdfast.node.effects import Renewed
from holdfast.node.keeper import Work

HOURS: Final = LIFETIME // 3_600
"""How long a renewal's invitation is good: as long as relays keep the record that brings it."""
AT_ONCE: Final = 20
"""Contacts told in one go; each costs two logs at every relay."""
PENDING: Final = devices.PENDING
"""What `meta` calls the invitations of contacts that are to be followed."""
FORMER: Final = "former/"
"""And the inboxes in which a contact may still put a renewal, since a backup of theirs may be older
than the one that is used now."""
FORMERS: Final = 3
TOLD: Final = "told/"
"""And the homes that have an invitation's renewal."""


def arrange(desk: Desk, work: Work) -> None:
    """Every restored contact has an invitation of its own under way."""
    if not desk.homes(work):
        return
    waiting = rows(
        work.db,
        "SELECT id FROM contact WHERE state = 'restored' AND id NOT IN (SELECT renews FROM"
        " invitation WHERE state IN ('preparing', 'open')) ORDER BY active DESC LIMIT ?",
        AT_ONCE,
    )
    for (cid,) in waiting:
        inviting.create(desk, work, False, HOURS, "", renews=cid)
    if len(waiting) == AT_ONCE:
        work.after.append(effects.Renewals())


def published(desk: Desk, work: Work, id: str) -> None:
    """An invitation works: if it is a renewal, the contact is told, at every home of its inbox that
    does not have it."""
    (cid,) = row(work.db, "SELECT renews FROM invitation WHERE id = ?", id)
    found = row(
        work.db,
        "SELECT outbox, through, root, device FROM contact WHERE id = ? AND state = 'restored'",
        cid,
    )
    if found is None:
        return
    link = inviting.load(desk, work, id).link
    if found[1]:
        if desk.get(work, TOLD + id) is None:
            mine = desk.identity(work).account.ed25519
            desk.say_own(work, sync.Meet(found[2], found[3], mine, link.text()), found[1])
            desk.put(work, TOLD + id, found[1])
        return
    outbox = unpack_inbox(found[0])
    record = renewal.seal(desk.identity(work), outbox.caps, link, desk.entropy)
    told = (desk.get(work, TOLD + id) or "").split()
    for home in outbox.homes:
        if str(home) not in told:
            work.after.append(effects.Append(outbox.caps, home, _rid(link), record, LIFETIME))


def appended(desk: Desk, work: Work, rid: bytes, home: str) -> None:
    """A relay has this record; if it is a renewal, it need not be said there again."""
    for id in _open(work):
        if _rid(inviting.load(desk, work, id).link) == rid:
            told = (desk.get(work, TOLD + id) or "").split()
            desk.put(work, TOLD + id, " ".join({*told, home}))


def _open(work: Work) -> list[str]:
    asked = "SELECT id FROM invitation WHERE state = 'open' AND renews <> ''"
    return [id for (id,) in rows(work.db, asked)]


def _rid(link: Link) -> bytes:
    """Random already, and the same after a restart."""
    return hashlib.sha256(link.secret).digest()[:16]


def resume(desk: Desk, work: Work) -> None:
    """At the start: tell again whoever was not told, and listen to those who may have renewed."""
    for id in _open(work):
        published(desk, work, id)
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state <> 'blocked'"):
        listen(desk, work, cid)
    tick(desk, work)


def tick(desk: Desk, work: Work) -> None:
    """Now and then: go on following those who have renewed, and tell those who could not be."""
    work.db.execute(
        "DELETE FROM meta WHERE name BETWEEN ? AND ? AND substr(name, ?) NOT IN"
        " (SELECT id FROM invitation WHERE state IN ('preparing', 'open'))",
        (TOLD, TOLD + "~", len(TOLD) + 1),
    )
    for (name,) in rows(
        work.db, "SELECT name FROM meta WHERE name BETWEEN ? AND ?", PENDING, PENDING + "~"
    ):
        work.after.append(Renewed(name.removeprefix(PENDING)))
    arrange(desk, work)


# The contact's side.


def heard(desk: Desk, work: Work, cid: str, locator: bytes, blob: bytes) -> None:
    """A record in a contact's inbox, or in a former one, says that they have another device."""
    root, stored, state = row(work.db, "SELECT root, inbox, state FROM contact WHERE id = ?", cid)
    inboxes = (unpack_inbox(stored), *formers(desk, work, cid))
    known = {inbox.caps.locator: inbox.caps for inbox in inboxes}
    restored = state == "restored"
    if restored and desk.identity(work).devices.root < root:
        return  # both have lost their devices: one of the two follows
    try:
        version = 0 if restored else desk.session(work, cid).peer_version
        found = renewal.open_renewal(blob, known[locator], root, version)
    except (Unopenable, KeyError):
        return
    desk.put(work, PENDING + cid, found.link)
    work.after.append(Renewed(cid))


def link_of(desk: Desk, work: Work, cid: str) -> Link | None:
    """The invitation by which a contact goes on, if there is a good one."""
    text = desk.get(work, PENDING + cid)
    if text is None or _is_blocked(work, cid):
        return None
    try:
        link = Link.parse(text, work.now)
    except BadLink:
        forget(work, cid)
        return None
    return link


def _is_blocked(work: Work, cid: str) -> bool:
    """Then they are followed once they are not."""
    blocked = (
        "SELECT 1 FROM contact WHERE state = 'blocked' AND id IN"
        " (SELECT iif(belongs = '', id, belongs) FROM contact WHERE id = ?)"
    )
    return row(work.db, blocked, cid) is not None


def formers(desk: Desk, work: Work, cid: str) -> list[Inbox]:
    """Inboxes of a contact that are read for renewals alone, the newest last."""
    stored = desk.get(work, FORMER + cid)
    found = [] if stored is None else msgspec.msgpack.decode(stored, type=list[bytes])
    return [unpack_inbox(one) for one in found]


def _keep(desk: Desk, work: Work, cid: str, inbox: Inbox) -> None:
    held = [*formers(desk, work, cid), inbox]
    for old in held[:-FORMERS]:
        for home in old.homes:
            desk.drop(work, old.caps, home)
    packed = [pack_inbox(one) for one in held[-FORMERS:]]
    desk.put(work, FORMER + cid, msgspec.msgpack.encode(packed))


def listen(desk: Desk, work: Work, cid: str) -> None:
    """Read former inboxes, and the one from a backup."""
    stored, state = row(work.db, "SELECT inbox, state FROM contact WHERE id = ?", cid)
    own = [unpack_inbox(stored)] if state == "restored" else []  # without homes, if linked
    for inbox in (*formers(desk, work, cid), *own):
        for home in inbox.homes:
            since = desk.position(work, inbox.caps.locator, str(home))
            work.after.append(effects.Follow(inbox.caps, home, since, ("inbox", cid)))


def delete_contact(desk: Desk, work: Work, cid: str) -> None:
    """As `inviting.delete_contact`, with what is kept for renewals."""
    for inbox in formers(desk, work, cid):
        for home in inbox.homes:
            desk.drop(work, inbox.caps, home)
    work.db.execute("DELETE FROM meta WHERE name IN (?, ?)", (FORMER + cid, PENDING + cid))
    devices.forget_all(desk, work, cid)
    inviting.delete_contact(desk, work, cid)


def follow(desk: Desk, work: Work, cid: str, link: Link, record: bytes) -> None:
    """Begin anew with the contact's device. Raises `ApiError`."""
    stored, device = row(work.db, "SELECT inbox, device FROM contact WHERE id = ?", cid)
    inviting.accept(desk, work, link, record, renews=cid)
    if not device:
        _keep(desk, work, cid, unpack_inbox(stored))
        listen(desk, work, cid)
    forget(work, cid)


def forget(work: Work, cid: str) -> None:
    """It was followed, or cannot be."""
    work.db.execute("DELETE FROM meta WHERE name = ?", (PENDING + cid,))
