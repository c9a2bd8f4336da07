"""What a port holds of connections that never become anything: counted, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from greeting import PATH, PIN, Heard, accept

from holdfast.core.caps import Home
from holdfast.drive import http
from holdfast.paths import tls, websocket
from holdfast.relay import certificate, decoy, front
from holdfast.relay.front import Front

MOST = 20


@asynccontextmanager
async def served(data: Path) -> AsyncIterator[tuple[Front, Home]]:
    decoy.make_site(data / "site", lambda n: b"\x07" * n)
    own = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    made = Front(own, [PATH], decoy.Folder(data / "site"), accept, strangers=MOST)
    port = await made.listen("127.0.0.1", 0, udp=False)
    try:
        yield made, Home("127.0.0.1", port, PATH, PIN)
    finally:
        await made.close()


class Crowd:
    """Connections from one address of this machine, and how many of them were ended."""

    def __init__(self, home: Home, address: str = "127.0.0.1") -> None:
        self._home, self._address = home, address
        self.lines: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self, count: int, said: bytes = b"") -> None:
        for _ in range(count):
            line = await asyncio.open_connection(
                self._home.host, self._home.port, local_addr=(self._address, 0)
            )
            line[1].write(said)
            self.lines.append(line)

    @property
    def ended(self) -> list[bool]:
        return [r.at_eof() or r.exception() is not None for r, _ in self.lines]

    async def leave(self) -> None:
        for _, writer in self.lines:
            writer.transport.abort()
        await asyncio.sleep(0)


async def until(right: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not right():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_flood_of_half_open_connections_ends_its_own_oldest(
    tmp_path: Path, said: bytes
) -> None:
    async with served(tmp_path) as (made, home):
        inside = await websocket.connect(home, Heard())
        crowd = Crowd(home)
        await crowd.come(3 * MOST, said)
        await until(lambda: sum(crowd.ended) >= 2 * MOST)
        assert len(made.open) == MOST
        assert crowd.ended == [True] * (2 * MOST) + [False] * MOST
        # Whoever knows the path gets in all the same, and does not count from then on.
        late = await websocket.connect(home, Heard())
        assert len(made.open) < MOST
        for channel in (inside, late):
            assert not channel.handler.over  # type: ignore[attr-defined]
            channel.close()
        await crowd.leave()


async def test_a_flood_from_one_place_does_not_end_the_connections_of_another(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (made, home):
        others = Crowd(home, "127.0.0.2")
        await others.come(3)
        await until(lambda: len(made.open) == 3)
        crowd = Crowd(home)
        await crowd.come(3 * MOST)
        await until(lambda: sum(crowd.ended) == 3 * MOST - (MOST - 3))
        assert others.ended == [False] * 3
        assert sum(not gone for gone in crowd.ended) == MOST - 3
        await crowd.leave()
        await others.leave()


async def test_slow_bytes_are_no_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes byte by byte, and a handshake that does, have their time in all."""
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(front, "HANDSHAKE_SECONDS", 0.5)
    async with served(tmp_path) as (made, home):
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        class Slow(asyncio.Protocol):
            """Behind the handshake."""

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport
                self.sent = 0
                self.next()

            def next(self) -> None:
                if not self.transport.is_closing():
                    self.transport.write(
                        b"GET / HTTP/1.1\r\nX: "[self.sent : self.sent + 1] or b"x"
                    )
                    self.sent += 1
                    loop.call_later(0.05, self.next)

            def connection_lost(self, error: Exception | None) -> None:
                if not ended.done():
                    ended.set_result(self.sent)

        layer = tls.TlsLayer(tls.client_context(), Slow(), failed=lambda why: None)
        await loop.create_connection(lambda: layer, home.host, home.port)
        crowd = Crowd(home)
        await crowd.come(5, b"\x16\x03\x01\x02\x00")
        async with asyncio.timeout(60):
            while not all(crowd.ended):
                for _, writer in crowd.lines:
                    if not writer.transport.is_closing():
                        writer.write(b"\x01")
                await asyncio.sleep(0.05)
            assert await ended > 1
        await until(lambda: len(made.open) == 0)
        await crowd.leave()


async def test_who_asks_something_whole_is_not_the_first_to_go(tmp_path: Path) -> None:
    """A visitor who reads page after page outlasts those who only hold a connection."""
    async with served(tmp_path) as (made, home):
        crowd = Crowd(home)
        context = tls.client_context()
        answers: list[bytes] = []

        class Visitor(asyncio.Protocol):
            transport: asyncio.Transport

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                answers.append(data)

        visitor = Visitor()
        layer = tls.TlsLayer(context, visitor, failed=lambda why: None)
        await asyncio.get_running_loop().create_connection(lambda: layer, home.host, home.port)
        for turn in range(4):
            await until(lambda: hasattr(visitor, "transport"))
            visitor.transport.write(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda turn=turn: b"".join(answers).count(b"HTTP/1.1 404") == turn + 1)
            await crowd.come(MOST - 1)
        await until(lambda: sum(crowd.ended) >= 3 * (MOST - 1))
        assert not visitor.transport.is_closing() and len(made.open) == MOST
        visitor.transport.abort()
        await crowd.leave()
