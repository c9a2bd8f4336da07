"""One device pair: contents in, sealed records out, and the other way round.

Source: spec/seal.md, "Two people".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Entropy = Callable[[int], bytes]

MAX_CONTENT: Final = 60_000
"""Bytes of one message's content."""

Frozen = Literal["", "rollback", "fork"]


class CannotSend(RuntimeError):
    """Sending is frozen; `reason` is `rollback` or `fork`, the message says what to do."""


@dataclass(frozen=True)
class Outgoing:
    """One sealed record. The node keeps exactly these bytes, with the new `dump`, in one
    transaction before it sends them, and until `Opened.acked` reaches `seq`."""

    seq: int
    blob: bytes


@dataclass(frozen=True)
class Message:
    """One content of the peer, delivered once and in order."""

    seq: int
    content: bytes


@dataclass(frozen=True)
class Opened:
    """What one record brought; possibly nothing, possibly more than one message."""

    messages: tuple[Message, ...] = ()
    acked: int = 0
    """The peer has everything of ours up to this sequence number."""
    resend: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included, that the peer asks for: append the kept blobs again."""


class Pairwise:
    """Made by `invitation.accept` or `invitation.Invitation.open_accept`; not directly."""

    @property
    def acked(self) -> int:
        """The peer has everything of ours up to this sequence number."""
        raise NotImplementedError

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first missing range (to = 0: open end), or None. While there is one, the node
        does not advance its stored read cursor and does not trim: the records held back
        are not in `dump`, after a restart they are read again (duplicates are dropped)."""
        raise NotImplementedError

    @property
    def frozen(self) -> Frozen:
        """Empty, or why sending is refused: `rollback` (our state is older than what the
        peer acknowledged: this session is over), `fork` (two device lists)."""
        raise NotImplementedError

    def seal(self, content: bytes, now: int, entropy: Entropy) -> Outgoing:
        """Seal a content, at most 60,000 bytes. Raises `CannotSend`, `padding.TooLong`."""
        raise NotImplementedError

    def open(self, blob: bytes, now: int) -> Opened:
        """Take a record from any home. Raises `Unopenable`, one error for every cause,
        and then nothing has changed. A duplicate gives an empty `Opened`."""
        raise NotImplementedError

    def caught_up(self, now: int) -> None:
        """Everything stored at every home was read: a gap that is left gets asked for."""
        raise NotImplementedError

    def due(self, receipts: bool = True) -> int | None:
        """When (ms) `control` wants to be called, or None. Without `receipts` nothing is
        sent merely to acknowledge, except every 1,000 records."""
        raise NotImplementedError

    def control(self, now: int, entropy: Entropy) -> Outgoing:
        """A record without content: acknowledgement, key change, request to resend."""
        raise NotImplementedError

    def dump(self, entropy: Entropy) -> bytes:
        """Secret bytes, to be wrapped by `rest.Rows`."""
        raise NotImplementedError

    @classmethod
    def load(cls, data: bytes) -> Pairwise:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        raise NotImplementedError
