"""Both labs against their claims: for each scenario a plain client that must fail in the documented
way, and one that must pass."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from fields import LISTED, OTHER, field, hello

BOTH = pytest.mark.parametrize("kind", ["box", "packets"])


@BOTH
async def test_nothing_is_done_where_nothing_is_wrong(kind: str) -> None:
    async with field(kind) as on:
        on.play("open")
        assert await on.passes(more=300_000)
        assert (await on.meet("elsewhere.test", b"x")).how == "no name"
        assert (await on.meet(LISTED, b"x", port=444)).how in ("no name", "refused")
        sock = await on.datagrams(LISTED, 443)
        assert await on_all(sock.echoed(bytes(size)) for size in (1, 100, 1_200))
        sock.close()


async def on_all(waits) -> bool:
    return all([await one for one in waits])


@BOTH
async def test_a_freeze_by_bytes_and_by_packets(kind: str) -> None:
    async with field(kind) as on:
        on.play("tcp16-20", kilobytes=15, packets=1_000)
        assert await on.passes(more=6_000)
        met = await on.meet(LISTED, hello(LISTED), 60_000, silent=True)
        assert met.how == "silent"
        assert met.came < 15_000
        on.play("tcp16-20", kilobytes=1_000, packets=14)
        assert await on.passes(more=4 * 1_400)
        assert await on.silent(more=40 * 1_400)
        on.play("tcp16-20", kilobytes=15, share=0)
        assert await on.passes(more=60_000)
        on.play("tcp16-20", kilobytes=15, packets=1)
        sock = await on.datagrams(LISTED, 443)
        for _ in range(30):
            assert await sock.echoed(bytes(1_200))
        sock.close()


@BOTH
async def test_a_name_is_reset_or_dropped_and_its_address_rests(kind: str) -> None:
    async with field(kind) as on:
        on.play("sni-block", reset=1, residual=0)
        assert await on.how() == "reset"
        assert await on.passes(OTHER)
        assert (await on.meet(LISTED, hello(OTHER))).how == "passed"
        on.play("sni-block", reset=0, residual=60)
        assert await on.silent()
        assert (await on.meet(LISTED, hello(OTHER), silent=True)).how == "silent"
        assert await on.passes(OTHER)


@BOTH
async def test_a_fingerprint_the_offer_of_ml_kem_and_a_hidden_hello(kind: str) -> None:
    async with field(kind) as on:
        on.play("ja4-list")
        assert await on.how() == "reset"
        assert await on.passes(alpn=b"h2")
        on.play("pq-share")
        assert await on.silent()
        assert await on.passes(groups=(29,))
        on.play("classical-flagged")
        assert await on.passes()
        assert await on.silent(groups=(29,))
        on.play("ech-block")
        hidden = hello("cloudflare-ech.com", ech=True)
        assert (await on.meet(LISTED, hidden, silent=True)).how == "silent"
        assert (await on.meet(LISTED, hello("cloudflare-ech.com"))).how == "passed"
        assert await on.passes(ech=True)


@BOTH
async def test_many_connections_and_parallel_ones(kind: str) -> None:
    async with field(kind) as on:
        on.play("conn-count", connections=3, seconds=60)
        assert [await on.passes() for _ in range(3)] == [True] * 3
        assert await on.silent()
        on.play("conn-count", connections=3, seconds=60)
        assert await on.passes(more=300_000)  # one that is used for all
        on.play("siberian", connections=3, seconds=60)
        assert [await on.passes() for _ in range(3)] == [True] * 3
        assert await on.silent()
        assert await on.passes(OTHER)


@BOTH
async def test_data_after_the_handshake(kind: str) -> None:
    async with field(kind) as on:
        on.play("appdata-drop")
        assert (await on.meet(LISTED, hello(LISTED), app=1)).how == "passed"
        assert (await on.meet(LISTED, hello(LISTED), app=3, silent=True)).how == "silent"
        assert (await on.meet(OTHER, hello(OTHER), app=3)).how == "passed"


@BOTH
async def test_places_names_and_everything(kind: str) -> None:
    async with field(kind) as on:
        on.play("address-block")
        assert await on.how(silent=True) == "no way"
        assert await on.passes(OTHER)
        on.play("allowlist")
        assert await on.silent()
        assert await on.passes(OTHER)
        sock = await on.datagrams(LISTED, 443)
        assert not await sock.echoed(b"?", silent=True)
        sock.close()
        on.play("dns-remove")
        assert await on.how() == "no name"
        assert await on.passes(OTHER)
        on.play("shutdown")
        assert await on.how(OTHER, silent=True) == "no way"


@BOTH
async def test_what_looks_like_nothing_and_what_is_neither_tls_nor_http(kind: str) -> None:
    noise = Random(1).randbytes(400)
    async with field(kind) as on:
        on.play("fully-encrypted", share=1)
        assert (await on.meet(OTHER, hello(OTHER))).how == "passed"
        assert (await on.meet(LISTED, noise, silent=True)).how == "silent"
        assert await on.silent()  # the address rests
        on.play("fully-encrypted", share=0)
        assert (await on.meet(LISTED, noise)).how == "passed"
        on.play("protocol-filter")
        assert (await on.meet(OTHER, b"GET / HTTP/1.1\r\n\r\n")).how == "passed"
        assert (await on.meet(LISTED, b"SSH-2.0-x\r\n", silent=True)).how == "silent"
        assert await on.silent()
        assert await on.passes(OTHER)


@BOTH
async def test_learnt_and_banned_addresses(kind: str) -> None:
    async with field(kind) as on:
        on.play("learn-list", seconds=3)
        assert await on.passes()
        await asyncio.sleep(3)
        assert await on.how(silent=True) == "no way"
        assert await on.passes(OTHER)
        on.play("volume-ban", megabytes=0.05)
        assert await on.silent(more=200_000)
        assert await on.how(silent=True) == "no way"
        assert await on.passes(OTHER, more=200_000)


@BOTH
async def test_a_policed_name_is_slow_and_others_are_not(kind: str) -> None:
    async with field(kind) as on:
        for id in ("throttle-sni", "throttle-ip"):
            on.play(id, kilobits=140)
            began = asyncio.get_running_loop().time()
            assert await on.passes(more=20_000)
            assert asyncio.get_running_loop().time() - began > 0.6
            assert await on.passes(OTHER, more=1_000_000)
