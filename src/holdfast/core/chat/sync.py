"""What a person's own devices tell each other, and nobody else is listened to.

A family of its own, by which only sessions between devices of one person are read: in a
contact's session these are no contents at all. Arrays with a name first, as in `content`; what
is unknown changes nothing. Source: spec/devices.md.
"""

from __future__ import annotations

import typing
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from holdfast.core.chat.content import (
    Malformed,
    Mid,
    Millis,
    NameText,
    Root,
    Timer,
    Unknown,
)
from holdfast.core.seal.identity import MAX_DEVICES

MAX_PAGE: Final = 500
"""Messages in one part of a history."""
MAX_REACTIONS: Final = 32
"""Of one message in a history."""
MAX_BLOCKED: Final = 1_000
"""People whom one of these names."""
Said = Annotated[bytes, Meta(max_length=60_000)]
Author = Annotated[bytes, Meta(max_length=32)]
List = Annotated[bytes, Meta(max_length=8_192)]
Short = Annotated[str, Meta(max_length=16)]
LongText = Annotated[str, Meta(max_length=16_000)]


class Sync(Struct, frozen=True, array_like=True):
    """Base of all of these. Further fields of a newer version are ignored."""


class Named(Struct, frozen=True, array_like=True):
    """A device as its person calls it, and when it was linked."""

    device: Root
    name: NameText
    since: Millis


Names = Annotated[tuple[Named, ...], Meta(max_length=MAX_DEVICES)]


class Welcome(Sync, frozen=True, tag="welcome"):
    """To a device that both sides confirmed: who it is from now on. `relays` are addresses,
    `settings` JSON. With `past`, what was said before follows."""

    devices: List
    names: Names
    name: NameText
    settings: Annotated[str, Meta(max_length=4_096)]
    relays: Annotated[tuple[Annotated[str, Meta(max_length=400)], ...], Meta(max_length=64)]
    past: bool = False
    total: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """Messages that follow."""
    room: Annotated[int, Meta(ge=0, le=2**40)] = 0
    """The last of their places."""


class Devices(Sync, frozen=True, tag="devices"):
    """The device list as it is now, or the names in it."""

    devices: List
    names: Names


class Me(Sync, frozen=True, tag="me"):
    """What the person is called from now on."""

    name: NameText


class Person(Sync, frozen=True, tag="person"):
    """A contact of the sender's, new or changed: whom the receiver may ask to be led to."""

    root: Root
    devices: List
    name: NameText
    own_name: NameText
    added: Millis
    timer: Timer = 0
    verified: bool = False
    blocked: bool = False


class Gone(Sync, frozen=True, tag="gone"):
    """A contact was deleted, with everything."""

    root: Root


class Blocked(Sync, frozen=True, tag="blocked"):
    """What these people say counts for nothing from now on, or counts again. Not only contacts."""

    roots: Annotated[tuple[Root, ...], Meta(max_length=MAX_BLOCKED)]
    on: bool = True


class Meet(Sync, frozen=True, tag="meet"):
    """Pass the invitation of a device of this person's on to this device of a contact, or of the
    person; `device` is the one that invites."""

    root: Root
    to: Root
    device: Root
    link: Annotated[str, Meta(max_length=2_048)]


class Met(Sync, frozen=True, tag="met"):
    """The sender hears this contact by itself from now on."""

    root: Root


class Copy(Sync, frozen=True, tag="copy"):
    """What was said to a contact (`mine`), or by one, as `content` has it."""

    root: Root
    mine: bool
    at: Millis
    content: Said


class Seen(Sync, frozen=True, tag="seen"):
    """Everything of the contact's up to this message was read."""

    root: Root
    mid: Mid


class Hidden(Sync, frozen=True, tag="hidden"):
    """A message was removed for the person alone."""

    root: Root
    mine: bool
    mid: Mid


class Emoji(Struct, frozen=True, array_like=True):
    """A reaction; `author` is whose it is in a group."""

    mine: bool
    emoji: Annotated[str, Meta(max_length=32)]
    at: Millis
    author: Author = b""


class Line(Struct, frozen=True, array_like=True):
    """One message of a history. `kind` is `text` or `file`, whose name is the text then."""

    mine: bool
    mid: Mid
    kind: Short
    text: LongText
    at: Millis
    received: Millis
    state: Short
    edited: Millis = 0
    deleted: bool = False
    seen: bool = False
    timer: Timer = 0
    expires: Millis = 0
    reply: Annotated[bytes, Meta(max_length=16)] = b""
    reply_mine: bool = False
    reactions: Annotated[tuple[Emoji, ...], Meta(max_length=MAX_REACTIONS)] = ()
    file: Annotated[bytes, Meta(max_length=16_384)] = b""
    """A `File` content, of what was a file."""
    place: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """Where it stands among all that is told, from 1."""
    author: Author = b""
    """Who wrote it, in a group; empty if `mine`, as in the next."""
    reply_author: Author = b""
    remover: Author = b""
    """Who removed it for all."""
    order: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    """Its place in a group, see "Order" in spec/chat.md."""


class Past(Sync, frozen=True, tag="past"):
    """Part of what was said with one contact, or in a group, before, oldest first. `left` messages
    follow."""

    root: Root
    lines: Annotated[tuple[Line, ...], Meta(max_length=MAX_PAGE)]
    left: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


class Group(Sync, frozen=True, tag="group"):
    """Something about a group that the receiver is in too, or is given: what members say to each
    other of its roster and keys, as `content` has it."""

    content: Said


class Channel(Sync, frozen=True, tag="channel"):
    """A channel that this person reads, by its link. `device`: which device of theirs writes in it,
    if it is their own."""

    link: Annotated[str, Meta(max_length=2_048)]
    device: Annotated[bytes, Meta(max_length=32)] = b""


Known = (
    Welcome
    | Devices
    | Me
    | Person
    | Gone
    | Blocked
    | Meet
    | Met
    | Copy
    | Seen
    | Hidden
    | Past
    | Group
    | Channel
)


class _Kind(Struct, array_like=True, frozen=True):
    kind: Annotated[str, Meta(max_length=32)]


_known: Final[msgspec.msgpack.Decoder[Known]] = msgspec.msgpack.Decoder(Known)
_kind: Final = msgspec.msgpack.Decoder(_Kind)
_kinds: Final = frozenset(str(kind.__struct_config__.tag) for kind in typing.get_args(Known))


def encode(said: Known) -> bytes:
    """As it is said."""
    return msgspec.msgpack.encode(said)


def decode(data: bytes) -> Known | Unknown:
    """Inverse of `encode`. Raises `Malformed`."""
    try:
        kind = _kind.decode(data).kind
        return _known.decode(data) if kind in _kinds else Unknown(kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed("nothing that devices tell each other") from None
