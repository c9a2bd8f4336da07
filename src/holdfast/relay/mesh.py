"""The processes of one relay, and what they say to each other.

Between any two is a pair of Unix sockets that their parent has made (`processes`). What is said in
one turn of the loop goes in one write: four bytes of length, big endian, and a MessagePack array of
messages `[what, id, ...]`; with an id other than 0 it is answered, by `["", id, ...]`. They are one
program of one user, so what comes is believed.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import msgspec

HIGH_WATER: Final = 32 * 1024 * 1024
"""Bytes that another process has not taken, beyond which it is behind."""
AGAIN_SECONDS: Final = 0.05
QUIET_SECONDS: Final = 10.0
"""For what others asked to be answered before this process ends."""


@dataclass(frozen=True)
class Part:
    """What one of several processes is given: its number, of how many, its sockets, and the line
    to the parent, by which lines to other processes come. `udp`: whether any of them has UDP."""

    number: int
    count: int
    listening: list[socket.socket]
    packets: list[socket.socket]
    control: socket.socket
    udp: bool


Reply = Callable[..., None]
Handler = Callable[..., None]
"""Called with the number of who says it, how to reply, and what was said."""


class Mesh:
    """This process's lines to the `count` - 1 others; it is number `number`, from 0."""

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self.joined: list[Callable[[int], None]] = []
        """Told of every process that can be spoken to from now on."""
        self.left: list[Callable[[int], None]] = []
        self._lines: dict[int, _Line] = {}
        self._handlers: dict[str, Handler] = {}
        self.behind: set[int] = set()
        """Processes that take what they are told more slowly than it comes."""
        self.unanswered = 0
        """Of what others asked."""

    @property
    def others(self) -> list[int]:
        """Those that can be spoken to."""
        return list(self._lines)

    def serve(self, what: str, handler: Handler) -> None:
        """Who is told or asked this here."""
        self._handlers[what] = handler

    async def join(self, other: int, end: socket.socket) -> None:
        """Another process is there; `end` is this one's of the pair."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: _Line(self, other), sock=end)

    def tell(self, other: int, what: str, *values: Any) -> None:
        """To whom nobody answers, or who is not there, it is not said."""
        line = self._lines.get(other)
        if line is not None:
            line.send((what, 0, *values))

    def ask(
        self,
        other: int,
        what: str,
        values: tuple[Any, ...],
        answered: Callable[..., None],
        lost: Callable[[], None],
    ) -> None:
        """One of both is called, later: with the answer, or because none will come."""
        line = self._lines.get(other)
        if line is None:
            asyncio.get_running_loop().call_soon(lost)
        else:
            line.ask(what, values, answered, lost)

    def later(self, again: Callable[[], None]) -> None:
        """Call it when some time has passed."""
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, again)

    async def end(self) -> None:
        """Hear nothing more, once what others asked is answered."""
        for line in self._lines.values():
            line.pause()
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while self.unanswered:  # noqa: ASYNC110  it ends but once
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pass
        for line in list(self._lines.values()):
            line.close()

    def _came(self, line: _Line) -> None:
        old = self._lines.pop(line.other, None)
        if old is not None:
            old.close()
        self._lines[line.other] = line
        for tell in self.joined:
            tell(line.other)

    def _went(self, line: _Line) -> None:
        self.behind.discard(line.other)
        if self._lines.get(line.other) is line:
            del self._lines[line.other]
            for tell in self.left:
                tell(line.other)

    def _handle(self, line: _Line, message: list[Any]) -> None:
        what, number, *values = message
        if number:
            self.unanswered += 1
        self._handlers[what](line.other, partial(self._reply, line, number), *values)

    def _reply(self, line: _Line, number: int, *values: Any) -> None:
        if number:
            self.unanswered -= 1
            line.send(("", number, *values))


class _Line(asyncio.Protocol):
    """To one other process."""

    def __init__(self, mesh: Mesh, other: int) -> None:
        self.other = other
        self._mesh = mesh
        self._out: list[tuple[Any, ...]] = []
        self._rest = bytearray()
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[Callable[..., None], Callable[[], None]]] = {}
        self._soon = asyncio.get_running_loop().call_soon

    def send(self, message: tuple[Any, ...]) -> None:
        if not self._out:
            self._soon(self._flush)
        self._out.append(message)

    def ask(
        self,
        what: str,
        values: tuple[Any, ...],
        answered: Callable[..., None],
        lost: Callable[[], None],
    ) -> None:
        number = next(self._numbers)
        self._asked[number] = answered, lost
        self.send((what, number, *values))

    def pause(self) -> None:
        self._transport.pause_reading()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    # From the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._mesh._came(self)

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        rest += data
        while len(rest) >= 4:
            end = 4 + int.from_bytes(rest[:4], "big")
            if len(rest) < end:
                return
            messages = msgspec.msgpack.decode(memoryview(rest)[4:end])
            del rest[:end]
            for message in messages:
                if message[0]:
                    self._mesh._handle(self, message)
                else:
                    answered, _ = self._asked.pop(message[1])
                    answered(*message[2:])

    def pause_writing(self) -> None:
        self._mesh.behind.add(self.other)

    def resume_writing(self) -> None:
        self._mesh.behind.discard(self.other)

    def connection_lost(self, error: Exception | None) -> None:
        self._mesh._went(self)
        asked, self._asked = self._asked, {}
        for _, lost in asked.values():
            lost()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            data = msgspec.msgpack.encode(out)
            self._transport.writelines((len(data).to_bytes(4, "big"), data))
