"""The HTTP server over a transport that the test holds in its hand."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.drive import http
from holdfast.drive.http import HttpConnection, Open, Request, Response, Stream, plain

UPGRADE = (
    b"GET /way HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
GET = b"GET /page?q HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written; `full` is what the socket has not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.full = 0
        self.reading = True
        self.end = ""
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def is_closing(self) -> bool:
        return bool(self.end)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.full

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Site:
    """Says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.rest: bytes | None = None

    def respond(self, request: Request) -> Response:
        self.asked.append(request)
        return plain(200, f"{request.method} {request.path} {len(request.body)}")

    def take(self, request: Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> Response:
        return plain(status, f"refused {status}")

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        if request.path != "/way":
            return None
        self.rest = rest
        return asyncio.Protocol()


def served() -> tuple[Site, Wire, HttpConnection]:
    site, wire = Site(), Wire()
    connection = HttpConnection(site, Open())
    connection.connection_made(wire)
    return site, wire, connection


async def test_a_request_that_comes_byte_by_byte() -> None:
    site, wire, connection = served()
    for byte in GET:
        connection.data_received(bytes([byte]))
    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.written.endswith(b"\r\n\r\nGET /page 0")
    assert site.asked[0].target == "/page?q" and not wire.end


async def test_head_has_the_length_and_no_body() -> None:
    _, wire, connection = served()
    connection.data_received(b"HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"content-length: 12\r\n" in wire.written.lower()
    assert wire.written.endswith(b"\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    _, wire, connection = served()
    post = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz"
    connection.data_received(GET + post + GET)
    bodies = [part.rsplit(b"\r\n\r\n")[-1] for part in wire.written.split(b"HTTP/1.1 ")[1:]]
    assert bodies == [b"GET /page 0", b"POST /b 3", b"GET /page 0"]


async def test_who_does_not_read_is_not_answered_further() -> None:
    site, wire, connection = served()
    connection.pause_writing()
    assert not wire.reading
    connection.data_received(GET * 50)
    assert site.asked == []
    connection.resume_writing()
    assert len(site.asked) == 50 and wire.reading


async def test_one_connection_serves_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_REQUESTS", 3)
    site, wire, connection = served()
    connection.data_received(GET * 5)
    assert len(site.asked) == 3 and wire.end == "closed"
    assert wire.written.lower().count(b"connection: close") == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * http.MAX_HEAD, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65_537,
            413,
        ),
    ],
)
async def test_what_is_no_request_is_refused_and_the_connection_ends(
    sent: bytes, status: int
) -> None:
    site, wire, connection = served()
    connection.data_received(sent)
    assert wire.written.startswith(b"HTTP/1.1 %d " % status)
    assert wire.written.endswith(b"refused %d" % status)
    assert wire.end == "closed" and site.asked == []


async def test_a_method_of_any_name_is_only_a_request() -> None:
    site, wire, connection = served()
    connection.data_received(b"ERROR nonsense HTTP/1.1\r\nHost: a\r\n\r\n")
    assert site.asked[0].method == "ERROR"
    assert wire.written.startswith(b"HTTP/1.1 200 ")


async def test_an_upgrade_hands_the_connection_over_with_what_came_behind() -> None:
    site, wire, connection = served()
    connection.data_received(GET + UPGRADE + b"more")
    assert site.rest == b"more" and wire.protocol is not None
    assert wire.written.count(b"HTTP/1.1") == 1  # the answer is the new owner's


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"POST"),
        (b"/way", b"/other"),
        (b"Version: 13", b"Version: 8"),
        (b"AAAA==", b"AA=="),
        (b"Upgrade: WebSocket", b"Upgrade: h2c"),
        (b"keep-alive, Upgrade", b"keep-alive"),
    ],
)
async def test_an_upgrade_that_is_not_right_is_any_request(old: bytes, new: bytes) -> None:
    site, wire, connection = served()
    connection.data_received(UPGRADE.replace(old, new) + GET)
    assert wire.protocol is None and len(site.asked) == 2


async def test_an_upgrade_in_an_older_version_is_any_request() -> None:
    site, wire, connection = served()
    connection.data_received(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.protocol is None and len(site.asked) == 1


async def test_patience_ends_by_a_close_or_for_who_reads_nothing_by_an_abort() -> None:
    _, wire, connection = served()
    connection._too_slow()
    assert wire.end == "closed"

    _, wire, connection = served()
    wire.full = 5000
    connection._too_slow()
    assert not wire.end  # perhaps it reads slowly
    wire.full = 4000
    connection._too_slow()
    assert not wire.end  # it does
    connection._too_slow()
    assert wire.end == "aborted"  # no longer


class Pieces(Stream):
    """A body that comes when the test says so."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.pieces = list(pieces)
        self.go_on = asyncio.Semaphore(0)
        self.closed = False

    async def __anext__(self) -> bytes:
        await self.go_on.acquire()
        if not self.pieces:
            raise StopAsyncIteration
        piece = self.pieces.pop(0)
        if isinstance(piece, OSError):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.closed = True


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_body_that_is_waited_for_comes_as_it_is_taken() -> None:
    site, wire, connection = served()
    pieces = Pieces(b"one", b"two")
    site.respond = lambda request: later(Response(299, (("Date", "x"),), stream=pieces))  # type: ignore[method-assign,assignment,return-value]
    connection.data_received(GET)
    await turns()
    assert wire.written.startswith(b"HTTP/1.1 299 \r\nDate: x\r\nTransfer-Encoding: chunked\r\n")
    connection.pause_writing()
    for _ in range(3):
        pieces.go_on.release()
    await turns()
    assert b"one" in wire.written and b"two" not in wire.written  # nobody reads
    connection.resume_writing()
    await turns()
    assert wire.written.endswith(b"3\r\ntwo\r\n0\r\n\r\n")
    assert pieces.closed and not wire.end and wire.reading


async def later(response: Response) -> Response:
    return response


@pytest.mark.parametrize("gone", [False, True])
async def test_a_body_that_breaks_off_or_is_not_wanted(gone: bool) -> None:
    site, wire, connection = served()
    pieces = Pieces(b"one", OSError())
    site.respond = lambda request: later(Response(200, stream=pieces))  # type: ignore[method-assign,assignment,return-value]
    connection.data_received(GET)
    pieces.go_on.release()
    await turns()
    if gone:
        connection.connection_lost(None)
    else:
        pieces.go_on.release()
    await turns()
    assert pieces.closed and wire.end == ("" if gone else "aborted")


@given(st.lists(st.binary(max_size=400), max_size=5), st.booleans())
@settings(max_examples=150, deadline=None)
def test_garbage_is_refused_in_http(parts: list[bytes], behind_a_request: bool) -> None:
    async def run() -> None:
        _, wire, connection = served()
        if behind_a_request:
            connection.data_received(GET)
        for part in parts:
            if not wire.is_closing():
                connection.data_received(part)
        connection.connection_lost(None)
        assert wire.written == b"" or wire.written.startswith(b"HTTP/1.1 ")

    asyncio.run(run())
