"""Contacts, and how they become such. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis, Seconds
from holdfast.node.schema.talk import Message


class Contact(Struct, frozen=True, kw_only=True):
    """Whom one has a conversation with: a person, Echo, a group, or a channel."""

    id: Id
    kind: Literal["person", "group", "channel"] = "person"
    name: str
    """What they call themselves, or what you call them."""
    own_name: str
    """What they call themselves."""
    state: Literal[
        "joining",
        "active",
        "frozen",
        "used",
        "blocked",
        "restored",
        "left",
        "removed",
        "unlinked",
    ]
    """restored: known from a backup, or from another device of mine; their device has not heard of
    this one yet. unlinked: this device was removed by another one of mine.
    joining: the invitation was accepted, their first answer is awaited.
    frozen: their identity changed in a way that must be looked at; nothing is sent.
    used: somebody else had accepted the invitation before; ask for a new one.
    left, removed: I am not in this group any more."""
    members: int = 0
    """How many are in the group."""
    leads: bool = True
    """Whether I may do what admins do; true with a person. Whether a channel is mine."""
    open: Literal["", "reads", "writes"] = ""
    """Of a channel in which everybody writes, an open group: whether I have a name in it, and
    so can write."""
    via: Id = ""
    """The group through which they became a contact, by a link or from within."""
    request: bool = False
    """Came unasked and was not accepted yet: nothing rings or notifies, and nothing tells them
    that anybody is there."""
    verified: bool
    direct: bool = False
    """Whether calls may go straight between the two computers, if they allow it as well. Only
    while verified: each then learns the other's address."""
    echo: bool = False
    looks_like: str = ""
    """Another contact's name that this one could be mistaken for."""
    added: Millis
    unread: int = 0
    timer: Seconds = 0
    typing: bool = False
    last: Message | None = None
    waiting: int = 0


class Invitation(Struct, frozen=True, kw_only=True):
    id: Id
    link: str
    qr: str
    """SVG of the link as a QR code, dark on white; uses the `holdfast:` form."""
    many: bool
    label: str = ""
    created: Millis
    expires: Millis
    state: Literal["preparing", "open", "used", "expired", "revoked"]
    """preparing: no relay has it yet, the link does not work before one has."""
    used_by: Id = ""
    group: Id = ""
    """The group that it leads into."""
    approve: bool = False
    """Whether an admin admits everybody by hand."""


class Verification(Struct, frozen=True, kw_only=True):
    """A comparison of emoji in progress. Both see the same seven."""

    contact: Id
    state: Literal["asked", "waiting", "compare", "confirmed", "done", "mismatch", "cancelled"]
    """asked: they want to compare, `start_verification` joins. waiting: for their node.
    compare: show emoji. confirmed: you said they match, they have not yet."""
    emoji: list[tuple[str, str]] = []
    """Seven pairs of symbol and English name."""
