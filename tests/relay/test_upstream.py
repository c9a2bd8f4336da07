"""A site that another web server has, asked over real sockets."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from holdfast.drive.http import Request, Response
from holdfast.relay import certificate, upstream
from holdfast.relay.upstream import BadUpstream, Mirror, Upstream

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]


class Origin:
    """A web server that a test writes: it is given each request's head and says whether the
    connection goes on."""

    def __init__(self, answer: Answer) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._writers: list[asyncio.StreamWriter] = []

    async def end(self) -> None:
        """Everybody hangs up."""
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"Content-Length: " in head:
                    await reader.readexactly(int(head.split(b"Content-Length: ")[1].split()[0]))
                if not await self._answer(head, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        writer.close()


@asynccontextmanager
async def site(
    answer: Answer,
    path: str = "",
    served: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Origin, Mirror]]:
    origin = Origin(answer)
    if path:
        server = await asyncio.start_unix_server(origin.serve, path)
        where = Upstream.parse(f"unix:{path}")
    else:
        server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=served)
        port = server.sockets[0].getsockname()[1]
        where = Upstream.parse(f"http{'s' if served else ''}://127.0.0.1:{port}")
    mirror = Mirror(where, trusted)
    try:
        yield origin, mirror
    finally:
        mirror.close()
        server.close()
        await origin.end()


async def whole(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([piece async for piece in response.stream])


def get(target: str = "/", **headers: str) -> Request:
    pairs = {"host": "relay.example"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Request("GET", target, tuple((k.encode(), v.encode()) for k, v in pairs.items()))


def said(text: bytes) -> Answer:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(text)
        return True

    return answer


HELLO = b"HTTP/1.1 200 Fine\r\nServer: nginx\r\nContent-Length: 5\r\nConnection: keep-alive\r\n"


@pytest.mark.parametrize("unix", [False, True])
async def test_what_the_site_says_comes_back_in_its_order(unix: bool, tmp_path: Path) -> None:
    answer = said(HELLO + b"Keep-Alive: timeout=5\r\nX-Two: b\r\nX-Two: a\r\n\r\nhello")
    async with site(answer, str(tmp_path / "s") if unix else "") as (origin, mirror):
        for _ in range(3):
            response = await mirror.respond(get("/a?b=c", cookie="d"))
            assert (response.status, response.reason) == (200, "Fine")
            assert response.headers == (
                ("Server", "nginx"),
                ("Content-Length", "5"),
                ("X-Two", "b"),
                ("X-Two", "a"),
            )
            assert await whole(response) == b"hello"
        assert origin.connections == 1  # kept
        assert origin.heads[0] == b"GET /a?b=c HTTP/1.1\r\nHost: relay.example\r\nCookie: d\r\n\r\n"


async def test_what_belongs_to_the_connection_goes_no_further() -> None:
    async with site(said(HELLO + b"\r\nhello")) as (origin, mirror):
        asked = get(
            connection="keep-alive, X-Secret, Upgrade",
            x_secret="1",
            upgrade="websocket",
            te="trailers",
            keep_alive="5",
            proxy_authorization="Basic eA==",
            accept="*/*",
        )
        await whole(await mirror.respond(asked))
        assert origin.heads[0] == (b"GET / HTTP/1.1\r\nHost: relay.example\r\nAccept: */*\r\n\r\n")


async def test_a_body_is_brought_and_a_post_is_never_asked_twice() -> None:
    async with site(said(HELLO + b"\r\nhello")) as (origin, mirror):
        for _ in range(2):
            asked = (*get().headers, (b"content-length", b"3"), (b"expect", b"100-continue"))
            await whole(await mirror.respond(Request("POST", "/", asked, b"abc")))
        assert origin.heads[0].endswith(b"Host: relay.example\r\nContent-Length: 3\r\n\r\n")
        assert origin.connections == 2


async def test_a_kept_connection_that_died_is_not_noticed() -> None:
    async def once(head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(HELLO + b"\r\nhello")
        return False

    async with site(once) as (origin, mirror):
        for _ in range(3):
            assert await whole(await mirror.respond(get())) == b"hello"
        assert origin.connections == 3


async def test_a_long_body_of_unknown_length_comes_piece_by_piece() -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True

    async with site(answer) as (_, mirror):
        response = await mirror.respond(get())
        assert response.headers == ()
        assert await whole(response) == b"x" * 4_194_304


async def test_a_site_elsewhere_is_asked_by_its_own_name(tmp_path: Path) -> None:
    certificate.load_or_make(tmp_path, "127.0.0.1", int(time.time() * 1000))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        to = head.split()[1].lstrip(b"/").replace(b"OWN", mirror._upstream.authority.encode())
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: https://" + to + b"\r\n")
        writer.write(b"Content-Length: 0\r\n\r\n")
        return True

    async with site(answer, served=served, trusted=trusted) as (origin, mirror):
        found = []
        for to in ("/OWN/x", "/other.example/", "/OWN.evil/"):
            response = await mirror.respond(get(to))
            found.append(dict(response.headers)["Location"])
            await whole(response)
        own = mirror._upstream.authority
        assert found == ["/x", "https://other.example/", f"https://{own}.evil/"]
        assert f"Host: {own}\r\n".encode() in origin.heads[0]
        stranger = Mirror(mirror._upstream)  # with authorities that do not vouch for it
        assert (await stranger.respond(get())).status == 502


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/9 what\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * upstream.MAX_HEAD,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_a_bad_gateway(text: bytes) -> None:
    async def answer(head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(text)
        return False

    async with site(answer) as (_, mirror):
        response = await mirror.respond(get())
        assert response.status == 502 and b"502 Bad Gateway" in response.body


async def test_a_site_that_is_down_or_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(head: bytes, writer: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return True

    async with site(said(HELLO)) as (_, mirror):
        pass
    assert (await mirror.respond(get())).status == 502
    monkeypatch.setattr(upstream, "ANSWER_SECONDS", 0.05)
    async with site(never) as (_, mirror):
        for _ in range(3):
            assert (await mirror.respond(get())).status == 504
        assert mirror._turns._value == upstream.AT_ONCE  # all turns were given back


async def test_a_body_that_breaks_off_is_an_error_and_gives_its_turn_back() -> None:
    async def half(head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(HELLO + b"\r\nhel")
        return False

    async with site(half) as (_, mirror):
        response = await mirror.respond(get())
        with pytest.raises(OSError):
            await whole(response)
        assert response.stream is not None
        await response.stream.aclose()
        assert mirror._turns._value == upstream.AT_ONCE


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://site.example/", "site.example"),
        ("http://[::1]:81", "[::1]:81"),
        ("unix:/run/s.sock", ":0"),
    ],
)
def test_where_a_site_may_be(text: str, authority: str) -> None:
    assert Upstream.parse(text).authority == authority


@pytest.mark.parametrize(
    "text",
    ["", "ftp://a", "http://", "http://a:b", "http://a/b", "http://a?b", "http://u@a", "unix:a"],
)
def test_where_it_cannot_be(text: str) -> None:
    with pytest.raises(BadUpstream, match="looks like"):
        Upstream.parse(text)
