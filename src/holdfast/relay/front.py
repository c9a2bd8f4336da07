"""The one port of a relay: TLS, HTTP/1.1, the decoy site, and routes that only nodes know.

Whoever does not know a secret path meets the site, byte for byte, whatever they ask
for. A route is a path and what takes an upgrade over; further ways in (small HTTPS
exchanges, QUIC) become routes and listeners of this front.
Source: spec/paths.md, "The front".
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.drive.http import HttpConnection, Request, Response
from holdfast.paths import websocket
from holdfast.paths.tls import TlsLayer
from holdfast.relay.certificate import Certificate
from holdfast.relay.decoy import Decoy


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
        self._paths = [
            caps.request_path(Home("", 0, secret, b""), certificate.key_hash).encode()
            for secret in path_secrets
        ]
        self._open: set[HttpConnection] = set()
        self._server: asyncio.Server | None = None

    # A Site.

    def respond(self, request: Request) -> Response:
        """Anything that is not an upgrade on a secret path."""
        return self._decoy.respond(request)

    def take(self, request: Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> Response:
        """What was no request at all."""
        return self._decoy.error(status)

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """Hand the connection to the relay's protocol if the path is known."""
        if not self._is_secret(request.target):
            return None
        return websocket.accept(
            transport, request.head, rest, self._certificate.key_hash, self._program
        )

    def _is_secret(self, target: str) -> bool:
        """Compared with every path, whichever matches, in the same time."""
        asked = target.encode("latin-1")
        return sum(hmac.compare_digest(asked, path) for path in self._paths) > 0

    # The port.

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: any) and answer which it is. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Close the port and what has not become a relay connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.close()

    def _connection(self) -> asyncio.Protocol:
        return TlsLayer(self._certificate.context, HttpConnection(self, self._open))
