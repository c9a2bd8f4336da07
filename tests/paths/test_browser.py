"""The path with a browser's handshake, against a real front on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from curl_cffi import CurlOpt
from echoing import EchoRelay, Heard, serve

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.drive.http import Request
from holdfast.lab.box import Box
from holdfast.paths import browser, dial, hello, websocket
from holdfast.paths.base import Channel, Unreachable
from holdfast.paths.browser import PROFILES
from holdfast.relay.front import Door, Front

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test meets its relay for the first time."""
    monkeypatch.setattr(browser, "_keys", {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of any front in this process."""
    targets: list[str] = []
    for name in ("respond", "upgrade"):
        real = getattr(Door, name)

        def note(self: Door, request: Request, *rest: object, real: Callable = real) -> object:
            targets.append(request.target)
            return real(self, request, *rest)

        monkeypatch.setattr(Door, name, note)
    return targets


@dataclass
class Switch:
    """A port behind which one and another machine answer, and what was first said to each."""

    ports: list[int]
    hellos: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(16_000)
        while True:
            try:
                hello.read(first)
                break
            except hello.Incomplete:
                first += await reader.read(16_000)
        port = self.ports[len(self.hellos) % len(self.ports)]
        self.hellos.append(first)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        back.write(first)
        await asyncio.gather(pump(reader, back), pump(there, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def switched(*ports: int) -> AsyncIterator[tuple[Switch, int]]:
    switch = Switch(list(ports))
    server = await asyncio.start_server(switch.talk, "127.0.0.1", 0)
    try:
        yield switch, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def end(front: Front) -> None:
    """Close it, and let its ends of connections hear that ours are over."""
    await front.close()
    await asyncio.sleep(0.02)


async def over(channel: Channel, heard: Heard) -> None:
    channel.close()
    await heard.closed


@pytest.mark.parametrize("profile", PROFILES)
async def test_frames_go_both_ways(tmp_path: Path, profile: str) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    heard = Heard()
    channel = await browser.connect(home, heard, profile=profile)
    for size in (0, 1, 125, 126, 65_535, 65_536, 200_000, wire.MAX_FRAME):
        frame = os.urandom(size)
        channel.send(frame)
        assert await heard.frames.get() == frame
    channel.close("enough")
    assert heard.closed.done() is False  # never from within
    assert await heard.closed == "enough"
    await end(front)


async def test_many_frames_there_and_back_at_once(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await browser.connect(home, heard)
    small = [os.urandom(100) for _ in range(500)]
    large = [os.urandom(200_000) for _ in range(10)]
    unasked = [os.urandom(50) for _ in range(500)]
    for n, frame in enumerate(small):
        channel.send(frame)
        relay.channels[0].send(unasked[n])
        if n % 50 == 0:
            channel.send(large[n // 50])
    assert channel.buffered > 2_000_000
    got = [await heard.frames.get() for _ in range(1010)]
    assert [one for one in got if len(one) == 100] == small
    assert [one for one in got if len(one) == 200_000] == large
    assert [one for one in got if len(one) == 50] == unasked
    await heard.drained.wait()
    assert channel.buffered == 0
    await over(channel, heard)
    await end(front)


async def test_what_was_sent_before_the_end_arrives(tmp_path: Path) -> None:
    class Keeps(EchoRelay):
        def __init__(self) -> None:
            super().__init__(KEY)
            self.got: list[bytes] = []
            self.over = asyncio.Event()

        def accept(self, channel: Channel, tls_key_hash: bytes, address: str) -> EchoRelay.Session:
            super().accept(channel, tls_key_hash, address)
            relay = self

            class Session(EchoRelay.Session):
                def on_frame(self, frame: bytes) -> None:
                    relay.got.append(frame)

                def on_closed(self, reason: str) -> None:
                    relay.over.set()

            return Session(self, channel)

    relay = Keeps()
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await browser.connect(home, heard)
    frames = [os.urandom(200_000) for _ in range(20)]
    for frame in frames:
        channel.send(frame)
    assert channel.buffered > 4_000_000
    channel.close()
    channel.send(b"too late")
    await relay.over.wait()
    assert relay.got == frames
    await heard.closed
    await end(front)


async def test_a_frame_too_large_ends_the_connection(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    await browser.connect(home, heard)
    relay.channels[0].send(bytes(wire.MAX_FRAME + 1))
    await heard.closed
    assert heard.frames.empty()
    await end(front)


async def test_the_relay_ends_it(tmp_path: Path) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await browser.connect(home, heard)
    relay.channels[0].close()
    await heard.closed  # a second time would be an error of the future's
    channel.send(b"late")
    channel.close()
    await asyncio.sleep(0.05)
    assert channel.buffered == 0
    await end(front)


async def test_a_ping_is_answered_and_silence_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = EchoRelay(KEY)
    front, home = await serve(tmp_path, relay)
    heard = Heard()
    channel = await browser.connect(home, heard)
    there = relay.channels[0]
    assert isinstance(there, websocket.Socket) and there._transport is not None
    pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    took = websocket.Socket.on_ws_frame

    def came(self: websocket.Socket, transport: Any, frame: Any) -> None:
        took(self, transport, frame)
        if not pong.done():
            pong.set_result(None)

    monkeypatch.setattr(websocket.Socket, "on_ws_frame", came)
    there._transport.send_ping(b"are you there")
    await pong
    monkeypatch.setattr(browser, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(browser, "patience", lambda unheard: 0.05)
    there._transport.underlying_transport.pause_reading()
    channel.send(b"hello")
    assert await heard.closed == websocket.STALLED
    there._transport.underlying_transport.resume_reading()
    await end(front)


@pytest.mark.parametrize("profile", PROFILES)
async def test_who_shows_another_key_is_not_asked_for_the_path(
    tmp_path: Path, asked: list[str], profile: str
) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    place = (home.pin, home.host, home.port)
    right = await browser._learned(home, profile, None)
    asked.clear()
    assert await browser._upgraded(home, bytes(32), profile, None) is None
    assert asked == []  # libcurl found the key wrong before it said anything
    browser._keys[place] = bytes(32)
    heard = Heard()
    channel = await browser.connect(home, heard, profile=profile)  # learned again, once
    assert browser._keys[place] == right
    assert set(asked) == {"/", caps.request_path(home, right)}
    await over(channel, heard)
    await end(front)


@pytest.mark.parametrize("profile", PROFILES)
async def test_every_call_has_the_pin_and_asks_no_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], profile: str
) -> None:
    """The certificate is the relay's own. With authorities asked, nobody is connected with, and
    neither pin nor authority makes up for the other."""
    front, home = await serve(tmp_path, EchoRelay(KEY))
    right = await browser._learned(home, profile, None)
    asked.clear()
    real = browser._prepared

    def strict(*given: str | None) -> object:
        curl = real(*given)  # type: ignore[arg-type]
        curl.setopt(CurlOpt.SSL_VERIFYPEER, 1)
        return curl

    monkeypatch.setattr(browser, "_prepared", strict)
    for pin in (right, bytes(32)):
        with pytest.raises(Unreachable) as found:
            await browser._upgraded(home, pin, profile, None)
        assert found.value.kind == "tls"
    assert asked == []
    monkeypatch.undo()
    heard = Heard()
    await over(await browser.connect(home, heard, profile=profile), heard)
    await end(front)


async def test_two_machines_that_take_turns_learn_no_path(tmp_path: Path, asked: list[str]) -> None:
    """Between the visit and the upgrade the key changes, twice."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    front, home = await serve(tmp_path / "one", EchoRelay(KEY))
    other, there = await serve(tmp_path / "two", EchoRelay(KEY))
    async with switched(home.port, there.port) as (switch, port):
        with pytest.raises(Unreachable) as found:
            await browser.connect(replace(home, port=port), Heard())
        assert found.value.kind == "pin"
        assert len(switch.hellos) == 2
        assert set(asked) == {"/"}
    await end(front)
    await end(other)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"pin": b"w" * 32}, "pin"),
        ({"path_secret": b"w" * 16}, "upgrade"),
        ({"port": 1}, "refused"),
        ({"host": "no-such-host.invalid"}, "dns"),
    ],
)
async def test_each_way_to_fail_has_its_kind(tmp_path: Path, change: dict, kind: str) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    with pytest.raises(Unreachable) as caught:
        await browser.connect(replace(home, **change), Heard())
    assert caught.value.kind == kind
    await end(front)


