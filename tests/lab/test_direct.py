"""Calls without relays, between programs on hosts of their own: on one local network without any
internet, and through NATs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from holdfast.lab.door import door
from holdfast.lab.hosts import Lab, Place
from holdfast.lab.nat import Kind
from holdfast.lab.packet_rules import DROPPED, Decision, PacketRule
from holdfast.lab.packets import Packet
from holdfast.lab.peers.holdfast import Person
from holdfast.node.client import Client
from holdfast.testing.processes import Processes

T = TypeVar("T")
RELAY = Place("relay.test", "203.0.113.10")
PATIENCE = 40


class Gone(PacketRule):
    """Nobody reaches the relay."""

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        relay = bytes((203, 0, 113, 10))
        return DROPPED if relay in (packet.source, packet.target) else Decision()


async def until(ask: Callable[[], Awaitable[T]], right: Callable[[T], bool]) -> T:
    answer = await ask()
    try:
        async with asyncio.timeout(PATIENCE):
            while not right(answer):
                await asyncio.sleep(0.05)
                answer = await ask()
    except TimeoutError:
        raise AssertionError(f"still {answer}") from None
    return answer


@contextlib.asynccontextmanager
async def two(
    directory: Path, places: Sequence[Place]
) -> AsyncIterator[tuple[Lab, Client, Client]]:
    """Anna and Boris on hosts of their own, contacts through a relay elsewhere."""
    with Lab([RELAY, *places], resolver=RELAY.address) as lab, Processes(directory) as run:
        relay = await asyncio.to_thread(
            run.relay, "relay", "relay.test:443", "", f"{RELAY.address}:443",
            lab[RELAY.name].command([]),
        )  # fmt: skip
        async with contextlib.AsyncExitStack() as stack:
            people = []
            for name, place in zip(("Anna", "Boris"), places, strict=True):
                port = await stack.enter_async_context(door(lab[place.name]))
                program = await asyncio.to_thread(
                    run.node, name, relay.address, port=port, enter=lab[place.name].command([])
                )
                person = Person(program, port)
                await person.open()
                stack.push_async_callback(person.close)
                people.append(person.client)
            anna, boris = people
            made = await anna.node.create_invitation()
            made = (await until(anna.node.invitations, lambda all: all[0].state == "open"))[0]
            await boris.node.accept_invitation(made.link)
            for one in (anna, boris):
                await until(one.node.contacts, lambda all: bool(all) and all[0].state == "active")
            yield lab, anna, boris


async def talk(anna: Client, boris: Client) -> str:
    made = await anna.node.start_call("Boris")
    ringing = (await until(boris.node.calls, bool))[0]
    await boris.node.accept_call(ringing.id)
    for one in (anna, boris):
        await until(one.node.calls, lambda all: all[0].state == "talking")
    return made.id


async def verify(anna: Client, boris: Client) -> None:
    both = ((anna, "Boris"), (boris, "Anna"))
    await anna.node.start_verification("Boris")
    await until(lambda: boris.node.verification("Anna"), lambda found: found is not None)
    await boris.node.start_verification("Anna")
    for one, name in both:
        await until(
            lambda one=one, name=name: one.node.verification(name),
            lambda found: found is not None and found.state == "compare",
        )
        await one.node.confirm_verification(name, True)
    for one, name in both:
        await until(lambda one=one, name=name: one.node.contact(name), lambda found: found.verified)
        await one.node.allow_direct(name, True)


async def goes_on(lab: Lab, *people: Client) -> bool:
    """Whether a call is still spoken live 4 s after the relay has gone."""
    lab.middle.everywhere = [Gone()]
    await asyncio.sleep(4)
    found = [(await one.node.calls())[0] for one in people]
    return all(call.line in ("whole", "double") and not call.away for call in found)


async def test_a_local_network_without_internet(tmp_path: Path) -> None:
    places = [
        Place("anna.test", "192.168.5.10", lan="wifi"),
        Place("boris.test", "192.168.5.11", lan="wifi"),
    ]
    async with two(tmp_path, places) as (lab, anna, boris):
        lab.middle.everywhere = [Gone()]
        for one in (anna, boris):
            await one.node.update_settings(near=True)
        for one in (anna, boris):
            await until(one.node.status, lambda status: bool(status.near))
        await anna.node.send("Boris", "no internet here")
        await until(
            lambda: boris.node.messages("Anna"),
            lambda page: any(m.text == "no internet here" for m in page.messages),
        )
        await talk(anna, boris)
        for one in (anna, boris):
            await until(one.node.calls, lambda all: all[0].line == "double")


async def test_through_nats_the_relay_may_go(tmp_path: Path) -> None:
    await through(tmp_path, ("cone", "cone"), True)


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """Where no hole can be made, the call goes by relays, and by nothing else."""
    for number in range(count):
        first: Kind = "cone" if (seed + number) % 2 else "symmetric"
        place = directory / str(number)
        place.mkdir()
        asyncio.run(through(place, (first, "symmetric"), False))
    return {"calls": count}


async def through(directory: Path, kinds: tuple[Kind, Kind], straight: bool) -> None:
    """A call through two NATs: whether it goes on without the relay."""
    places = [
        Place("anna.test", "10.1.0.2", outside="198.51.100.1", kind=kinds[0]),
        Place("boris.test", "10.2.0.2", outside="198.51.100.2", kind=kinds[1]),
    ]
    async with two(directory, places) as (lab, anna, boris):
        await verify(anna, boris)
        call = await talk(anna, boris)
        await asyncio.sleep(3)
        assert await goes_on(lab, anna, boris) == straight
        lab.middle.everywhere = []
        for one in (anna, boris):
            await until(one.node.calls, lambda all: all[0].line == "whole" and not all[0].away)
        await anna.node.hang_up(call)
