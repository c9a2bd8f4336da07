"""The two labs as fields on which plain clients meet echoes: what is tried on one is tried on the
other. A client says what it expects, since waiting for silence takes a moment, and for what is to
come as long as a busy machine may take."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from echoes import EchoUdp, ample, certificate, echo, free_ports, portal, served, site
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from holdfast.lab import associate, dns, scenarios
from holdfast.lab.box import Box
from holdfast.lab.hosts import Lab, Place
from holdfast.lab.prober import Prober
from holdfast.lab.scenario import Staging
from holdfast.lab.scenarios import World

HOME, LISTED, OTHER, SITE, PORTAL, RESOLVER, PROBER = (
    "home.test", "listed.test", "other.test", "site.test", "portal.test", "names.test",
    "prober.test",
)  # fmt: skip
SILENT = 0.6
"""Seconds after which what should not come counts as not coming."""
PATIENCE = 12.0
AMPLE = 5000
"""A port where what is said is answered with eight times as much."""
PORTS = (443, 3478, AMPLE, 51820)
ADDRESSES = {
    HOME: "198.51.100.10",
    LISTED: "203.0.113.10",
    OTHER: "192.0.2.10",
    SITE: "192.0.2.80",
    PORTAL: "100.64.0.1",
    RESOLVER: "192.0.2.53",
    PROBER: "192.0.2.99",
}
SIX = {HOME: "2001:db8::10", LISTED: "2001:db8:1::10"}


class NoName(Exception):
    """The name was not found."""


@dataclass
class Met:
    """What became of a connection: bytes that came back, and how it ended."""

    came: int
    how: str


class Field:
    """One lab with home, a listed place and another, which echo."""

    kind = ""
    world: World
    prober: Prober

    def play(self, id: str, seed: int = 1, **changed: float) -> Staging:
        """From now on. Returns what is done."""
        raise NotImplementedError

    async def connect(
        self, host: str, port: int = 443
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises NoName, ConnectionRefusedError."""
        raise NotImplementedError

    async def datagrams(self, host: str, port: int) -> Datagrams:
        """To say something there."""
        raise NotImplementedError

    async def meet(
        self,
        host: str,
        first: bytes,
        more: int = 0,
        *,
        pieces: int = 1_400,
        app: int = 0,
        port: int = 443,
        silent: bool = False,
        lost: bool = False,
    ) -> Met:
        """Connect, say the first bytes and `more` others, and read them back. `app`: then so many
        records of application data. `silent` or `lost`: it is expected to be, once it
        stands or before."""
        patience = SILENT if silent else PATIENCE
        try:
            async with asyncio.timeout(SILENT if lost else PATIENCE):
                reader, writer = await self.connect(host, port)
        except TimeoutError:
            return Met(0, "no way")
        except NoName:
            return Met(0, "no name")
        except ConnectionRefusedError:
            return Met(0, "refused")
        except OSError:
            return Met(0, "nowhere")
        came, wanted = 0, len(first) + more + 9 * app
        try:
            writer.write(first)
            for _ in range(app):
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(b"\x17\x03\x03\x00\x04data")
            for at in range(0, more, pieces):
                writer.write(bytes(min(pieces, more - at)))
            while came < wanted:
                async with asyncio.timeout(patience):
                    data = await reader.read(65_536)
                if not data:
                    return Met(came, "ended")
                came += len(data)
        except TimeoutError:
            return Met(came, "silent")
        except ConnectionError:
            return Met(came, "reset")
        finally:
            writer.transport.abort()
        return Met(came, "passed")

    async def how(self, name: str = LISTED, more: int = 100, **given: Any) -> str:
        """What becomes of a TLS connection."""
        about = {one: given.pop(one) for one in ("groups", "alpn", "ech") if one in given}
        return (await self.meet(name, hello(name, **about), more, **given)).how

    async def page(self, name: str = SITE) -> bool:
        """Whether a site's page comes, to whom does not care about its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await self.connect(name)
        try:
            await writer.start_tls(context, server_hostname=name)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
        finally:
            writer.transport.abort()

    async def lost(self, name: str = LISTED) -> bool:
        """Whether it cannot even be connected to, and nobody says so."""
        return await self.how(name, lost=True) == "no way"

    @contextlib.asynccontextmanager
    async def saying(self, host: str, port: int) -> AsyncIterator[Datagrams]:
        """A socket for datagrams, for a while."""
        sock = await self.datagrams(host, port)
        try:
            yield sock
        finally:
            sock.close()

    @contextlib.asynccontextmanager
    async def standing(self, host: str) -> AsyncIterator[Callable[..., Awaitable[bool]]]:
        """A connection that stands: says something, and whether it came back."""
        reader, writer = await self.connect(host)

        async def says(data: bytes, *, silent: bool = False) -> bool:
            try:
                async with asyncio.timeout(SILENT if silent else PATIENCE):
                    writer.write(data)
                    return await reader.readexactly(len(data)) == data
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                return False

        try:
            yield says
        finally:
            writer.transport.abort()

    async def until(self, right: Callable[[], bool]) -> None:
        """Wait for it. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not right():
                await asyncio.sleep(0.02)

    async def rhythm(self, host: str, size: int, count: int, apart: float) -> float:
        """So many small pieces over a stream, in a rhythm: what share of them comes back."""
        reader, writer = await self.connect(host)
        came = 0

        async def hear() -> None:
            nonlocal came
            while came < size * count and (data := await reader.read(65_536)):
                came += len(data)

        hearing = asyncio.create_task(hear())
        try:
            for at in range(count):
                writer.write(b"GET ".ljust(size, b".") if not at else bytes(size))
                await asyncio.sleep(apart)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3 * SILENT):
                    await asyncio.shield(hearing)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            writer.transport.abort()
        return came / (size * count)

    async def bursts(self, host: str, sizes: tuple[int, ...], *, silent: bool = False) -> bool:
        """Behind a handshake, one burst after another of these sizes, each answered with eight
        times as much: whether all are."""
        reader, writer = await self.connect(host, AMPLE)

        def record(size: int) -> bytes:
            return b"\x17\x03\x03" + (size - 5).to_bytes(2, "big") + bytes(size - 5)

        try:
            for one in (hello(host), record(60), *map(record, sizes)):
                writer.write(one)
                async with asyncio.timeout(3 * SILENT if silent else PATIENCE):
                    await reader.readexactly(8 * len(one))
        except (TimeoutError, OSError):
            return False
        finally:
            writer.transport.abort()
        return True

    async def round_trip(self, name: str = LISTED) -> float:
        """Seconds until a byte comes back over a connection that stands."""
        reader, writer = await self.connect(name)
        try:
            writer.write(b"GET ")
            async with asyncio.timeout(PATIENCE):
                await reader.readexactly(4)
                began = time.monotonic()
                writer.write(b"?")
                await reader.readexactly(1)
                return time.monotonic() - began
        finally:
            writer.transport.abort()

    async def passes(self, name: str = LISTED, more: int = 100, **given: Any) -> bool:
        """Whether such a connection passes."""
        return await self.how(name, more, **given) == "passed"

    async def silent(self, name: str = LISTED, more: int = 100, **given: Any) -> bool:
        """Whether nothing comes of it, or not all."""
        return await self.how(name, more, silent=True, **given) == "silent"


