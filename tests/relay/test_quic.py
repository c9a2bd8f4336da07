"""The relay's UDP port: what strangers see, and what they cannot make it keep."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aioquic._buffer import Buffer
from aioquic.h3.connection import ErrorCode, encode_frame
from aioquic.quic.packet import QuicPacketType, pull_quic_header

from holdfast.core import caps
from holdfast.core.caps import Home
from holdfast.drive.http import MAX_BODY, Request, Response
from holdfast.paths import h3
from holdfast.paths.base import Channel
from holdfast.relay import certificate, decoy, quic
from holdfast.relay.front import Front
from holdfast.testing.between import Between
from holdfast.testing.stranger import Answer, Stranger

PATH = b"p" * 16


class Program:
    """Takes every channel and remembers what came."""

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.addresses: list[str] = []
        self.frames: list[bytes] = []
        self.closed: list[str] = []

    def accept(self, channel: Channel, tls_key_hash: bytes, address: str) -> Program:
        self.channels.append(channel)
        self.addresses.append(address)
        channel.send(b"welcome")
        return self

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_live(self, frame: bytes) -> None:
        self.frames.append(b"live " + frame)

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.closed.append(reason)


class World:
    def __init__(self, front: Front, port: int, program: Program, key: bytes) -> None:
        self.front, self.port, self.program = front, port, program
        self.secret = caps.request_path(Home("", 0, PATH, b""), key)
        (self.listener,) = front._listeners


@asynccontextmanager
async def serving(
    data: Path, site: decoy.Decoy | None = None, paths: tuple[bytes, ...] = (PATH,)
) -> AsyncIterator[World]:
    data.mkdir(exist_ok=True)
    if not (data / "site").exists():
        decoy.make_site(data / "site", lambda n: b"\x07" * n)
        (data / "site" / "big.bin").write_bytes(bytes(range(256)) * 8_000)
    tls = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    program = Program()
    front = Front(tls, list(paths), site or decoy.Folder(data / "site"), program.accept)
    port = await front.listen("127.0.0.1", 0)
    yield World(front, port, program, tls.key_hash)
    await front.close()


def request(method: str, path: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", method.encode()), (b":scheme", b"https"), (b":authority", b"a"),
        (b":path", path.encode()), *more,
    ]  # fmt: skip


def upgrade(path: str, version: bytes = b"13", protocol: bytes = b"websocket") -> list:
    return [
        (b":method", b"CONNECT"), (b":protocol", protocol), (b":scheme", b"https"),
        (b":authority", b"a"), (b":path", path.encode()), (b"sec-websocket-version", version),
    ]  # fmt: skip


def told(answer: Answer) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers without what differs by moment and port, body."""
    head = [(k.decode(), re.sub(r":\d+\"", ':443"', v.decode())) for k, v in answer.headers]
    return (
        dict(head)[":status"],
        sorted(h for h in head if h[0] not in (":status", "date")),
        answer.body,
    )


async def by_tcp(port: int, method: str, path: str, body: bytes) -> tuple:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n".encode() + body
    )
    got = await reader.read(-1)
    writer.close()
    head, _, rest = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    kept = [(k.lower(), re.sub(r":\d+\"", ':443"', v)) for k, v in headers]
    kept = sorted(h for h in kept if h[0] not in ("date", "connection"))
    return first.split()[1], kept, rest


async def test_the_site_is_the_same_as_by_tcp(tmp_path: Path) -> None:
    async with serving(tmp_path) as world, Stranger(world.port) as stranger:
        for method, path, body in (
            ("GET", "/", b""), ("HEAD", "/", b""), ("GET", "/nothing", b""),
            ("GET", "/big.bin", b""), ("GET", world.secret, b""),
            ("POST", world.secret, b"x" * 100), ("GET", "/a?b=%2e", b""),
            ("OPTIONS", "/", b""), ("POST", "/", b"x" * 1_000), ("ERROR", "/", b""),
        ):  # fmt: skip
            found = told(await stranger.get(request(method, path), body))
            assert found == await by_tcp(world.port, method, path, body), (method, path)
            assert ("alt-svc", 'h3=":443"; ma=86400') in found[1]


