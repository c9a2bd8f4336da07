"""Groups. See `schema`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis, Seconds

Role = Literal["member", "admin", "owner"]


class Author(Struct, frozen=True, kw_only=True):
    """Who in a group wrote something."""

    id: Id
    name: str
    contact: Id = ""
    """If they are a contact of mine."""


class GroupMember(Struct, frozen=True, kw_only=True):
    """Somebody in a group."""

    id: Id
    name: str
    role: Role
    me: bool = False
    contact: Id = ""
    """If they are a contact of mine."""
    blocked: bool = False
    """What they say in groups is not taken here."""
    verified: bool = False
    """Whether emoji were compared with them, as a contact."""
    added_by: str = ""
    """Name of who added them."""
    since: Millis = 0


class GroupVoid(Struct, frozen=True, kw_only=True):
    """Something that an admin did and that does not count: they were removed or demoted by
    somebody who did not know of it yet."""

    who: str
    by: str
    what: list[str]
    """add, remove, role, set, … with a name."""
    at: Millis


class GroupReport(Struct, frozen=True, kw_only=True):
    """What a member reported to those who lead a group, proved by what its author signed."""

    id: Id
    by: Author
    author: Author
    text: str
    """What was written; where it was changed, both, with an arrow between them."""
    words: str
    """Of who reported it."""
    at: Millis
    message: Id = ""
    """The message, if it is here."""
    private: bool = False
    """It was written to who reports it, from within the group, before they accepted its author."""


class Group(Struct, frozen=True, kw_only=True):
    """Who is in a group and what holds in it."""

    id: Id
    title: str
    role: Role | Literal[""]
    """Mine, empty if I am not in it any more."""
    members: list[GroupMember]
    banned: list[Author] = []
    timer: Seconds = 0
    slow: Seconds = 0
    """Between two messages of a member."""
    history: int = 0
    """Messages that a newcomer is given."""
    adding: Literal["admins", "members"] = "admins"
    keys: Literal["fresh", "renew", "missing"] = "fresh"
    """renew: somebody left or two admins acted at once, the key is not new yet. missing: it is
    awaited, what is written meanwhile waits."""
    behind: list[str] = []
    """Names of members who wrote lately without knowing who had been removed."""
    voided: list[GroupVoid] = []
    requests: list[Author] = []
    """Contacts who came by a link and wait to be admitted."""
    reports: list[GroupReport] = []
    """That nobody on this node has answered yet."""
