"""What a node wants of each of its logs at one relay, and its appends on their way there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from holdfast.core import wire
from holdfast.core.caps import Caps, Envelope

WINDOW_BYTES: Final = 1024 * 1024
"""Appended bytes on their way to the relay and not acknowledged."""


@dataclass(slots=True)
class Append:
    """A record, sealed for one relay."""

    rid: bytes
    stored: bytes
    lifetime: int
    order: int
    """Rises with every append of the client."""


@dataclass(slots=True, eq=False)
class Log:
    """A log, and what is wanted of it until it is done."""

    caps: Caps
    envelope: Envelope
    handle: int = 0
    state: Literal["detached", "attaching", "attached"] = "detached"
    create: int | None = None
    """The limit to create it with, until that is done."""
    following: bool = False
    bare: bool = False
    """Its live frames have no outer envelope."""
    cursor: int = 0
    unsent: deque[Append] = field(default_factory=deque)
    queued: set[bytes] = field(default_factory=set)
    """Record ids of all appends that are not settled, sent or not."""
    trim: int = 0
    trim_sent: int = 0
    drop: bool = False
    paused_until: int = 0
    asked: deque[str] = field(default_factory=deque)
    """Requests of this connection that the relay answers in order."""

    @property
    def wanted(self) -> bool:
        """Whether it has to be attached."""
        return bool(self.following or self.queued or self.trim or self.drop)

    def may(self, more: Caps) -> bool:
        """Add the roles of `more`; whether there were any."""
        had = self.caps
        self.caps = Caps(
            more.locator,
            more.append or had.append,
            more.read or had.read,
            more.owner or had.owner,
        )
        return self.caps != had

    def to_create(self, pin: bytes) -> wire.Create:
        """The request to make it at the relay of this pin."""
        caps = self.caps
        return wire.Create(
            self.handle,
            caps.log_id(pin),
            caps.verifier("append", pin),
            caps.verifier("read", pin),
            caps.verifier("owner", pin),
            self.create or 0,
        )

    def to_attach(self, pin: bytes) -> wire.Attach:
        """The request to attach it at the relay of this pin."""
        caps = self.caps
        return wire.Attach(
            self.handle,
            caps.log_id(pin),
            caps.token("append", pin),
            caps.token("read", pin),
            caps.token("owner", pin),
            self.cursor if self.following else None,
        )

    def put_back(self, append: Append) -> None:
        """Into the queue again, where it was: the order of appends stays."""
        place = 0
        while place < len(self.unsent) and self.unsent[place].order < append.order:
            place += 1
        self.unsent.insert(place, append)

    def connection_lost(self) -> None:
        """Nothing is asked for or attached any more."""
        self.handle, self.state, self.trim_sent, self.paused_until = 0, "detached", 0, 0
        self.asked.clear()


class Flight:
    """Appends of one connection that were sent and are not settled, in their order."""

    def __init__(self) -> None:
        self._sent: dict[int, tuple[Log, Append]] = {}
        self._bytes = 0
        self._n = 0

    @property
    def room(self) -> bool:
        """Whether more may be sent."""
        return self._bytes < WINDOW_BYTES

    @property
    def drained(self) -> bool:
        """Whether there is room for much."""
        return self._bytes < WINDOW_BYTES // 2

    def start(self) -> None:
        """Count from 1, as a new connection does."""
        self._n = 0

    def add(self, log: Log, append: Append) -> int:
        """It is sent; under this number."""
        self._n += 1
        self._sent[self._n] = (log, append)
        self._bytes += len(append.stored)
        return self._n

    def take(self, n: int) -> tuple[Log, Append] | None:
        """Take it out, if it is there."""
        found = self._sent.pop(n, None)
        if found is not None:
            self._bytes -= len(found[1].stored)
        return found

    def take_until(self, upto: int) -> list[tuple[Log, Append]]:
        """Take out all up to this number."""
        found = []
        while self._sent and (n := next(iter(self._sent))) <= upto:
            found.append(self._sent.pop(n))
            self._bytes -= len(found[-1][1].stored)
        return found

    def take_of(self, log: Log) -> list[Append]:
        """Take out all of one log."""
        numbers = [n for n, (owner, _) in self._sent.items() if owner is log]
        found = [self._sent.pop(n)[1] for n in numbers]
        self._bytes -= sum(len(append.stored) for append in found)
        return found

    def land(self) -> None:
        """The connection is gone: all are in their queues again."""
        for log, append in reversed(self._sent.values()):
            log.unsent.appendleft(append)
        self._sent.clear()
        self._bytes = 0
