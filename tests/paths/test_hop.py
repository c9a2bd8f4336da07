"""The path through another relay: a real relay between, loopback only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from echoing import EchoRelay, Heard, serve

from holdfast.core import wire
from holdfast.core.caps import Home
from holdfast.core.log.limits import Limits
from holdfast.paths import hop, websocket
from holdfast.paths.base import Unreachable
from holdfast.relay import onward
from holdfast.relay.limits import RelayLimits
from holdfast.relay.program import run

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


@asynccontextmanager
async def between(data: Path, limits: RelayLimits | None = None) -> AsyncIterator[Home]:
    """The relay that passes on."""
    stop = asyncio.Event()
    said: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(
        run(data, ("127.0.0.1", 0), say=said.put_nowait, stop=stop, limits=limits)
    )
    try:
        yield Home.parse(await said.get())
    finally:
        stop.set()
        await task


async def test_frames_of_all_sizes_go_both_ways_and_the_one_between_reads_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    passed = onward.Tunnel.on_frame

    def look(self: onward.Tunnel, data: bytes) -> None:
        seen.append(data)
        passed(self, data)

    monkeypatch.setattr(onward.Tunnel, "on_frame", look)
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, relay := EchoRelay(KEY))
        heard = Heard()
        channel = await hop.connect(home, heard, partial(websocket.connect, first))
        for size in (1, 125, 65_536, wire.MAX_FRAME):
            frame = b"the log's name " * (size // 15 + 1)
            channel.send(frame[:size])
            assert await heard.frames.get() == frame[:size]
        assert seen
        assert b"the log's name" not in b"".join(seen)
        channel.close("enough")
        assert await heard.closed == "enough"
        for _ in range(100):
            if relay.reasons:
                break
            await asyncio.sleep(0.01)
        assert relay.reasons
        await front.close()


async def test_many_frames_that_come_at_once_stay_what_they_are(tmp_path: Path) -> None:
    # Both connections decrypt on one thread, the inner one while the outer one hands on.
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await hop.connect(home, heard, partial(websocket.connect, first))
        frames = [os.urandom(7_000 + number) for number in range(120)]
        for frame in frames:
            channel.send(frame)
        async with asyncio.timeout(60):
            assert [await heard.frames.get() for _ in frames] == frames
        channel.close()
        await front.close()


async def test_much_goes_through_in_bounded_memory_and_everyone_is_told_when_it_drained(
    tmp_path: Path,
) -> None:
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await hop.connect(home, heard, partial(websocket.connect, first))
        frames = [os.urandom(200_000) for _ in range(40)]
        for frame in frames:
            channel.send(frame)
        assert channel.buffered > 256 * 1024
        for frame in frames:
            assert await heard.frames.get() == frame
        await heard.drained.wait()
        channel.close()
        await front.close()


async def test_a_slow_allowance_slows_and_breaks_nothing(tmp_path: Path) -> None:
    slow = RelayLimits(connection=Limits(bytes_per_second=200_000, burst_seconds=1))
    async with between(tmp_path / "first", slow) as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await hop.connect(home, heard, partial(websocket.connect, first))
        frame = os.urandom(250_000)
        channel.send(frame)
        channel.send(frame)
        assert [await heard.frames.get(), await heard.frames.get()] == [frame, frame]
        channel.close()
        await front.close()


async def test_only_a_relay_that_proves_itself_is_passed_on_to(tmp_path: Path) -> None:
    async with between(tmp_path / "first") as first:
        to_first = partial(websocket.connect, first)
        front, home = await serve(tmp_path, EchoRelay(KEY))
        stranger = Home(home.host, home.port, home.path_secret, bytes(32))
        with pytest.raises(Unreachable) as caught:
            await hop.connect(stranger, Heard(), to_first)
        assert caught.value.kind == "pin"
        website = Home(home.host, home.port, bytes(16), home.pin)
        with pytest.raises(Unreachable) as caught:
            await hop.connect(website, Heard(), to_first)
        assert caught.value.kind == "upgrade"
        await front.close()
        with pytest.raises(Unreachable) as caught:
            await hop.connect(home, Heard(), to_first)
        assert caught.value.kind == "refused"


async def test_the_one_between_cannot_pass_itself_off_as_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever it takes the node to is checked by the pin of the address that was asked for."""
    async with between(tmp_path / "first") as first:
        impostor = EchoRelay(KEY, proof_for=bytes(32))
        front, home = await serve(tmp_path, impostor)

        async def anyone(self: onward.Checked, home: Home, *, inside: bool) -> str:
            return "127.0.0.1"

        monkeypatch.setattr(onward.Checked, "_find", anyone)
        with pytest.raises(Unreachable) as caught:
            await hop.connect(home, Heard(), partial(websocket.connect, first))
        assert caught.value.kind == "pin"
        await front.close()


