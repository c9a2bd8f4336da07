"""Frames of one call straight to the other side: over the local network, or through NATs.

A port of its own for each call, open from accepting to the end. Source: spec/call.md, "Directly".
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.core import reflect
from holdfast.core.call.direct import MOST, Address, Checks
from holdfast.core.caps import Home
from holdfast.drive.udp import Udp, own_addresses, usable

CHECK: Final = b"\0"
FRAME: Final = b"\1"
TRIES: Final = 3
WAIT: Final = 0.5
"""Seconds in which a relay answers."""


class Direct:
    """`frame` is given each sealed frame that comes; `base` is the key of the call."""

    def __init__(
        self,
        base: bytes,
        side: str,
        entropy: Callable[[int], bytes],
        now: Callable[[], int],
        frame: Callable[[bytes], None],
    ) -> None:
        self._checks = Checks(base, side, entropy)
        self._now = now
        self._frame = frame
        self._entropy = entropy
        self._mirrored: Callable[[bytes], None] | None = None
        self._udp = Udp(self._came)
        self._opening: asyncio.Task[None] | None = None
        self._local: set[str] = set()

    def open(self, opened: Callable[[int], None]) -> None:
        """Have a port; `opened` is told which."""

        async def begin() -> None:
            try:
                await self._udp.open()
            except OSError:
                return  # then the call goes by relays alone
            opened(self._udp.port)

        self._opening = asyncio.create_task(begin())

    @property
    def port(self) -> int:
        """Where frames are taken, 0 if nowhere yet."""
        return self._udp.port

    async def places(self, homes: Sequence[Home], clock: Callable[[], int]) -> list[Address]:
        """Where this port is, as this machine sees it and as these relays do."""
        asked: list[tuple[Home, bytes]] = []
        seen: asyncio.Queue[Address] = asyncio.Queue()

        def heard(data: bytes) -> None:
            for home, question in asked:
                found = reflect.answered(home.path_secret, question, data)
                if found is not None:
                    seen.put_nowait(found)

        self._mirrored = heard
        own = [(address, self.port) for address in own_addresses() if usable(address)]
        places = await self._names(homes)
        try:
            for _ in range(TRIES):
                for home, place in places:
                    question = reflect.ask(home.path_secret, clock(), self._entropy)
                    asked.append((home, question))
                    self._udp.send(question, place)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WAIT):
                        own.append(await seen.get())
                        break
        finally:
            self._mirrored = None
        while not seen.empty():
            own.append(seen.get_nowait())
        return list(dict.fromkeys(own))[:MOST]

    async def _names(self, homes: Sequence[Home]) -> list[tuple[Home, Address]]:
        """An address of each that can be found."""
        loop = asyncio.get_running_loop()
        found = []
        for home in homes:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(WAIT * TRIES):
                    infos = await loop.getaddrinfo(home.host, home.port, type=socket.SOCK_DGRAM)
                found += [(home, (str(one[4][0]), home.port)) for one in infos[:2]]
        return found

    def offer(self, address: Address, local: bool = False) -> None:
        """The other side takes frames there; `local`: on the local network."""
        if (local or usable(address[0])) and 0 < address[1] < 65_536:
            if local:
                self._local.add(address[0])
            self._checks.offer(address, self._now())

    @property
    def up(self) -> bool:
        """Whether the other side is reached so."""
        return self._checks.best(self._now()) is not None

    @property
    def local(self) -> bool:
        """Whether it is on the local network that it is reached."""
        best = self._checks.best(self._now())
        return best is not None and best[0] in self._local

    def tick(self) -> None:
        """Time has passed."""
        for address, data in self._checks.tick(self._now()):
            self._udp.send(CHECK + data, address)

    def send(self, frame: bytes) -> None:
        """Pass a frame on, now or never."""
        if (best := self._checks.best(self._now())) is not None:
            self._udp.send(FRAME + frame, best)

    def _came(self, data: bytes, address: Address) -> None:
        if self._mirrored is not None and reflect.looks(data):
            self._mirrored(data)
            return
        kind, rest = data[:1], data[1:]
        if kind == FRAME:
            self._frame(rest)
        elif kind == CHECK:
            for to, answer in self._checks.received(rest, address, self._now()):
                self._udp.send(CHECK + answer, to)

    def close(self) -> None:
        """The call is over."""
        if self._opening is not None:
            self._opening.cancel()
        self._udp.close()
