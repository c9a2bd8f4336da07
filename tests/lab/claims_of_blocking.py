"""Documented ways of blocking: a client that must fail as documented, and one that must pass."""

from __future__ import annotations

import asyncio
import time
from random import Random

from claims import claim
from fields import (
    ADDRESSES,
    LISTED,
    OTHER,
    SITE,
    Field,
    PacketField,
    hello,
)

# Blocking of connections.


@claim("open")
async def nothing_is_done_where_nothing_is_wrong(on: Field) -> None:
    on.play("open")
    assert await on.passes(more=300_000)
    assert (await on.meet("elsewhere.test", b"x")).how == "no name"
    assert (await on.meet(LISTED, b"x", port=444)).how in ("no name", "refused")
    assert await on.page()
    async with on.saying(LISTED, 443) as sock:
        for size in (1, 100, 1_200):
            assert await sock.echoed(bytes(size))


@claim("tcp16-20")
async def a_freeze_by_bytes_and_by_packets(on: Field) -> None:
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
    async with on.saying(LISTED, 443) as sock:
        for _ in range(30):
            assert await sock.echoed(bytes(1_200))


@claim("sni-block")
async def a_name_is_reset_or_dropped_and_its_address_rests(on: Field) -> None:
    on.play("sni-block", reset=1, residual=0)
    assert await on.how() == "reset"
    assert await on.passes(OTHER)
    assert (await on.meet(LISTED, hello(OTHER))).how == "passed"
    on.play("sni-block", reset=0, residual=60)
    assert await on.silent()
    assert (await on.meet(LISTED, hello(OTHER), silent=True)).how == "silent"
    assert await on.passes(OTHER)


@claim("ja4-list", "pq-share", "classical-flagged")
async def a_fingerprint_and_the_offer_of_ml_kem(on: Field) -> None:
    on.play("ja4-list")
    assert await on.how() == "reset"
    assert await on.passes(alpn=b"h2")
    on.play("pq-share")
    assert await on.silent()
    assert await on.passes(groups=(29,))
    on.play("classical-flagged")
    assert await on.passes()
    assert await on.silent(groups=(29,))


@claim("ech-block")
async def a_hidden_hello(on: Field) -> None:
    on.play("ech-block")
    hidden = hello("cloudflare-ech.com", ech=True)
    assert (await on.meet(LISTED, hidden, silent=True)).how == "silent"
    assert (await on.meet(LISTED, hello("cloudflare-ech.com"))).how == "passed"
    assert await on.passes(ech=True)


@claim("conn-count", "siberian", slow=True)
async def many_connections_and_parallel_ones(on: Field) -> None:
    on.play("conn-count", connections=3, seconds=60)
    assert [await on.passes() for _ in range(3)] == [True] * 3
    assert await on.silent()
    on.play("conn-count", connections=3, seconds=60)
    assert await on.passes(more=300_000)  # one that is used for all
    on.play("siberian", connections=3, seconds=60)
    together = await asyncio.gather(*(on.how(silent=True) for _ in range(6)))
    assert together.count("silent") >= 3
    assert await on.silent()
    assert await on.passes(OTHER)


@claim("appdata-drop")
async def data_after_the_handshake(on: Field) -> None:
    on.play("appdata-drop")
    assert (await on.meet(LISTED, hello(LISTED), app=1)).how == "passed"
    assert (await on.meet(LISTED, hello(LISTED), app=3, silent=True)).how == "silent"
    assert (await on.meet(OTHER, hello(OTHER), app=3)).how == "passed"


@claim("address-block", "allowlist")
async def places_that_are_listed_and_places_that_are_not(on: Field) -> None:
    on.play("address-block")
    assert await on.lost()
    assert await on.passes(OTHER)
    on.play("allowlist")
    assert await on.silent()
    assert await on.passes(OTHER)
    async with on.saying(LISTED, 443) as sock:
        assert not await sock.echoed(b"?", silent=True)


