"""The inviter's keys as one record, pinned by the hash in the link.

Source: spec/seal.md, "Invitations".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core import caps
from holdfast.core.seal import Entropy, keys, keyset, padding
from holdfast.core.seal.identity import DeviceList, Party
from holdfast.core.seal.keyset import SignedKeys
from holdfast.core.seal.link import Link

Reason = Literal["damaged", "expired", "own-link"]

_TEXTS: Final[dict[Reason, str]] = {
    "damaged": "what the relay keeps for this invitation is not what the link promises; "
    "ask for a new invitation",
    "expired": "the invitation is no longer valid; ask for a new one",
    "own-link": "this is your own invitation; send it to somebody else",
}


class BadBundle(ValueError):
    """The inviter's bundle does not match the link or is not valid; says what to do."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_TEXTS[reason])
        self.reason: Reason = reason


@dataclass(frozen=True)
class Bundle:
    """The inviter as the bundle shows it, checked."""

    devices: DeviceList
    profile: bytes
    party: Party
    hpke_key: bytes
    one_time: bytes


def seal_bundle(secret: bytes, signed: SignedKeys, entropy: Entropy) -> bytes:
    """The record for the bundle log."""
    nonce = entropy(12)
    plain = padding.pad(msgspec.msgpack.encode(signed), 12 + 16)
    return nonce + AESGCM(_key(secret)).encrypt(nonce, plain, None)


def open_bundle(link: Link, record: bytes, now: int) -> Bundle:
    """Check the bundle log's record against the link. Raises `BadBundle`."""
    if link.expires * 1000 <= now:
        raise BadBundle("expired")
    try:
        require_promised(link, record)
        plain = AESGCM(_key(link.secret)).decrypt(record[:12], record[12:], None)
        signed = msgspec.msgpack.decode(padding.unpad(plain), type=SignedKeys)
        body, devices = keyset.verify(signed, "invite/1", link.accept.conv_id)
        keys.require_curve25519(body.one_time)
    except (InvalidTag, ValueError, RecursionError):
        raise BadBundle("damaged") from None
    if (body.expires, body.many) != (link.expires, link.many):
        raise BadBundle("damaged")
    return Bundle(devices, body.profile, body.party, body.hpke_key, body.one_time)


def require_promised(link: Link, record: bytes) -> None:
    """The record is the one whose hash the link carries. Raises ValueError."""
    if not hmac.compare_digest(hashlib.sha256(record).digest(), link.bundle_hash):
        raise ValueError("not the bundle that the link promises")


def _key(secret: bytes) -> bytes:
    return caps.hkdf(secret, "bundle-key/1")
