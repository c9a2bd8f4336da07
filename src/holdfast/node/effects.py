"""What follows the commit of a job, carried out on the loop's thread; see `engine`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.core.caps import Caps, Home
from holdfast.core.chat.content import Answer, Burst, Places, Ring
from holdfast.node.schema import Event

Route = tuple[Literal["inbox", "accept", "answer", "group", "group-early", "channel"], str]
"""What a followed log is, and the id of its contact or invitation."""


@dataclass(frozen=True)
class Create:
    """Make a log at a home."""

    caps: Caps = field(repr=False)
    home: Home
    most: int


@dataclass(frozen=True)
class Append:
    """Add a record at a home; lifetime in seconds, 0 is live."""

    caps: Caps = field(repr=False)
    home: Home
    rid: bytes
    body: bytes = field(repr=False)
    lifetime: int


@dataclass(frozen=True)
class Follow:
    """Read a log at a home after `since`."""

    caps: Caps = field(repr=False)
    home: Home
    since: int
    route: Route


@dataclass(frozen=True)
class Unfollow:
    """Read it no longer."""

    caps: Caps = field(repr=False)
    home: Home


@dataclass(frozen=True)
class Trim:
    """Delete what was read and is kept here."""

    caps: Caps = field(repr=False)
    home: Home
    upto: int


@dataclass(frozen=True)
class Drop:
    """Delete the log."""

    caps: Caps = field(repr=False)
    home: Home


@dataclass(frozen=True)
class Due:
    """The contact's session wants a turn at this time (ms), or not at all."""

    contact: str
    at: int | None


@dataclass(frozen=True)
class Missing:
    """Something of the contact's came that another record has to come before."""

    contact: str


@dataclass(frozen=True)
class Expire:
    """Some message disappears at this time (ms)."""

    at: int


@dataclass(frozen=True)
class Tell:
    """News for the interfaces."""

    event: Event


@dataclass(frozen=True)
class Relays:
    """The list of relays changed."""


@dataclass(frozen=True)
class Use:
    """Be connected to these relays and to no others, by address."""

    mine: frozenset[str]
    used: dict[str, Home]


@dataclass(frozen=True)
class Move:
    """Go on sending or getting this file, from where the database has it."""

    file: str


@dataclass(frozen=True)
class Halt:
    """Move it no further; with `gone` its chunks are deleted here."""

    file: str
    gone: bool


@dataclass(frozen=True)
class Heard:
    """Something about calls came from a contact."""

    contact: str
    said: Ring | Answer | Burst | Places = field(repr=False)
    live: bool
    """See `taking.Arrived`."""


@dataclass(frozen=True)
class Renewed:
    """A contact goes on with another device: follow its invitation."""

    contact: str


@dataclass(frozen=True)
class Renewals:
    """More contacts are to be told of this device, a little later."""


@dataclass(frozen=True)
class Introduced:
    """A member of a group invites this node's person."""

    group: str
    root: bytes
    link: str = field(repr=False)


Effect = (
    Create
    | Append
    | Follow
    | Unfollow
    | Trim
    | Drop
    | Due
    | Missing
    | Expire
    | Tell
    | Relays
    | Use
    | Move
    | Halt
    | Heard
    | Renewed
    | Renewals
    | Introduced
)
