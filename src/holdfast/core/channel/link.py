"""A channel's link: where it is read, what opens it, and whose signature counts.

Everything a reader needs is in it and nothing that writes: the secret gives the log's locator
and read role and the key of all posts, the public key says who speaks. Source:
spec/channels.md, "Link".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from holdfast.core import caps
from holdfast.core.caps import Caps, Home
from holdfast.core.seal import keys
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.link import (
    CHECK,
    MAX_HOMES,
    MAX_TEXT,
    SCHEME,
    BadLink,
    pack_homes,
    read_homes,
)

KIND: Final = 0x43
"""The first byte, where an invitation has its version: programs that know no channels say that it
needs a newer one."""
OPEN: Final = 0x4F
"""The same of an open group, in which everybody writes who has the link."""
VERSION: Final = 1
_HEAD: Final = 2 + 16 + 32
_KINDS: Final = (bytes([KIND]), bytes([OPEN]))
_FORM: Final = re.compile(
    r"(?:holdfast:|https://[A-Za-z0-9.:\[\]-]{1,270}/(?:[A-Za-z0-9_-]{24}/)?#)(?P<payload>[^#\s]*)",
    re.ASCII,
)


@dataclass(frozen=True, repr=False)
class Link:
    """What a channel's link holds."""

    secret: bytes
    """16 bytes; where the log is and what opens it come from it."""
    key: bytes
    """The channel's public Ed25519 key."""
    homes: tuple[Home, ...]
    open: bool = False
    """Whether it is an open group's."""

    def __repr__(self) -> str:
        return "Link(channel)"

    @cached_property
    def id(self) -> bytes:
        """The channel's name in all that is signed, 32 bytes: of this key under this secret."""
        what = "open-group/1" if self.open else "channel/1"
        return keys.digest(what, self.key, caps.hkdf(self.secret, "channel/id/1"))

    @cached_property
    def content_key(self) -> bytes:
        """What posts are sealed under, 32 bytes."""
        return caps.hkdf(self.secret, "channel/content/1")

    @property
    def log(self) -> Caps:
        """The log, to read."""
        return Caps(
            caps.hkdf(self.secret, "channel/log/1", b"l"),
            read=caps.hkdf(self.secret, "channel/log/1", b"r"),
        )

    @property
    def marks(self) -> Caps:
        """The log into which readers put that they are there."""
        return Caps(
            caps.hkdf(self.secret, "channel/marks/1", b"l"),
            append=caps.hkdf(self.secret, "channel/marks/1", b"a"),
        )

    @property
    def talk(self) -> Caps:
        """The log of an open group into which everybody writes."""
        locator, append, read = (
            caps.hkdf(self.secret, "channel/talk/1", role) for role in (b"l", b"a", b"r")
        )
        return Caps(locator, append, read)

    def text(self) -> str:
        """`holdfast:…`."""
        return SCHEME + caps.b64(self._bytes())

    def address(self) -> str:
        """The web address at which its first relay shows it; all that opens it is behind the #,
        which no browser sends."""
        home = self.homes[0]
        place = home.label if home.port != 443 else home.label.rsplit(":", 1)[0]
        return f"https://{place}/{caps.reader_path(home.path_secret)}/#{caps.b64(self._bytes())}"

    def _bytes(self) -> bytes:
        if not 1 <= len(self.homes) <= MAX_HOMES:
            raise ValueError("a channel is at one to three relays")
        body = (
            bytes([OPEN if self.open else KIND, VERSION])
            + self.secret
            + self.key
            + pack_homes(self.homes)
        )
        return body + _check(body)

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read either form. Raises `BadLink` with a reason and what to do."""
        data = _payload(text)
        if data is None or data[:1] not in _KINDS:
            raise BadLink("not-a-link")
        if data[1:2] > bytes([VERSION]):
            raise BadLink("newer")
        body, check = data[:-CHECK], data[-CHECK:]
        if len(body) < _HEAD or body[1] != VERSION or check != _check(body):
            raise BadLink("damaged")
        try:
            key = keys.require_ed25519(body[18:_HEAD])
        except BadKey:
            raise BadLink("damaged") from None
        return cls(body[2:18], key, read_homes(body[_HEAD:]), body[0] == OPEN)


def is_channel(text: str) -> bool:
    """Whether a text is the link of a channel or an open group rather than an invitation."""
    return (_payload(text) or b"")[:1] in _KINDS


def _payload(text: str) -> bytes | None:
    text = text.strip()
    match = _FORM.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        return None
    try:
        return caps.unb64(match["payload"])
    except ValueError:
        return None


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"holdfast/channel-link/1" + body).digest()[:CHECK]
