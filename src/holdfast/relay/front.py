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
import socket
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Final

from OpenSSL import SSL

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.drive.http import HttpConnection, Open, Request, Response
from holdfast.paths import tls, websocket
from holdfast.paths.tls import TlsLayer
from holdfast.relay.certificate import Certificate
from holdfast.relay.decoy import Decoy
from holdfast.relay.quic import BUFFER, Listener
from holdfast.relay.small import Small

STRANGERS: Final = 2_048
"""Connections that have not become a relay's at a time; beyond, the one that got nowhere for
longest ends."""
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
    ) -> None:
        self.certificate = certificate
        self._decoy = decoy
        self.program = program
        self._small = small
        self.also: tuple[str, str] | None = None
        """The header that tells of HTTP/3."""
        homes = [Home("", 0, secret, b"") for secret in path_secrets]
        key = certificate.key_hash
        self._sockets = [caps.request_path(home, key).encode() for home in homes]
        self._exchanges = [caps.exchange_path(home, key).encode() for home in homes]

    # A Site.

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Anything that is not an upgrade on a secret path: a small exchange, or the site."""
        if _is_secret(request.target, self._exchanges) and request.method == "POST":
            return self._exchange(request)
        return self._page(request)

    async def _exchange(self, request: Request) -> Response:
        found = await self._small.answer(request.body, request.peer, self.certificate.key_hash)
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

    def knows(self, path: str) -> bool:
        """Whether the relay's protocol is behind this path."""
        return _is_secret(path, self._sockets)

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """Hand the connection to the relay's protocol if the path is known."""
        if not self.knows(request.target):
            return None
        return websocket.accept(
            transport, request.head, rest, self.certificate.key_hash, self.program
        )


class Front:
    """The port; its certificate can be renewed while it is open."""

    door: type[Door] = Door

    def __init__(
        self,
        certificate: Certificate,
        path_secrets: Sequence[bytes],
        decoy: Decoy,
        program: websocket.Accept,
        strangers: int = STRANGERS,
    ) -> None:
        self._path_secrets = path_secrets
        self.decoy = decoy
        self._program = program
        self._small = Small(program)
        self._open = Open(strangers)
        self._server: asyncio.Server | None = None
        self._challenge: SSL.Context | None = None
        self._listeners: list[Listener] = []
        self._also: tuple[str, str] | None = None
        self.use(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show this certificate to whoever comes from now on."""
        self._door = self.door(
            certificate, self._path_secrets, self.decoy, self._small, self._program
        )
        self._door.also = self._also
        for listener in self._listeners:
            listener.use(self._door)

    def challenge(self, context: SSL.Context | None) -> None:
        """Until this is called again, whoever offers nothing but the protocol `acme-tls/1` is
        served by this context: an authority that looks whether the name is ours (RFC 8737)."""
        self._challenge = context

    @property
    def certificate(self) -> Certificate:
        """What is shown now."""
        return self._door.certificate

    async def listen(self, host: str, port: int, *, udp: bool = True) -> int:
        """Open the port (0: any), of UDP too if wanted, and answer which it is. Raises OSError."""
        loop = asyncio.get_running_loop()
        for chance in range(CHANCES, 0, -1):
            self._server = await loop.create_server(self._connection, host, port, backlog=1024)
            places = [one.getsockname() for one in self._server.sockets]
            try:
                if udp:
                    await self._listen_to_udp(places)
                break
            except OSError:
                self._server.close()
                if port or chance == 1:
                    raise
        bound: int = places[0][1]
        return bound

    async def _listen_to_udp(self, places: list[tuple[str, int]]) -> None:
        """At the same addresses and port."""
        loop = asyncio.get_running_loop()
        for host, port, *_ in places:
            transport, listener = await loop.create_datagram_endpoint(
                lambda: Listener(self._door), local_addr=(host, port)
            )
            raw = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._listeners.append(listener)
            self._door.also = self._also = ("alt-svc", f'h3=":{port}"; ma=86400')

    async def close(self) -> None:
        """Close the port and what has not become a relay connection."""
        self._small.close()
        self.decoy.close()
        if self._server is not None:
            self._server.close()
        for listener in self._listeners:
            listener.close()
        self._open.close()

    def _connection(self) -> asyncio.Protocol:
        served = HttpConnection(self._door, self._open)
        return _Arrival(self._door.certificate.context, served, self._open, self._challenge)


class _Arrival(TlsLayer):
    """A connection from its first byte to the end of its handshake; TLS from then on."""

    def __init__(
        self,
        context: SSL.Context,
        inner: asyncio.Protocol,
        open_: Open,
        challenge: SSL.Context | None,
    ) -> None:
        super().__init__(context, inner)
        self._open = open_
        self._challenge = challenge
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        super().connection_made(transport)
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes; who only asks whose the name is, is told."""
        if self._challenge is not None:
            self._held += data
            if not tls.has_whole_record(self._held):
                return
            if tls.ACME in self._held:
                self.restart(self._challenge)
            data, self._held, self._challenge = self._held, b"", None
        super().data_received(data)

    def ready(self) -> None:
        """The handshake is done, and somebody else minds the connection."""
        self._open.discard(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._open.discard(self)
        super().connection_lost(error)


def _is_secret(target: str, paths: list[bytes]) -> bool:
    """Compared with every path, whichever matches, in the same time."""
    asked = target.encode("latin-1")
    return sum(hmac.compare_digest(asked, path) for path in paths) > 0
