"""The chain of a channel's posts as one reader has it: what follows what, what is missing, and
where the key signed two different things. Source: spec/channels.md, "Chain"."""

from __future__ import annotations

from typing import Literal

from holdfast.core.channel.posts import FIRST, Post

Taken = Literal["new", "known", "fork"]


class Chain:
    """Posts by number. What forks is never taken, the first that came stands."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[bytes, bytes]] = {}
        """Hash, and hash of the one before."""
        self.head = 0
        """The highest number that the key has signed, in a post or in a head."""
        self._named: dict[int, bytes] = {}
        """Hashes of the last heads, by number, whose post is not here."""

    def restore(self, number: int, hash: bytes, prev: bytes) -> None:
        """A post that was taken before."""
        self._held[number] = hash, prev
        self.head = max(self.head, number)

    def take(self, post: Post) -> Taken:
        """One more; heads as well."""
        number = post.number
        if number == 0:
            return "known" if post.kind == "head" and post.hash == FIRST else "fork"
        held = self._held.get(number)
        self.head = max(self.head, number)
        if held is not None:
            return "known" if held[0] == post.hash else "fork"
        before, after = self._held.get(number - 1), self._held.get(number + 1)
        if (after is not None and after[1] != post.hash) or self._named.get(
            number, post.hash
        ) != post.hash:
            return "fork"
        if post.kind == "head":
            self._named = {number: post.hash}
            return "known"
        if (before is not None and before[0] != post.prev) or (number == 1 and post.prev != FIRST):
            return "fork"
        self._held[number] = post.hash, post.prev
        self._named.pop(number, None)
        return "new"

    def __contains__(self, number: int) -> bool:
        return number in self._held

    @property
    def last(self) -> tuple[int, bytes]:
        """Number and hash of the last post that is here; 0 without any."""
        number = max(self._held, default=0)
        return number, self._held[number][0] if number else FIRST

    @property
    def first(self) -> int:
        """Number of the first that is here; 0 without any."""
        return min(self._held, default=0)

    def missing(self) -> list[tuple[int, int]]:
        """What is not here between the first that is and the last that was signed: ranges, both
        ends with them."""
        found: list[tuple[int, int]] = []
        expected = self.first or 1
        for number in sorted(self._held):
            if number > expected:
                found.append((expected, number - 1))
            expected = number + 1
        if expected <= self.head:
            found.append((expected, self.head))
        return found
