"""Capabilities of a log, its name at each home, and a record's outer envelope.

A log has four independent secrets: the locator says where it is and opens the
outer envelope, append adds, read reads, owner trims and drops. What a relay is
shown is derived from them for that relay alone, so two relays' stored bytes and
names cannot be matched. Source: spec/log.md, "Capabilities".
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Role = Literal["append", "read", "owner"]

NONCE: Final = 12
RID: Final = 16
OVERHEAD: Final = NONCE + RID + 16
"""Bytes the outer envelope adds to a record's body."""


class BadAddress(ValueError):
    """A relay address that cannot be used; the message says why in plain words."""


class BadRecord(ValueError):
    """A stored record that was not made with this log's locator."""


def join(*fields: bytes) -> bytes:
    """Fields, each behind its length in four bytes: no two lists give the same bytes."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def hkdf(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    """HKDF-SHA-256 (RFC 5869) without salt; info is the label and the context, joined."""
    info = join(b"holdfast/" + label.encode(), *context)
    return HKDF(hashes.SHA256(), length, None, info).derive(secret)


@dataclass(frozen=True, repr=False)
class Home:
    """One relay as a log's home: where it is, what its path is, which key is its own."""

    host: str
    port: int
    path_secret: bytes
    pin: bytes
    """SHA-256 of the relay's permanent Ed25519 key: the relay's identity."""

    @functools.cached_property
    def _text(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{b64(self.path_secret)}.{b64(self.pin)}"

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Home({self.label})"  # what is printed by accident holds no secret

    @property
    def label(self) -> str:
        """Host and port, for people: no secret in it."""
        return str(self).split("/", 1)[0]

    @property
    def id(self) -> str:
        """Names the address, for interfaces: no secret in it."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def parse(cls, text: str) -> Home:
        """Read an address `HOST:PORT/PATH.PIN`. Raises `BadAddress`."""
        match = re.fullmatch(
            r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9.-]{1,253}))"
            r":(?P<port>[0-9]{1,5})/(?P<path>[\w-]{22})\.(?P<pin>[\w-]{43})",
            text.strip(),
            re.ASCII,
        )
        if match is None:
            raise BadAddress("a relay's address looks like host:port/path.pin; copy it whole")
        port = int(match["port"])
        if not 0 < port < 65_536:
            raise BadAddress(f"port {port} does not exist; ports go from 1 to 65535")
        host = match["six"] or match["host"].lower()
        if match["six"]:
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise BadAddress("the part in square brackets is not an IPv6 address") from None
        try:
            return cls(host, port, unb64(match["path"]), unb64(match["pin"]))
        except ValueError:
            raise BadAddress("the address was changed on the way; copy it again") from None


def request_path(home: Home, tls_key_hash: bytes) -> str:
    """The HTTP path of the relay's protocol on a connection that runs on this TLS key.

    Bound to the key that was seen, so that whoever answers with another key,
    a valid certificate included, learns nothing it could use at the real relay.
    """
    return "/" + b64(hkdf(home.path_secret, "path/1", tls_key_hash, length=18))


def exchange_path(home: Home, tls_key_hash: bytes) -> str:
    """The same for small exchanges, see `paths.exchange`."""
    return "/" + b64(hkdf(home.path_secret, "exchange/1", tls_key_hash, length=18))


def reader_path(path_secret: bytes) -> str:
    """The HTTP path behind which a relay shows channels to browsers, which cannot say on which TLS
    key their connection runs."""
    return b64(hkdf(path_secret, "reader/1", length=18))


@dataclass(frozen=True, repr=False)
class Caps:
    """What somebody holds of one log; `None` is a role they do not have."""

    locator: bytes
    append: bytes | None = None
    read: bytes | None = None
    owner: bytes | None = None

    def __repr__(self) -> str:
        held = [role for role in ("append", "read", "owner") if getattr(self, role) is not None]
        return f"Caps({', '.join(held)})"

    @classmethod
    def make(cls, entropy: bytes) -> Caps:
        """All four secrets from 128 random bytes."""
        if len(entropy) != 128:
            raise ValueError("a log's secrets take 128 random bytes")
        return cls(entropy[:32], entropy[32:64], entropy[64:96], entropy[96:])

    def only(self, *roles: Role) -> Caps:
        """The same log with these roles alone, to hand on."""
        return Caps(self.locator, **{role: getattr(self, role) for role in roles})

    def log_id(self, relay_id: bytes) -> bytes:
        """The log's name at that relay, 16 bytes."""
        return hkdf(self.locator, "id/1", relay_id, length=16)

    def token(self, role: Role, relay_id: bytes) -> bytes | None:
        """What proves a role to that relay, 32 bytes, or None."""
        secret: bytes | None = getattr(self, role)
        return None if secret is None else hkdf(secret, "cap/1", role.encode(), relay_id)

    def verifier(self, role: Role, relay_id: bytes) -> bytes:
        """What that relay keeps to check a role. Raises ValueError without the role."""
        token = self.token(role, relay_id)
        if token is None:
            raise ValueError(f"the {role} role is not held")
        return hashlib.sha256(token).digest()

    @property
    def conv_id(self) -> bytes:
        """The log's name in what is end-to-end encrypted, 16 bytes; no relay sees it."""
        return hkdf(self.locator, "uid/1", length=16)


class Envelope:
    """The outer envelope of one log at one home, its key derived once.

    Stored form: nonce (12) ‖ AES-256-GCM(rid (16) ‖ body), the log's name at that home
    as associated data. `rid` is the record's inner id, equal at every home.
    """

    def __init__(self, locator: bytes, relay_id: bytes) -> None:
        self._cipher = AESGCM(hkdf(locator, "home/1", relay_id))
        self._name = hkdf(locator, "id/1", relay_id, length=16)

    def seal(self, rid: bytes, body: bytes, nonce: bytes) -> bytes:
        """Wrap a body. `nonce` is random and never used twice."""
        if len(nonce) != NONCE or len(rid) != RID:
            raise ValueError("nonce takes 12 bytes, rid 16")
        return nonce + self._cipher.encrypt(nonce, rid + body, self._name)

    def open(self, stored: bytes) -> tuple[bytes, bytes]:
        """Inner id and body of a stored record. Raises `BadRecord`."""
        if len(stored) < OVERHEAD:
            raise BadRecord("record too short")
        try:
            plain = self._cipher.decrypt(stored[:NONCE], stored[NONCE:], self._name)
        except InvalidTag:
            raise BadRecord("record does not open") from None
        return plain[:RID], plain[RID:]


def b64(data: bytes) -> str:
    """URL-safe base64 without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Inverse of `b64`, strict: one text for each value. Raises ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if b64(data) != text:
        raise ValueError("not canonical base64")
    return data
