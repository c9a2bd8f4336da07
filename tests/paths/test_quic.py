"""The path over UDP against a real front on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from echoing import PATH, EchoRelay, Heard, serve

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.paths import h3, quic, websocket
from holdfast.paths.base import Channel, Unreachable
from holdfast.paths.websocket import Accept
from holdfast.relay import quic as port
from holdfast.relay.front import Door
from holdfast.testing.between import Between

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "LOOK_SECONDS", 0.02)


async def over(channel: Channel, heard: Heard) -> None:
    channel.close("enough")
    assert await heard.closed == "enough"


async def test_frames_go_both_ways(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    heard = Heard()
    channel = await quic.connect(home, heard)
    for size in (0, 1, 1_200, 65_536, wire.MAX_FRAME):
        channel.send(b"x" * size)
        assert await heard.frames.get() == b"x" * size
    await over(channel, heard)
    await front.close()


async def test_what_was_sent_before_the_end_arrives_and_nothing_after(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await quic.connect(home, heard)
    frames = [bytes([n]) * 40_000 for n in range(20)]
    for frame in frames:
        channel.send(frame)
    assert channel.buffered > 500_000
    await over(channel, heard)
    channel.send(b"late")
    channel.send_live(b"late")
    assert channel.link is None
    assert relay.heard == frames
    await until(lambda: relay.reasons == ["the other side closed the connection"])
    await front.close()


async def test_a_slow_reader_is_seen_and_drains(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        net.loses = lambda data, sent: not sent
        for _ in range(20):
            relay.channels[0].send(bytes(100_000))
        await asyncio.sleep(0.2)
        assert relay.channels[0].buffered > 1_500_000
        assert not relay.drained.is_set()
        net.loses = lambda data, sent: False
        for _ in range(20):
            assert await heard.frames.get() == bytes(100_000)
        await relay.drained.wait()
        assert relay.channels[0].buffered < h3.LOW_WATER
        await over(channel, heard)
    await front.close()


async def test_live_frames_are_datagrams_of_at_most_1200_bytes(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        for size in (0, 200, wire.MAX_LIVE):
            channel.send_live(b"y" * size)
            assert await heard.live.get() == b"y" * size
        channel.send_live(b"z" * (wire.MAX_LIVE + 1))  # does not fit
        assert await heard.frames.get() == b"z" * (wire.MAX_LIVE + 1)
        assert max(net.sent + net.received) <= 1_200
        link = channel.link
        assert link is not None and link.rtt > 0 and link.sent > 3 and link.lost == 0
        await over(channel, heard)
    await front.close()


async def test_a_lost_datagram_is_gone_and_holds_up_nothing(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        channel.send(b"s")
        await heard.frames.get()
        net.loses = lambda data, sent: sent
        channel.send_live(b"lost")
        await asyncio.sleep(0.01)
        net.loses = lambda data, sent: False
        for n in range(6):
            channel.send_live(b"%d" % n)
            assert await heard.live.get() == b"%d" % n
        await until(lambda: channel.link is not None and channel.link.lost > 0)
        await over(channel, heard)
    await front.close()


async def test_datagrams_that_cannot_leave_do_not_pile_up(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        net.loses = lambda data, sent: sent
        for n in range(200):
            channel.send_live(n.to_bytes(2, "big") * 500)
            await asyncio.sleep(0)
        assert isinstance(channel, h3.Line)
        assert len(channel._flow.quic._datagrams_pending) <= h3.MAX_LATE
        net.loses = lambda data, sent: False
        got = [await heard.live.get()]
        while got[-1] != (199).to_bytes(2, "big") * 500:
            got.append(await heard.live.get())
        assert len(got) < 100
        await over(channel, heard)
    await front.close()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"pin": b"w" * 32}, "pin"),
        ({"path_secret": b"w" * 16}, "upgrade"),
        ({"port": 1}, "refused"),
        ({"host": "no-such-host.invalid"}, "dns"),
    ],
)
async def test_each_way_to_fail_has_its_kind(
    tmp_path: Path, change: dict[str, object], kind: str
) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    fields = {name: getattr(home, name) for name in ("host", "port", "path_secret", "pin")}
    with pytest.raises(Unreachable) as caught:
        await quic.connect(Home(**{**fields, **change}), Heard())  # type: ignore[arg-type]
    assert caught.value.kind == kind
    await front.close()


async def test_where_there_is_no_way_at_all_that_is_said() -> None:
    nowhere = Home("255.255.255.255", 9, bytes(16), bytes(32))  # the system lets nobody go there
    with pytest.raises(Unreachable) as caught:
        await quic.connect(nowhere, Heard())
    assert caught.value.kind == "connect"


async def test_a_proof_for_another_tls_key_is_refused(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY, proof_for=b"o" * 32))
    with pytest.raises(Unreachable) as caught:
        await quic.connect(home, Heard())
    assert caught.value.kind == "pin"
    await front.close()


async def test_no_authority_makes_up_for_the_pin_nor_the_pin_for_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong pin, a certificate no authority signed, and both: with authorities asked, nobody is
    connected with; without, whose key is not the pin's is told a path that leads nowhere."""
    front, home = await serve(tmp_path, EchoRelay(KEY))
    wrong = Home(home.host, home.port, home.path_secret, b"w" * 32)
    with monkeypatch.context() as patch:
        patch.setattr(quic, "AUTHORITIES", ssl.CERT_REQUIRED)
        for one in (home, wrong):
            with pytest.raises(Unreachable) as caught:
                await quic.connect(one, Heard())
            assert caught.value.kind == "tls"
    with pytest.raises(Unreachable) as caught:
        await quic.connect(wrong, Heard())
    assert caught.value.kind == "pin"
    heard = Heard()
    await over(await quic.connect(home, heard), heard)
    await front.close()


