"""kill -9 while two people write and their inboxes move from relay to relay.

Each adds and removes relays of their own at random, one relay is away for a while each round, and
whoever is killed starts again: what a node's API answered is never lost, doubled or reordered, and
in the end both have left what they no longer use.
"""

import asyncio
import contextlib
import random
from pathlib import Path

import people
import pytest
from test_kills import Killer, Talker, check

from holdfast.node.client import Client, NotRunning
from holdfast.node.rpc import ApiError
from holdfast.testing.doomed import read_trace, reused
from holdfast.testing.processes import NodeProgram, Processes, RelayProgram

HASTE = """
from holdfast.node import engine, homes, relays
engine.TICK_SECONDS = engine.AGAIN_SECONDS = 0.5
engine.UNTAKEN = engine.LATER = 1_000
relays.AWAY = 2_000
homes.MOVES = 100_000
"""
"""What takes minutes takes seconds."""
POINTS = (
    "holdfast.node.homes:arrange_one:after",
    "holdfast.node.homes:_move:before",
    "holdfast.node.homes:_move:after",
    "holdfast.node.homes:acknowledged:after",
    "holdfast.node.homes:moved:after",
    "holdfast.drive.logs:Logs.create:before",
    "holdfast.drive.logs:Logs.create:after",
    "holdfast.drive.logs:Logs.drop:before",
    "holdfast.drive.logs:Logs.drop:after",
)


class Mover:
    """Changes which relays a person has; one stays."""

    def __init__(self, nodes: list[NodeProgram], relays: list[RelayProgram], dice: random.Random):
        self._nodes, self._relays, self._dice = nodes, relays, dice
        self.moves = 0

    async def move(self) -> None:
        node = self._dice.choice(self._nodes)
        with contextlib.suppress(NotRunning, ApiError, TimeoutError):
            async with asyncio.timeout(60), Client.connect(node.directory) as client:
                own = [one for one in (await client.node.status()).relays if one.mine]
                labels = {relay.address.split("/")[0] for relay in self._relays}
                others = labels - {one.label for one in own}
                if others and (len(own) < 2 or self._dice.random() < 0.5):
                    label = self._dice.choice(sorted(others))
                    relay = next(r for r in self._relays if r.address.startswith(label + "/"))
                    await client.node.add_relay(relay.address)
                elif len(own) > 1:
                    await client.node.remove_relay(self._dice.choice(own).id)
                self.moves += 1


async def play(seed: int, count: int, directory: Path) -> dict[str, int]:
    dice = random.Random(seed)
    haste = directory / "haste.py"
    haste.parent.mkdir(parents=True, exist_ok=True)
    haste.write_text(HASTE)
    with Processes(directory) as run:
        relays = [run.relay(name) for name in ("one", "two", "three")]
        nodes = [
            run.node(name, relays[0].address, trace=directory / f"{name}.trace", first=haste)
            for name in ("anna", "boris")
        ]
        await people.meet(*nodes)
        for node in nodes:
            del node.arguments()[-2:]  # the relay: from now on those of the database
        talkers = [Talker(node) for node in nodes]
        killer, mover = Killer([*nodes, *relays], dice, POINTS), Mover(nodes, relays, dice)
        talking = [asyncio.create_task(talker.talk(dice)) for talker in talkers]
        try:
            while killer.rounds < count:
                for _ in range(dice.randint(1, 3)):
                    await mover.move()
                    await asyncio.sleep(dice.uniform(0, 0.7))
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
    return {"rounds": killer.rounds, "moves": mover.moves, "messages": messages}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` kills under traffic, with moves between."""
    return asyncio.run(play(seed, count, directory))


@pytest.mark.prove
def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 2, tmp_path)["moves"] >= 2
