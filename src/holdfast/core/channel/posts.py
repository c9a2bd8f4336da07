"""A post of a channel: signed by the channel's key, chained to the one before, sealed for readers.

The signature covers the channel, the post's number, the hash of the one before and the hash of what
it says, so whoever holds the link can neither write nor bend anything, and what a relay leaves out,
turns round or forks shows. What was taken back can be passed on without its words: the chain goes
on over their hash. Source: spec/channels.md, "Posts".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from holdfast.core.caps import hkdf
from holdfast.core.channel.link import Link
from holdfast.core.seal import Entropy, keys, padding
from holdfast.core.seal.identity import U53, Key32, Signature, Wire
from holdfast.core.seal.keys import BadKey

VERSION: Final = 1
SALT: Final = 16
OVERHEAD: Final = 1 + SALT + 16
MAX_DATA: Final = 60_000
"""Bytes of what one post says."""
FIRST: Final = bytes(32)
"""In the place of the hash before the first post."""
PURPOSE: Final = "channel-post/1"
_ZERO: Final = bytes(12)

Kind = Literal["said", "about", "moved", "silenced", "head"]
"""said: something that is shown, a content of spec/chat.md. about: what the channel is. moved: it
goes on elsewhere. silenced: the name of a key that is heard no longer in an open group. head: no
post, only that `number` is the last one."""


class BadPost(ValueError):
    """Not a post of this channel; every reason looks alike."""

    def __init__(self) -> None:
        super().__init__("not a post of this channel")


class _Statement(Wire, frozen=True):
    number: Annotated[int, Meta(ge=0, le=2**53 - 1)]
    prev: Key32
    at: U53
    kind: Kind
    said: Key32


class _Sealed(Wire, frozen=True):
    statement: Annotated[bytes, Meta(max_length=256)]
    signature: Signature
    data: Annotated[bytes, Meta(max_length=MAX_DATA)] | None


class About(Wire, frozen=True):
    """What a channel is. `comments` is an invitation into the group that talks about it; one of
    2 ** `sample` readers says that it is there."""

    title: Annotated[str, Meta(max_length=256)]
    text: Annotated[str, Meta(max_length=2_000)] = ""
    comments: Annotated[str, Meta(max_length=1_024)] = ""
    sample: Annotated[int, Meta(ge=0, le=30)] = 0


class Moved(Wire, frozen=True):
    """The channel goes on under another key; `link` leads there, if everybody may know."""

    key: Key32
    link: Annotated[str, Meta(max_length=1_024)] = ""


@dataclass(frozen=True)
class Post:
    """One post, its signature checked. `data` is None if its words are withheld for good."""

    number: int
    """From 1, without gaps; of a head, the last post's."""
    prev: bytes
    """The hash of the post before; of a head, the last post's own."""
    at: int
    kind: Kind
    data: bytes | None
    hash: bytes


def write(
    link: Link,
    key: Ed25519PrivateKey,
    number: int,
    prev: bytes,
    at: int,
    kind: Kind,
    data: bytes,
    entropy: Entropy,
) -> tuple[Post, bytes]:
    """A post and its record. Raises `padding.TooLong`."""
    if len(data) > MAX_DATA:
        raise padding.TooLong(f"{len(data)} bytes; at most {MAX_DATA} fit in one post")
    said = keys.digest("channel-said/1", data)
    statement = msgspec.msgpack.encode(_Statement(number, prev, at, kind, said))
    signature = keys.sign(key, PURPOSE, link.id + statement)
    record = _seal(link, _Sealed(statement, signature, data), entropy)
    return Post(number, prev, at, kind, data, _hash(link, statement)), record


def withhold(link: Link, record: bytes, entropy: Entropy) -> bytes:
    """The same post without its words. Raises `BadPost`."""
    return _seal(link, msgspec.structs.replace(_unseal(link, record), data=None), entropy)


def read(link: Link, record: bytes) -> Post:
    """Open and check. Raises `BadPost`."""
    sealed = _unseal(link, record)
    try:
        keys.verify(link.key, PURPOSE, link.id + sealed.statement, sealed.signature)
        said = msgspec.msgpack.decode(sealed.statement, type=_Statement)
    except (BadKey, ValueError, RecursionError):
        raise BadPost from None
    if msgspec.msgpack.encode(said) != sealed.statement:
        raise BadPost
    if sealed.data is not None and keys.digest("channel-said/1", sealed.data) != said.said:
        raise BadPost
    hash = said.prev if said.kind == "head" else _hash(link, sealed.statement)
    return Post(said.number, said.prev, said.at, said.kind, sealed.data, hash)


def encode(said: About | Moved) -> bytes:
    """What a post of its own kind says."""
    return msgspec.msgpack.encode(said)


def about(data: bytes) -> About:
    """Inverse of `encode`. Raises `BadPost`."""
    try:
        return msgspec.msgpack.decode(data, type=About)
    except (ValueError, RecursionError):
        raise BadPost from None


def moved(data: bytes) -> Moved:
    """Inverse of `encode`. Raises `BadPost`."""
    try:
        return msgspec.msgpack.decode(data, type=Moved)
    except (ValueError, RecursionError):
        raise BadPost from None


def _hash(link: Link, statement: bytes) -> bytes:
    return keys.digest("channel-post-hash/1", link.id, statement)


def _seal(link: Link, sealed: _Sealed, entropy: Entropy) -> bytes:
    return seal(link, msgspec.msgpack.encode(sealed), entropy)


def seal(link: Link, data: bytes, entropy: Entropy) -> bytes:
    """A record that opens with the link. Raises `padding.TooLong`."""
    salt = entropy(SALT)
    head = bytes([VERSION]) + salt
    plain = padding.pad(data, OVERHEAD)
    return head + AESGCM(_key(link, salt)).encrypt(_ZERO, plain, head)


def _unseal(link: Link, record: bytes) -> _Sealed:
    try:
        return msgspec.msgpack.decode(unseal(link, record), type=_Sealed)
    except (ValueError, RecursionError):
        raise BadPost from None


def unseal(link: Link, record: bytes) -> bytes:
    """Inverse of `seal`. Raises `BadPost`."""
    if len(record) not in padding.CLASSES or record[0] != VERSION:
        raise BadPost
    head, body = record[: 1 + SALT], record[1 + SALT :]
    try:
        plain = AESGCM(_key(link, head[1:])).decrypt(_ZERO, body, head)
        return padding.unpad(plain)
    except (InvalidTag, ValueError):
        raise BadPost from None


def _key(link: Link, salt: bytes) -> bytes:
    return hkdf(link.content_key, "channel/post/1", salt)


# Readers.

MARK: Final = 4 + 1 + 16
WEEK: Final = 7 * 86_400_000


def mark(now: int, sample: int, entropy: Entropy) -> bytes:
    """That somebody reads, and nothing of who: week (4) ‖ one of 2 ** `sample` readers says so (1)
    ‖ 16 random bytes."""
    return (now // WEEK).to_bytes(4, "big") + bytes([sample]) + entropy(16)


def read_mark(body: bytes) -> tuple[int, int, bytes]:
    """Week, sample and what tells it from others. Raises `BadPost`."""
    if len(body) != MARK or body[4] > 30:
        raise BadPost
    return int.from_bytes(body[:4], "big"), body[4], body[5:]
