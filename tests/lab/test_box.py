"""The box against its claims: for each scenario, who must fail, how, and who must pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

import pytest
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy

from holdfast.lab import rules, scenarios
from holdfast.lab.box import Box
from holdfast.lab.rules import Act
from holdfast.lab.scenarios import ALL, World

LISTED, OTHER = "listed.test", "other.test"
WORLD = World((LISTED,), (OTHER,))
SILENT = 0.6
"""Seconds after which a connection over loopback counts as silent."""


def hello(name: str, groups: tuple[int, ...] = (4588, 29), alpn: bytes = b"http/1.1") -> bytes:
    """A ClientHello."""

    def vector(size: int, data: bytes) -> bytes:
        return len(data).to_bytes(size, "big") + data

    def extension(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(2, "big") + vector(2, data)

    listed = b"".join(one.to_bytes(2, "big") for one in groups)
    extensions = (
        extension(0, vector(2, b"\0" + vector(2, name.encode())))
        + extension(10, vector(2, listed))
        + extension(16, vector(2, vector(1, alpn)))
        + extension(43, vector(1, b"\x03\x04"))
    )
    body = b"\x03\x03" + bytes(32) + b"\0" + vector(2, b"\x13\x01") + b"\x01\0"
    message = b"\x01" + vector(3, body + vector(2, extensions))
    return b"\x16\x03\x01" + vector(2, message)


@dataclass
class Met:
    """What became of a connection: bytes that came back, and how it ended."""

    came: int
    how: str


async def meet(
    box: Box, host: str, first: bytes, more: int = 0, pieces: int = 1_400, app: int = 0
) -> Met:
    """Connect, say the first bytes and `more` others, and read them back from an echo. `app`:
    then so many records of application data."""
    try:
        async with asyncio.timeout(SILENT):
            sock = await Proxy.from_url(box.url.replace("5h", "5"), rdns=True).connect(host, 443)
    except TimeoutError:
        return Met(0, "no way")
    except ProxyError as error:
        return Met(0, {4: "no name", 5: "refused"}.get(error.error_code or 0, "?"))
    reader, writer = await asyncio.open_connection(sock=sock)
    came, wanted = 0, len(first) + more + 9 * app
    try:
        writer.write(first)
        for _ in range(app):
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"\x17\x03\x03\x00\x04data")
        for at in range(0, more, pieces):
            writer.write(bytes(min(pieces, more - at)))
        while came < wanted:
            async with asyncio.timeout(SILENT):
                data = await reader.read(65_536)
            if not data:
                return Met(came, "ended")
            came += len(data)
    except TimeoutError:
        return Met(came, "silent")
    except ConnectionError:
        return Met(came, "reset")
    finally:
        writer.transport.abort()
    return Met(came, "passed")


@contextlib.asynccontextmanager
async def boxed(*all: rules.Rule) -> AsyncIterator[Box]:
    """A box before an echo that answers to both names."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    place = ("127.0.0.1", server.sockets[0].getsockname()[1])
    async with Box({(LISTED, 443): place, (OTHER, 443): place}) as box:
        box.rules = list(all)
        yield box
    server.close()


def play(id: str, **changed: float) -> list[rules.Rule]:
    return scenarios.find(id).at(WORLD, 1, **changed)


async def how(box: Box, name: str = LISTED, more: int = 100, **given) -> str:
    return (await meet(box, name, hello(name, **given), more)).how


async def test_nothing_is_done_where_nothing_is_wrong() -> None:
    async with boxed(*play("open")) as box:
        assert await how(box, more=300_000) == "passed"
        assert (await meet(box, "elsewhere.test", b"x")).how == "no name"


async def test_a_freeze_by_bytes_and_by_packets() -> None:
    async with boxed(*play("tcp16-20", kilobytes=15, packets=1_000)) as box:
        assert await how(box, more=6_000) == "passed"
        met = await meet(box, LISTED, hello(LISTED), 60_000)
        assert met.how == "silent"
        assert met.came < 15_000
        box.rules = play("tcp16-20", kilobytes=1_000, packets=12)
        assert await how(box, more=5 * 1_400) == "passed"
        assert await how(box, more=20 * 1_400) == "silent"
        box.rules = play("tcp16-20", kilobytes=15, share=0)
        assert await how(box, more=60_000) == "passed"


async def test_a_name_is_reset_or_dropped_and_its_address_rests() -> None:
    async with boxed(*play("sni-block", reset=1, residual=0)) as box:
        assert await how(box) == "reset"
        assert await how(box, OTHER) == "passed"
        assert (await meet(box, LISTED, hello(OTHER))).how == "passed"
        box.rules = play("sni-block", reset=0, residual=60)
        assert await how(box) == "silent"
        assert (await meet(box, LISTED, hello(OTHER))).how == "silent"