async def test_when_the_one_between_goes_the_channel_ends(tmp_path: Path) -> None:
    heard = Heard()
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        await hop.connect(home, heard, partial(websocket.connect, first))
    assert await heard.closed
    await front.close()


async def test_what_the_one_between_takes_is_no_sign_of_life_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(websocket, "ANSWER_SECONDS", 0.3)
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await hop.connect(home, heard, partial(websocket.connect, first))
        monkeypatch.setattr(onward.Tunnel, "data_received", lambda self, data: None)
        async with asyncio.timeout(60):
            while not heard.closed.done():
                channel.send(b"said to nobody")
                await asyncio.sleep(0.05)
        assert await heard.closed == websocket.STALLED
        await front.close()


@pytest.mark.parametrize(
    ("address", "inside", "may"),
    [
        ("127.0.0.1", False, False),
        ("127.0.0.1", True, True),
        ("10.1.2.3", False, False),
        ("::1", False, False),
        ("169.254.169.254", False, False),
        ("9.9.9.9", False, True),
        ("not an address", True, False),
    ],
)
def test_nobody_from_outside_is_taken_inside(address: str, inside: bool, may: bool) -> None:
    assert onward.allowed(address, inside=inside) is may


async def test_a_first_frame_that_is_no_relays_address_is_refused_in_words(tmp_path: Path) -> None:
    async with between(tmp_path / "first") as first:
        heard = Heard()
        channel = await websocket.connect(first, heard)
        channel.send(wire.encode(wire.Onward("example.org:443")))
        said = wire.decode_relay(await heard.frames.get())
        assert isinstance(said, wire.Bye)
        assert "looks like host:port" in said.text
        await heard.closed


@pytest.mark.parametrize("frame", [wire.Carry(b"x"), wire.Hello(wire.VERSION)])
async def test_what_is_out_of_turn_ends_the_connection(
    tmp_path: Path, frame: wire.ClientFrame
) -> None:
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await websocket.connect(first, heard)
        channel.send(wire.encode(wire.Onward(str(home))))
        channel.send(wire.encode(frame))
        said = wire.decode_relay(await heard.frames.get())
        assert isinstance(said, wire.Bye)
        assert said.code == "malformed"
        await heard.closed
        await front.close()


async def test_more_than_the_window_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CARRIED_WINDOW", 1_000)
    async with between(tmp_path / "first") as first:
        front, home = await serve(tmp_path, EchoRelay(KEY))
        heard = Heard()
        channel = await websocket.connect(first, heard)
        channel.send(wire.encode(wire.Onward(str(home))))
        assert wire.decode_relay(await heard.frames.get()) == wire.Took(0)
        channel.send(wire.encode(wire.Carry(bytes(1_001))))
        said = wire.decode_relay(await heard.frames.get())
        assert isinstance(said, wire.Bye)
        assert said.code == "rate"
        await heard.closed
        await front.close()


def test_only_the_beginning_is_padded() -> None:
    padding = hop.Padding()
    assert [len(padding.of(size)) for size in (1, 517, 512, 5_000)] == [511, 507, 0, 0]
    while padding.of(300):
        pass
    assert not padding.of(87), "a call's frames cost what they are"
