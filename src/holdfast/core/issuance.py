"""How tokens are asked for: what a node and an observatory say to each other about them.

A credential is an Ed25519 key that the node makes for one observatory and uses for nothing else.
It signs what it asks for; the observatory counts how many tokens of a kind and window it gave to
it, and cannot recognise them when they are spent. Normative text: spec/watch.md.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta, Struct

from holdfast.core import report
from holdfast.core.log.admission import NUMBER
from holdfast.core.tokens import REQUEST, SIZE

MAX_ASKED: Final = 80
Kind = Annotated[str, Meta(max_length=16)]
Window = Annotated[int, Meta(ge=0, le=2**32)]


class BadIssuance(ValueError):
    """Not a message about tokens; the sentence says what is wrong."""


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """The key of one kind and window."""

    kind: Kind
    window: Window
    spki: Annotated[bytes, Meta(max_length=400)]


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """All keys for which tokens are given out now, at the observatory of this name."""

    watch: Annotated[str, Meta(min_length=1, max_length=100)]
    keys: Annotated[tuple[Key, ...], Meta(max_length=400)]
    key: Annotated[bytes, Meta(max_length=32)] = b""
    """The observatory's own, which signed them: whoever shows different people different keys, to
    recognise their tokens, leaves them the proof."""
    signature: Annotated[bytes, Meta(max_length=64)] = b""

    def signed(self) -> bytes:
        """What the signature is over."""
        digest = hashlib.sha256(msgspec.msgpack.encode(self.keys)).digest()
        return b"holdfast/keys/1" + hashlib.sha256(self.watch.encode()).digest() + digest

    def check(self) -> None:
        """Raise `BadIssuance` unless the observatory signed them."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(self.signature, self.signed())
        except (InvalidSignature, ValueError):
            raise BadIssuance("these keys were not signed by the observatory") from None
        names = [(key.kind, key.window) for key in self.keys]
        if len(set(names)) != len(names):
            raise BadIssuance("it has two keys for the same kind and window")


def fingerprint(keys: tuple[Key, ...], now: int) -> str:
    """Of the day's and the month's keys at the second `now`: to be compared with others'."""
    windows = {kind: report.window(kind, now) for kind in report.KINDS if kind != "measure"}
    found = sorted((key.kind, key.spki) for key in keys if windows.get(key.kind) == key.window)
    return hashlib.sha256(msgspec.msgpack.encode(found)).hexdigest()[:16]


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """One token that is asked for."""

    kind: Kind
    window: Window
    request: Annotated[bytes, Meta(min_length=REQUEST, max_length=REQUEST)]


class Ask(Struct, frozen=True, forbid_unknown_fields=True):
    """A credential asks for tokens."""

    credential: Annotated[bytes, Meta(min_length=32, max_length=32)]
    wishes: Annotated[tuple[Wish, ...], Meta(min_length=1, max_length=MAX_ASKED)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    work: Annotated[bytes, Meta(max_length=NUMBER)] = b""
    """Of a newcomer where the network is crowded; over `newcomer`."""

    def check(self, watch: str) -> None:
        """Raise `BadIssuance` unless the credential signed this for this observatory."""
        try:
            key = Ed25519PublicKey.from_public_bytes(self.credential)
            key.verify(self.signature, signed(watch, self.wishes))
        except (InvalidSignature, ValueError):
            raise BadIssuance("this was not signed by the credential") from None


class Given(Struct, frozen=True, forbid_unknown_fields=True):
    """The answers to wishes in their order; an empty one was refused, and `why` says why."""

    answers: Annotated[
        tuple[Annotated[bytes, Meta(max_length=SIZE)], ...], Meta(max_length=MAX_ASKED)
    ]
    why: Annotated[str, Meta(max_length=300)] = ""
    bits: Annotated[int, Meta(ge=0, le=64)] = 0
    """Of work, without which there is nothing for a newcomer."""


def newcomer(watch: str, credential: bytes, day: int) -> bytes:
    """What a newcomer's work is over (`core.log.admission.work`); days are counted since 1970."""
    name = hashlib.sha256(watch.encode()).digest()
    return b"holdfast/newcomer/1" + name + credential + day.to_bytes(4, "big")


def signed(watch: str, wishes: tuple[Wish, ...]) -> bytes:
    """What a credential signs."""
    digest = hashlib.sha256(msgspec.msgpack.encode(wishes)).digest()
    return b"holdfast/ask/1" + hashlib.sha256(watch.encode()).digest() + digest


def ask(
    credential: Ed25519PrivateKey, watch: str, wishes: tuple[Wish, ...], work: bytes = b""
) -> Ask:
    """Sign what is asked for."""
    public = credential.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return Ask(public, wishes, credential.sign(signed(watch, wishes)), work)


def encode(message: Keys | Ask | Given) -> bytes:
    """As JSON."""
    return msgspec.json.encode(message)


def decode_keys(data: bytes) -> Keys:
    """Raises `BadIssuance`."""
    return _decode(data, Keys)


def decode_ask(data: bytes) -> Ask:
    """Raises `BadIssuance`."""
    return _decode(data, Ask)


def decode_given(data: bytes) -> Given:
    """Raises `BadIssuance`."""
    return _decode(data, Given)


T = TypeVar("T")


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadIssuance(f"not a message about tokens: {type(error).__name__}") from None
