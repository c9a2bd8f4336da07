"""kill -9 at random and at named points, on relay and nodes, while two people write.

What a node's API answered is never lost, doubled or reordered, whoever dies, and no state
of a ratchet is ever used for two things: every record that leaves a node is traced.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import people

from holdfast.node.client import Client, NotRunning
from holdfast.testing.doomed import read_trace, reused
from holdfast.testing.processes import (
    DidNotStart,
    NodeProgram,
    Processes,
    Program,
    RelayProgram,
)

RELAY_POINTS = (
    "holdfast.store.shelf:Shelf.append:after",
    "holdfast.store.shelf:Shelf.trim:after",
    "holdfast.store.files:OsFiles.create:before",
    "holdfast.store.files:OsFiles.create:after",
    "holdfast.store.files:OsFiles.write:before",
    "holdfast.store.files:OsFiles.write:after",
    "holdfast.store.files:OsFiles.sync:after",
    "holdfast.store.files:OsFiles.remove:before",
    "holdfast.store.index:Index.apply:before",
    "holdfast.store.index:Index.apply:after",
    "holdfast.store.embedded:Embedded._committed:before",
    "holdfast.store.embedded:Embedded._committed:after",
)
NODE_POINTS = (
    "holdfast.core.seal.pairwise:Pairwise.seal:after",
    "holdfast.core.seal.pairwise:Pairwise.dump:after",
    "holdfast.core.seal.pairwise:Pairwise.open:after",
    "holdfast.drive.logs:Logs.append:before",
    "holdfast.drive.logs:Logs.append:after",
    "holdfast.drive.logs:Logs.trim:before",
    "holdfast.node.keeper:Keeper._do:before",
    "holdfast.node.keeper:Keeper._do:after",
    "holdfast.node.keeper:Keeper._settle:before",
    "holdfast.node.keeper:Keeper._settle:after",
)
DOOM_SECONDS = 3
"""How long a program whose point is not reached goes on before it is killed anyhow."""


@dataclass
class Talker:
    """Writes numbered messages, each again under its key until the node has answered."""

    node: NodeProgram
    answered: list[str] = field(default_factory=list)
    stopping: bool = False

    async def talk(self, dice: random.Random) -> None:
        while not self.stopping:
            with contextlib.suppress(NotRunning, TimeoutError):
                async with asyncio.timeout(60), Client.connect(self.node.directory) as client:
                    to = await people.contact(client)
                    while not self.stopping:
                        text = f"{self.node.name} writes {len(self.answered)}"
                        await client.node.send(to, text, key=text)
                        self.answered.append(text)
                        await asyncio.sleep(dice.uniform(0, 0.03))
            await asyncio.sleep(0.02)


class Killer:
    """Kills one program a round and starts it again, often doomed to die at a point."""

    def __init__(
        self, programs: list[Program], dice: random.Random, points: Sequence[str] = NODE_POINTS
    ) -> None:
        self._programs = programs
        self._dice = dice
        self._points = points
        self.rounds = 0
        self.at_points = 0

    async def round(self) -> None:
        victim = self._dice.choice(self._programs)
        if victim.kill_at:
            if await asyncio.to_thread(victim.wait, DOOM_SECONDS):
                self.at_points += 1
        else:
            await asyncio.sleep(self._dice.uniform(0.02, 0.5))
        victim.kill()
        self.rounds += 1
        points = RELAY_POINTS if isinstance(victim, RelayProgram) else self._points
        doomed = self._dice.random() < 0.6
        point = f"{self._dice.choice(points)}:{self._dice.randint(1, 40)}"
        victim.kill_at = [point] if doomed else []
        await self.start(victim)

    async def start(self, program: Program) -> None:
        """Start it; one that dies of its point while starting starts again without."""
        try:
            await asyncio.to_thread(program.start)
        except DidNotStart:
            if not program.kill_at:
                raise
            self.at_points += 1
            program.kill_at = []
            await asyncio.to_thread(program.start)

    async def mend(self) -> None:
        """Everything runs, undoomed."""
        for program in self._programs:
            program.kill()
            program.kill_at = []
            await self.start(program)


async def check(one: Talker, other: Talker) -> None:
    """Raises AssertionError if the other did not get exactly what one's node answered."""
    sent = [m.text for m in await people.conversation(one.node.directory) if m.mine]
    assert sent[: len(one.answered)] == one.answered, "what was answered is not as it was"
    assert len(sent) <= len(one.answered) + 1, "a message is there twice"
    came = await people.has_all(other.node.directory, sent)
    assert came == sent, (
        f"{one.node.name} wrote {len(sent)} messages and {other.node.name} has {len(came)};"
        f" missing {sorted(set(sent) - set(came))[:5]}, first difference at"
        f" {next((n for n, (a, b) in enumerate(zip(sent, came, strict=False)) if a != b), '-')}"
    )


async def play(seed: int, count: int, directory: Path) -> dict[str, int]:
    dice = random.Random(seed)
    with Processes(directory) as run:
        relay = run.relay()
        anna = run.node("anna", relay.address, trace=directory / "anna.trace")
        boris = run.node("boris", relay.address, trace=directory / "boris.trace")
        await people.meet(anna, boris)
        talkers = [Talker(anna), Talker(boris)]
        killer = Killer([relay, anna, boris], dice)
        talking = [asyncio.create_task(talker.talk(dice)) for talker in talkers]
        try:
            while killer.rounds < count:
                await killer.round()
        finally:
            for talker in talkers:
                talker.stopping = True
            await killer.mend()
            await asyncio.gather(*talking)
        await check(talkers[0], talkers[1])
        await check(talkers[1], talkers[0])
        for name in ("anna", "boris"):
            again = reused(read_trace(directory / f"{name}.trace"))
            assert not again, f"{name} used twice: {again[:5]}"
    messages = sum(len(talker.answered) for talker in talkers)
    assert messages > count, "there was no traffic to speak of"
    return {"rounds": killer.rounds, "at named points": killer.at_points, "messages": messages}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` kills under traffic."""
    return asyncio.run(play(seed, count, directory))


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 12, tmp_path)["rounds"] == 12
