"""The WebSocket path against a real front on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from echoing import PATH, EchoRelay, Heard, serve
from OpenSSL import SSL

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.paths import tls, websocket
from holdfast.paths.base import Attempt, Line, Unreachable


def key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def test_frames_go_both_ways(tmp_path: Path) -> None:
    async def run() -> None:
        relay = EchoRelay(key())
        front, home = await serve(tmp_path, relay)
        heard = Heard()
        channel = await websocket.connect(home, heard)
        for size in (0, 1, 125, 126, 65_535, 65_536, wire.MAX_FRAME):
            channel.send(b"x" * size)
            assert await heard.frames.get() == b"x" * size
        channel.close("enough")
        assert await heard.closed == "enough"
        await front.close()

    asyncio.run(run())


def test_a_frame_too_large_ends_the_connection(tmp_path: Path) -> None:
    async def run() -> None:
        relay = EchoRelay(key())
        front, home = await serve(tmp_path, relay)
        heard = Heard()
        channel = await websocket.connect(home, heard)
        channel.send(b"x" * (wire.MAX_FRAME + 1))
        await heard.closed
        assert heard.frames.empty()
        await front.close()

    asyncio.run(run())


def test_ml_kem_is_negotiated_between_ourselves(tmp_path: Path) -> None:
    async def run() -> None:
        front, home = await serve(tmp_path, EchoRelay(key()))
        channel = await websocket.connect(home, Heard())
        assert isinstance(channel, websocket.Socket)
        engine = channel._transport.underlying_transport.connection  # type: ignore[union-attr]
        assert engine.get_group_name() == "X25519MLKEM768"
        channel.close()
        await front.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"pin": b"w" * 32}, "pin"),
        ({"path_secret": b"w" * 16}, "upgrade"),
        ({"port": 1}, "refused"),
        ({"host": "no-such-host.invalid"}, "dns"),
    ],
)
def test_each_way_to_fail_has_its_kind(
    tmp_path: Path, change: dict[str, object], kind: str
) -> None:
    async def run() -> None:
        front, home = await serve(tmp_path, EchoRelay(key()))
        fields = {name: getattr(home, name) for name in ("host", "port", "path_secret", "pin")}
        with pytest.raises(Unreachable) as caught:
            await websocket.connect(Home(**{**fields, **change}), Heard())  # type: ignore[arg-type]
        assert caught.value.kind == kind
        await front.close()

    asyncio.run(run())


def test_a_proof_for_another_tls_key_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        front, home = await serve(tmp_path, EchoRelay(key(), proof_for=b"o" * 32))
        with pytest.raises(Unreachable) as caught:
            await websocket.connect(home, Heard())
        assert caught.value.kind == "pin"
        await front.close()

    asyncio.run(run())


def test_a_port_that_does_not_speak_tls(tmp_path: Path) -> None:
    async def run() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.org ESMTP\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable) as caught:
            await websocket.connect(Home("127.0.0.1", port, PATH, b"p" * 32), Heard())
        assert caught.value.kind == "tls"
        server.close()

    asyncio.run(run())


def test_a_node_does_not_go_down_to_tls_1_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificate and path would be easier to see; a relay always has 1.3."""
    real = tls.server_context

    def old(*files: Path) -> SSL.Context:
        context = real(*files)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        return context

    monkeypatch.setattr(tls, "server_context", old)

    async def run() -> None:
        front, home = await serve(tmp_path, EchoRelay(key()))
        with pytest.raises(Unreachable) as caught:
            await websocket.connect(home, Heard())
        assert caught.value.kind == "tls"
        await front.close()

    asyncio.run(run())


async def test_what_goes_slowly_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other machine takes some of it now and then: nobody answers before the end of it."""
    relay = EchoRelay(key())
    front, home = await serve(tmp_path, relay)
    monkeypatch.setattr(websocket, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "patience", lambda *_: 0.02)
    for size, looks in ((websocket.LITTLE + 1, 10), (100, 2)):
        heard = Heard()
        channel = await websocket.connect(home, heard)
        there = relay.channels[-1]
        assert isinstance(there, websocket.Socket) and there._transport is not None
        there._transport.underlying_transport.pause_reading()
        taken = [n * 2 * websocket.PROGRESS for n in range(10)]
        monkeypatch.setattr(
            tls.TlsTransport, "taken", property(lambda _, left=taken: left.pop(0) if left else 0)
        )
        channel.send(bytes(size))
        assert await heard.closed == websocket.STALLED
        assert len(taken) == 10 - looks
        there._transport.underlying_transport.resume_reading()
    await front.close()


@pytest.mark.parametrize(
    ("unacked", "crawls", "rounds"), [(3, False, 1), (3, True, 9), (0, False, 9)]
)
async def test_where_nothing_on_its_way_arrives_it_is_not_waited_for_as_for_a_slow_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unacked: int, crawls: bool, rounds: int
) -> None:
    relay = EchoRelay(key())
    front, home = await serve(tmp_path, relay)
    line, heard = Line(), Heard()
    line.crawls = crawls
    waits: list[float] = []
    monkeypatch.setattr(websocket, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "patience", lambda *_: 9 * websocket.ANSWER_SECONDS)
    monkeypatch.setattr(tls.TlsTransport, "unacked", property(lambda _: unacked))
    monkeypatch.setattr(tls.TlsTransport, "taken", property(lambda _: 0))
    listen = websocket._Greeting._listen

    def soon(self: websocket._Greeting, seconds: float) -> None:
        waits.append(seconds)
        listen(self, 0.01)

    monkeypatch.setattr(websocket._Greeting, "_listen", soon)
    channel = await websocket.connect(home, heard, Attempt(line))
    (there,) = relay.channels
    assert isinstance(there, websocket.Socket) and there._transport is not None
    there._transport.underlying_transport.pause_reading()
    channel.send(bytes(websocket.MUCH))
    assert await heard.closed == websocket.STALLED
    assert [one for one in waits if one > 1] == [websocket.ANSWER_SECONDS] * rounds
    there._transport.underlying_transport.resume_reading()
    await front.close()


async def test_who_shares_a_line_with_much_may_be_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = EchoRelay(key())
    front, home = await serve(tmp_path, relay)
    line, heard = Line(), Heard()
    waits: list[int] = []
    monkeypatch.setattr(websocket, "ASK_SECONDS", 0.02)

    def patience(size: int, answer: float) -> float:
        waits.append(size)
        return 0.02

    monkeypatch.setattr(websocket, "patience", patience)
    channel = await websocket.connect(home, heard, Attempt(line))
    (there,) = relay.channels
    assert isinstance(there, websocket.Socket) and there._transport is not None
    there._transport.underlying_transport.pause_reading()
    line.waiting, line.crawls = websocket.MUCH, True
    channel.send(bytes(100))
    assert await heard.closed == websocket.STALLED
    assert waits == [websocket.MUCH]
    there._transport.underlying_transport.resume_reading()
    await front.close()


async def test_what_the_other_machine_has_taken_is_known(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(key()))
    heard = Heard()
    channel = await websocket.connect(home, heard)
    assert isinstance(channel, websocket.Socket)
    before = channel.taken
    channel.send(bytes(100_000))
    await heard.frames.get()
    assert before > 0 and channel.taken - before >= 100_000
    channel.close()
    await heard.closed
    await front.close()