@claim("dns-remove", "shutdown", "no-internet")
async def names_and_everything(on: Field) -> None:
    on.play("dns-remove")
    assert await on.how() == "no name"
    assert await on.passes(OTHER)
    if isinstance(on, PacketField):  # a resolver over TCP, and an address that is known
        assert await on.lookup_over_tcp(LISTED) == ADDRESSES[LISTED]
        assert await on.reaches(ADDRESSES[LISTED])
    for id in ("shutdown", "no-internet"):
        on.play(id)
        assert await on.lost(OTHER)
        async with on.saying(OTHER, 443) as sock:
            assert not await sock.echoed(b"?", silent=True)
    on.play("open")
    assert await on.passes()


@claim("fully-encrypted", "protocol-filter")
async def what_looks_like_nothing_and_what_is_neither_tls_nor_http(on: Field) -> None:
    noise = Random(1).randbytes(400)
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


@claim("learn-list", "volume-ban", slow=True)
async def learnt_and_banned_addresses(on: Field) -> None:
    on.play("learn-list", seconds=3)
    assert await on.passes()
    await asyncio.sleep(3)
    assert await on.lost()
    assert await on.passes(OTHER)
    on.play("volume-ban", megabytes=0.05)
    assert await on.silent(more=200_000)
    assert await on.lost()
    assert await on.passes(OTHER, more=200_000)


@claim("throttle-sni", "throttle-ip", slow=True)
async def a_policed_name_is_slow_and_others_are_not(on: Field) -> None:
    for id in ("throttle-sni", "throttle-ip"):
        on.play(id, kilobits=140)
        began = time.monotonic()
        assert await on.passes(more=20_000)
        assert time.monotonic() - began > 0.6
        assert await on.passes(OTHER, more=1_000_000)
    on.play("throttle-sni", kilobits=1)
    assert await on.passes(OTHER, more=50_000)
    async with on.saying(LISTED, 443) as sock:  # it asks for no name
        assert await sock.share([bytes(1_000)] * 30) > 0.5


@claim("throttle-drops", kinds=("packets",))
async def packets_of_a_listed_address_are_lost(on: Field) -> None:
    on.play("throttle-drops", loss=0.5)
    async with on.saying(LISTED, 443) as listed, on.saying(OTHER, 443) as other:
        assert 0.05 < await listed.share([bytes(100)] * 200) < 0.5
        assert await other.share([bytes(100)] * 50) > 0.9


@claim("throttle-drops", kinds=("box",))
async def what_is_lost_on_packets_is_slow_on_streams(on: Field) -> None:
    on.play("throttle-drops", loss=0.2)
    began = time.monotonic()
    assert await on.passes(more=10_000)
    assert time.monotonic() - began > 0.6
    assert await on.passes(OTHER, more=500_000)


@claim("voip-streams", slow=True)
async def a_call_over_a_stream_is_known_by_its_rhythm(on: Field) -> None:
    on.play("voip-streams", packets=20, size=250, seconds=1)
    assert await on.rhythm(LISTED, 120, 150, 0.02) < 1
    assert await on.rhythm(LISTED, 120, 6, 0.3) == 1


@claim("tls-in-tls")
async def a_handshake_within_a_connection_is_known_by_its_bursts(on: Field) -> None:
    on.play("tls-in-tls")
    assert not await on.bursts(LISTED, (517, 100, 300), silent=True)
    assert await on.bursts(LISTED, (517, 500, 300))


@claim("active-probe", slow=True)
async def a_server_is_asked_what_it_is(on: Field) -> None:
    on.play("active-probe", seconds=1)
    assert await on.passes()
    assert await on.page()
    await on.until(lambda: len(on.prober.found) == 2)
    await on.how(silent=True)
    await asyncio.sleep(1)
    assert await on.lost()
    assert await on.page()
    assert on.prober.found[SITE, 443] == ""
    assert on.prober.found[LISTED, 443]


# Blocking of datagrams.


@claim("quic-1001", slow=True)
async def large_datagrams_of_quic_to_its_port(on: Field) -> None:
    on.play("quic-1001")
    first, second = (b"\xc0" + version for version in (b"\0\0\0\1", b"\x6b\x33\x43\xcf"))
    async with on.saying(LISTED, 443) as sock:
        assert await sock.echoed(first.ljust(1_000, b"\0"))
        assert await sock.echoed(second.ljust(1_200, b"\0"))
        assert not await sock.echoed(first.ljust(1_001, b"\0"), silent=True)
        assert not await sock.echoed(b"\x40 what follows", silent=True)
    async with on.saying(LISTED, 3478) as sock:
        assert await sock.echoed(first.ljust(1_200, b"\0"))
    assert await on.passes()


