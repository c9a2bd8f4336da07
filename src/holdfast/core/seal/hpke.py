"""The hybrid post-quantum envelope: HPKE with ML-KEM-768 + X25519 (RFC 9180 shape).

It is confidential unless both key exchanges fall, and nothing more: it has no
sender and the same bytes open again and again, so what is inside must
authenticate itself and be remembered. Ciphertext is 1,136 bytes longer than the
plaintext. The library draws its own entropy when it encapsulates.
Source: RFC 9180; draft-connolly-cfrg-xwing-kem; spec/seal.md, "HPKE".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from holdfast.core.seal.keys import BadKey, digest, require_curve25519

SUITE_NAME: Final = b"MLKEM768-X25519/HKDF-SHA256/AES-256-GCM"
OVERHEAD: Final = 1136
PUBLIC: Final = 1184 + 32
SECRET: Final = 64 + 32


class Unopenable(ValueError):
    """The bytes do not open. It never says why: every cause looks the same."""

    def __init__(self) -> None:
        super().__init__("this does not open")


class SelfTestFailed(RuntimeError):
    """The installed cryptography library cannot do what Holdfast relies on."""


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True)
class HpkeKey:
    """A key pair as its secret: the ML-KEM seed (64 bytes) and the X25519 key (32)."""

    secret: bytes = field(repr=False)

    @classmethod
    def make(cls, entropy: bytes) -> HpkeKey:
        """From 96 random bytes; never from a key that serves anything else."""
        if len(entropy) != SECRET:
            raise ValueError("an HPKE key takes 96 random bytes")
        return cls(entropy)

    @cached_property
    def _private(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        return (
            MLKEM768PrivateKey.from_seed_bytes(self.secret[:64]),
            X25519PrivateKey.from_private_bytes(self.secret[64:]),
        )

    @cached_property
    def public(self) -> bytes:
        """ML-KEM encapsulation key ‖ X25519 public key, 1,216 bytes."""
        kem, dh = self._private
        return kem.public_key().public_bytes_raw() + dh.public_key().public_bytes_raw()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The plaintext. Raises `Unopenable`."""
        if len(sealed) < OVERHEAD:
            raise Unopenable
        try:
            require_curve25519(sealed[1088:1120])
            return _suite().decrypt(sealed, hpke.MLKEM768X25519PrivateKey(*self._private), info)
        except (InvalidTag, ValueError):
            raise Unopenable from None


def require_public(key: bytes) -> bytes:
    """The key itself. Raises `BadKey` if either half must not be used."""
    if len(key) != PUBLIC:
        raise BadKey("not a usable HPKE key")
    require_curve25519(key[1184:])
    try:
        MLKEM768PublicKey.from_public_bytes(key[:1184])
    except ValueError:
        raise BadKey("not a usable HPKE key") from None
    return key


def seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encrypt to a public key. Raises `BadKey`."""
    require_public(public)
    kem = MLKEM768PublicKey.from_public_bytes(public[:1184])
    dh = X25519PublicKey.from_public_bytes(public[1184:])
    return _suite().encrypt(plaintext, hpke.MLKEM768X25519PublicKey(kem, dh), info)


def info(purpose: str, root: bytes, device: bytes, public: bytes, conv_id: bytes) -> bytes:
    """What an encryption is for and to whom, 32 bytes: root and device are the recipient's."""
    return digest("hpke/1", SUITE_NAME, purpose.encode(), root, device, key_id(public), conv_id)


def key_id(public: bytes) -> bytes:
    """SHA-256 of an HPKE public key."""
    return hashlib.sha256(public).digest()


def self_test() -> None:
    """One round trip with fixed keys, and one refusal. Raises `SelfTestFailed`.

    Run at start-up: one release of the library lists this suite and cannot run it.
    """
    try:
        key = HpkeKey.make(bytes(range(96)))
        sealed = seal(key.public, b"self-test", b"holdfast")
        good = key.open(sealed, b"self-test") == b"holdfast" and len(sealed) == OVERHEAD + 8
    except Exception as error:  # any failure at all means: do not start
        raise SelfTestFailed(_ADVICE) from error
    try:
        key.open(sealed, b"other")
    except Unopenable:
        if good:
            return
    raise SelfTestFailed(_ADVICE)


_ADVICE: Final = (
    "the installed 'cryptography' library cannot do HPKE with ML-KEM-768 and X25519; "
    "install cryptography 48 or newer and start again"
)
