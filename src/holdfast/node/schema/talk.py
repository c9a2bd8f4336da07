"""What a conversation holds. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis
from holdfast.node.schema.calls import CallEntry
from holdfast.node.schema.groups import Author


class Reaction(Struct, frozen=True, kw_only=True):
    emoji: str
    mine: bool
    at: Millis
    name: str = ""
    """Whose it is, in a group."""


FileKind = Literal["file", "picture", "voice"]


class Quote(Struct, frozen=True, kw_only=True):
    """The replied-to message as it is now; `text` is empty when it is gone."""

    id: Id
    mine: bool
    text: str
    """Of a file its name, of a voice note nothing."""
    file: FileKind | None = None
    author: Author | None = None
    """Who wrote it, in a group."""


class Attachment(Struct, frozen=True, kw_only=True):
    """What a message carries besides words. Its bytes are at `/files/MESSAGE-ID`."""

    kind: FileKind
    name: str
    """Made harmless: no path, nothing invisible, nothing that reorders."""
    type: str
    """A media type that the interface can show or play, else application/octet-stream."""
    size: int
    """Bytes."""
    state: Literal["sending", "sent", "offered", "fetching", "whole", "gone"]
    """Mine: sending, sent (a relay has all of it), whole (they have it). Theirs:
    offered (waits to be asked for), fetching, whole, gone (no relay has it any more)."""
    done: int = 0
    """Bytes that a relay has (mine) or that are here (theirs)."""
    rate: int = 0
    """Bytes a second lately, 0 while nothing moves."""
    thumb: str = ""
    """A small picture made by the sender, as a data: URL."""
    width: int = 0
    height: int = 0
    duration: Millis = 0
    wave: list[int] = []
    """Loudness along a voice note, 0 to 31, at most 64 values."""


class PollOption(Struct, frozen=True, kw_only=True):
    text: str
    votes: int
    mine: bool
    names: list[str] = []
    """Who chose it, in a group; not me."""


class Poll(Struct, frozen=True, kw_only=True):
    """What a message asks. Who chose what is seen by all."""

    options: list[PollOption]
    many: bool
    voters: int


class Message(Struct, frozen=True, kw_only=True):
    """One entry of a conversation."""

    id: Id
    contact: Id
    order: int
    """Position in the conversation: ascending, never changes; in a group the same for all."""
    cursor: int
    """Rises with every change of any message; `listen` goes on from it."""
    mine: bool
    author: Author | None = None
    """Who wrote it, in a group; null if it was me."""
    kind: Literal["text", "file", "call", "note"]
    """A note is what the node has to say: see `note`."""
    note: Literal[
        "",
        "added",
        "verified",
        "unverified",
        "renamed",
        "timer",
        "gap",
        "lost",
        "key-changed",
        "restored",
        "device-added",
        "device-removed",
        "from-call",
        "group-made",
        "group-joined",
        "group-added",
        "group-removed",
        "group-banned",
        "group-unbanned",
        "group-left",
        "group-member",
        "group-admin",
        "group-owner",
        "group-link",
        "group-report",
        "told",
        "channel-made",
        "channel-followed",
        "channel-from",
        "channel-gap",
        "channel-older",
        "channel-withheld",
        "channel-fork",
        "channel-moved",
    ] = ""
    """gap: the internet was off from `at` to `until`, `count` messages came after it.
    lost: `count` messages could not be recovered. timer: `count` seconds. renamed:
    `text` is the new name. from-call: a voice note of what came too late for a call.
    group-…: `author` did it, to whom `text` names, and `count` more. group-joined: I was
    added. group-member, -admin, -owner: that is their role now. group-link: the
    invitation leads into the group `text`. group-report: `author` reported something of
    `text` to those who lead. device-added,
    device-removed: of their devices, `count`. told: a text from before I came, as
    whoever added me told it. channel-from: `text` is the channel that pointed to this one.
    channel-gap: `count` posts are missing here; channel-older: before what is here.
    channel-withheld: what a post said was taken back. channel-fork: its key signed two
    different posts `count`."""
    text: str = ""
    at: Millis
    """When it was written, by its author's clock, never later than when it came."""
    received: Millis
    until: Millis = 0
    count: int = 0
    edited: Millis = 0
    deleted: bool = False
    removed_by: Author | None = None
    """Who of those who lead the group removed it for all."""
    reply_to: Quote | None = None
    file: Attachment | None = None
    call: CallEntry | None = None
    reactions: list[Reaction] = []
    state: Literal["waiting", "sent", "delivered", "read", "received", "unsent"]
    """waiting: no relay has it. sent: a relay keeps it. unsent: it never arrived and is not
    sent again by itself, since the contact's key is another. The rest is what they said."""
    read_at: Millis = 0
    expires: Millis = 0
    """When it disappears here, 0 for never."""
    stale: bool = False
    """Written by somebody who did not know yet that a member of the group had been removed."""
    poll: Poll | None = None
    pinned: bool = False
    mention: bool = False
    """It names me."""


class Hit(Struct, frozen=True, kw_only=True):
    message: Message
    before: str
    match: str
    after: str


class Page(Struct, frozen=True, kw_only=True):
    messages: list[Message]
    """Ascending by `order`."""
    more: bool
    """Whether there are earlier ones."""
