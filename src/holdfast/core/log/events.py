"""What a node's side of a connection gives: frames to send, and what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.core import wire
from holdfast.core.caps import Home

What = Literal["create", "attach", "append", "trim", "drop"]


@dataclass(frozen=True, slots=True)
class Created:
    """The log exists at this home."""

    locator: bytes = field(repr=False)
    home: Home


@dataclass(frozen=True, slots=True)
class Dropped:
    """The log is not at this home any more."""

    locator: bytes = field(repr=False)
    home: Home


@dataclass(frozen=True, slots=True)
class Appended:
    """The record is on this home's disk."""

    locator: bytes = field(repr=False)
    home: Home
    rid: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A stored record; sequence numbers rise, and have gaps where records were deleted."""

    locator: bytes = field(repr=False)
    home: Home
    seq: int
    rid: bytes
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Live:
    """A live frame."""

    locator: bytes = field(repr=False)
    home: Home
    rid: bytes
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Every record that this home had when it was attached has been delivered."""

    locator: bytes = field(repr=False)
    home: Home


@dataclass(frozen=True, slots=True)
class Strange:
    """A stored record that was not made with the log's locator: the relay's own, or damaged."""

    locator: bytes = field(repr=False)
    home: Home


@dataclass(frozen=True, slots=True)
class Refused:
    """The home did not do it. `rid` is set for an append.

    Codes of `RETRY_MS` are retried by themselves, so they only inform; after others
    the request is forgotten, and a refused attach ends following.
    """

    locator: bytes = field(repr=False)
    home: Home
    what: What
    code: str
    text: str
    rid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is of no use: close it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The home says who may make logs there; answer with `admit` or `ask`."""

    home: Home
    terms: wire.Terms


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answers to what was asked for with `ask`."""

    home: Home
    answers: tuple[bytes, ...] = field(repr=False)


Event = Created | Dropped | Appended | Received | Live | CaughtUp | Strange | Refused
By = Literal["datagram", "stream", "safe"]
"""How a live frame leaves: as a datagram if there are any, else by the stream; `safe`: by that too
while datagrams are not answered."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A live frame to send."""

    frame: bytes
    by: By = "safe"


Output = bytes | Pass | Event | Asked | Tokens | Close
"""A frame to send, or what happened."""