async def probe(port: int, secret: str) -> list[object]:
    """Everything a stranger may try, and what came of it."""
    found: list[object] = []
    heads = [request(m, p) for m in ("GET", "PUT", "CONNECT") for p in ("/", "/ws", secret)]
    heads += [upgrade(p) for p in ("/", "/ws", secret[:-1], secret + "x")]
    heads += [upgrade(secret, version=b"8"), upgrade(secret, protocol=b"webtransport")]
    heads += [[(b":method", b"CONNECT"), (b":authority", b"a:443")]]
    heads += [
        request("GET", "nothing"),
        request("GET", "/\x01"),
        request("GET", secret, (b"te", b"x")),
    ]
    heads += [[(b":method", b"GET"), (b":authority", b"a")], request("GET", "/", (b"A", b"upper"))]
    for head in heads:
        async with Stranger(port) as stranger:
            answer = await stranger.get(head)
            found.append((told(answer) if answer.headers else (), answer.reset, stranger.code))
    for data in (
        b"", b"\x00", b"\x01\x02\xff\xff", encode_frame(0, b"data first"),
        b"\x40\x41\x00" + b"w" * 50,
        encode_frame(4, b""), encode_frame(0x21, b"grease"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ):  # fmt: skip
        async with Stranger(port) as stranger:
            stream = stranger.begin()
            stranger.say(stream, data, end=True)
            answer = await stranger.answer(stream)
            found.append((told(answer) if answer.headers else (), answer.reset, stranger.code))
    async with Stranger(port) as stranger:
        stranger.quic.send_datagram_frame(b"\x00live")
        found.append(told(await stranger.get(request("GET", "/"))))
        assert stranger.http is not None
        found.append(stranger.http.received_settings)
    return found


async def test_a_probe_sees_only_the_site(tmp_path: Path) -> None:
    async with serving(tmp_path) as relay, serving(tmp_path, paths=()) as site:
        assert await probe(relay.port, relay.secret) == await probe(site.port, relay.secret)
        assert relay.program.channels == []


async def test_who_knows_the_path_is_given_to_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path) as world, Stranger(world.port) as node:
        stream = node.ask(upgrade(world.secret), end=False)
        assert node.http is not None
        await until(lambda: len(world.program.channels) == 1)
        node.http.send_data(stream, (5).to_bytes(4, "big") + b"hello" + b"\x00", end_stream=False)
        node.http.send_datagram(stream, b"there")
        node.soon()
        await until(lambda: sorted(world.program.frames) == [b"hello", b"live there"])
        assert world.program.addresses == ["127.0.0.1"]
        answer = node._answers[stream][0]
        await until(lambda: answer.body == (7).to_bytes(4, "big") + b"welcome")
        assert dict(answer.headers)[b":status"] == b"200"
        node.close()
        await until(lambda: len(world.program.closed) == 1)
        assert world.listener.visitors == set() and world.listener.by_id == {}
    assert "127.0.0.1" not in caplog.text


async def test_the_relay_ends_it_and_says_what_it_has_to(tmp_path: Path) -> None:
    async with serving(tmp_path) as world, Stranger(world.port) as node:
        stream = node.ask(upgrade(world.secret), end=False)
        await until(lambda: len(world.program.channels) == 1)
        world.program.channels[0].send(b"bye")
        world.program.channels[0].close("later")
        answer = await node.answer(stream)
        assert answer.body.endswith(b"bye")
        await node.closed.wait()
        assert world.program.closed == ["later"]
        assert node.code == ErrorCode.H3_NO_ERROR


async def test_long_bodies_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as world, Stranger(world.port) as stranger:
        answer = await stranger.get(request("POST", "/"), bytes(MAX_BODY + 1))
        assert told(answer)[0] == "413"


@pytest.mark.parametrize("what", ["head", "control", "bodies"])
async def test_what_is_never_whole_does_not_pile_up(tmp_path: Path, what: str) -> None:
    async with serving(tmp_path) as world, Stranger(world.port) as stranger:
        if what == "head":
            stranger.say(stranger.begin(), b"\x01\x80\x0f\xff\xff" + bytes(200_000))
        elif what == "control":
            assert stranger.http is not None
            stream = stranger.http._local_control_stream_id
            assert stream is not None
            stranger.say(stream, b"\x0d\x80\x0f\xff\xff" + bytes(200_000))
        else:
            begun = [stranger.ask(request("POST", "/"), bytes(60_000), end=False) for _ in range(5)]
            waiting = [asyncio.create_task(stranger.answer(stream)) for stream in begun]
            done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert told(done.pop().result())[0] == "413"
            for task in rest:
                task.cancel()
            return
        async with asyncio.timeout(60):
            await stranger.closed.wait()
        assert stranger.code == ErrorCode.H3_EXCESSIVE_LOAD


