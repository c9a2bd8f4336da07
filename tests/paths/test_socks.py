"""Datagrams through a SOCKS5 proxy: that of the lab, and some that are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from echoing import EchoRelay, Heard, serve
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.caps import Home
from holdfast.lab import associate
from holdfast.lab.box import Box
from holdfast.lab.datagrams import Sweep
from holdfast.paths import quic, socks
from holdfast.paths.base import Unreachable

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
NOWHERE = Home("relay.test", 443, bytes(16), bytes(32))


async def test_by_name_through_a_proxy_and_never_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, home = await serve(tmp_path, EchoRelay(KEY))
    named = replace(home, host="relay.test", port=443)

    async def looked_up(home: Home) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(quic, "_places", looked_up)
    async with Box({("relay.test", 443): (home.host, home.port)}) as box:
        heard = Heard()
        channel = await quic.connect(named, heard, proxy=box.url)
        channel.send(b"x" * 100_000)
        assert await heard.frames.get() == b"x" * 100_000
        assert {(flow.kind, flow.host) for flow in box.flows} == {("udp", "relay.test")}
        channel.move()  # type: ignore[attr-defined]
        channel.send(b"from elsewhere")
        assert await heard.frames.get() == b"from elsewhere"
        box.cut()  # the proxy's own connection, too
        monkeypatch.setattr(quic, "ASK_SECONDS", 0.0)
        monkeypatch.setattr(quic, "patience", lambda unsent: 0.2)
        channel.send(b"nowhere")
        assert await heard.closed
        monkeypatch.setattr(quic, "HANDSHAKE_SECONDS", 0.2)
        box.rules = [Sweep()]
        with pytest.raises(Unreachable) as caught:
            await quic.connect(named, Heard(), proxy=box.url)
        assert caught.value.kind == "connect"
    await front.close()


@asynccontextmanager
async def proxy(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that says these, whatever it hears."""
    said: list[bytes] = []

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            said.append(await reader.read(1024))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(joined, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", said
    server.close()


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((b"\x05\x00", b"\x05\x07\x00\x01" + bytes(6)), "streams alone"),
        ((b"\x05\xff",), "name and password"),
        ((b"\x05\x02", b"\x01\x01"), "name and password"),
        ((b"HTTP/1.1 400",), "as it should"),
        ((b"\x05\x00", b"\x05\x00\x00\x03\x04home"), "as it should"),
        ((b"\x05",), "as it should"),
    ],
)
async def test_a_proxy_that_will_not_says_why(answers: tuple[bytes, ...], says: str) -> None:
    async with proxy(*answers) as (where, _):
        with pytest.raises(Unreachable, match=says) as caught:
            await quic.connect(NOWHERE, Heard(), proxy=f"socks5h://me:a%20word@{where}")
    assert caught.value.kind == "proxy"


async def test_a_name_and_a_password_are_said_to_who_asks() -> None:
    async with proxy(b"\x05\x02", b"\x01\x00", b"\x05\x07\x00\x01" + bytes(6)) as (where, said):
        with pytest.raises(Unreachable):
            await quic.connect(NOWHERE, Heard(), proxy=f"socks5h://me:a%20word@{where}")
    assert said == [b"\x05\x02\x00\x02", b"\x01\x02me\x06a word", b"\x05\x03\x00\x01" + bytes(6)]


@given(st.sampled_from(["relay.test", "192.0.2.7", "2001:db8::7"]), st.binary(max_size=1_300))
def test_what_is_written_is_read(host: str, data: bytes) -> None:
    whole = bytes(3) + socks.named(host, 443) + data
    assert whole[socks.head(whole) :] == data
    assert associate.unwrap(whole) == ((host, 443), data)


@given(st.binary(max_size=64))
def test_garbage_is_no_head_or_one_that_is_there(data: bytes) -> None:
    assert 0 <= socks.head(data) <= len(data)
    assert socks.head(data) == 0 or data[:3] == bytes(3)
