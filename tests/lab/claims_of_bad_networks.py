"""Networks that are merely bad: that they are so, and that everything passes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

from claims import claim
from fields import (
    ADDRESSES,
    HOME,
    LISTED,
    OTHER,
    SIX,
    Field,
    PacketField,
)

# Networks that are merely bad.


@claim("lossy-wifi", "lossy-line", "duplicates", "reordering", kinds=("packets",), slow=True)
async def packets_are_lost_doubled_and_late(on: Field) -> None:
    async with on.saying(LISTED, 443) as sock:
        said = [bytes((at,)) * 50 for at in range(200)]
        on.play("lossy-wifi", loss=0.2, burst=4, jitter=0)
        assert 0.2 < await sock.share(said, 0.002) < 0.95
        on.play("lossy-line", loss=0.2)
        assert 0.3 < await sock.share(said, 0.002) < 0.9
        on.play("duplicates", twice=1)
        await sock.quiet()
        assert len(await sock.all(said[:20])) > 40
        on.play("reordering", late=0.3)
        await sock.quiet()
        came = await sock.all(said[:100])
        assert set(came) <= set(said[:100])
        assert came != said[:100]
    for id in ("lossy-wifi", "lossy-line", "reordering"):
        on.play(id)
        assert await on.passes(more=100_000)


@claim("lossy-wifi", "lossy-line", "reordering", kinds=("box",))
async def streams_stall_and_go_on(on: Field) -> None:
    for id in ("lossy-wifi", "lossy-line", "reordering"):
        on.play(id)
        assert await on.passes(more=200_000)


@claim("slow-line", "asymmetric-line", slow=True)
async def a_line_that_is_slow(on: Field) -> None:
    for id in ("slow-line", "asymmetric-line"):
        on.play(id, kilobits=400)
        for name in (LISTED, OTHER):
            began = time.monotonic()
            assert await on.passes(name, more=60_000)
            assert time.monotonic() - began > 1


@claim("satellite", "relay-far", "jittery-line", slow=True)
async def a_line_that_is_long(on: Field) -> None:
    on.play("satellite", seconds=0.3)
    assert await on.round_trip() > 0.55
    assert await on.round_trip(OTHER) > 0.55
    on.play("relay-far", seconds=0.3)
    assert await on.round_trip() > 0.55
    assert min([await on.round_trip(OTHER) for _ in range(5)]) < 0.3
    on.play("jittery-line", jitter=0.2)
    trips = [await on.round_trip() for _ in range(8)]
    assert max(trips) - min(trips) > 0.02


@claim("bufferbloat", kinds=("packets",), slow=True)
async def a_long_queue_that_fills(on: Field) -> None:
    on.play("bufferbloat", megabits=2, queue=1)
    assert min([await on.round_trip() for _ in range(5)]) < 0.5
    filling = asyncio.create_task(on.passes(OTHER, more=300_000))
    trips = [0.0]
    while not filling.done():
        trips.append(await on.round_trip())
    assert max(trips) > 0.15
    assert await filling


@claim("bufferbloat", kinds=("box",), slow=True)
async def a_long_queue_that_is_full(on: Field) -> None:
    on.play("bufferbloat", megabits=4, queue=1)
    assert await on.round_trip() > 0.5
    assert await on.passes(more=50_000)


@claim("train", slow=True)
async def tunnels(on: Field) -> None:
    on.play("train", light=3, dark=2)
    assert await on.passes()  # and the first packet begins it
    await asyncio.sleep(3.3)
    began = time.monotonic()
    assert await on.passes()
    assert time.monotonic() - began > 0.5


@claim("portal")
async def all_is_answered_by_the_portal(on: Field) -> None:
    on.play("portal")
    for name in (LISTED, OTHER):
        reader, writer = await on.connect(name)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read(100)).startswith(b"agree")
        writer.transport.abort()
    async with on.saying(LISTED, 443) as sock:
        assert not await sock.echoed(b"?", silent=True)
    on.play("open")
    assert await on.passes()


@claim("mtu-black-hole", kinds=("packets",))
async def large_packets_vanish(on: Field) -> None:
    on.play("mtu-black-hole", size=1_400)
    assert await on.passes(more=500)
    assert await on.silent(more=20_000)
    async with on.saying(LISTED, 443) as sock:
        assert await sock.echoed(bytes(1_200))
        assert not await sock.echoed(bytes(1_450), silent=True)


@claim("ipv6-broken", kinds=("packets",))
async def one_of_two_protocols_leads_nowhere(on: Field) -> None:
    packets = cast(PacketField, on)
    on.play("open")
    assert await packets.reaches(SIX[LISTED])
    on.play("ipv6-broken")
    assert not await packets.reaches(SIX[LISTED], silent=True)
    assert await packets.reaches(ADDRESSES[LISTED])


@claim("dns-slow")
async def a_slow_resolver(on: Field) -> None:
    on.play("dns-slow", seconds=0.7, loss=0)
    began = time.monotonic()
    assert await on.passes()
    assert time.monotonic() - began > 0.6


@claim("nat-timeout", slow=True)
async def what_is_idle_is_forgotten(on: Field) -> None:
    on.play("nat-timeout", tcp=1, udp=1)
    async with on.standing(LISTED) as says, on.saying(LISTED, 443) as sock:
        assert await says(b"GET ")
        assert await sock.echoed(b"?")
        await asyncio.sleep(1.5)
        assert not await says(b"?", silent=True)
        if on.kind == "packets":  # from another port of the translator
            assert await sock.echoed(b"?")
    assert await on.passes()


@claim("relay-stopped", "relay-dead", "relays-stopped")
async def relays_that_do_not_run(on: Field) -> None:
    for id, how in (("relay-stopped", "refused"), ("relays-stopped", "refused"),
                    ("relay-dead", "no way")):  # fmt: skip
        on.play(id)
        assert await on.how(lost=how == "no way") == how
        assert await on.passes(OTHER)


@claim("relay-slow", slow=True)
async def a_relay_with_a_bad_line(on: Field) -> None:
    on.play("relay-slow", kilobits=200)
    began = time.monotonic()
    assert await on.passes(more=30_000)
    assert time.monotonic() - began > 0.8
    assert await on.passes(OTHER, more=500_000)


@claim("clock-ahead", "clock-behind", kinds=("packets",))
async def a_clock_that_is_wrong(on: Field) -> None:
    host = cast(PacketField, on).lab[HOME]
    for id, days in (("clock-ahead", 40), ("clock-behind", -40)):
        on.play(id, days=abs(days))
        said = await asyncio.to_thread(host.run, ["date", "+%s"])
        assert abs(int(said.stdout) - time.time() - days * 86_400) < 60
        assert await on.passes()
        on.play("open")
        said = await asyncio.to_thread(host.run, ["date", "+%s"])
        assert abs(int(said.stdout) - time.time()) < 60


@claim("clock-ahead", "clock-behind", kinds=("box",))
async def a_clock_that_whoever_starts_programs_sets(on: Field) -> None:
    assert on.play("clock-ahead", days=2).clock == 2 * 86_400
    assert on.play("clock-behind", days=2).clock == -2 * 86_400
    assert await on.passes()


@claim("moves", "new-network", "handover", slow=True)
async def what_stood_is_gone_and_what_is_new_passes(on: Field) -> None:
    for id in ("moves", "new-network", "handover"):
        on.play("open")
        async with on.standing(LISTED) as says:
            assert await says(b"GET ")
            on.play(id, seconds=0.4)
            await asyncio.sleep(0.9 if id != "handover" else 4)
            assert not await says(b"?", silent=True)
        on.play("open")
        assert await on.passes()
    if isinstance(on, PacketField):
        assert on.lab[HOME].address != ADDRESSES[HOME]


@claim("sleep", kinds=("packets",), slow=True)
async def a_device_that_sleeps(on: Field) -> None:
    host = cast(PacketField, on).lab[HOME]
    program = host.start(["sleep", "100"])
    state = Path(f"/proc/{program.pid}/stat")

    def stands() -> bool:
        return state.read_text().rsplit(")", 1)[1].split()[0] == "T"

    assert not stands()
    on.play("sleep", awake=0.1, asleep=100)
    await on.until(stands)
    assert await on.lost()
    on.play("open")
    assert not stands()
    assert await on.passes()


@claim("sleep", kinds=("box",))
async def a_device_that_has_no_network_while_it_sleeps(on: Field) -> None:
    on.play("sleep", awake=0.1, asleep=100)
    await asyncio.sleep(0.3)
    assert await on.lost()
    on.play("open")
    assert await on.passes()
