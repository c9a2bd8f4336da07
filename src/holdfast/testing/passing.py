"""Connections of the test's own loop that are passed on to another port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence


class Passing:
    """A port of loopback. Each connection goes to the first of `choose()` that answers."""

    def __init__(self, choose: Callable[[], Sequence[int]]) -> None:
        self._choose = choose
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.used: set[int] = set()
        self.cut = False
        """Nothing passes any more."""

    async def open(self, port: int = 0) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._came, "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, writer)
        except asyncio.CancelledError:
            pass  # a server's own task that ends so is reported as an error
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        forth = None
        try:
            for port in [] if self.cut else self._choose():
                try:
                    back, forth = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    continue
                self.used.add(port)
                self._open.add(forth)
                await asyncio.gather(_copy(reader, forth), _copy(back, writer))
                break
        finally:
            for one in (writer, forth):
                if one is not None:
                    self._open.discard(one)
                    one.close()
                    with contextlib.suppress(OSError):
                        await one.wait_closed()

    def part(self) -> None:
        """Break what is connected, and let nothing pass."""
        self.cut = True
        for writer in list(self._open):
            writer.transport.abort()

    async def close(self) -> None:
        """End everything."""
        self.part()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