async def test_who_takes_the_relays_place_hears_a_path_of_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("true", "false"):
        (tmp_path / name).mkdir()
    front, home = await serve(tmp_path / "true", EchoRelay(KEY))
    other = EchoRelay(Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32))
    asked: list[str] = []

    def takes_all(door: Door, path: str) -> Accept:
        asked.append(path)
        return other.accept

    with monkeypatch.context() as patch:
        patch.setattr(Door, "program", takes_all)
        middle, there = await serve(tmp_path / "false", other)
        with pytest.raises(Unreachable) as caught:
            await quic.connect(at(home, there.port), Heard())
    assert caught.value.kind == "pin"
    assert other.heard == []
    (path,) = asked
    assert front._door.program(path) is None
    await front.close()
    await middle.close()


@contextlib.contextmanager
def silent() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "HANDSHAKE_SECONDS", 0.3)
    with silent() as number, pytest.raises(Unreachable) as caught:
        await quic.connect(Home("127.0.0.1", number, PATH, b"p" * 32), Heard())
    assert caught.value.kind == "connect"


async def test_who_answers_the_handshake_alone_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "CONNECT_SECONDS", 3.0)
    monkeypatch.setattr(port.Visitor, "on_http", lambda self, event: None)
    front, home = await serve(tmp_path, EchoRelay(KEY))
    with pytest.raises(Unreachable) as caught:
        await quic.connect(home, Heard())
    assert caught.value.kind == "timeout"
    await front.close()


async def test_nonsense_in_the_place_of_an_answer_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quic, "HANDSHAKE_SECONDS", 0.3)

    class Talker(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for answer in (b"", b"\x00", b"\xff" * 1_200, data, data[:20]):
                self.transport.sendto(answer, addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Talker, local_addr=("127.0.0.1", 0))
    number = transport.get_extra_info("sockname")[1]
    with pytest.raises(Unreachable) as caught:
        await quic.connect(Home("127.0.0.1", number, PATH, b"p" * 32), Heard())
    assert caught.value.kind == "connect"
    transport.close()


async def test_a_frame_too_large_ends_the_connection(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await quic.connect(home, heard)
    channel.send(bytes(wire.MAX_FRAME + 1))
    await heard.closed
    assert heard.frames.empty() and relay.heard == []
    await front.close()


async def test_silence_is_found_out_and_sooner_when_datagrams_are_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    async with Between(home.port) as net:
        for live in (True, False):
            monkeypatch.setattr(quic, "LIVE_SECONDS", 1.0 if live else 60)
            monkeypatch.setattr(quic, "ASK_SECONDS", 60 if live else 0.5)
            monkeypatch.setattr(quic, "patience", lambda unsent: 0.5)
            net.loses = lambda data, sent: False
            heard = Heard()
            channel = await quic.connect(at(home, net.port), heard)
            await until(lambda channel=channel: not channel.link.silent)
            net.loses = lambda data, sent: True
            (channel.send_live if live else channel.send)(b"anybody there?")
            await until(lambda channel=channel: channel.link.silent > 0.05)
            assert await heard.closed == websocket.STALLED
    await front.close()


async def test_an_idle_connection_is_kept_by_pings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "PING_SECONDS", 0.05)
    front, home = await serve(tmp_path, EchoRelay(KEY))
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        before = len(net.sent)
        await until(lambda: len(net.sent) > before + 4)
        await over(channel, heard)
    await front.close()


async def test_a_connection_outlives_its_address(tmp_path: Path) -> None:
    """A router forgets it, or this machine moves to another network."""
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    async with Between(home.port) as net:
        heard = Heard()
        channel = await quic.connect(at(home, net.port), heard)
        assert isinstance(channel, quic.Opening)
        for n in range(6):
            if n % 2:
                net.move()
            else:
                channel.move()
            channel.send(b"%d" % n)
            assert await heard.frames.get() == b"%d" % n
            channel.send_live(b"live %d" % n)
            assert await heard.live.get() == b"live %d" % n
        assert len(relay.channels) == 1
        await over(channel, heard)
    await front.close()


async def test_a_name_with_an_address_that_is_dead_is_reached_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    with silent() as number:

        async def places(home: Home) -> list[tuple[int, tuple[str, int]]]:
            return [(2, ("127.0.0.1", number)), (2, ("127.0.0.1", home.port))]

        monkeypatch.setattr(quic, "_places", places)
        heard = Heard()
        await over(await quic.connect(home, heard), heard)
    await front.close()


async def test_by_ipv6(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY), "::1")
    heard = Heard()
    await over(await quic.connect(home, heard), heard)
    await front.close()


def at(home: Home, number: int) -> Home:
    return Home(home.host, number, home.path_secret, home.pin)


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)
