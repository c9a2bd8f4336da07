"""The network of UDP between nodes and a place."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from holdfast.testing.between import Between


class Far(asyncio.DatagramProtocol):
    """Answers with what came and from which port."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.ports.append(addr[1])
        self.transport.sendto(data, addr)


class Near(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.put_nowait(data)


async def test_it_counts_loses_delays_and_moves() -> None:
    loop = asyncio.get_running_loop()
    far_transport, far = await loop.create_datagram_endpoint(Far, local_addr=("127.0.0.1", 0))
    place = far_transport.get_extra_info("sockname")[1]
    async with Between(place, delay=0.05) as net:
        transport, near = await loop.create_datagram_endpoint(
            Near, remote_addr=("127.0.0.1", net.port)
        )
        began = time.monotonic()
        transport.sendto(b"one")
        assert await near.heard.get() == b"one"
        assert time.monotonic() - began >= 0.1
        net.loses = lambda data, sent: data == b"lost"
        net.move()
        transport.sendto(b"lost")
        transport.sendto(b"two")
        assert await near.heard.get() == b"two"
        assert net.sent == [3, 4, 3] and net.received == [3, 3]
        assert len(set(far.ports)) == 2
        transport.close()
    far_transport.close()
