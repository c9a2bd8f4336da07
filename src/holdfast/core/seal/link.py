"""An invitation as text: `holdfast:…`, or a web address with everything in its fragment.

A browser never sends the fragment, so neither the landing page's server nor a bot
that fetches the address learns the secret. Source: spec/seal.md, "Link".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.core import caps
from holdfast.core.caps import BadAddress, Caps, Home

VERSION: Final = 1
SCHEME: Final = "holdfast:"
MAX_TEXT: Final = 1024
MAX_HOMES: Final = 3
MANY: Final = 1
DEVICE: Final = 2
CHECK: Final = 3

Reason = Literal["not-a-link", "damaged", "newer", "expired"]

_TEXTS: Final[dict[Reason, str]] = {
    "not-a-link": "this is not an invitation; it begins with holdfast: or https:// and has a #",
    "damaged": "the invitation was cut or changed on the way; copy it whole, or ask for it again",
    "newer": "the invitation needs a newer Holdfast; update and open it again",
    "expired": "the invitation is no longer valid; ask for a new one",
}


class BadLink(ValueError):
    """A text that is no usable invitation; the message says what to do."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_TEXTS[reason])
        self.reason: Reason = reason


@dataclass(frozen=True)
class Link:
    """What an invitation's link holds."""

    expires: int
    """Seconds since 1970."""
    secret: bytes
    """16 bytes; everything below comes from it."""
    bundle_hash: bytes
    """SHA-256 of the bundle record's body: what pins the inviter's keys."""
    homes: tuple[Home, ...]
    many: bool = False
    device: bool = False
    """It links a further device of the same person, and makes no contact."""

    def __repr__(self) -> str:
        return f"Link(expires={self.expires}, many={self.many})"

    @property
    def bundle(self) -> Caps:
        """The log that the inviter's bundle is read from."""
        return bundle_caps(self.secret)

    @property
    def accept(self) -> Caps:
        """The log that the acceptor's answer is appended to."""
        return accept_caps(self.secret)

    def text(self, landing: str | None = None) -> str:
        """`holdfast:…`, or with `landing`, a `HOST[:PORT]`, `https://HOST[:PORT]/#…`."""
        payload = caps.b64(self._bytes())
        return f"{SCHEME}{payload}" if landing is None else landing_address(landing, payload)

    def _bytes(self) -> bytes:
        if not 1 <= len(self.homes) <= MAX_HOMES:
            raise ValueError("an invitation names one to three relays")
        flags = (MANY if self.many else 0) | (DEVICE if self.device else 0)
        body = bytes([VERSION, flags]) + self.expires.to_bytes(4, "big")
        body += self.secret + self.bundle_hash
        body += pack_homes(self.homes)
        return body + _check(body)

    @classmethod
    def parse(cls, text: str, now: int) -> Link:
        """Read either form. Raises `BadLink` with a reason and what to do."""
        text = text.strip()
        match = re.fullmatch(
            r"(?:holdfast:|https://[A-Za-z0-9.:\[\]-]{1,270}/#)(?P<payload>[^#\s]*)",
            text[: MAX_TEXT + 1],
            re.ASCII,
        )
        if match is None or len(text) > MAX_TEXT:
            raise BadLink("not-a-link")
        try:
            data = caps.unb64(match["payload"])
        except ValueError:
            raise BadLink("damaged") from None
        if data[:1] > bytes([VERSION]):
            raise BadLink("newer")
        body, check = data[:-CHECK], data[-CHECK:]
        if len(body) < 54 or body[0] != VERSION or check != _check(body):
            raise BadLink("damaged")
        if body[1] not in (0, MANY, DEVICE):
            raise BadLink("damaged")
        link = cls(
            int.from_bytes(body[2:6], "big"),
            body[6:22],
            body[22:54],
            read_homes(body[54:]),
            body[1] == MANY,
            body[1] == DEVICE,
        )
        if link.expires * 1000 <= now:
            raise BadLink("expired")
        return link


def landing_address(landing: str, payload: str) -> str:
    """A web address whose server is never sent the payload: it stands in the fragment."""
    return f"https://{landing}/#{payload}"


def pack_homes(homes: tuple[Home, ...]) -> bytes:
    """Relays as they stand in a link."""
    packed = b""
    for home in homes:
        host = home.host.encode("ascii")
        packed += bytes([len(host)]) + host + home.port.to_bytes(2, "big")
        packed += home.path_secret + home.pin
    return packed


def read_homes(data: bytes) -> tuple[Home, ...]:
    """Inverse of `pack_homes`. Raises `BadLink`."""
    homes: list[Home] = []
    while data:
        length = data[0]
        part, data = data[1 : length + 51], data[length + 51 :]
        if len(part) != length + 50 or len(homes) == MAX_HOMES:
            raise BadLink("damaged")
        try:
            host = part[:length].decode("ascii")
            port = int.from_bytes(part[length : length + 2], "big")
            home = Home(host, port, part[length + 2 : length + 18], part[length + 18 :])
            if Home.parse(str(home)) != home:
                raise BadLink("damaged")
        except (UnicodeDecodeError, BadAddress):
            raise BadLink("damaged") from None
        homes.append(home)
    if not homes:
        raise BadLink("damaged")
    return tuple(homes)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"holdfast/link/1" + body).digest()[:CHECK]


def bundle_caps(secret: bytes) -> Caps:
    """Locator and read: what the link alone gives of the bundle log."""
    return Caps(caps.hkdf(secret, "bundle/1", b"l"), read=caps.hkdf(secret, "bundle/1", b"r"))


def accept_caps(secret: bytes) -> Caps:
    """Locator and append: what the link alone gives of the accept log."""
    return Caps(caps.hkdf(secret, "accept/1", b"l"), append=caps.hkdf(secret, "accept/1", b"a"))