async def test_who_is_slow_or_idle_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "LOOK_SECONDS", 0.02)
    for name in ("REQUEST_SECONDS", "IDLE_SECONDS"):
        with monkeypatch.context() as patch:
            patch.setattr(quic, name, 0.1)
            async with serving(tmp_path) as world, Stranger(world.port) as stranger:
                if name == "REQUEST_SECONDS":
                    stranger.ask(request("POST", "/"), b"slow", end=False)
                async with asyncio.timeout(60):
                    await stranger.closed.wait()


async def test_an_answer_nobody_wants_is_not_made(tmp_path: Path) -> None:
    class Slow(decoy.Folder):
        cancelled = 0

        async def _late(self) -> Response:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                Slow.cancelled += 1
                raise
            raise AssertionError

        def respond(self, request: Request):
            return self._late()

    (tmp_path / "pages").mkdir()
    async with (
        serving(tmp_path, Slow(tmp_path / "pages")) as world,
        Stranger(world.port) as stranger,
    ):
        stream = stranger.ask(request("GET", "/"))
        await until(lambda: any(v._answering for v in world.listener.visitors))
        stranger.quic.stop_stream(stream, ErrorCode.H3_REQUEST_CANCELLED)
        stranger.soon()
        await until(lambda: Slow.cancelled == 1)


async def test_under_load_an_address_is_checked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "HANDSHAKES", 0)
    async with serving(tmp_path) as world, Between(world.port) as net:
        seen: list[bytes] = []

        def look(data: bytes, sent: bool) -> bool:
            if sent:
                seen.append(data)
            return False

        net.loses = look
        async with Stranger(net.port) as stranger:
            assert told(await stranger.get(request("GET", "/")))[0] == "200"
        assert net.received[0] < 200  # the Retry
        said = await heard(world.port, seen[0], answered=True)
        assert len(said) == 1 and len(said[0]) < 200
        # With its token, from another address: nothing is kept of it, and nothing is said.
        assert await heard(world.port, seen[1]) == []
        await until(lambda: not world.listener.visitors)


async def test_at_most_three_times_what_came_goes_to_an_unchecked_address(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        said = await heard(world.port, first_words(), seconds=1.0, answered=True)
        assert 0 < sum(map(len, said)) <= 3 * 1_200


async def test_what_is_no_handshake_is_not_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        short = b"\xc0\xff\x00\x00\x1d\x08" + bytes(30)
        for data in (b"", b"\x00", b"\x40" + bytes(1_300), short, bytes(1_200), b"\xff" * 1_200):
            for answer in await heard(world.port, data):
                assert len(data) >= 1_200 and len(answer) < 100
                header = pull_quic_header(Buffer(data=answer))
                assert header.packet_type == QuicPacketType.VERSION_NEGOTIATION
        assert world.listener.visitors == set()


async def test_more_handshakes_than_there_is_room_for_are_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as world:
        async with Stranger(world.port) as stranger:
            monkeypatch.setattr(quic, "MOST", 1)
            assert told(await stranger.get(request("GET", "/")))[0] == "200"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), Stranger(world.port):
                    pass
        await until(lambda: not world.listener.visitors)
        async with Stranger(world.port) as stranger:
            assert told(await stranger.get(request("GET", "/")))[0] == "200"


def first_words() -> bytes:
    """Of a handshake."""
    client = h3.Quic(configuration=h3.configuration(is_client=True))
    client.connect(("127.0.0.1", 1), 0.0)
    ((data, _),) = client.datagrams_to_send(0.0)
    return data


async def heard(
    port: int, data: bytes, seconds: float = 0.2, answered: bool = False
) -> list[bytes]:
    """What is answered to one datagram from a fresh socket; `answered`: something is."""
    loop = asyncio.get_running_loop()
    said: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setblocking(False)
        one.connect(("127.0.0.1", port))
        one.send(data)
        if answered:
            async with asyncio.timeout(60):
                said.append(await loop.sock_recv(one, 65_536))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    said.append(await loop.sock_recv(one, 65_536))
        except TimeoutError:
            return said


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)
