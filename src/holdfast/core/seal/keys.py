"""Public keys as they arrive from others, and signatures with a stated purpose.

Neither OpenSSL's Ed25519 nor a decoded Curve25519 key refuses a point of low
order: under such a key anybody can sign, or the agreed secret is known to all.
Every key passes one of the `require_` functions before anything of it is kept.
Keys are compared as decoded bytes and only the one canonical encoding is taken.
Source: RFC 7748 section 6.1, RFC 8032 section 5.1.3, spec/seal.md, "Keys".
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from holdfast.core import caps

P: Final = 2**255 - 19
_ORDER_8: Final = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_CURVE25519: Final = frozenset({0, 1, P - 1, *_ORDER_8})
"""u coordinates of all points of order 1, 2, 4 and 8, on the curve and its twist."""
LOW_ED25519: Final = frozenset({0, 1, P - 1} | {(u - 1) * pow(u + 1, -1, P) % P for u in _ORDER_8})
"""y coordinates of the eight points of small order: y = (u - 1)/(u + 1)."""


class BadKey(ValueError):
    """A public key that must not be used."""


def require_curve25519(key: bytes) -> bytes:
    """The key itself. Raises `BadKey` for low order or an encoding that is not canonical."""
    number = int.from_bytes(key, "little")
    if len(key) != 32 or number >= P or number in LOW_CURVE25519:
        raise BadKey("not a usable Curve25519 key")
    return key


def require_ed25519(key: bytes) -> bytes:
    """The key itself. Raises `BadKey` for low order or an encoding that is not canonical."""
    number = int.from_bytes(key, "little") & ((1 << 255) - 1)
    if len(key) != 32 or number >= P or number in LOW_ED25519:
        raise BadKey("not a usable Ed25519 key")
    return key


def sign(key: Ed25519PrivateKey, purpose: str, body: bytes) -> bytes:
    """Signature over purpose and body, 64 bytes; another purpose does not verify."""
    return key.sign(signed_bytes(purpose, body))


def verify(key: bytes, purpose: str, body: bytes, signature: bytes) -> None:
    """Raises `BadKey` unless `key` is usable and signed this body for this purpose."""
    public = Ed25519PublicKey.from_public_bytes(require_ed25519(key))
    try:
        public.verify(signature, signed_bytes(purpose, body))
    except InvalidSignature:
        raise BadKey("the signature does not belong to this key and purpose") from None


def signed_bytes(purpose: str, body: bytes) -> bytes:
    """What is signed: the purpose, such as `keys/1`, keeps one kind from serving as another."""
    return caps.join(b"holdfast/" + purpose.encode(), body)


def digest(label: str, *fields: bytes) -> bytes:
    """SHA-256 of a label and fields, joined: 32 bytes."""
    return hashlib.sha256(caps.join(b"holdfast/" + label.encode(), *fields)).digest()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes_raw()