async def test_a_proof_for_another_tls_key_is_refused(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY, proof_for=b"o" * 32))
    with pytest.raises(Unreachable) as caught:
        await browser.connect(home, Heard())
    assert caught.value.kind == "pin"
    await end(front)


@pytest.mark.parametrize("says", [b"220 mail.example.org ESMTP\r\n", b""])
async def test_a_port_that_does_not_speak_tls(says: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(says)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable) as caught:
        await browser.connect(Home("127.0.0.1", port, bytes(16), bytes(32)), Heard())
    assert caught.value.kind == "tls"
    server.close()


async def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        home = Home("127.0.0.1", mute.getsockname()[1], bytes(16), bytes(32))
        with pytest.raises(Unreachable) as caught:
            await browser.connect(home, Heard())
    assert caught.value.kind == "timeout"


async def test_through_a_proxy_and_never_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is given the name; what the environment says of proxies counts for nothing."""
    front, home = await serve(tmp_path, EchoRelay(KEY))
    named = replace(home, host="relay.test", port=443)
    monkeypatch.setattr(dial, "WITHIN", 0)
    async with Box({("relay.test", 443): ("127.0.0.1", home.port)}) as box:
        monkeypatch.setenv("NO_PROXY", "*")
        for url in (box.url, box.url.replace("socks5h:", "socks5:")):
            heard = Heard()
            channel = await browser.connect(named, heard, proxy=url)
            channel.send(b"hello")
            assert await heard.frames.get() == b"hello"
            await over(channel, heard)
        assert len(box.flows) == 3
        with pytest.raises(Unreachable) as caught:
            await browser.connect(replace(named, host="other.test"), Heard(), proxy=box.url)
        assert caught.value.kind in ("dns", "connect", "refused")
    with pytest.raises(Unreachable) as caught:
        await browser.connect(named, Heard(), proxy="socks5h://127.0.0.1:1")
    assert caught.value.kind == "proxy"
    monkeypatch.delenv("NO_PROXY")
    for name in ("ALL_PROXY", "HTTPS_PROXY", "https_proxy", "wss_proxy"):
        monkeypatch.setenv(name, "socks5h://127.0.0.1:1")
    heard = Heard()
    await over(await browser.connect(home, heard), heard)
    await end(front)


async def test_a_proxy_that_will_not_is_there_all_the_same() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT relay.test:443 ")
        writer.write(b"HTTP/1.1 403 No\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(Unreachable) as caught:
        await browser.connect(Home("relay.test", 443, bytes(16), bytes(32)), Heard(), proxy=url)
    assert caught.value.kind == "connect"
    server.close()


SEEN = {  # a page, and a WebSocket, which browsers open by HTTP/1.1 and on a hello of its own
    # Captures of real browsers have the first of each; the second was captured of Chrome 149,
    # whose signatures differ: t13d1515h1_8daaf6152771_0a20fe35d3a5, as libcurl's chrome146.
    "chrome150": ("t13d1516h2_8daaf6152771_806a8c22fdea", "t13d1515h1_8daaf6152771_e4c2b8c727f2"),
    "firefox147": ("t13d1717h2_5b57614c22b0_3cbfd9057e0d", "t13d1715h1_5b57614c22b0_8460c7ec26ba"),
    "safari2601": ("t13d2013h2_a09f3c656075_7f0f34a4126d", "t13d2013h1_a09f3c656075_7f0f34a4126d"),
}


async def test_the_handshake_is_the_browsers(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    async with switched(home.port) as (switch, port):
        named = replace(home, host="localhost", port=port)
        for profile, ja4 in SEEN.items():
            browser._keys.clear()
            switch.hellos.clear()
            heard = Heard()
            await over(await browser.connect(named, heard, profile=profile), heard)
            hellos = [hello.read(first) for first in switch.hellos]
            assert tuple(one.ja4 for one in hellos) == ja4
            assert [one.alpn for one in hellos] == [(b"h2", b"http/1.1"), (b"http/1.1",)]
            assert all(one.post_quantum and one.server_name == "localhost" for one in hellos)
        heard = Heard()
        switch.hellos.clear()
        await over(await websocket.connect(named, heard), heard)
        own = hello.read(switch.hellos[0]).ja4
        assert len({own, *(one for both in SEEN.values() for one in both)}) == 7
        await end(front)
    assert tuple(SEEN) == PROFILES
