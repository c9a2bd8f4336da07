"""A group without nodes: people by number, and what they do to the roster."""

from __future__ import annotations

import functools

import msgspec

from holdfast.core.group import entries
from holdfast.core.group.entries import Add, AnyOp, Body, Entry, Remove, Renewal
from holdfast.core.group.epochs import Epoch, Epochs, commitment
from holdfast.core.group.franking import Proof, message_key
from holdfast.core.group.roster import Roster, first_body
from holdfast.core.group.senders import Inbound, Outbound, read
from holdfast.core.seal.identity import Identity
from holdfast.testing.entropy import seeded

__all__ = [
    "HOMES",
    "SECRET",
    "act",
    "add",
    "begin",
    "fold",
    "found",
    "person",
    "proved",
    "root",
    "secret_of",
    "talking",
]

HOMES = ("relay.example.org:443/x",)
SECRET = b"the founding one".ljust(32, b".")


@functools.cache
def person(number: int) -> Identity:
    """Somebody, always the same for a number as far as vodozemac lets itself be told."""
    return Identity.create(seeded(f"person {number}"))[0]


def root(number: int) -> bytes:
    """How others know them."""
    return person(number).devices.root


def secret_of(author: int) -> bytes:
    """The secret of every epoch that they begin."""
    return (b"renewed by %d" % author).ljust(32, b".")


def found() -> Entry:
    """Person 0 founds a group, whose first secret is `SECRET`."""
    me = person(0)
    body = first_body(me.devices, me.party.device, "Friends", "p0", bytes(32), 1)
    renewal = Renewal(commitment(b"", SECRET), HOMES)
    return entries.sign(msgspec.structs.replace(body, renewal=renewal), me.account)


def act(
    author: int, parents: tuple[bytes, ...], group: bytes, *ops: AnyOp, renew: bool = False
) -> Entry:
    """Somebody does something; with a removal the key is renewed."""
    me = person(author)
    renewal = None
    if renew or any(isinstance(op, Remove) for op in ops):
        renewal = Renewal(commitment(group, secret_of(author)), HOMES)
    device, listed = me.party.device, me.devices.head
    body = Body(1, group, tuple(sorted(parents)), me.devices.root, device, listed, 5, ops, renewal)
    return entries.sign(body, me.account)


def add(number: int, role: str = "member") -> Add:
    """The operation that adds them."""
    devices = person(number).devices.encode()
    return Add(f"p{number}", devices, role)  # type: ignore[arg-type]


def fold(*given: Entry) -> Roster:
    """All of these, in this order."""
    roster = Roster(given[0])
    for entry in given[1:]:
        roster.add(entry)
    return roster


def talking() -> tuple[Roster, Epochs, Epoch]:
    """Person 0's group with the admin 1 and the members 2 and 3, and its present epoch."""
    first = found()
    members = act(0, (first.hash,), first.hash, add(1, "admin"), add(2), add(3))
    roster = fold(first, members)
    epochs = Epochs(roster)
    epochs.hold((first.hash,), SECRET)
    epoch = epochs.now()
    assert epoch is not None
    return roster, epochs, epoch


def begin(epoch: Epoch, number: int, counter: int = 1) -> tuple[Outbound, bytes]:
    """Somebody's session, and what is inside the record that announces it."""
    me = person(number)
    draw = seeded(f"session {number} {counter}")
    outbound, record = Outbound.begin(epoch, me.party, me.account, counter, 5, draw)
    return outbound, epoch.open(record)[1]


def proved(epoch: Epoch, inbound: Inbound, record: bytes) -> Proof:
    """A record opened as a member does, with what is kept to report it; the session is one that
    was announced to them just now."""
    _, message = read(epoch.open(record)[1])
    exported = inbound.exported(message.message_index())
    inbound.open(message)
    assert exported is not None
    return Proof(*inbound.statement, message.to_bytes(), message_key(exported))
