"""Channels. See `schema`."""

from __future__ import annotations

from msgspec import Struct

from holdfast.node.schema.basic import Id, Millis


class ChannelGap(Struct, frozen=True, kw_only=True):
    """Posts that no relay has brought, by number, both ends with them."""

    first: int
    last: int


class Channel(Struct, frozen=True, kw_only=True):
    """A channel: what it is, and how whole it is here."""

    id: Id
    title: str
    about: str = ""
    mine: bool
    """Whether I write in it, here; of an open group, whether I remove what others write."""
    open: bool = False
    """An open group: whoever has its link reads and writes."""
    name: str = ""
    """What I am called in an open group; until I choose a name I only read."""
    device: Id = ""
    """Of my own that another device of mine writes in: which one, see `devices`."""
    link: str
    """Whoever has it reads everything, and writes only in an open group."""
    web: str
    """The same for a browser: a page of its first relay. Empty for an open group."""
    qr: str
    posts: int
    """The last number that its owner has signed."""
    first: int
    """The first that is here; what came before is kept by no relay any more, or withheld."""
    missing: list[ChannelGap] = []
    heard: Millis
    """When its owner's node last gave a sign of life, 0 for never."""
    quiet: bool = False
    """That is over three days ago: it is away, or its relays withhold what it says."""
    forked: int = 0
    """A number for which its key has signed two different posts, 0 for none."""
    readers: int = 0
    """About how many nodes read it, of my own channel; nobody knows which."""
    comments: str = ""
    """An invitation into the group that talks about it."""
    moved: str = ""
    """The link of the channel that goes on in its place, if everybody may know it."""
    ended: bool = False
    """It goes on elsewhere."""
    relays: list[str] = []
