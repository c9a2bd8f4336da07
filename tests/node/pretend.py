"""Paths that do as they are told, for the tests beside this file."""

from __future__ import annotations

import asyncio

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.node.ways import Ways
from holdfast.paths.base import Attempt, Channel, Handler, Kind, Undivided, Unreachable

HANGS: dict[str, Kind] = {"hangs": "mute", "is silent": "connect", "shakes hands": "timeout"}
HOME = Home("relay.example", 443, bytes(16), bytes(32))
OTHER = Home("other.example", 443, bytes(16), bytes([1] * 32))


class Line(Undivided):
    """A channel that does nothing, and its owner's handler."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.sent: list[bytes] = []
        self.ended = ""
        self.buffered = self.received = 0
        self.answers = True
        """When it is asked whether it stands."""

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)
        if frame == wire.encode(wire.Probe(0)) and self.answers and self.handler is not None:
            self.handler.on_frame(wire.encode(wire.Probed(b"")))

    def close(self, reason: str = "") -> None:
        self.ended = reason
        assert self.handler is not None
        self.handler.on_closed(reason)


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed: list[str] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_live(self, frame: bytes) -> None:
        pass

    def on_drained(self) -> None:
        pass

    def on_closed(self, reason: str) -> None:
        self.closed.append(reason)


class Paths:
    """Each works at once, fails with a kind, or hangs."""

    def __init__(self, **how: str) -> None:
        self.lines: dict[str, Line] = {}
        self.tried: list[str] = []
        self.now = 1_000
        self.how = how
        self.ways = Ways({name: self._path(name) for name in how}, lambda: self.now)

    def _path(self, name: str):
        async def connect(home: Home, handler: Handler, attempt: Attempt) -> Channel:
            self.tried.append(name)
            how = self.how[name]
            if how in HANGS:
                attempt.hangs = HANGS[how]
                await asyncio.get_running_loop().create_future()
            if how == "late":
                for _ in range(50):  # later than another one, if another one is tried
                    await asyncio.sleep(0.01)
                    if len(self.tried) > 1 and self.lines.keys() - {name}:
                        break
            elif how != "works":
                kind: Kind = how  # type: ignore[assignment]
                raise Unreachable(kind, f"{name}: {how}")
            line = self.lines[name] = Line()
            line.handler = handler
            return line

        return connect
