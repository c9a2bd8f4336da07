"""The tap passes everything on, keeps it, and tells a node when the relay is not there."""

import asyncio

from holdfast.core.caps import Home
from holdfast.testing.pairs import home
from holdfast.testing.tap import Tap


async def test_bytes_pass_both_ways_and_are_kept() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100)).upper())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    place = home()
    relay = Home("127.0.0.1", server.sockets[0].getsockname()[1], place.path_secret, place.pin)
    async with server, Tap(relay) as tap:
        assert (tap.home.path_secret, tap.home.pin) == (place.path_secret, place.pin)
        reader, writer = await asyncio.open_connection(tap.home.host, tap.home.port)
        writer.write(b"quiet")
        assert await reader.read() == b"QUIET"
        writer.close()
        await writer.wait_closed()
        assert (bytes(tap.sent), bytes(tap.received)) == (b"quiet", b"QUIET")


async def test_a_relay_that_is_not_there_ends_the_connection() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    place = home()
    async with Tap(Home("127.0.0.1", port, place.path_secret, place.pin)) as tap:
        reader, writer = await asyncio.open_connection(tap.home.host, tap.home.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
