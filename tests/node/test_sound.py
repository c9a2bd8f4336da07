"""The sound of a call, and a page that has its own pace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import cast

from holdfast.core.call.jitter import Nothing, Pulled
from holdfast.core.call.rungs import RUNGS
from holdfast.node.sound import MICROPHONE, SoundSession
from holdfast.node.thin import Thin
from holdfast.paths import websocket

HEAD = (
    b"GET /sound HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SPOKEN = bytes((0x82, 0x83)) + bytes(4) + bytes((MICROPHONE, 0, 7))
"""A masked frame with a packet of the microphone."""
CLOSING = bytes((0x88, 0x80)) + bytes(4)


class Ears:
    def __init__(self) -> None:
        self.heard = 0
        self.gone = 0

    def microphone(self, number: int, packet: bytes) -> None:
        self.heard += 1

    def pull(self) -> Pulled:
        return Nothing()

    def left(self, sound: SoundSession) -> None:
        self.gone += 1


class Front(asyncio.Protocol):
    """Hands a connection to the session, as the node's server does."""

    def __init__(self, session: SoundSession) -> None:
        self.session = session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.set_protocol(websocket.serve(self.session, self.transport, data))


async def until(true: object) -> None:
    while not true():  # type: ignore[operator]
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def joined() -> AsyncIterator[tuple[SoundSession, Ears, socket.socket]]:
    """A session, whose it is, and the page's socket."""
    ears = Ears()
    session = SoundSession(ears, RUNGS[0], cast(Thin, None))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Front(session), "127.0.0.1", 0)
    page = socket.create_connection(server.sockets[0].getsockname())
    page.setblocking(False)
    try:
        await loop.sock_sendall(page, HEAD)
        assert b"101" in await loop.sock_recv(page, 4096)
        yield session, ears, page
    finally:
        page.close()
        server.close()


async def test_a_page_that_talks_on_is_told_that_another_has_the_sound() -> None:
    """What it said and nobody read must not cut the connection before it has read why."""
    loop = asyncio.get_running_loop()
    async with joined() as (session, ears, page):
        await loop.sock_sendall(page, SPOKEN)
        await until(lambda: ears.heard)
        await loop.sock_sendall(page, SPOKEN * 1000)
        session.dismiss("another window has it")
        await loop.sock_sendall(page, SPOKEN * 1000)
        await asyncio.sleep(0.05)  # it is busy with something else
        got = b""
        while b"\x88" not in got:
            more = await loop.sock_recv(page, 4096)
            assert more, "cut without a word"
            got += more
        assert got[got.index(b"\x88") + 2 :].startswith(b"\x03\xe8")
        assert ears.heard == 1, "who was dismissed is not listened to"
        assert ears.gone == 0
        await loop.sock_sendall(page, CLOSING)
        await until(lambda: ears.gone)


async def test_a_page_that_does_not_go_is_cut() -> None:
    async with joined() as (session, ears, _):
        session.dismiss("the call is over", within=0.05)
        await until(lambda: ears.gone)
