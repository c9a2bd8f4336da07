"""Frames as two streams of bytes that are carried in small pieces, in any order, more than once.

Each exchange says which bytes of my stream it brings, and up to where I have the other's. So a
connection that freezes in the middle costs its exchange and nothing else. Pure. Source:
spec/paths.md, "Small exchanges".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from holdfast.core import wire

SESSION: Final = 16
_ASK: Final = struct.Struct(">16sQQHB")
_TELL: Final = struct.Struct(">Q")
ASK: Final = _ASK.size
TELL: Final = _TELL.size
LENGTH: Final = 4
MAX_PIECE: Final = 32 * 1024
MAX_WAIT: Final = 25
"""Seconds that an answer may be held back until there is something to say."""


class BadExchange(ValueError):
    """Not an exchange of this protocol."""


@dataclass(frozen=True, slots=True)
class Ask:
    """From the client: bytes of its stream from `offset` on, and what it wants of the other's:
    from `have` on, at most `most`, waiting `wait` seconds if there is nothing."""

    session: bytes
    offset: int
    have: int
    most: int
    wait: int
    data: bytes

    def encode(self) -> bytes:
        """As the body of a request."""
        head = _ASK.pack(self.session, self.offset, self.have, self.most, self.wait)
        return head + self.data

    @classmethod
    def decode(cls, body: bytes) -> Ask:
        """Raises `BadExchange`."""
        if not ASK <= len(body) <= ASK + MAX_PIECE:
            raise BadExchange("wrong length")
        session, offset, have, most, wait = _ASK.unpack_from(body)
        if most > MAX_PIECE or wait > MAX_WAIT:
            raise BadExchange("asks for too much")
        return cls(session, offset, have, most, wait, body[ASK:])


@dataclass(frozen=True, slots=True)
class Tell:
    """From the relay: up to where it has the client's stream, and the bytes that were wanted."""

    have: int
    data: bytes

    def encode(self) -> bytes:
        """As the body of an answer."""
        return _TELL.pack(self.have) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Tell:
        """Raises `BadExchange`."""
        if not TELL <= len(body) <= TELL + MAX_PIECE:
            raise BadExchange("wrong length")
        (have,) = _TELL.unpack_from(body)
        return cls(have, body[TELL:])


class Outgoing:
    """My stream: what the other side may still ask for."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.base = 0
        """Bytes that are certain to have arrived."""

    @property
    def end(self) -> int:
        """Bytes there are in all."""
        return self.base + len(self._data)

    @property
    def waiting(self) -> int:
        """Bytes not certain to have arrived."""
        return len(self._data)

    def add(self, frame: bytes) -> None:
        """One more frame."""
        self._data += len(frame).to_bytes(LENGTH, "big") + frame

    def take(self, offset: int, most: int) -> bytes:
        """Bytes from `offset` on; none from before what has arrived."""
        start = offset - self.base
        return bytes(self._data[start : start + most]) if start >= 0 else b""

    def arrived(self, upto: int) -> None:
        """The other side has them up to there. Raises `BadExchange` if it cannot."""
        if upto > self.end:
            raise BadExchange("has what was never sent")
        if upto > self.base:
            del self._data[: upto - self.base]
            self.base = upto


class Incoming:
    """The other's stream, put together into frames."""

    def __init__(self) -> None:
        self.have = 0
        self._rest = bytearray()

    def feed(self, offset: int, data: bytes) -> list[bytes]:
        """The frames that are whole now. What is here already is skipped, what leaves a gap
        ignored. Raises `BadExchange` for a frame that is too long."""
        skip = self.have - offset
        if skip < 0 or skip >= len(data):
            return []
        self._rest += data[skip:]
        self.have += len(data) - skip
        frames = []
        while len(self._rest) >= LENGTH:
            size = int.from_bytes(self._rest[:LENGTH], "big")
            if size > wire.MAX_FRAME:
                raise BadExchange("a frame is too long")
            if len(self._rest) < LENGTH + size:
                break
            frames.append(bytes(self._rest[LENGTH : LENGTH + size]))
            del self._rest[: LENGTH + size]
        return frames
