"""Places that nobody has a reason to block, asked when relays cannot be reached, or crawl.

A look at them can be seen by whoever watches the line, so it is taken only if the person named such
places, only when something is wrong, and rarely. What it tells is whether they answer and how fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast, get_args

from holdfast.core.caps import Home
from holdfast.core.seen import Control
from holdfast.paths import dial
from holdfast.paths.base import Attempt, Unreachable
from holdfast.paths.tls import TlsTransport

Places = Mapping[Control, Sequence[tuple[str, int]]]
"""Host and port, by what being able to reach them says."""
Tell = Callable[[Control, bool, float], None]
"""Kind, whether one answered, and bits a second, 0 if too little came to tell."""
EVERY: Final = 240.0
"""Seconds between two looks."""
SECONDS: Final = 6.0
"""For each of a handshake, another one with another hello, and the page."""
ENOUGH: Final = 256 * 1024
"""Bytes that are read at most."""
LEAST: Final = 8 * 1024
"""Fewer say nothing of the rate."""


def parse(text: str) -> tuple[Control, tuple[str, int]]:
    """`domestic=HOST` or `foreign=HOST:PORT`. Raises ValueError with a sentence."""
    match = re.fullmatch(r"(\w+)=([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?", text.strip())
    if match is None or match[1] not in get_args(Control):
        raise ValueError("a control looks like domestic=example.com or foreign=example.org:443")
    port = int(match[3] or 443)
    if not 0 < port < 65_536:
        raise ValueError(f"port {port} does not exist; ports go from 1 to 65535")
    return cast("Control", match[1]), (match[2].lower(), port)


class Controls:
    """Asks the places of each kind in turn, until one answers."""

    def __init__(self, places: Places, tell: Tell, proxy: str | None = None) -> None:
        self._places = places
        self._tell = tell
        self._proxy = proxy
        self._asked = -EVERY
        self._task: asyncio.Task[None] | None = None

    def wanted(self) -> None:
        """Something is wrong: look, unless that was done lately."""
        now = asyncio.get_running_loop().time()
        if any(self._places.values()) and now - self._asked >= EVERY:
            self._asked = now
            self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        async with asyncio.TaskGroup() as all:
            for kind, places in self._places.items():
                if places:
                    all.create_task(self._kind(kind, places))

    async def _kind(self, kind: Control, places: Sequence[tuple[str, int]]) -> None:
        for place in places:
            try:
                transport = await self._reach(*place)
            except OSError:
                continue
            self._tell(kind, True, await self._visit(place[0], transport))
            return
        self._tell(kind, False, 0)

    async def _reach(self, host: str, port: int) -> TlsTransport:
        """A handshake that is done says that it answers: what follows may be frozen there too.
        Where hellos are blocked by what they offer, another one passes. Raises OSError."""
        home, attempt = Home(host, port, b"", b""), Attempt()
        try:
            async with asyncio.timeout(SECONDS):
                return await dial.secured(home, self._proxy, attempt)
        except Unreachable as error:
            if error.kind not in ("tls", "mute"):
                raise
        except TimeoutError:
            if attempt.hangs != "mute":
                raise
        async with asyncio.timeout(SECONDS):
            return await dial.secured(home, self._proxy, classic=True)

    async def _visit(self, host: str, transport: TlsTransport) -> float:
        """Bits a second of its first page, 0 if too little came."""
        page = _Page()
        transport.set_protocol(page)
        transport.resume_reading()
        loop = asyncio.get_running_loop()
        began = loop.time()
        transport.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await page.done
        transport.abort()
        took = loop.time() - began
        return page.size * 8 / took if page.size >= LEAST else 0


class _Page(asyncio.Protocol):
    """Counts what comes."""

    def __init__(self) -> None:
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """A part of the page."""
        self.size += len(data)
        if self.size >= ENOUGH:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """That was all."""
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def gathered(texts: Sequence[str]) -> dict[Control, list[tuple[str, int]]]:
    """All that `parse` reads. Raises ValueError."""
    found: dict[Control, list[tuple[str, int]]] = {}
    for text in texts:
        kind, place = parse(text)
        found.setdefault(kind, []).append(place)
    return found