class Datagrams:
    """A socket that says something to one place and hears its echo."""

    def __init__(self, sock: socket.socket, head: bytes = b"", holds: Any = None) -> None:
        self._sock, self._head, self._holds = sock, head, holds

    def close(self) -> None:
        """It is over."""
        self._sock.close()
        if self._holds is not None:
            self._holds.transport.abort()

    def send(self, data: bytes) -> None:
        """One datagram."""
        self._sock.send(self._head + data)

    async def receive(self, seconds: float) -> bytes:
        """The next one. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65_536)
        return data[len(self._head) :]

    async def echoed(self, data: bytes, *, silent: bool = False) -> bool:
        """Whether it comes back."""
        self.send(data)
        try:
            while await self.receive(SILENT if silent else PATIENCE) != data:
                pass
        except TimeoutError:
            return False
        return True

    async def quiet(self) -> None:
        """Until nothing comes any more."""
        with contextlib.suppress(TimeoutError):
            while True:
                await self.receive(SILENT)

    async def all(self, said: list[bytes]) -> list[bytes]:
        """Say these; what comes back, in its order."""
        for one in said:
            self.send(one)
        came = []
        with contextlib.suppress(TimeoutError):
            while True:
                came.append(await self.receive(3 * SILENT))
        return came

    async def share(self, said: list[bytes], apart: float = 0) -> float:
        """Of these, how many come back."""
        came = 0

        async def hear() -> None:
            nonlocal came
            while came < len(said):
                await self.receive(PATIENCE)
                came += 1

        hearing = asyncio.create_task(hear())
        for one in said:
            self.send(one)
            await asyncio.sleep(apart)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENT):
                await asyncio.shield(hearing)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        return came / len(said)


def hello(
    name: str, groups: tuple[int, ...] = (4588, 29), alpn: bytes = b"http/1.1", ech: bool = False
) -> bytes:
    """A ClientHello."""

    def vector(size: int, data: bytes) -> bytes:
        return len(data).to_bytes(size, "big") + data

    def extension(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(2, "big") + vector(2, data)

    listed = b"".join(one.to_bytes(2, "big") for one in groups)
    extensions = (
        extension(0, vector(2, b"\0" + vector(2, name.encode())))
        + extension(10, vector(2, listed))
        + extension(16, vector(2, vector(1, alpn)))
        + extension(43, vector(1, b"\x03\x04"))
        + (extension(0xFE0D, bytes(200)) if ech else b"")
    )
    body = b"\x03\x03" + bytes(32) + b"\0" + vector(2, b"\x13\x01") + b"\x01\0"
    message = b"\x01" + vector(3, body + vector(2, extensions))
    return b"\x16\x03\x01" + vector(2, message)


class BoxField(Field):
    """The middlebox in user space."""

    kind = "box"

    def __init__(self, box: Box, prober: Prober) -> None:
        self.box, self.prober = box, prober
        self.world = World((LISTED,), (OTHER,), PORTAL, ask=prober.ask)

    def play(self, id: str, seed: int = 1, **changed: float) -> Staging:
        made = scenarios.find(id).stage(self.world, seed, **changed)
        self.box.begin(made)
        return made

    async def connect(
        self, host: str, port: int = 443
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        proxy = Proxy.from_url(self.box.url.replace("5h", "5"), rdns=True)
        try:
            sock = await proxy.connect(host, port)
        except ProxyError as error:
            raise {4: NoName, 5: ConnectionRefusedError}.get(
                error.error_code or 0, ConnectionResetError
            ) from None
        return await asyncio.open_connection(sock=sock)

    async def datagrams(self, host: str, port: int) -> Datagrams:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(self.box.url.rsplit(":", 1)[1])
        )
        writer.write(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
        said = (await reader.readexactly(12))[2:]
        assert said[:4] == b"\x05\x00\x00\x01"
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((socket.inet_ntoa(said[4:8]), struct.unpack(">H", said[8:])[0]))
        return Datagrams(sock, associate.wrap((host, port), b""), writer)


class PacketField(Field):
    """Hosts in namespaces."""

    kind = "packets"

    def __init__(self, lab: Lab, prober: Prober) -> None:
        self.lab, self.prober = lab, prober
        self.world = World((LISTED,), (OTHER,), PORTAL, lab.addresses, prober.ask)

    def play(self, id: str, seed: int = 1, **changed: float) -> Staging:
        made = scenarios.find(id).stage(self.world, seed, **changed)
        self.lab.begin(made)
        return made

    async def lookup(self, host: str) -> str:
        """As a resolver library does it."""
        with self.lab[HOME].socket(socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((ADDRESSES[RESOLVER], 53))
            said = b""
            while not said:
                sock.send(dns.ask(7, host))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        said = await asyncio.get_running_loop().sock_recv(sock, 512)
            code, found = dns.found(said)
        if code == dns.NXDOMAIN:
            raise NoName
        return socket.inet_ntoa(found[0])

    async def lookup_over_tcp(self, host: str) -> str:
        """As who knows of a resolver that is not hijacked."""
        question = dns.ask(7, host)
        reader, writer = await self._open(ADDRESSES[RESOLVER], dns.PORT)
        writer.write(len(question).to_bytes(2, "big") + question)
        said = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.transport.abort()
        return socket.inet_ntoa(dns.found(said)[1][0])

    async def reaches(self, address: str, *, silent: bool = False) -> bool:
        """Whether an address can be connected to."""
        try:
            async with asyncio.timeout(SILENT if silent else PATIENCE):
                _, writer = await self._open(address, 443)
        except (OSError, TimeoutError):
            return False
        writer.transport.abort()
        return True

    async def connect(
        self, host: str, port: int = 443
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self._open(await self.lookup(host), port)

    async def _open(
        self, address: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = self.lab[HOME].socket(family=family)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock)

    async def datagrams(self, host: str, port: int) -> Datagrams:
        sock = self.lab[HOME].socket(socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((ADDRESSES[host], port))
        return Datagrams(sock)


@contextlib.asynccontextmanager
async def field(kind: str) -> AsyncIterator[Field]:
    """One of the two, with nothing wrong yet."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.sleep, 0.05)  # for what was just accepted
        made: Field
        if kind == "box":
            box = await stack.enter_async_context(Box({}))
            prober = stack.enter_context(
                Prober(lambda *place: socket.create_connection(box.places[place]), {})
            )
            made = BoxField(box, prober)
        else:
            hosts = [
                Place(name, at, name == HOME, SIX.get(name, "")) for name, at in ADDRESSES.items()
            ]
            lab = stack.enter_context(Lab(hosts, ADDRESSES[RESOLVER]))
            prober = stack.enter_context(
                Prober(lambda host, port: lab.dial(PROBER, host, port, 2), lab.addresses)
            )
            made = PacketField(lab, prober)
        for name in (LISTED, OTHER, SITE, PORTAL):
            for port in PORTS:
                if kind == "box":
                    sock, udp = free_ports()
                    box.places[name, port] = sock.getsockname()
                else:
                    sock, udp = lab[name].socket(), lab[name].socket(socket.SOCK_DGRAM)
                    sock.bind((ADDRESSES[name], port))
                    udp.bind((ADDRESSES[name], port))
                if kind != "box" and port == 443 and name in SIX:
                    six = lab[name].socket(family=socket.AF_INET6)
                    six.bind((SIX[name], port))
                    more = await asyncio.start_server(served(echo), sock=six)
                    stack.callback(more.close)
                serve = {SITE: site, PORTAL: portal}.get(name, ample if port == AMPLE else echo)
                tls = certificate(SITE) if name == SITE and port == 443 else None
                server = await asyncio.start_server(served(serve), sock=sock, ssl=tls)
                stack.callback(server.close)
                udp.setblocking(False)
                transport, _ = await loop.create_datagram_endpoint(EchoUdp, sock=udp)
                stack.callback(transport.close)
        yield made
