"""A channel and its owner without a node, for tests."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.caps import Caps, Home
from holdfast.core.channel import posts, talk
from holdfast.core.channel.chain import Chain
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import Kind, Post
from holdfast.core.chat import content
from holdfast.core.seal import keys
from holdfast.testing.entropy import seeded

HOME = Home("relay.example", 443, bytes(16), bytes(32))


class Writer:
    """Who holds a channel's key. `posts` and `records` are all of it."""

    def __init__(
        self, seed: str = "channel", homes: tuple[Home, ...] = (HOME,), open: bool = False
    ) -> None:
        self.entropy = seeded(seed)
        self.key = Ed25519PrivateKey.from_private_bytes(self.entropy(32))
        self.link = Link(self.entropy(16), keys.public_bytes(self.key), homes, open)
        log = self.link.log
        self.caps = Caps(log.locator, self.entropy(32), log.read, self.entropy(32))
        self.chain = Chain()
        self.posts: list[Post] = []
        self.records: list[bytes] = []

    def write(self, data: bytes, kind: Kind = "said", at: int = 7) -> bytes:
        """One more post; its record."""
        number, prev = self.chain.last
        number += kind != "head"
        post, record = posts.write(self.link, self.key, number, prev, at, kind, data, self.entropy)
        self.chain.take(post)
        self.posts.append(post)
        self.records.append(record)
        return record

    def say(self, text: str, at: int = 7) -> bytes:
        """A post with words."""
        return self.write(content.encode(content.Text(self.entropy(16), at, text)), at=at)

    def fork(self, text: str, number: int) -> bytes:
        """A second post in the place of one that was written."""
        prev = self.posts[number - 2].hash if number > 1 else posts.FIRST
        data = content.encode(content.Text(self.entropy(16), 8, text))
        return posts.write(self.link, self.key, number, prev, 8, "said", data, self.entropy)[1]


class Stranger:
    """Who has the link of an open group, and writes there with a key of their own."""

    def __init__(self, link: Link, seed: str = "stranger", name: str = "Stranger") -> None:
        self.link, self.name, self.entropy = link, name, seeded(seed)
        self.key = Ed25519PrivateKey.from_private_bytes(self.entropy(32))

    @property
    def writer(self) -> bytes:
        """What their key is called there."""
        return talk.writer(self.link, keys.public_bytes(self.key))

    def write(self, said: content.Known, at: int) -> bytes:
        """A record of theirs."""
        data = content.encode(said)
        return talk.write(self.link, self.key, self.name, at, data, self.entropy)

    def say(self, text: str, at: int, mid: bytes | None = None) -> bytes:
        """A record with words."""
        return self.write(content.Text(mid or self.entropy(16), at, text), at)
