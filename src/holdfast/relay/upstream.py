"""The website that strangers meet, when another web server has it: asked for every page.

What is passed on is what a proxy may (RFC 9110 section 7.6): the connection's own headers end here,
none is added, and what the site answers goes back as it comes, piece by piece. Connections to
the site are kept for a while and used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

import h11

from holdfast.drive.http import Request, Response, Stream
from holdfast.relay.decoy import error_page

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
"""For a connection to be free, and the head of the answer to come."""
PIECE_SECONDS: Final = 60.0
"""Between two pieces of a body."""
MAX_HEAD: Final = 64 * 1024
PIECE: Final = 64 * 1024
AT_ONCE: Final = 256
"""Requests that the site is asked at a time; the others wait."""
KEPT: Final = 16
"""Idle connections that are kept,"""
KEPT_SECONDS: Final = 10.0
"""for so long."""
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
"""Asked again when a kept connection turns out to be dead (RFC 9110 section 9.2.2)."""
HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


class BadUpstream(ValueError):
    """Not where a web server could be; the sentence says what it may look like."""


@dataclass(frozen=True)
class Upstream:
    """Where the site's web server is: a host and port, or a Unix socket's `path`."""

    host: str = ""
    port: int = 0
    secure: bool = False
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:PATH`. Raises `BadUpstream`."""
        if text.startswith("unix:/"):
            return cls(path=text.removeprefix("unix:"))
        try:
            parts = urlsplit(text)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError:
            parts, port = urlsplit(""), 0
        rest = parts.path not in ("", "/") or parts.query or parts.fragment
        if not port or not parts.hostname or parts.username is not None or rest:
            raise BadUpstream(
                "the site of a web server looks like http://127.0.0.1:8080, https://site.example"
                " or unix:/run/site.sock, without a path"
            )
        return cls(parts.hostname, port, parts.scheme == "https")

    @property
    def authority(self) -> str:
        """As in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True)
class Web:
    """A web server's site: where it is asked without TLS, and where the same server speaks HTTP/2
    without TLS, and TLS, if it does."""

    http: Upstream
    h2: Upstream | None = None
    tls: Upstream | None = None

    @classmethod
    def parse(cls, http: str, h2: str | None = None, tls: str | None = None) -> Self:
        """Raises `BadUpstream`."""
        web = cls(
            Upstream.parse(http),
            Upstream.parse(h2) if h2 else None,
            Upstream.parse(tls) if tls else None,
        )
        if web.http.secure and (h2 or tls):
            raise BadUpstream("a site elsewhere is asked for its pages alone, at one address")
        if (web.h2 and web.h2.secure) or (web.tls and not (web.tls.secure or web.tls.path)):
            raise BadUpstream("HTTP/2 is asked for at http://HOST:PORT, TLS at https://HOST:PORT")
        return web


class _Line:
    """One connection to the site."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.since = 0.0

    async def next(self) -> h11.Event:
        """What comes next. Raises OSError, EOFError, `h11.RemoteProtocolError`."""
        while True:
            event = self.h11.next_event()
            if event is h11.PAUSED:
                raise EOFError  # it would go on with another protocol
            if isinstance(event, h11.Event):
                return event
            self.h11.receive_data(await self.reader.read(PIECE))

    def close(self) -> None:
        """It is of no more use."""
        self.writer.transport.abort()


