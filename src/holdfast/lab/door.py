"""Doors: a port of this machine's loopback that leads to the same port of a lab host's loopback.

So a program here can talk to one that runs on a host and, as it should, listens to that host alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from holdfast.lab.hosts import Host

READ = 64 * 1024


@contextlib.asynccontextmanager
async def door(host: Host) -> AsyncIterator[int]:
    """The port: a free one, which the host's program is to take too."""
    running: set[asyncio.Task[None]] = set()

    async def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await _through(host, port, reader, writer)
        finally:
            await _ended(writer)
            running.discard(task)

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = await asyncio.start_server(came, sock=listener, limit=READ)
    try:
        yield port
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _through(
    host: Host, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    far = host.socket()
    far.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", port))
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=READ)
    except OSError:
        far.close()
        raise
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer))
            both.create_task(_pump(far_reader, writer))
    except* OSError:
        pass  # one side has gone; the other is told so by the end of its connection
    finally:
        await _ended(far_writer)


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Close it at once; how it ended is looked at, so that nobody complains that it was not."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
