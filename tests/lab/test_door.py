"""A door to a host's loopback, here to this machine's own."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any, cast

from holdfast.lab.box import abort
from holdfast.lab.door import door
from holdfast.lab.hosts import Host


class Here:
    """A host that is this machine, but for the port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def socket(self) -> socket.socket:
        port = self._port

        class Near(socket.socket):
            def connect(self, address: Any) -> None:
                super().connect((address[0], port))

        return Near()


async def test_who_is_reset_is_let_go_and_nobody_complains() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: complaints.append(about))
    heard = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        heard.set()
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host = cast(Host, Here(server.sockets[0].getsockname()[1]))
    async with door(host) as port:
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            abort(writer)
            await asyncio.sleep(0.05)
            gc.collect()
    server.close()
    gc.collect()
    await asyncio.sleep(0.05)
    assert not complaints
