"""A large file whose sender, receiver and relay die on the way, and one of whose homes is lost.

Everything arrives whole, nothing that was durable is sent or fetched again as a whole, and
no program's memory grows with the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import people
import pytest

from holdfast.node.client import Client, NotRunning
from holdfast.node.schema import Message
from holdfast.testing.processes import NodeProgram, Processes, Program

MB = 1_000_000
BOUND = 160
"""MiB that each program may ever have in memory, whatever the size of the file."""
PATIENCE = 1_800


def most_memory(program: Program) -> int:
    """MiB that the running process has had at most."""
    lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


def random_file(path: Path, size: int, dice: random.Random) -> str:
    """Bytes that nothing can compress; their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as out:
        while size > 0:
            piece = dice.randbytes(min(size, MB))
            digest.update(piece)
            out.write(piece)
            size -= len(piece)
    return digest.hexdigest()


class Watched:
    """Programs, and the most memory each has had over all its lives."""

    def __init__(self, *programs: Program) -> None:
        self.most = {program.name: 0 for program in programs}
        self._programs = programs

    def look(self) -> None:
        for program in self._programs:
            if program.running:
                self.most[program.name] = max(self.most[program.name], most_memory(program))

    async def again(self, program: Program) -> None:
        """kill -9, and start."""
        self.look()
        program.kill()
        await asyncio.to_thread(program.start)


@contextlib.asynccontextmanager
async def connected(node: NodeProgram) -> AsyncIterator[Client]:
    """A connection, after whatever time the node takes to be there."""
    for _ in range(200):
        with contextlib.suppress(NotRunning):
            async with Client.connect(node.directory) as client:
                yield client
                return
        await asyncio.sleep(people.GLANCE)
    raise AssertionError(f"{node.name} does not come back")


async def the_file(node: NodeProgram) -> Message | None:
    async with connected(node) as client:
        page = await client.node.messages(await people.contact(client))
    return next((m for m in page.messages if m.file is not None), None)


async def until(node: NodeProgram, enough: Callable[[Message], bool]) -> Message:
    """The file's message once it is as far as that; at once if it can never be less."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await the_file(node)
            if found is not None and enough(found):
                return found
            await asyncio.sleep(0.1)


def came(share: float, whole: str = "whole") -> Callable[[Message], bool]:
    """That share of it is there, or all."""

    def enough(message: Message) -> bool:
        assert message.file is not None
        return message.file.state == whole or message.file.done >= share * message.file.size

    return enough


async def play(seed: int, count: int, directory: Path) -> dict[str, int]:
    dice = random.Random(seed)
    source = directory / "film.mkv"
    sha256 = random_file(source, count * MB, dice)
    sending, fetching = dice.uniform(0.1, 0.8), sorted(dice.uniform(0.05, 0.9) for _ in range(4))
    with Processes(directory / "run") as run:
        near, far = run.relay("near"), run.relay("far")
        anna = run.node("anna", near.address, far.address)
        boris = run.node("boris", near.address)
        await people.meet(anna, boris)
        watched = Watched(near, far, anna, boris)
        async with connected(anna) as client:
            with source.open("rb") as file:
                upload = await client.upload(file, count * MB)
            await client.node.send_file(await people.contact(client), upload, "film.mkv")
        await until(anna, came(sending, "sent"))
        await watched.again(anna)
        offer = await until(boris, lambda message: True)
        async with connected(boris) as client:
            await client.node.fetch_file(offer.id)
        await until(boris, came(fetching[0]))
        await watched.again(boris)
        await until(boris, came(fetching[1]))
        await watched.again(near)
        await until(boris, came(fetching[2]))
        await watched.again(anna)
        await until(boris, came(fetching[3]))
        watched.look()
        far.kill()
        shutil.rmtree(far.directory)
        await watched.again(boris)
        whole = await until(boris, lambda m: m.file is not None and m.file.state == "whole")
        watched.look()
        target = directory / "came.mkv"
        async with connected(boris) as client:
            with target.open("wb") as out:
                await client.download(whole.id, out)
        watched.look()
    with target.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == sha256, "it is not the same"
    target.unlink()
    assert max(watched.most.values()) <= BOUND, f"MiB of memory: {watched.most}"
    return {f"MiB, {name}": most for name, most in watched.most.items()}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` megabytes, five kills and a lost home."""
    return asyncio.run(play(seed, count, directory))


@pytest.mark.timeout(300)
def test_a_sample(tmp_path: Path) -> None:
    assert max(prove(1, 30, tmp_path).values()) <= BOUND
