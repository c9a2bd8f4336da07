"""The one port of a relay: TLS, HTTP/1.1, the decoy site, and routes that only nodes know.

Whoever does not know a secret path meets the site, byte for byte, whatever they ask
for. Behind the secret paths are the relay's protocol over WebSocket and over small exchanges.
Source: spec/paths.md, "The front".
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Sequence

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.drive.http import HttpConnection, Request, Response
from holdfast.paths import websocket
from holdfast.paths.tls import TlsLayer
from holdfast.relay.certificate import Certificate
from holdfast.relay.decoy import Decoy
from holdfast.relay.small import Small


class Front:
    """What one connection is served: the site, or the protocol behind a secret path."""

    def __init__(
        self,
        certificate: Certificate,
        path_secrets: Sequence[bytes],
        decoy: Decoy,
        program: websocket.Accept,
    ) -> None:
        self._certificate = certificate
        self._decoy = decoy
        self._program = program
        homes = [Home("", 0, secret, b"") for secret in path_secrets]
        key = certificate.key_hash
        self._sockets = [caps.request_path(home, key).encode() for home in homes]
        self._exchanges = [caps.exchange_path(home, key).encode() for home in homes]
        self._small = Small(program, key)
        self._open: set[HttpConnection] = set()
        self._server: asyncio.Server | None = None

    # A Site.

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Anything that is not an upgrade on a secret path: a small exchange, or the site."""
        if _is_secret(request.target, self._exchanges) and request.method == "POST":
            return self._exchange(request)
        return self._decoy.respond(request)

    async def _exchange(self, request: Request) -> Response:
        found = await self._small.answer(request.body, request.peer)
        if found is not None:
            return found
        page = self._decoy.respond(request)
        return page if isinstance(page, Response) else await page

    def take(self, request: Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> Response:
        """What was no request at all."""
        return self._decoy.error(status)

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """Hand the connection to the relay's protocol if the path is known."""
        if not _is_secret(request.target, self._sockets):
            return None
        return websocket.accept(
            transport, request.head, rest, self._certificate.key_hash, self._program
        )

    # The port.

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: any) and answer which it is. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Close the port and what has not become a relay connection."""
        self._small.close()
        self._decoy.close()
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.close()

    def _connection(self) -> asyncio.Protocol:
        return TlsLayer(self._certificate.context, HttpConnection(self, self._open))


def _is_secret(target: str, paths: list[bytes]) -> bool:
    """Compared with every path, whichever matches, in the same time."""
    asked = target.encode("latin-1")
    return sum(hmac.compare_digest(asked, path) for path in paths) > 0
