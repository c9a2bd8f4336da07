"""A network of UDP on loopback between nodes and one place: it counts, loses, and moves clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

Loses = Callable[[bytes, bool], bool]
"""Whether a datagram is lost: its bytes, and whether it goes to the relay."""


class Between(asyncio.DatagramProtocol):
    """Forwards what comes to its `port`; use as an async context.

    async with Between(home.port) as net:
        net.loses = lambda data, sent: True
    """

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self._to: Final = port
        self._delay: Final = delay
        """Seconds on the way, each way."""
        self.port = 0
        self.loses: Loses = lambda data, sent: False
        self.sent: list[int] = []
        """Bytes of each datagram that came for the relay, lost ones too."""
        self.received: list[int] = []
        self._far: dict[Any, _Far] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._near.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._near.close()
        self.move()

    def move(self) -> None:
        """All clients come from another port from now on, as behind a router that forgot them."""
        for far in self._far.values():
            far.close()
        self._far = {}

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From a node."""
        self.sent.append(len(data))
        if self.loses(data, True):
            return
        far = self._far.get(addr)
        if far is None:
            far = self._far[addr] = _Far(self, addr)
            far.opening = asyncio.create_task(far.open(self._to))
        self._later(far.send, data)

    def back(self, data: bytes, addr: Any) -> None:
        """From the relay, for a node."""
        self.received.append(len(data))
        if not self.loses(data, False):
            self._later(self._give, data, addr)

    def _give(self, data: bytes, addr: Any) -> None:
        if not self._near.is_closing():
            self._near.sendto(data, addr)

    def _later(self, do: Callable[..., None], *about: Any) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, do, *about)
        else:
            do(*about)


class _Far(asyncio.DatagramProtocol):
    """One client's socket towards the relay."""

    opening: asyncio.Task[None]

    def __init__(self, net: Between, client: Any) -> None:
        self._net, self._client = net, client
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []
        self._over = False

    async def open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=("127.0.0.1", port)
        )
        if self._over:
            self._transport.close()
        for data in self._early:
            self.send(data)

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)
        elif not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        self._over = True
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._net.back(data, self._client)

    def error_received(self, exc: Exception) -> None:
        pass
