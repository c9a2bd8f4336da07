"""Comparing seven emoji: short authentication strings with a commitment.

Source: the Matrix specification's SAS method; spec/seal.md, "Comparing".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from holdfast.core.seal.identity import Party

Entropy = Callable[[int], bytes]

State = Literal["asked", "waiting", "compare", "confirmed", "done", "mismatch", "cancelled"]


class Verification:
    """One comparison, as a machine over message contents: `start`, `handle` and `confirm`
    answer what is to be sent, each a content for `Pairwise.seal` (the node adds its own
    message type). It is not stored: after a restart the other side is told `cancelled`."""

    state: State

    def __init__(self, mine: Party, theirs: Party) -> None:
        raise NotImplementedError

    def start(self, now: int, entropy: Entropy) -> list[bytes]:
        """Ask to compare, or join the other's asking (state `asked`)."""
        raise NotImplementedError

    def handle(self, body: bytes, now: int) -> list[bytes]:
        """A step of the other side. Never raises: what does not fit cancels."""
        raise NotImplementedError

    def confirm(self, match: bool, now: int) -> list[bytes]:
        """The person says whether the seven are the same. Only in state `compare`."""
        raise NotImplementedError

    def expire(self, now: int) -> list[bytes]:
        """Cancel ten minutes after the last step."""
        raise NotImplementedError

    def cancel(self) -> list[bytes]:
        """Stop."""
        raise NotImplementedError

    @property
    def emoji(self) -> list[tuple[str, str]]:
        """Seven pairs of symbol and English name, from state `compare` on; else empty."""
        raise NotImplementedError
