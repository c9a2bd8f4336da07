"""The one port of a relay: TLS, HTTP/1.1, the decoy site, and routes that only nodes know.

Whoever does not know a secret path meets the site, byte for byte, whatever they ask
for. Behind the secret paths are the relay's protocol over WebSocket and over small exchanges. The
same port of UDP has HTTP/3 (`relay/quic.py`), and the site says so, as sites do.
Source: spec/paths.md, "The front".
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from OpenSSL import SSL

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.core.reflect import Mirror
from holdfast.drive.http import HttpConnection, Open, Request, Response, peer_of
from holdfast.paths import hello, tls, websocket
from holdfast.paths.hello import Incomplete, NotHello
from holdfast.paths.tls import TlsLayer
from holdfast.relay.certificate import Certificate, Shown
from holdfast.relay.decoy import Decoy
from holdfast.relay.passage import Passage
from holdfast.relay.quic import BUFFER, Listener
from holdfast.relay.reading import Reading
from holdfast.relay.small import Small
from holdfast.relay.upstream import Upstream, Web
from holdfast.relay.watching import Watched

ByPath = Callable[[bytes], websocket.Accept]
"""The program for who came by a path, by its secret."""
H2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every client says first (RFC 9113 section 3.4)."""
HANDSHAKE_SECONDS: Final = 60.0
"""As patient as common web servers are."""
HANDSHAKES: Final = 8
"""Begun in one turn of the loop, each about a millisecond."""
HANDSHAKES_WAITING: Final = 4_096
FIRST: Final = 16 * 1024
"""Bytes that are read of who waits."""
STRANGERS: Final = 2_048
"""Connections that have not become a relay's at a time; beyond, one ends (`Open`)."""
CHANCES: Final = 5
"""To find a port that is free for TCP and UDP alike."""


class Door:
    """What is served under one certificate: the site, or the protocol behind a secret path."""

    def __init__(
        self,
        certificate: Certificate,
        path_secrets: Sequence[bytes],
        decoy: Decoy,
        small: Small,
        program: websocket.Accept,
        watched: Sequence[Watched] = (),
        by_path: ByPath | None = None,
    ) -> None:
        self.certificate = certificate
        self._decoy = decoy
        self._by_path = by_path or (lambda _: program)
        self._secrets = path_secrets
        self._small = small
        self.mirror = Mirror(list(path_secrets))
        self.also: tuple[str, str] | None = None
        """The header that tells of HTTP/3."""
        homes = [Home("", 0, secret, b"") for secret in path_secrets]
        key = certificate.key_hash
        self._sockets = [caps.request_path(home, key).encode() for home in homes]
        self._exchanges = [caps.exchange_path(home, key).encode() for home in homes]
        self._watched = watched
        self._pages = [one.path(key).encode() for one in watched]
        self._reading = Reading(path_secrets, self._by_path)

    def begins(self, first: bytes) -> bool:
        """Whether what begins so is a request on a secret path, of either kind."""
        line = first.split(b"\r\n", 1)[0].split(b" ")
        target = line[1] if len(line) == 3 else b""
        return _is_secret(
            target, self._sockets + self._exchanges + self._pages + self._reading.targets
        )

    # A Site.

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Anything that is not an upgrade on a secret path: a small exchange, or the site."""
        if request.method == "POST":
            path = self._secret_of(request.target.encode("latin-1"), self._exchanges)
            if path is not None:
                return self._exchange(request, path)
        if request.method == "GET" and _is_secret(request.target.encode("latin-1"), self._pages):
            return self._watched[self._pages.index(request.target.encode("latin-1"))].answer()
        target = request.target.encode("latin-1")
        if _is_secret(target, self._reading.targets):
            at = self._reading.targets.index(target)
            found = self._reading.answer(request, at, self.certificate.key_hash)
            if found is not None:
                return found
        return self._page(request)

    async def _exchange(self, request: Request, path: bytes) -> Response:
        key_hash = self.certificate.key_hash
        found = await self._small.answer(request.body, request.peer, key_hash, path)
        if found is not None:
            return found
        page = self._page(request)
        return page if isinstance(page, Response) else await page

    def _page(self, request: Request) -> Response | Awaitable[Response]:
        page = self._decoy.respond(request)
        return self._announced(page) if isinstance(page, Response) else self._page_later(page)

    async def _page_later(self, page: Awaitable[Response]) -> Response:
        return self._announced(await page)

    def _announced(self, page: Response) -> Response:
        """With the header that tells of HTTP/3 (RFC 7838), unless the site has its own."""
        if self.also is None or any(name.lower() == "alt-svc" for name, _ in page.headers):
            return page
        return replace(page, headers=(*page.headers, self.also))

    def take(self, request: Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> Response:
        """What was no request at all."""
        return self._announced(self._decoy.error(status))

    def program(self, path: str) -> websocket.Accept | None:
        """The relay's protocol, if it is behind this path."""
        secret = self._secret_of(path.encode("latin-1"), self._sockets)
        return None if secret is None else self._by_path(secret)

    def _secret_of(self, target: bytes, paths: list[bytes]) -> bytes | None:
        """Of which path secret this is the path."""
        found = [hmac.compare_digest(target, path) for path in paths]
        return self._secrets[found.index(True)] if any(found) else None

    def reflect(self, data: bytes, address: tuple[str, int], now: int) -> bytes | None:
        """To whom knows a secret path: the address that they are seen at."""
        return self.mirror.answer(data, address, now, os.urandom)

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """Hand the connection to the relay's protocol if the path is known."""
        program = self.program(request.target)
        if program is None:
            return None
        return websocket.accept(transport, request.head, rest, self.certificate.key_hash, program)


