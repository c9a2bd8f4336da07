"""Many calls and messages in one sitting: neither memory, threads nor open files grow with them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import people
import psutil  # type: ignore[import-untyped]
import pytest

from holdfast.node.client import Client
from holdfast.node.schema import Call, CallChanged
from holdfast.sound.call import talk
from holdfast.sound.opus import RATE
from holdfast.testing.processes import Processes, Program

MESSAGES = 25
"""For each call."""
TALK = 0.3
"""Seconds of each call."""
GROWTH = 12
"""MiB that a program may have more at the end than after the first quarter: caches that fill up
to a bound, and the allocator's moods. A page of history kept for each message would be more."""
FRAME = bytes(2 * RATE // 50)


@dataclass(frozen=True)
class Size:
    """Of one program."""

    mib: int
    threads: int
    files: int


def size(program: Program) -> Size:
    """Now."""
    process = psutil.Process(program.pid)
    return Size(process.memory_info().rss // 2**20, process.num_threads(), process.num_fds())


async def once(client: Client, state: str) -> Call:
    """The call that is in this state, from the events."""
    async for event in client.events():
        if isinstance(event, CallChanged) and event.call.state == state:
            return event.call
    raise AssertionError("the node went away")


async def have_call(caller: Client, callee: Client) -> None:
    """Ring, answer, talk, hang up."""
    call = await caller.node.start_call(await people.contact(caller))
    await once(callee, "ringing")
    await callee.node.accept_call(call.id)
    talking = asyncio.Event()
    silence = iter(lambda: FRAME, b"")
    sound = asyncio.create_task(talk(caller, call.id, silence, lambda pcm: None, talking, TALK))
    await once(caller, "talking")
    talking.set()
    await sound
    await caller.node.hang_up(call.id)
    await once(caller, "ended")
    await once(callee, "ended")


async def write(writer: Client, reader: Client, number: int) -> None:
    """Messages one way, until the last is there."""
    to, sender = await people.contact(writer), await people.contact(reader)
    for at in range(MESSAGES):
        await writer.node.send(to, f"message {number}, {at}")
    last = f"message {number}, {MESSAGES - 1}"
    while (await reader.node.messages(sender)).messages[-1].text != last:
        await asyncio.sleep(0.01)


async def play(count: int, directory: Path) -> dict[str, int]:
    with Processes(directory) as run:
        relay = run.relay()
        anna, boris = run.node("Anna", relay.address), run.node("Boris", relay.address)
        await people.meet(anna, boris)
        programs = {"relay": relay, "anna": anna, "boris": boris}
        early: dict[str, Size] = {}
        async with (
            asyncio.timeout(60 + 10 * count),
            Client.connect(anna.directory) as one,
            Client.connect(boris.directory) as other,
        ):
            pair = [one, other]
            for client in pair:
                await client.node.listen()
            for number in range(count):
                await have_call(*pair)
                await write(pair[0], pair[1], number)
                pair.reverse()
                if number == count // 4:
                    early = {name: size(program) for name, program in programs.items()}
            await asyncio.sleep(1)
            late = {name: size(program) for name, program in programs.items()}
    for name, before in early.items():
        after = late[name]
        assert after.mib - before.mib <= GROWTH, f"{name}: {before} {after}"
        assert after.threads <= before.threads + 1, f"{name}: {before} {after}"
        assert after.files <= before.files + 2, f"{name}: {before} {after}"
    return {
        f"{name}, {what}": value
        for name in programs
        for what, value in (
            ("MiB", late[name].mib),
            ("MiB more", late[name].mib - early[name].mib),
            ("threads", late[name].threads),
        )
    }


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` calls and `MESSAGES` times as many messages; nothing here is left to chance."""
    return asyncio.run(play(count, directory))


@pytest.mark.timeout(180)
def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 12, tmp_path)["anna, threads"] > 0
