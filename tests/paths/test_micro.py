"""Small exchanges against a real front on loopback, freely and through a censor."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from echoing import EchoRelay, Heard, serve
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.caps import Home
from holdfast.lab import scenarios
from holdfast.lab.box import Box
from holdfast.lab.scenarios import World
from holdfast.paths import micro, websocket
from holdfast.paths.base import Unreachable
from holdfast.paths.exchange import (
    MAX_PIECE,
    MAX_WAIT,
    Ask,
    BadExchange,
    Incoming,
    Outgoing,
    Tell,
)
from holdfast.paths.pacing import A_MINUTE, Rate


@given(st.lists(st.binary(max_size=400), max_size=20), st.randoms(use_true_random=False))
def test_frames_arrive_whole_whatever_is_lost_or_doubled(frames: list[bytes], dice) -> None:
    out, come = Outgoing(), Incoming()
    for frame in frames:
        out.add(frame)
    got: list[bytes] = []
    for _ in range(10_000):
        if come.have == out.end:
            break
        start = dice.choice([out.base, come.have])
        piece = out.take(start, dice.randint(1, 300))
        if dice.random() < 0.7:
            got += come.feed(start, piece)
        if dice.random() < 0.5:
            out.arrived(come.have)
    assert got == frames


@given(st.binary(max_size=100))
def test_anything_is_read_or_refused(data: bytes) -> None:
    for kind in (Ask, Tell):
        try:
            found = kind.decode(data)
        except BadExchange:
            continue
        assert found.encode() == data


def test_too_much_is_refused() -> None:
    for ask in (
        Ask(bytes(16), 0, 0, MAX_PIECE + 1, 0, b""),
        Ask(bytes(16), 0, 0, 0, MAX_WAIT + 1, b""),
        Ask(bytes(16), 0, 0, 0, 0, bytes(MAX_PIECE + 1)),
    ):
        with pytest.raises(BadExchange):
            Ask.decode(ask.encode())
    with pytest.raises(BadExchange):
        Incoming().feed(0, b"\xff\xff\xff\xff")
    with pytest.raises(BadExchange):
        Outgoing().arrived(1)


@given(st.lists(st.floats(0, 30), max_size=100))
def test_there_are_never_more_connections_than_a_network_bears(pauses: list[float]) -> None:
    rate, now, made = Rate(), 0.0, []
    for pause in pauses:
        now += pause
        now += rate.wait(now)
        rate.made(now)
        made.append(now)
    for first in made:
        assert sum(first <= one < first + 60 for one in made) <= A_MINUTE


async def talk(home: Home, size: int, proxy: str | None = None) -> None:
    """Frames there and back."""
    heard = Heard()
    channel = await micro.connect(home, heard, proxy=proxy)
    frames = [os.urandom(one) for one in (1, 0, 300, size)]
    for frame in frames:
        channel.send(frame)
    async with asyncio.timeout(90):
        assert [await heard.frames.get() for _ in frames] == frames
    channel.close("enough")
    assert await heard.closed == "enough"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is a new minute."""
    monkeypatch.setattr(micro, "_rates", {})


async def test_frames_there_and_back(tmp_path: Path) -> None:
    front, home = await serve(tmp_path, EchoRelay(Ed25519PrivateKey.generate()))
    await talk(home, 9_000)
    await front.close()


async def test_it_passes_where_a_connection_freezes(tmp_path: Path) -> None:
    relay = EchoRelay(Ed25519PrivateKey.generate())
    front, home = await serve(tmp_path, relay)
    named = Home("relay.test", 443, home.path_secret, home.pin)
    async with Box({("relay.test", 443): ("127.0.0.1", home.port)}) as box:
        box.rules = scenarios.find("tcp16-20").at(World(("relay.test",)), kilobytes=15, packets=12)
        heard = Heard()
        channel = await websocket.connect(named, heard, proxy=box.url)
        for _ in range(10):
            channel.send(bytes(4_000))
        await asyncio.sleep(0.5)
        assert heard.frames.qsize() < 5  # an ordinary connection freezes
        channel.close()
        await talk(named, 9_000, box.url)
        assert max(flow.sent + flow.received for flow in box.flows[1:]) < 15_000
        assert max(flow.packets for flow in box.flows[1:]) <= 12
    await front.close()


async def test_who_answers_in_its_place_is_found_out_before_anything_is_said(
    tmp_path: Path,
) -> None:
    front, home = await serve(tmp_path, EchoRelay(Ed25519PrivateKey.generate()))
    other = Home(home.host, home.port, home.path_secret, bytes(32))
    with pytest.raises(Unreachable) as found:
        await micro.connect(other, Heard())
    assert found.value.kind == "pin"
    stranger = Home(home.host, home.port, bytes(16), home.pin)
    with pytest.raises(Unreachable) as found:
        await micro.connect(stranger, Heard())
    assert found.value.kind == "upgrade"
    await front.close()
    with pytest.raises(Unreachable) as found:
        await micro.connect(home, Heard())
    assert found.value.kind == "refused"
