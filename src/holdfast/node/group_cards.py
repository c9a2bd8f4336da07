"""Cards of a group's members, as a node keeps them, and what is sealed to them."""

from __future__ import annotations

from typing import Final

from holdfast.core.chat import content, names
from holdfast.core.group import cards as core
from holdfast.core.group.cards import Ask, Card
from holdfast.core.group.epochs import Epoch
from holdfast.core.seal.hpke import Unopenable
from holdfast.node import blocking, effects, group_state, inviting, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

HOURS: Final = 72
"""An invitation from within a group lasts."""


def mine(desk: Desk, work: Work, group: Group) -> bytes:
    """A new card of mine; the private key of the last one is kept beside its own."""
    body, secret = core.make(
        group.roster.id,
        group.me,
        str(desk.get(work, "name")),
        work.now,
        desk.identity(work).account,
        desk.entropy,
    )
    group.keys.delivery = (secret, *group.keys.delivery[:1])
    take(work, group, body)
    return body


def take(work: Work, group: Group, *bodies: bytes) -> None:
    """Keep members' cards; of one device the newest."""
    for body in bodies:
        try:
            card = core.read(body, group.roster.id)
        except Unopenable:
            continue
        if group.view.has_device(card.root, card.device):
            work.db.execute(
                "INSERT INTO group_card (contact, root, device, at, name, body)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(contact, root, device)"
                " DO UPDATE SET at = excluded.at, name = excluded.name, body = excluded.body"
                " WHERE excluded.at > group_card.at OR group_card.body = x''",
                (
                    group.cid,
                    card.root,
                    card.device,
                    min(card.at, work.now),
                    names.clean(card.name) or "?",
                    body,
                ),
            )


def bodies(work: Work, group: Group) -> list[bytes]:
    """Cards of who is in the group, to pass on; of one person the newest last."""
    view = group.view
    return [
        body
        for root, device, body in rows(
            work.db,
            "SELECT root, device, body FROM group_card WHERE contact = ? AND body <> x''"
            " ORDER BY root, at, device",
            group.cid,
        )
        if view.has_device(root, device or core.read(body, group.roster.id).device)
    ]


def every(work: Work, group: Group) -> list[Card]:
    """The same, read."""
    return [core.read(body, group.roster.id) for body in bodies(work, group)]


def cards(work: Work, group: Group) -> dict[bytes, Card]:
    """By person, the newest of each."""
    return {card.root: card for card in every(work, group)}


def wrapped(group: Group, epoch: Epoch, log: bytes, to: list[Card]) -> list[bytes]:
    """An epoch's secret for these members."""
    return core.wrap(group.roster.id, epoch.tips, epoch.secret, log, to)


def unwrapped(group: Group, plain: bytes) -> tuple[tuple[bytes, ...], bytes, bytes] | None:
    """Tips, log and secret of what is for me. Raises `Unopenable`."""
    found = core.unwrap(plain, group.roster.id, group.me.root, group.keys.delivery)
    return None if found is None else (found[0].tips, found[0].log, found[1])


def ask(desk: Desk, work: Work, group: Group) -> bytes:
    """A request of mine to everybody."""
    account = desk.identity(work).account
    return core.ask(group.roster.id, group.me, group.roster.tips, work.now, account)


def asked(group: Group, plain: bytes) -> Ask | None:
    """A request of somebody's, if it is one."""
    try:
        return core.read_ask(plain, group.roster.id)
    except Unopenable:
        return None


def introduced(desk: Desk, work: Work, cid: str, author: bytes, said: content.Introduce) -> None:
    """A member invites somebody: if it is me and they are no contact, I accept."""
    group = group_state.opened(desk, work, cid)
    known = "SELECT 1 FROM contact WHERE root = ? AND kind = 'person'"
    if said.to != group.me.root or row(work.db, known, author):
        return
    try:
        link = core.open_letter(said.sealed, group.roster.id, said.to, group.keys.delivery)
        work.after.append(effects.Introduced(cid, author, link.decode()))
    except (Unopenable, UnicodeDecodeError):
        return


def introduce(desk: Desk, work: Work, cid: str, root: bytes) -> None:
    """Invite a member who is no contact, through the group. Raises `ApiError`."""
    group = group_state.opened(desk, work, cid)
    card = cards(work, group).get(root)
    if card is None:
        raise ApiError("not-found", "nothing was heard of them yet; try again once they were here")
    known = "SELECT 1 FROM contact WHERE root = ? AND kind = 'person'"
    if root == group.me.root or row(work.db, known, root):
        raise ApiError("not-allowed", "you can write to each other already")
    if blocking.is_blocked(work, root):
        raise ApiError("not-allowed", "you have blocked them; unblock them to write")
    made = inviting.create(desk, work, False, HOURS, views.name_of(work.db, cid, root))
    work.db.execute("UPDATE invitation SET within = ? WHERE id = ?", (cid, made.id))
    desk.say(work, cid, content.Introduce(root, core.letter(card, made.link.encode())))