async def test_a_fingerprint_and_the_offer_of_ml_kem() -> None:
    async with boxed(*play("ja4-list")) as box:
        assert await how(box) == "reset"
        assert await how(box, alpn=b"h2") == "passed"
        box.rules = play("pq-share")
        assert await how(box) == "silent"
        assert await how(box, groups=(29,)) == "passed"
        box.rules = play("classical-flagged")
        assert await how(box) == "passed"
        assert await how(box, groups=(29,)) == "silent"


async def test_many_connections_and_parallel_ones() -> None:
    async with boxed(*play("conn-count", connections=3, seconds=60)) as box:
        assert [await how(box) for _ in range(5)] == ["passed"] * 3 + ["silent"] * 2
        box.rules = play("siberian", connections=3, seconds=60)
        assert [await how(box) for _ in range(4)] == ["passed"] * 3 + ["silent"]
        assert await how(box, OTHER) == "passed"


async def test_data_after_the_handshake() -> None:
    async with boxed(*play("appdata-drop")) as box:
        assert (await meet(box, LISTED, hello(LISTED), app=1)).how == "passed"
        assert (await meet(box, LISTED, hello(LISTED), app=3)).how == "silent"


async def test_places_names_and_everything() -> None:
    async with boxed(*play("address-block")) as box:
        assert await how(box) == "no way"
        assert await how(box, OTHER) == "passed"
        box.rules = play("allowlist")
        assert await how(box) == "silent"
        assert await how(box, OTHER) == "passed"
        box.rules = play("dns-remove")
        assert await how(box) == "no name"
        assert await how(box, OTHER) == "passed"
        box.rules = play("shutdown")
        assert await how(box, OTHER) == "no way"


async def test_what_looks_like_nothing_and_what_is_neither_tls_nor_http() -> None:
    noise = Random(1).randbytes(400)
    async with boxed(*play("fully-encrypted", share=1)) as box:
        assert (await meet(box, OTHER, hello(OTHER))).how == "passed"
        assert (await meet(box, LISTED, noise)).how == "silent"
        assert await how(box) == "silent"  # the address rests
        box.rules = play("protocol-filter")
        assert (await meet(box, OTHER, b"GET / HTTP/1.1\r\n\r\n")).how == "passed"
        assert (await meet(box, LISTED, b"SSH-2.0-x\r\n")).how == "silent"


async def test_learnt_and_banned_addresses() -> None:
    async with boxed(*play("learn-list", seconds=0.3)) as box:
        assert await how(box) == "passed"
        await asyncio.sleep(0.4)
        assert await how(box) == "no way"
        assert await how(box, OTHER) == "passed"
        box.rules = play("volume-ban", megabytes=0.05)
        assert await how(box, more=200_000) == "silent"
        assert await how(box) == "no way"
        assert await how(box, OTHER, more=200_000) == "passed"


def test_a_call_is_known_by_its_rhythm() -> None:
    (rule,) = play("voip-degrade", packets=40, size=250, seconds=2)
    call, page, typing = (rules.Flow(LISTED, 443, 0) for _ in range(3))
    acts = {
        "call": [rule.passes(call, 120, at / 50) for at in range(200)],
        "page": [rule.passes(page, 1_400, at / 50) for at in range(200)],
        "typing": [rule.passes(typing, 120, at / 2) for at in range(20)],
    }
    assert acts["call"][-1] is Act.DROP
    assert acts["call"][50] is Act.PASS
    assert set(acts["page"]) == set(acts["typing"]) == {Act.PASS}


def test_a_policed_line_and_a_bad_one_are_slow_but_pass() -> None:
    slow = play("throttle-sni", kilobits=140)[0]
    flow = rules.Flow(LISTED, 443, 0)
    assert slow.rate(flow) == 140_000
    assert slow.rate(rules.Flow(OTHER, 443, 0)) == 0
    for id in ("lossy-wifi", "bufferbloat"):
        (rough,) = play(id)
        assert rough.rate(flow) > 1_000_000
        assert 0 < rough.delay(flow, 0) < 2
        assert rough.opens(flow, 0) is rough.begins(flow, 0) is Act.PASS


@pytest.mark.parametrize("id", ALL)
def test_every_scenario_says_what_it_is_and_draws_from_its_ranges(id: str) -> None:
    one = scenarios.find(id)
    assert one.says.endswith(".")
    assert one.source or one.benign
    drawn = one.draw(Random(7))
    assert set(drawn) == set(one.usual)
    for name, value in drawn.items():
        low, high = one.ranges[name]
        assert low <= value <= high
    assert one.draw(Random(7)) == drawn
    one.at(WORLD, 1, **drawn)
    with pytest.raises(ValueError, match="no parameter"):
        one.at(WORLD, 1, nonsense=1)
