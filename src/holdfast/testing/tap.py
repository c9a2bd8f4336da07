"""A TCP proxy on loopback that keeps every byte: what somebody on the wire sees."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from holdfast.core.caps import Home


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes that came at once: at `at` (s since 1970), from or to the node's own `port`, to the
    relay if `sent`."""

    at: float
    port: int
    sent: bool
    size: int


class Tap:
    """Stands between nodes and one relay; use as an async context.

    async with Tap(Home.parse(relay.address)) as tap:
        run.node("anna", str(tap.home))
    """

    def __init__(self, relay: Home, delay: float = 0.0) -> None:
        self._relay = relay
        self._delay = delay
        """Seconds on the way, each way, of what goes through an open connection."""
        self.home = relay
        """The relay's address as nodes are to use it; known once the tap is open."""
        self.sent = bytearray()
        """Everything that went to the relay, over all connections."""
        self.received = bytearray()
        self.passed: list[Passed] = []
        """When how much went which way."""
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.home = Home("127.0.0.1", port, self._relay.path_secret, self._relay.pin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._running)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self._writers.add(writer)
        port = writer.get_extra_info("peername")[1]
        try:
            far_reader, far_writer = await asyncio.open_connection(
                self._relay.host, self._relay.port
            )
        except OSError:
            await self._end(writer)  # the relay is down: the node's connection ends
        else:
            self._writers.add(far_writer)
            await asyncio.gather(
                self._copy(reader, far_writer, port, sent=True),
                self._copy(far_reader, writer, port, sent=False),
            )
        finally:
            self._running.discard(task)

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        sent: bool,
    ) -> None:
        kept = self.sent if sent else self.received
        loop, late = asyncio.get_running_loop(), deque[bytes]()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                kept += data
                self.passed.append(Passed(time.time(), port, sent, len(data)))
                if self._delay:
                    late.append(data)
                    loop.call_later(self._delay, lambda: writer.write(late.popleft()))
                else:
                    writer.write(data)
                    await writer.drain()
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._end(writer)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