@claim("stun-call", slow=True)
async def datagrams_between_ports_that_speak_stun(on: Field) -> None:
    stun = bytes.fromhex("000100002112a442") + bytes(12)
    on.play("stun-call", loss=1, ports=1)
    async with on.saying(LISTED, 3478) as sock:
        assert await sock.echoed(b"something else")
        assert not await sock.echoed(stun, silent=True)
        assert not await sock.echoed(b"sound", silent=True)
    async with on.saying(LISTED, 443) as sock:
        assert await sock.echoed(stun)
        on.play("stun-call", loss=1, ports=0)
        assert not await sock.echoed(stun, silent=True)
    on.play("stun-call", loss=0.5, ports=1)
    async with on.saying(LISTED, 3478) as sock:
        assert 0.02 < await sock.share([stun] + [b"sound"] * 149) < 0.6


@claim("voip-degrade", slow=True)
async def small_datagrams_in_a_rhythm(on: Field) -> None:
    on.play("voip-degrade", packets=12, size=400, seconds=1, loss=1)
    async with on.saying(LISTED, 443) as sock:
        assert await sock.share([bytes(160)] * 100, 0.02) < 0.9
        assert not await sock.echoed(bytes(160), silent=True)
    async with on.saying(LISTED, 443) as sock:
        assert await sock.share([bytes(1_100)] * 60, 0.02) > 0.9
    assert await on.rhythm(LISTED, 120, 60, 0.02) == 1


@claim("dtls-fingerprint", slow=True)
async def hellos_of_dtls(on: Field) -> None:
    on.play("dtls-fingerprint", listed=1)
    async with on.saying(LISTED, 5000) as sock:
        assert not await sock.echoed(dtls((0xC02B, 0xC02F)), silent=True)
        assert not await sock.echoed(dtls((0xC02B, 0xC02F)), silent=True)
        assert await sock.echoed(dtls((0xC02B, 0xCCA9)))
        assert await sock.echoed(b"\x16\xfe\xfd")


def dtls(ciphers: tuple[int, ...], side: int = 1) -> bytes:
    """A hello of DTLS, of a client (1) or a server (2)."""
    listed = b"".join(one.to_bytes(2, "big") for one in ciphers)
    chosen = len(listed).to_bytes(2, "big") + listed if side == 1 else listed[:2]
    body = b"\xfe\xfd" + bytes(32) + b"\0" + (b"\0" if side == 1 else b"") + chosen
    body += (b"\1\0" if side == 1 else b"\0") + b"\0\x04\0\x17\0\0"
    message = bytes((side,)) + len(body).to_bytes(3, "big") + bytes(5)
    message += len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2, "big") + message


@claim("wireguard")
async def what_shakes_hands_as_wireguard_does(on: Field) -> None:
    on.play("wireguard", packets=4)
    async with on.saying(LISTED, 51820) as sock:
        sock.send(b"\x01" + bytes(147))
        assert len(await sock.receive(12)) == 92
        assert [await sock.echoed(b"\x04" + bytes(60)) for _ in range(2)] == [True] * 2
        assert not await sock.echoed(b"\x04" + bytes(60), silent=True)
    async with on.saying(LISTED, 51820) as sock:
        assert [await sock.echoed(b"\x04" + bytes(60)) for _ in range(9)] == [True] * 9


@claim("udp-sweep", "office", slow=True)
async def no_datagrams_but_questions_for_names(on: Field) -> None:
    for id in ("udp-sweep", "office"):
        on.play(id)
        assert await on.passes()
        async with on.saying(LISTED, 443) as sock:
            assert not await sock.echoed(b"?", silent=True)
        allowed = id == "udp-sweep"
        met = await on.meet(LISTED, b"GET ", port=3478, lost=not allowed)
        assert met.how == ("passed" if allowed else "no way")