class Front:
    """The port; its certificate can be renewed while it is open. With a `web` server behind it,
    strangers are passed on to that, and `decoy` is for what a secret path does not answer."""

    door: type[Door] = Door

    def __init__(
        self,
        certificate: Certificate,
        path_secrets: Sequence[bytes],
        decoy: Decoy,
        program: websocket.Accept,
        web: Web | None = None,
        watched: Sequence[Watched] = (),
        strangers: int = STRANGERS,
        by_path: ByPath | None = None,
    ) -> None:
        self._by_path = by_path
        self._path_secrets = path_secrets
        self.decoy = decoy
        self._program = program
        self.web = web
        self._watched = watched
        self.small = Small(by_path or (lambda _: program))
        self.turns = Turns()
        self.open = Open(strangers)
        """What has not become a relay connection."""
        self._servers: list[asyncio.Server] = []
        self.challenged: SSL.Context | None = None
        self._listeners: list[Listener] = []
        self._also: tuple[str, str] | None = None
        self.use(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show this certificate to whoever comes from now on."""
        tls.choose_protocol(certificate.context, self.web is not None and self.web.h2 is not None)
        self._door = self.door(
            certificate,
            self._path_secrets,
            self.decoy,
            self.small,
            self._program,
            self._watched,
            self._by_path,
        )
        self._door.also = self._also
        for listener in self._listeners:
            listener.use(self._door)

    def admit(self, path_secrets: Sequence[bytes]) -> None:
        """These are the relay's paths from now on."""
        self._path_secrets = path_secrets
        self.use(self.certificate)

    def challenge(self, shown: Shown | None) -> None:
        """Until this is called again, whoever offers nothing but the protocol `acme-tls/1` is
        shown this: an authority that looks whether the name is ours (RFC 8737)."""
        self.challenged = None if shown is None else shown.context

    @property
    def certificate(self) -> Certificate:
        """What is shown now."""
        return self._door.certificate

    async def listen(self, host: str, port: int, *, udp: bool | None = None) -> int:
        """Open the port (0: any) and answer which it is. Raises OSError. `udp`: that of UDP too;
        None: unless a web server is behind it, which would not answer there by itself."""
        loop = asyncio.get_running_loop()
        udp = self.web is None if udp is None else udp
        for chance in range(CHANCES, 0, -1):
            server = await loop.create_server(self._connection, host, port, backlog=1024)
            self._servers = [server]
            places = [one.getsockname() for one in server.sockets]
            try:
                if udp:
                    await self._listen_to_udp(places)
                break
            except OSError:
                server.close()
                if port or chance == 1:
                    raise
        bound: int = places[0][1]
        return bound

    async def serve(
        self, listening: Sequence[socket.socket], udp: Sequence[socket.socket], announced: bool
    ) -> int:
        """Serve at sockets that somebody else has opened, and answer which port it is. `announced`:
        the site says that there is UDP, though it may be another process's."""
        loop = asyncio.get_running_loop()
        port: int = listening[0].getsockname()[1]
        for one in listening:
            self._servers.append(await loop.create_server(self._connection, sock=one.dup()))
        if announced:
            self._announce(port)
        for one in udp:
            await self._listener(sock=one.dup())
        return port

    async def _listen_to_udp(self, places: list[tuple[str, int]]) -> None:
        """At the same addresses and port."""
        for host, port, *_ in places:
            await self._listener(local_addr=(host, port))
            self._announce(port)

    async def _listener(self, **where: Any) -> None:
        loop = asyncio.get_running_loop()
        transport, listener = await loop.create_datagram_endpoint(
            lambda: Listener(self._door), **where
        )
        raw = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listeners.append(listener)

    def _announce(self, port: int) -> None:
        self._door.also = self._also = ("alt-svc", f'h3=":{port}"; ma=86400')

    async def close(self) -> None:
        """Close the port and what has not become a relay connection."""
        self.small.close()
        self.decoy.close()
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        self.open.close()

    def _connection(self) -> asyncio.Protocol:
        return _Arrival(self, self._door)


class Turns:
    """Handshakes wait for one another, so that those who are connected wait for none of them: a few
    are begun in each turn of the loop, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[_Arrival] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, arrival: _Arrival) -> bool:
        """It has said hello; False: too many wait."""
        if len(self._waiting) >= HANDSHAKES_WAITING:
            return False
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._go)
        self._waiting.append(arrival)
        return True

    def _go(self) -> None:
        for _ in range(min(HANDSHAKES, len(self._waiting))):
            self._waiting.popleft().begin()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go)


class _Arrival(TlsLayer):
    """A connection from its first byte to the end of its handshake; TLS from then on."""

    def __init__(self, front: Front, door: Door) -> None:
        self._front, self._door = front, door
        self._challenge = front.challenged
        self.peer = ""
        self._read = self._begun = False
        self._first = b""
        self._held = b""
        web = front.web
        served = self._served(door) if web is None else self._passed(web.http)
        super().__init__(door.certificate.context, served)
        self.patience = HANDSHAKE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        super().connection_made(transport)
        self.peer = peer_of(transport)
        self._front.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes. What cannot come from a node, since it offers no TLS 1.3 or is none, is
        the web server's to answer; who only asks whose the name is, is told."""
        if not self._begun:
            if not self._first and not self._front.turns.add(self):
                self._raw.abort()
            self._first += data
            if len(self._first) > FIRST:
                self._raw.pause_reading()
            return
        web = self._front.web
        if not self._read and (self._challenge is not None or (web and web.tls)):
            self._held += data
            try:
                found = hello.read(self._held)
            except Incomplete:
                return
            except NotHello:
                found = None
            data = self._held
            if (found is None or hello.TLS_1_3 not in found.versions) and self.refused():
                return
            if self._challenge is not None and found and found.alpn == (tls.ACME,):
                self.restart(self._challenge)
        self._read = True
        super().data_received(data)

    def begin(self) -> None:
        """It is this one's turn."""
        self._begun = True
        first, self._first = self._first, b""
        if not self._raw.is_closing():
            if len(first) > FIRST:
                self._raw.resume_reading()
            self.data_received(first)

    def refused(self) -> bool:
        """The web server says in its own way what is wrong."""
        web = self._front.web
        if not web or not web.tls or not self._held:
            return False
        self._front.open.discard(self)
        self.give_up(Passage(web.tls, self._front.open), self._held)
        return True

    def ready(self) -> None:
        """The handshake is done, and somebody else minds the connection."""
        self._front.open.discard(self)
        self._held = b""
        web = self._front.web
        if web and web.h2 and self.connection.get_alpn_proto_negotiated() == b"h2":
            self.set_inner(Passage(web.h2, self._front.open, greeting=H2))

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._front.open.discard(self)
        super().connection_lost(error)

    def _served(self, door: Door) -> HttpConnection:
        return HttpConnection(door, self._front.open)

    def _passed(self, to: Upstream) -> Passage:
        return Passage(to, self._front.open, self._stays, self._serve)

    def _stays(self, data: bytes, transport: asyncio.Transport) -> bool:
        """Keep a node here; `data` is the first that it said."""
        return self._door.begins(data) and self._serve(data, transport)

    def _serve(self, data: bytes, transport: asyncio.Transport) -> bool:
        served = self._served(self._door)
        transport.set_protocol(served)
        served.connection_made(transport)
        served.data_received(data)
        return True


def _is_secret(target: bytes, paths: list[bytes]) -> bool:
    """Compared with every path, whichever matches, in the same time."""
    return sum(hmac.compare_digest(target, path) for path in paths) > 0
