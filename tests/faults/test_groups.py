"""A group of real programs, killed at random while they talk, and without one of its relays."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import people
import pytest

from holdfast.node.client import Client, NotRunning
from holdfast.node.rpc import ApiError
from holdfast.testing.processes import NodeProgram, Processes

NAMES = ("Anna", "Boris", "Vera", "Gleb")
EACH = 6
pytestmark = pytest.mark.timeout(240)


async def group_of(client: Client) -> str:
    """The group's id, once it is there."""
    while True:
        for found in await client.node.contacts():
            if found.kind == "group" and found.members == len(NAMES):
                return found.id
        await asyncio.sleep(people.GLANCE)


async def texts(home: Path) -> list[str]:
    """Everything said in the group, as this node has it."""
    async with Client.connect(home) as client:
        messages = await client.node.export(await group_of(client))
    return [m.text for m in messages if m.kind == "text"]


async def begin(nodes: list[NodeProgram]) -> None:
    """Anna knows everybody, and founds the group."""
    for other in nodes[1:]:
        await people.meet(nodes[0], other)
    async with asyncio.timeout(people.PATIENCE), Client.connect(nodes[0].directory) as client:
        contacts = [c.id for c in await client.node.contacts()]
        await client.node.create_group("Friends", contacts)
    for node in nodes:
        async with asyncio.timeout(people.PATIENCE), Client.connect(node.directory) as client:
            await group_of(client)


async def says(node: NodeProgram, text: str) -> None:
    """Say it, however often the node dies before it has answered; it is one message."""
    while True:
        with contextlib.suppress(NotRunning, ApiError, OSError, asyncio.CancelledError):
            async with Client.connect(node.directory) as client:
                await client.node.send(await group_of(client), text, key=text)
                return
        await asyncio.sleep(people.GLANCE)


async def everybody_has(nodes: list[NodeProgram], all: set[str]) -> None:
    """Once, and in the same order."""
    seen = []
    for node in nodes:
        async with asyncio.timeout(people.PATIENCE):
            while set(found := await texts(node.directory)) != all:
                await asyncio.sleep(5 * people.GLANCE)
        assert len(found) == len(set(found)), "shown twice"
        seen.append(found)
    assert all_same(seen), f"in another order: {seen}"


def all_same(seen: list[list[str]]) -> bool:
    return all(one == seen[0] for one in seen)


async def killed(directory: Path, luck: random.Random, kills: int, each: int) -> None:
    """Four people talk while nodes and their relay die; nothing is lost or doubled."""
    with Processes(directory) as programs:
        relay = programs.relay()
        nodes = [programs.node(name, relay.address) for name in NAMES]
        await begin(nodes)
        said = {f"{node.name} {n}" for node in nodes for n in range(each)}

        async def talk(node: NodeProgram) -> None:
            for n in range(each):
                await says(node, f"{node.name} {n}")

        async def kill() -> None:
            for _ in range(kills):
                await asyncio.sleep(luck.uniform(0.05, 0.4))
                victim = luck.choice([*nodes, relay])
                victim.kill()
                await asyncio.to_thread(victim.start)

        async with asyncio.timeout(people.PATIENCE + kills):
            await asyncio.gather(kill(), *(talk(node) for node in nodes))
        await everybody_has(nodes, said)


async def test_killed_in_the_middle_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    await killed(tmp_path, random.Random("groups"), 6, EACH)


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` kills, in groups of twenty kills."""
    for number, start in enumerate(range(0, count, 20)):
        kills = min(20, count - start)
        luck = random.Random(f"{seed} {number}")
        asyncio.run(killed(directory / str(number), luck, kills, 3 * EACH))
    return {"kills": count, "messages": -(-count // 20) * len(NAMES) * 3 * EACH}


async def test_a_lost_relay_stops_no_group(tmp_path: Path) -> None:
    with Processes(tmp_path) as programs:
        relays = [programs.relay("one"), programs.relay("two")]
        nodes = [programs.node(name, *(relay.address for relay in relays)) for name in NAMES]
        await begin(nodes)
        await says(nodes[1], "with both")
        await everybody_has(nodes, {"with both"})
        relays[0].kill()
        for node in nodes:
            await says(node, f"{node.name} goes on")
        all = {"with both", *(f"{node.name} goes on" for node in nodes)}
        await everybody_has(nodes, all)
        async with Client.connect(nodes[0].directory) as client:
            group = await group_of(client)
            await client.node.remove_member(group, "Gleb")
        async with asyncio.timeout(people.PATIENCE), Client.connect(nodes[3].directory) as client:
            while not any(c.state == "removed" for c in await client.node.contacts()):
                await asyncio.sleep(people.GLANCE)
