"""Frames of one call straight to the other side: over the local network, or through NATs.

A port of its own for each call, open from accepting to the end. Source: spec/call.md, "Directly".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.core.call.direct import Address, Checks
from holdfast.drive.udp import Udp, usable

CHECK: Final = b"\0"
FRAME: Final = b"\1"


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