class Mirror:
    """A site that another web server has. Strangers are not named to it. `https` is for a site
    elsewhere: it is asked for by its own name, its certificate is checked, and its redirections
    to itself are made to lead here."""

    def __init__(self, upstream: Upstream, context: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._context = context or (ssl.create_default_context() if upstream.secure else None)
        self._kept: deque[_Line] = deque()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def respond(self, request: Request) -> Response:
        """What the site answers; 502 or 504 if it does not."""
        taken = False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._turns.acquire()
                taken = True
                line, head = await self._ask(request)
        except TimeoutError:
            status = 504
        except (OSError, h11.ProtocolError, EOFError):
            status = 502
        else:
            taken = False  # the body's to give back
            return Response(
                head.status_code,
                self._headers(request, head),
                stream=_Body(self, line),
                reason=head.reason.decode("latin-1"),
            )
        finally:
            if taken:
                self._turns.release()
        return self.error(status)

    def error(self, status: int) -> Response:
        """An ordinary page for what was no request, or could not be asked."""
        return error_page(status)

    def close(self) -> None:
        """Drop what is kept."""
        while self._kept:
            self._kept.pop().close()

    async def _ask(self, request: Request) -> tuple[_Line, h11.Response]:
        try:
            head, body = self._request(request)
        except h11.LocalProtocolError:
            raise EOFError from None
        line = self._take_kept() if request.method in SAFE else None
        if line is not None:
            with contextlib.suppress(OSError, h11.RemoteProtocolError, EOFError):
                return line, await self._head(line, head, body)
        line = await self._open()
        return line, await self._head(line, head, body)

    def _request(self, request: Request) -> tuple[h11.Request, bytes]:
        headers = [(b"Host", self._host(request))]
        named = {token.strip().lower() for token in request.header("connection").split(",")}
        for name, value in request.headers:
            if name == b"host" or name in HOP_BY_HOP or name.decode("latin-1") in named:
                continue
            if name not in (b"content-length", b"expect"):
                headers.append((name.title(), value))
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers.append((b"Content-Length", b"%d" % len(request.body)))
        target = request.target.encode("latin-1")
        return h11.Request(method=request.method, target=target, headers=headers), request.body

    def _host(self, request: Request) -> bytes:
        asked = request.header("host").encode("latin-1")
        return self._upstream.authority.encode() if self._upstream.secure or not asked else asked

    async def _head(self, line: _Line, head: h11.Request, body: bytes) -> h11.Response:
        try:
            data = line.h11.send(head) or b""
            if body:
                data += line.h11.send(h11.Data(data=body)) or b""
            line.writer.write(data + (line.h11.send(h11.EndOfMessage()) or b""))
            while True:
                event = await line.next()
                if isinstance(event, h11.Response):
                    return event
                if not isinstance(event, h11.InformationalResponse):
                    raise EOFError
        except BaseException:
            line.close()
            raise

    def _headers(self, request: Request, head: h11.Response) -> tuple[tuple[str, str], ...]:
        named = {
            token.strip().lower()
            for name, value in head.headers
            if name == b"connection"
            for token in value.split(b",")
        }
        kept = []
        for raw, value in head.headers.raw_items():
            name = raw.lower()
            if name in HOP_BY_HOP or name in named:
                continue
            if name == b"location" and self._upstream.secure:
                value = self._led_here(request, value)
            kept.append((raw.decode("latin-1"), value.decode("latin-1")))
        return tuple(kept)

    def _led_here(self, request: Request, location: bytes) -> bytes:
        own = b"https://" + self._upstream.authority.encode()
        rest = location.removeprefix(own)
        if rest == location or (rest and not rest.startswith((b"/", b"?", b"#"))):
            return location
        return rest if rest.startswith(b"/") else b"/" + rest

    def _take_kept(self) -> _Line | None:
        now = asyncio.get_running_loop().time()
        while self._kept:
            line = self._kept.pop()
            if now - line.since < KEPT_SECONDS and not line.reader.at_eof():
                return line
            line.close()
        return None

    async def _open(self) -> _Line:
        to = self._upstream
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if to.path:
                    return _Line(*await asyncio.open_unix_connection(to.path, limit=PIECE))
                return _Line(
                    *await asyncio.open_connection(to.host, to.port, ssl=self._context, limit=PIECE)
                )
        except TimeoutError:
            raise ConnectionError("the site cannot be reached") from None

    def done_with(self, line: _Line, whole: bool) -> None:
        """An answer was read, to its end or not."""
        self._turns.release()
        if not whole or line.h11.our_state is not h11.DONE or line.h11.their_state is not h11.DONE:
            line.close()
            return
        line.h11.start_next_cycle()
        line.since = asyncio.get_running_loop().time()
        self._kept.append(line)
        if len(self._kept) > KEPT:
            self._kept.popleft().close()


class _Body(Stream):
    """The pieces of an answer."""

    def __init__(self, mirror: Mirror, line: _Line) -> None:
        self._mirror = mirror
        self._line: _Line | None = line

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._line is None:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                event = await self._line.next()
        except (h11.RemoteProtocolError, EOFError) as error:
            raise OSError("the site broke off") from error
        if isinstance(event, h11.Data):
            return bytes(event.data)
        self._end(isinstance(event, h11.EndOfMessage))
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """The rest is not wanted."""
        self._end(False)

    def _end(self, whole: bool) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._mirror.done_with(line, whole)
