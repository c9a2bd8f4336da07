"""A channel whose programs are killed as it is written: no post is lost, doubled or forked."""

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

pytestmark = pytest.mark.timeout(180)


async def posts(node: NodeProgram, channel: str, text: str) -> None:
    """Post it, however often the node dies before it has answered; it is one post."""
    while True:
        with contextlib.suppress(NotRunning, ApiError, OSError, asyncio.CancelledError):
            async with Client.connect(node.directory) as client:
                await client.node.send(channel, text, key=text)
                return
        await asyncio.sleep(people.GLANCE)


async def life(directory: Path, luck: random.Random, kills: int) -> None:
    """One channel, written while so many of its programs are killed."""
    with Processes(directory) as programs:
        relay = programs.relay()
        owner, reader = (programs.node(name, relay.address) for name in ("Owner", "Reader"))
        async with Client.connect(owner.directory) as client:
            mine = (await client.node.create_channel("News")).id
            link = (await client.node.channel(mine)).link
        async with Client.connect(reader.directory) as client:
            theirs = (await client.node.follow_channel(link)).id
        count = 3 * kills

        async def talk() -> None:
            for number in range(count):
                await posts(owner, mine, f"post {number}")
                await asyncio.sleep(0.05)

        async def kill() -> None:
            for _ in range(kills):
                await asyncio.sleep(luck.uniform(0.0, 0.3))
                victim = luck.choice([owner, owner, reader, relay])
                await asyncio.to_thread(victim.kill)
                await asyncio.to_thread(victim.start)

        async with asyncio.timeout(people.PATIENCE + 10 * kills):
            await asyncio.gather(talk(), kill())
            while True:
                async with Client.connect(reader.directory) as client:
                    messages = await client.node.export(theirs)
                    shown = await client.node.channel(theirs)
                texts = [m.text for m in messages if m.kind == "text"]
                if len(texts) >= count and not shown.missing:
                    break
                await asyncio.sleep(5 * people.GLANCE)
        assert texts == [f"post {number}" for number in range(count)]
        assert (shown.posts, shown.forked) == (count + 1, 0)


@pytest.mark.prove
async def test_killed_as_it_is_written_the_chain_is_whole(tmp_path: Path) -> None:
    await life(tmp_path, random.Random("channels"), 5)


def prove(seed: int, count: int, directory: Path) -> None:
    """So many kills, ten in the life of one channel."""
    luck = random.Random(f"channels {seed}")
    for number in range(-(-count // 10)):
        asyncio.run(life(directory / str(number), luck, min(10, count)))
