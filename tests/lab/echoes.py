"""What stands at the places of a field: a site, a portal, and what says what it hears, or more."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import tempfile
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.relay.certificate import make


def certificate(name: str) -> ssl.SSLContext:
    """Of a site, for as long as the tests run."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = make(key, name, datetime.datetime.now(datetime.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + made.public_bytes(Encoding.PEM)
        )
        file.flush()
        context.load_cert_chain(file.name)
    return context


def served(serve: Any) -> Any:
    """The same handler, which may be cut off at the end."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await serve(reader, writer)

    return one


async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHello")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()


async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if await reader.read(65_536):
            writer.write(b"agree to our terms")
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def ample(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(bytes(8 * len(data)))
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


class EchoUdp(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[:1] == b"\x01" and len(data) == 148:  # as WireGuard answers
            data = b"\x02" + bytes(91)
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


def free_ports() -> tuple[socket.socket, socket.socket]:
    """A free port of loopback by TCP and UDP."""
    while True:
        sock = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(sock.getsockname())
        except OSError:  # somebody else has it by UDP
            sock.close()
            udp.close()
        else:
            return sock, udp
