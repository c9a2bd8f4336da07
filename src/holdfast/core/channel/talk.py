"""What is said in an open group: signed by a key that its writer made for this group alone.

Everybody who has the link may append, so nothing follows from a record being in the log: the
signature, over the group, the key, the name and the hash of what is said, is all that tells one
writer from another. Source: spec/channels.md, "Open groups".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from holdfast.core.channel import posts
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import BadPost
from holdfast.core.seal import Entropy, keys, padding
from holdfast.core.seal.identity import U53, Key32, Signature, Wire
from holdfast.core.seal.keys import BadKey

PURPOSE: Final = "channel-talk/1"
MAX_NAME: Final = 128
"""Bytes of a name."""


class _Statement(Wire, frozen=True):
    key: Key32
    at: U53
    name: Annotated[bytes, Meta(max_length=MAX_NAME)]
    said: Key32


class _Sealed(Wire, frozen=True):
    statement: Annotated[bytes, Meta(max_length=256)]
    signature: Signature
    data: Annotated[bytes, Meta(max_length=posts.MAX_DATA)]


@dataclass(frozen=True)
class Said:
    """What one writer said, their signature checked."""

    writer: bytes
    """See `writer`."""
    at: int
    name: str
    """As they chose it: two can have the same."""
    data: bytes


def writer(link: Link, key: bytes) -> bytes:
    """What a writer's public key is called in this group, 32 bytes: never anybody's root."""
    return keys.digest("open-group-writer/1", link.id, key)


def write(
    link: Link, key: Ed25519PrivateKey, name: str, at: int, data: bytes, entropy: Entropy
) -> bytes:
    """A record for the log of an open group. Raises `padding.TooLong`."""
    if len(data) > posts.MAX_DATA:
        raise padding.TooLong(f"{len(data)} bytes; at most {posts.MAX_DATA} fit in one post")
    public, digest = keys.public_bytes(key), keys.digest("channel-said/1", data)
    statement = msgspec.msgpack.encode(_Statement(public, at, name.encode()[:MAX_NAME], digest))
    signature = keys.sign(key, PURPOSE, link.id + statement)
    return posts.seal(link, msgspec.msgpack.encode(_Sealed(statement, signature, data)), entropy)


def read(link: Link, record: bytes) -> Said:
    """Open and check. Raises `BadPost`."""
    try:
        sealed = msgspec.msgpack.decode(posts.unseal(link, record), type=_Sealed)
        said = msgspec.msgpack.decode(sealed.statement, type=_Statement)
        keys.verify(
            keys.require_ed25519(said.key), PURPOSE, link.id + sealed.statement, sealed.signature
        )
    except (BadKey, ValueError, RecursionError):
        raise BadPost from None
    if msgspec.msgpack.encode(said) != sealed.statement:
        raise BadPost
    if keys.digest("channel-said/1", sealed.data) != said.said:
        raise BadPost
    return Said(writer(link, said.key), said.at, said.name.decode(errors="replace"), sealed.data)
