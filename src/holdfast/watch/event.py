"""An event: what is degraded, where, since when, how, how sure that is and what is against it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Kind = Literal["outage", "call-blocking", "throttling", "freezing", "allowlist", "shutdown"]
Confidence = Literal["low", "medium", "high"]
Word = Annotated[str, Meta(max_length=48)]
ORDER: Final = ("low", "medium", "high")


class Fact(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that speaks for an event or against it; `words` makes a sentence of it."""

    code: Word
    function: Word = ""
    names: Annotated[tuple[Word, ...], Meta(max_length=200)] = ()
    seen: int = 0
    of: float = 0
    """What was expected, or how many there were in all."""


class Hurt(Struct, forbid_unknown_fields=True):
    """A function that is affected."""

    function: Word
    since: int
    until: int = 0
    """0: it goes on."""
    operators: tuple[Word, ...] = ()


class Event(Struct, forbid_unknown_fields=True):
    """Times are seconds since 1970. An event is public from `published` on; 0: it is not."""

    id: Annotated[str, Meta(pattern=r"^[0-9]{8}-[0-9]{4}-[A-Za-z0-9.-]{1,24}\Z")]
    region: Word
    kind: Kind
    started: int
    detected: int
    published: int = 0
    ended: int = 0
    confidence: Confidence = "low"
    hurt: tuple[Hurt, ...] = ()
    well: tuple[Word, ...] = ()
    """Functions that were seen to work meanwhile."""
    operators: tuple[Word, ...] = ()
    unaffected: tuple[Word, ...] = ()
    complaints: int = 0
    expected: float = 0.0
    """Complaints that would have been usual."""
    failed: int = 0
    measured: int = 0
    """Measurements of the affected functions, those that failed and all, since it started."""
    reasons: tuple[Fact, ...] = ()
    against: tuple[Fact, ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        """That are affected."""
        return tuple(each.function for each in self.hurt)


class BadEvent(ValueError):
    """Not an event."""


def encode(event: Event) -> bytes:
    """As JSON, always the same bytes for the same event."""
    return msgspec.json.encode(event, order="deterministic")


def decode(data: bytes) -> Event:
    """Parse what `encode` gave. Raises `BadEvent`."""
    try:
        return msgspec.json.decode(data, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not an event: {type(error).__name__}") from None
