"""How members reach each other who are not contacts: a signed card with a key of its own.

Whoever renews the group's key and has no channel to a member seals it to the key on the card,
within a record of the epoch before: against outsiders that is as strong as the epoch, against
who has just been removed it is X25519. Sources: RFC 9180; spec/seal.md, "Cards".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from msgspec import Meta

from holdfast.core.group.entries import Name, Signer
from holdfast.core.seal import Entropy, keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import U53, Key32, Party, Signature, Wire
from holdfast.core.seal.keys import BadKey

PURPOSE: Final = "group-card/1"
ASK: Final = "group-ask/1"
WRAPS: Final = 450
"""Wrapped secrets in one record."""
_START: Final = 8


class Card(Wire, frozen=True):
    """Who somebody is in one group. `delivery` is an X25519 key for nothing else."""

    group: Key32
    root: Key32
    device: Key32
    at: U53
    name: Name
    delivery: Key32


class Ask(Wire, frozen=True):
    """A member lacks what comes after `tips`, and has nobody to ask in private."""

    group: Key32
    root: Key32
    device: Key32
    at: U53
    tips: Annotated[tuple[Key32, ...], Meta(max_length=64)]


class _Signed(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=4096)]
    signature: Signature


def make(
    group: bytes, me: Party, name: str, now: int, signer: Signer, entropy: Entropy
) -> tuple[bytes, bytes]:
    """A card of mine, and the private key that belongs to it."""
    secret = entropy(32)
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    body = msgspec.msgpack.encode(Card(group, me.root, me.device, now, name[:64], public))
    return _sign(body, PURPOSE, signer), secret


def ask(group: bytes, me: Party, tips: tuple[bytes, ...], now: int, signer: Signer) -> bytes:
    """A request of mine to whoever has more."""
    return _sign(msgspec.msgpack.encode(Ask(group, me.root, me.device, now, tips)), ASK, signer)


def _sign(body: bytes, purpose: str, signer: Signer) -> bytes:
    return msgspec.msgpack.encode(_Signed(body, signer.sign(purpose, body)))


def read(data: bytes, group: bytes) -> Card:
    """A card of this group that its device signed; whose device it is remains to be asked of
    the roster. Raises `Unopenable`."""
    try:
        signed = msgspec.msgpack.decode(data, type=_Signed)
        card = msgspec.msgpack.decode(signed.body, type=Card)
        keys.require_curve25519(card.delivery)
        keys.verify(card.device, PURPOSE, signed.body, signed.signature)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadKey):
        raise Unopenable from None
    if card.group != group:
        raise Unopenable
    return card


def read_ask(data: bytes, group: bytes) -> Ask:
    """The same for a request."""
    try:
        signed = msgspec.msgpack.decode(data, type=_Signed)
        asked = msgspec.msgpack.decode(signed.body, type=Ask)
        keys.verify(asked.device, ASK, signed.body, signed.signature)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadKey):
        raise Unopenable from None
    if asked.group != group:
        raise Unopenable
    return asked


Start = Annotated[bytes, Meta(min_length=8, max_length=8)]
Sealed = Annotated[bytes, Meta(min_length=80, max_length=80)]


class Wraps(Wire, frozen=True):
    """A secret for several members: the first bytes of each one's root, and the wrapped one."""

    tips: Annotated[tuple[Key32, ...], Meta(min_length=1, max_length=64)]
    log: Annotated[bytes, Meta(min_length=96, max_length=96)]
    wraps: Annotated[
        tuple[tuple[Start, Sealed], ...],
        Meta(max_length=WRAPS),
    ]


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def _info(group: bytes, tips: tuple[bytes, ...], root: bytes, delivery: bytes) -> bytes:
    return keys.digest("group-wrap/1", group, *tips, root, delivery)


def wrap(
    group: bytes, tips: tuple[bytes, ...], secret: bytes, log: bytes, cards: Sequence[Card]
) -> list[bytes]:
    """The secret of the epoch at `tips` for these members, as plain contents of records."""
    found = []
    for start in range(0, len(cards), WRAPS):
        part = []
        for card in cards[start : start + WRAPS]:
            public = X25519PublicKey.from_public_bytes(card.delivery)
            info = _info(group, tips, card.root, card.delivery)
            part.append((card.root[:_START], _suite().encrypt(secret, public, info)))
        found.append(msgspec.msgpack.encode(Wraps(tips, log, tuple(part))))
    return found


LETTER: Final = "group-letter/1"


def letter(card: Card, plain: bytes, purpose: str = LETTER) -> bytes:
    """Something that one member alone reads."""
    public = X25519PublicKey.from_public_bytes(card.delivery)
    info = keys.digest(purpose, card.group, card.root, card.delivery)
    return _suite().encrypt(plain, public, info)


def open_letter(
    sealed: bytes, group: bytes, root: bytes, delivery: Sequence[bytes], purpose: str = LETTER
) -> bytes:
    """Inverse of `letter`, with any of my private keys. Raises `Unopenable`."""
    for secret in delivery:
        private = X25519PrivateKey.from_private_bytes(secret)
        public = private.public_key().public_bytes_raw()
        try:
            keys.require_curve25519(sealed[:32])
            info = keys.digest(purpose, group, root, public)
            return _suite().decrypt(sealed, private, info)
        except (InvalidTag, ValueError):
            continue
    raise Unopenable


def unwrap(
    data: bytes, group: bytes, root: bytes, delivery: Sequence[bytes]
) -> tuple[Wraps, bytes] | None:
    """The secret that is for me, by any of my private keys; None if none is. Raises
    `Unopenable`."""
    try:
        wraps = msgspec.msgpack.decode(data, type=Wraps)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Unopenable from None
    for start, sealed in wraps.wraps:
        if start != root[:_START]:
            continue
        for secret in delivery:
            private = X25519PrivateKey.from_private_bytes(secret)
            public = private.public_key().public_bytes_raw()
            try:
                keys.require_curve25519(sealed[:32])
                plain = _suite().decrypt(sealed, private, _info(group, wraps.tips, root, public))
            except (InvalidTag, ValueError):
                continue
            if len(plain) == 32:
                return wraps, plain
    return None
