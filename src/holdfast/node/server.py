"""The node's own web server: the interface's files, one launch, one session, the API.

It listens on 127.0.0.1 alone, and that is not protection enough: any page in the same
browser can send requests there. So the Host must be exactly ours, anything that can
change something must come from our own Origin, and the API needs a session that only
the launch link gives, once. Source: spec/node-api.md, "Reaching the node".
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import msgspec

from holdfast.core.caps import b64
from holdfast.drive.http import HttpConnection, Open, Request, Response, plain
from holdfast.node.depot import Upload
from holdfast.node.rpc import Served, Session
from holdfast.node.saving import Incoming
from holdfast.paths import tls, websocket
from holdfast.paths.websocket import Socket

HOST: Final = "127.0.0.1"
MAX_LAUNCHES: Final = 16
"""Launch links that are open at a time; the oldest gives way."""
MAX_SESSIONS: Final = 64

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self' ws://{host}",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types svelte-trusted-html holdfast-sound",
    )
)
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class _Launch(msgspec.Struct):
    token: str


class NodeServer:
    """Serves one node. `secret` is what the CLI and bots show, `static` the built interface."""

    def __init__(
        self, node: Served, static: Path, secret: str, entropy: Callable[[int], bytes]
    ) -> None:
        self._node = node
        self._static = static.resolve()
        self._secret = secret
        self._entropy = entropy
        self._launches: dict[bytes, None] = {}
        self._cookies: dict[bytes, None] = {}
        self._open = Open()
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self, port: int) -> int:
        """Open the port (0: any). Raises OSError if it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self, self._open), HOST, port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        self._open.close()
        for session in list(self._sessions):
            session.close("the node was stopped")

    def launch_link(self) -> str:
        """A link that opens the interface in one browser, once."""
        token = b64(self._entropy(32))
        self._launches[_digest(token)] = None
        while len(self._launches) > MAX_LAUNCHES:
            del self._launches[next(iter(self._launches))]
        return f"http://{self._host}/#{token}"

    # A Site.

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Files to whoever asks by the right name, a session to whoever has the token."""
        if not self.is_our_host(request):
            return self._dressed(plain(403, f"Open http://{self._host}/ instead."))
        if request.path == "/session":
            return self._dressed(self._start_session(request))
        if request.path.startswith("/files/"):
            return self._give(request)
        if request.path == "/files":
            return self._dressed(plain(405))
        if request.path == "/backup":
            return self._give_backup(request)
        if request.path in ("/api", "/sound"):
            return self._dressed(plain(403, "The API needs a session; open the launch link."))
        if request.method not in ("GET", "HEAD"):
            return self._dressed(plain(405))
        return self._dressed(self._file(request.path))

    def take(self, request: Request) -> Upload | Incoming | Response | None:
        """A file or a backup comes in, from our own page or a program that shows the secret."""
        if request.path not in ("/files", "/backup") or request.method != "POST":
            return None
        if not self.is_our_host(request) or not self.is_our_origin(request):
            return self._dressed(plain(403, "Only the node's own page can send files."))
        depot, backup = self._node.depot, request.path == "/backup"
        # A backup is what a node without a database begins with, and nothing else.
        if (depot is None) != backup or not self._is_known(request):
            return self._dressed(plain(403, "This needs a session; open the launch link."))
        taken = self._node.saving.take(request) if depot is None else depot.take(request)
        return self._dressed(taken) if isinstance(taken, Response) else taken

    def _give_backup(self, request: Request) -> Response:
        foreign = request.header("sec-fetch-site") not in ("", "same-origin", "none")
        if self._node.depot is None or foreign or not self._is_known(request):
            return self._dressed(plain(403, "This needs a session; open the launch link."))
        if request.method != "GET":
            return self._dressed(plain(405))
        return self._dressed(self._node.saving.give(request))

    def _give(self, request: Request) -> Response | Awaitable[Response]:
        depot = self._node.depot
        # A browser says where a request for a picture or a sound comes from.
        foreign = request.header("sec-fetch-site") not in ("", "same-origin", "none")
        if depot is None or foreign or not self._is_known(request):
            return self._dressed(plain(403, "This needs a session; open the launch link."))
        if request.method not in ("GET", "HEAD"):
            return self._dressed(plain(405))
        return self._dress_later(depot.give(request))

    async def _dress_later(self, found: Awaitable[Response]) -> Response:
        return self._dressed(await found)

    def error(self, status: int) -> Response:
        """What was no request at all."""
        return self._dressed(plain(status))

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        """The API's WebSocket or a call's sound, if Host, Origin and session are right."""
        if request.path not in ("/api", "/sound") or not self.is_our_host(request):
            return None
        if not self.is_our_origin(request) or not self._is_known(request):
            return None
        session: Socket | None
        if request.path == "/sound":
            asked = parse_qs(request.target.partition("?")[2]).get("call", [""])
            session = self._node.join_sound(asked[0])
            if session is None:
                return None
        else:
            session = Session(self._node, self._sessions.discard)
            self._sessions.add(session)
        protocol = websocket.serve(session, transport, request.head)
        tls.feed(protocol, rest)
        return protocol

    # The defences, one function each.

    def is_our_host(self, request: Request) -> bool:
        """The name asked for is this address and port: no name that was rebound to it."""
        return request.header("host") == self._host

    def is_our_origin(self, request: Request) -> bool:
        """The page that asks is ours. A program that is no browser sends no Origin, and
        must show the secret."""
        origin = request.header("origin")
        if origin:
            return origin == f"http://{self._host}"
        return self.has_secret(request)

    def has_secret(self, request: Request) -> bool:
        """It shows the secret that lies, for this user alone, in the node's directory."""
        shown = request.header("authorization").encode("latin-1")
        return hmac.compare_digest(shown, b"Bearer " + self._secret.encode())

    def take_launch(self, token: str) -> bool:
        """The token opens a session, and never again."""
        return self._launches.pop(_digest(token), _NEVER) is None

    # Within.

    @property
    def _host(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def _cookie(self) -> str:
        """One name a port: cookies do not tell ports apart."""
        return f"holdfast-{self.port}"

    def _is_known(self, request: Request) -> bool:
        if self.has_secret(request):
            return True
        for item in request.header("cookie").split(";"):
            name, _, value = item.strip().partition("=")
            if name == self._cookie and _digest(value) in self._cookies:
                return True
        return False

    def _start_session(self, request: Request) -> Response:
        if request.method != "POST":
            return plain(405)
        if not self.is_our_origin(request):
            return plain(403, "Only the node's own page can start a session.")
        try:
            launch = msgspec.json.decode(request.body, type=_Launch)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return plain(400, "A session starts with a launch token.")
        if not self.take_launch(launch.token):
            return plain(403, "This link was used already. Open Holdfast again from its program.")
        value = b64(self._entropy(32))
        self._cookies[_digest(value)] = None
        while len(self._cookies) > MAX_SESSIONS:
            del self._cookies[next(iter(self._cookies))]
        cookie = f"{self._cookie}={value}; HttpOnly; SameSite=Strict; Path=/"
        return Response(204, (("set-cookie", cookie),))

    def _file(self, path: str) -> Response:
        name = "index.html" if path == "/" else path.lstrip("/")
        file = (self._static / name).resolve()
        kind = _TYPES.get(file.suffix)
        inside = file.is_relative_to(self._static)
        if kind is None or not inside or not os.path.isfile(file):  # false for absurd names too
            if path == "/":
                return plain(503, "The web interface is not built yet. Run: make setup")
            return plain(404)
        forever = path.startswith("/assets/")
        cache = "public, max-age=31536000, immutable" if forever else "no-cache"
        return Response(200, (("content-type", kind), ("cache-control", cache)), file.read_bytes())

    def _dressed(self, response: Response) -> Response:
        headers = (
            ("content-security-policy", _POLICY.format(host=self._host)),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", "camera=(self), microphone=(self), geolocation=()"),
        )
        return dataclasses.replace(response, headers=response.headers + headers)


_NEVER: Final = object()


def _digest(token: str) -> bytes:
    """Tokens are looked up by hash, so that time tells nothing of how much of one is right."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
