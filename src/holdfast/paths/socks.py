"""Datagrams through a SOCKS5 proxy: UDP ASSOCIATE. Source: RFC 1928 section 7, RFC 1929.

The proxy is given the relay's name, so that nothing is looked up here. Many proxies bring streams
alone; they say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from holdfast.paths.base import Unreachable

SECONDS: Final = 6.0
_OPEN, _PASSWORD = 0, 2
_ASSOCIATE: Final = 3


def named(host: str, port: int) -> bytes:
    """A place as SOCKS5 writes it. Raises ValueError for a name that is too long."""
    try:
        address = ipaddress.ip_address(host).packed
        kind = b"\x01" if len(address) == 4 else b"\x04"
    except ValueError:
        address = host.encode("idna")
        kind = bytes((3, len(address)))
    return kind + address + struct.pack(">H", port)


def head(data: bytes) -> int:
    """How long what stands before a datagram's own bytes is; 0 if it is not as it should be, or in
    fragments, which nobody sends."""
    if len(data) < 5 or data[:3] != bytes(3):
        return 0
    size = {1: 4, 3: 1 + data[4], 4: 16}.get(data[3])
    if size is None or len(data) < 6 + size:
        return 0
    return 6 + size


class Datagrams(asyncio.DatagramProtocol):
    """As long as the proxy's connection stands: `sendto` takes one to the place, `came` is given
    those from there, `lost` what the system, or the proxy, says."""

    def __init__(
        self, place: bytes, came: Callable[[bytes], None], lost: Callable[[OSError], None]
    ) -> None:
        self._head = bytes(3) + place
        self._came, self._lost = came, lost
        self._transport: asyncio.DatagramTransport | None = None
        self._control: asyncio.StreamWriter | None = None
        self._watch: asyncio.Task[None] | None = None

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """This is the connection that it stands with."""
        self._control = writer
        self._watch = asyncio.create_task(self._until_over(reader))

    async def _until_over(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1024):
                pass
        if not self.is_closing():
            self.close()
            self._lost(ConnectionResetError("the proxy ended the connection"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a socket to the proxy."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From the proxy: the socket takes nothing else."""
        if size := head(data):
            self._came(data[size:])

    def error_received(self, exc: Exception) -> None:
        """The proxy takes no datagrams any more."""
        if isinstance(exc, OSError):
            self._lost(exc)

    def sendto(self, data: bytes) -> None:
        """One datagram."""
        if self._transport is not None:
            self._transport.sendto(self._head + data)

    def get_extra_info(self, name: str) -> Any:
        """Of the socket to the proxy."""
        return None if self._transport is None else self._transport.get_extra_info(name)

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()
        if self._control is not None:
            self._control.transport.abort()


async def associate(
    url: str, host: str, port: int, came: Callable[[bytes], None], lost: Callable[[OSError], None]
) -> Datagrams:
    """Datagrams to and from a place. Raises `Unreachable`, of kind `proxy`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    where = f"{parts.hostname}:{parts.port}"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            await _greet(reader, writer, parts.username, parts.password)
            writer.write(bytes((5, _ASSOCIATE, 0)) + named("0.0.0.0", 0))
            to, at = await _answer(reader)
            if ipaddress.ip_address(to).is_unspecified:
                to = writer.get_extra_info("peername")[0]
            loop = asyncio.get_running_loop()
            made = Datagrams(named(host, port), came, lost)
            await loop.create_datagram_endpoint(lambda: made, remote_addr=(to, at))
            made.begin(reader, writer)
            return made
    except (OSError, EOFError, ValueError, struct.error) as error:
        if writer is not None:
            writer.transport.abort()
        if isinstance(error, Unreachable):
            raise
        text = f"the proxy {where} cannot be reached, or does not speak as it should"
        raise Unreachable("proxy", text) from None
    except BaseException:
        if writer is not None:
            writer.transport.abort()
        raise


async def _greet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str | None, word: str | None
) -> None:
    methods = bytes((_OPEN,)) if user is None else bytes((_OPEN, _PASSWORD))
    writer.write(bytes((5, len(methods))) + methods)
    version, method = await reader.readexactly(2)
    if version != 5:
        raise ValueError
    if method not in methods:
        raise Unreachable("proxy", "the proxy wants another name and password")
    if method == _PASSWORD:
        both = [unquote(one or "").encode() for one in (user, word)]
        writer.write(b"\x01" + b"".join(bytes((len(one),)) + one for one in both))
        if (await reader.readexactly(2))[1]:
            raise Unreachable("proxy", "the proxy wants another name and password")


async def _answer(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Where the proxy takes datagrams."""
    version, code, _, kind = await reader.readexactly(4)
    if version != 5 or kind not in (1, 4):
        raise ValueError
    address = await reader.readexactly(4 if kind == 1 else 16)
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    if code:
        raise Unreachable("proxy", "the proxy brings streams alone")
    return str(ipaddress.ip_address(address)), port
