"""Strangers passed on to a web server, and nodes that are not, over real sockets."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from greeting import PATH, PIN, Heard, accept

from holdfast.core.caps import Home
from holdfast.drive.http import Open
from holdfast.paths import browser, micro, websocket
from holdfast.relay import certificate
from holdfast.relay.front import Front
from holdfast.relay.passage import Passage
from holdfast.relay.upstream import Mirror, Upstream, Web

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A web server that says what it was asked, until it is told to close."""
    with suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = head.split(b"\r\n")[0]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if b"connection: close" in head.lower():
                break


class Site:
    def __init__(self, serve: Serve) -> None:
        self.count = self.now = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._serve = serve

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self.now += 1
        self.writers.append(writer)
        with suppress(OSError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self.now -= 1
        writer.close()


@asynccontextmanager
async def passed(
    data: Path, serve: Serve = page, up: bool = True
) -> AsyncIterator[tuple[Site, Home]]:
    site = Site(serve)
    server = await asyncio.start_unix_server(site.serve, str(data / "site.sock"))
    if not up:
        server.close()
        (data / "site.sock").unlink(missing_ok=True)
    own = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    web = Web.parse(f"unix:{data}/site.sock")
    front = Front(own, [PATH], Mirror(web.http), accept, web)
    port = await front.listen("127.0.0.1", 0, udp=False)
    try:
        yield site, Home("127.0.0.1", port, PATH, PIN)
    finally:
        await front.close()
        server.close()
        for writer in site.writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def visit(home: Home) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(home.host, home.port, ssl=context)


async def asked(home: Home, request: bytes) -> bytes:
    """All that is answered until the connection ends."""
    reader, writer = await visit(home)
    writer.write(request)
    async with asyncio.timeout(60):
        answer = await reader.read(-1)
    writer.transport.abort()
    return answer


async def until(right: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not right():
            await asyncio.sleep(0.01)


CLOSE = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def test_a_stranger_meets_the_site_and_a_node_the_relay(tmp_path: Path) -> None:
    async with passed(tmp_path) as (site, home):
        assert (await asked(home, CLOSE)).endswith(b"\r\n\r\nGET /a HTTP/1.1")
        for connect in (websocket.connect, micro.connect, browser.connect):
            heard = Heard()
            channel = await connect(home, heard)
            channel.send(b"a frame")
            await until(lambda heard=heard: heard.frames or heard.over)
            assert heard.frames == [b"a frame"], (connect, heard.over)
            channel.close()
        await until(lambda: site.now == 0)  # nothing is left of them at the site


class Line(asyncio.Transport):
    """A transport that is told apart from others by what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def resume_reading(self) -> None: ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append("write")

    def write_eof(self) -> None:
        self.done.append("write_eof")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


async def test_a_node_that_is_quicker_than_the_site_keeps_its_connection() -> None:
    """The site is connected to while the node's first words come; that connection is let go of, and
    its end is not the node's."""
    passage = Passage(Upstream.parse("http://127.0.0.1:1"), Open(), lambda *_: True)
    node, site = Line(), Line()
    passage.connection_made(node)
    passage.data_received(b"a node's first words")
    passage.came(site)
    passage.went(site)
    assert (site.done, node.done) == (["abort"], [])


async def test_the_site_is_there_before_anything_is_said(tmp_path: Path) -> None:
    async def speaks_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await writer.drain()

    async with passed(tmp_path, speaks_first) as (_, home):
        assert await asked(home, b"") == b"220 ready\r\n"


async def test_when_the_site_is_down_it_says_so_and_nodes_go_on(tmp_path: Path) -> None:
    async with passed(tmp_path, up=False) as (_, home):
        answer = await asked(home, CLOSE)
        assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        channel = await websocket.connect(home, Heard())
        channel.close()


async def test_large_bodies_pass_both_ways_as_fast_as_they_are_taken(tmp_path: Path) -> None:
    size = 32 * 1024 * 1024
    taken: list[int] = []
    let = asyncio.Event()

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await let.wait()
        total = 0
        while total < size:
            total += len(await reader.read(1 << 20))
        taken.append(total)
        for _ in range(size >> 20):
            writer.write(b"x" * (1 << 20))
            await writer.drain()
            taken.append(1 << 20)

    async with passed(tmp_path, large) as (_, home):
        reader, writer = await visit(home)
        gone = 0

        async def bring() -> None:
            nonlocal gone
            while gone < size:
                writer.write(b"x" * (1 << 20))
                await writer.drain()
                gone += 1 << 20

        bringing = asyncio.create_task(bring())
        await asyncio.sleep(0.3)
        assert gone < size // 2  # the site takes none: most of it is still here
        let.set()
        await bringing
        await until(lambda: bool(taken))
        await asyncio.sleep(0.3)
        assert sum(taken[1:]) < size // 2  # nobody reads: the site waits
        async with asyncio.timeout(60):
            assert len(await reader.readexactly(size)) == size
        writer.transport.abort()


@pytest.mark.parametrize("ends", ["stranger", "site"])
async def test_both_sides_end_together(tmp_path: Path, ends: str) -> None:
    async with passed(tmp_path) as (site, home):
        reader, writer = await visit(home)
        writer.write(CLOSE.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"GET /a HTTP/1.1")
        if ends == "stranger":
            writer.transport.abort()
            await until(lambda: site.now == 0)
        else:
            site.writers[0].close()
            async with asyncio.timeout(60):
                assert await reader.read(-1) == b""
            writer.transport.abort()
