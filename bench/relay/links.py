"""A lean client of a relay: frames ready made, answers hardly looked at.

What is measured is the relay, so whoever loads it must cost little itself: the standard
library's TLS in uvloop, and WebSocket frames masked with zeros.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Iterable

import msgspec

from holdfast.core import caps, wire
from holdfast.core.caps import Home

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_records = msgspec.msgpack.Decoder(tuple[int, int, list[tuple[int, bytes]]])


def masked(payload: bytes) -> bytes:
    """A binary message as a client sends it."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB4x", 0x82, 0x80 | size) + payload
    if size < 65_536:
        return struct.pack(">BBH4x", 0x82, 0x80 | 126, size) + payload
    return struct.pack(">BBQ4x", 0x82, 0x80 | 127, size) + payload


class Link(asyncio.Protocol):
    """One connection. `got` is told of every message after the greeting."""

    def __init__(self, host: str, path: str, got: Callable[[bytes], None]) -> None:
        self._request = UPGRADE.format(path=path, host=host).encode()
        self._got = got
        self._rest = b""
        self._upgraded = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def send(self, frames: Iterable[bytes]) -> None:
        """Messages that `masked` has made."""
        self._transport.write(b"".join(frames))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            self._upgraded = True
            data = data[end + 4 :]
        at, length = 0, len(data)
        while at + 2 <= length:
            size = data[at + 1]
            body = at + 2
            if size == 126:
                if at + 4 > length:
                    break
                size, body = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if at + 10 > length:
                    break
                size, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if body + size > length:
                break
            if data[at] == 0x82:
                self._message(data[body : body + size])
            elif data[at] == 0x89:  # who answers no ping is taken for dead
                self.send([b"\x8a" + masked(data[body : body + size])[1:]])
            at = body + size
        self._rest = data[at:]

    def _message(self, message: bytes) -> None:
        if self.ready.done():
            self._got(message)
        else:
            self.send([masked(wire.encode(wire.Hello(wire.VERSION)))])
            self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("closed"))

    def close(self) -> None:
        self._transport.close()


async def link(
    home: Home, key_hash: bytes, tls: bool, got: Callable[[bytes], None], local: str = ""
) -> Link:
    """A connection that has been greeted; `local` is the address it comes from."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    path = caps.request_path(home, key_hash)
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Link(home.label, path, got),
        home.host,
        home.port,
        ssl=context,
        local_addr=(local, 0) if local else None,
    )
    await protocol.ready
    return protocol


def append(handle: int, n: int, body: bytes, lifetime: int = 3_600) -> bytes:
    """An append, masked."""
    return masked(wire.encode(wire.Append(handle, n, lifetime, body)))


def is_records(message: bytes) -> bool:
    """Whether it is `Records`."""
    return message[1] == 68


def records(message: bytes) -> list[tuple[int, bytes]]:
    """What `Records` brings."""
    return _records.decode(message)[2]
