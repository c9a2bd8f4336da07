"""kill -9 of either device while one is linked: nothing is half given, and it can be begun anew."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import people
import pytest

from holdfast.node.client import Client, NotRunning
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Linking
from holdfast.testing.processes import DidNotStart, NodeProgram, Processes

pytestmark = pytest.mark.timeout(180)

NEW = (
    "holdfast.node.linking:begin:after",
    "holdfast.node.linking:answer:before",
    "holdfast.node.linking:answer:after",
    "holdfast.node.linking:connected:after",
    "holdfast.node.linking:confirm:before",
    "holdfast.node.linking:confirm:after",
    "holdfast.node.linking:welcomed:before",
    "holdfast.node.linking:welcomed:after",
    "holdfast.node.keeper:Keeper._settle:after",
)
OLD = (
    "holdfast.node.linking:answered:after",
    "holdfast.node.linking:step:after",
    "holdfast.node.linking:confirm:before",
    "holdfast.node.linking:confirm:after",
    "holdfast.node.linking:_link:before",
    "holdfast.node.linking:_link:after",
    "holdfast.node.keeper:Keeper._settle:after",
)
ENDED = ("cancelled", "expired", "mismatch")


async def start(program: NodeProgram) -> None:
    """Start it again, undoomed if it does not come up."""
    try:
        await asyncio.to_thread(program.start)
    except DidNotStart:
        program.kill_at = []
        await asyncio.to_thread(program.start)


class Hands:
    """The person at both devices, who goes on whatever happens, and begins anew what has ended."""

    def __init__(self, old: NodeProgram, new: NodeProgram) -> None:
        self.old, self.new = old, new
        self.agreed: set[str] = set()
        """Emoji that both sides were told are the same."""

    async def look(self) -> bool:
        """Do what is to be done now; whether it is linked on both."""
        async with (
            Client.connect(self.old.directory) as old,
            Client.connect(self.new.directory) as new,
        ):
            here, there = await old.node.linking(), await new.node.linking()
            phase = (await new.node.status()).phase
            if phase == "ready":
                return True
            if not self.agreed:
                assert len(await old.node.devices()) == 1, "a device nobody compared is on the list"
            if phase == "new":
                if here is None or here.state not in ("waiting", "preparing"):
                    here = await old.node.link_device(past=False)
                if here.state == "waiting":
                    await new.node.join_device(here.code, "second")
            elif there is not None and there.state in ENDED:
                await new.node.cancel_link()
            elif here is None or here.state in ENDED:
                # The first one has ended it: so does whoever stands before the new one.
                await new.node.cancel_link()
            elif there is not None:
                await self.compare(old, new, here, there)
            return False

    async def compare(self, old: Client, new: Client, here: Linking, there: Linking) -> None:
        states = {here.state, there.state}
        if states <= {"compare", "confirmed"} and here.emoji == there.emoji and here.emoji:
            self.agreed.add(str(here.emoji))
            for client, shown in ((old, here), (new, there)):
                if shown.state == "compare":
                    await client.node.confirm_link(True)

    async def link(self) -> None:
        while True:
            for program in (self.old, self.new):
                if not program.running:
                    program.kill_at = []
                    await start(program)
            with contextlib.suppress(NotRunning, ApiError, OSError, asyncio.CancelledError):
                if await self.look():
                    return
            await asyncio.sleep(people.GLANCE)


async def life(directory: Path, luck: random.Random, points: list[tuple[str, str]]) -> None:
    """Link a device, while one of the two dies at each of these points, one after the other."""
    with Processes(directory) as run:
        relay = run.relay()
        anna, boris = run.node("anna", relay.address), run.node("boris", relay.address)
        second = run.node("second", nobody=True)
        await people.meet(anna, boris)
        for number, (who, point) in enumerate(points):
            victim = second if who == "new" else anna
            victim.kill()
            count = luck.randint(1, 30) if "Keeper" in point else luck.choice((1, 1, 2, 3))
            victim.kill_at = [f"{point}:{count}"]
            await start(victim)
            async with asyncio.timeout(people.PATIENCE):
                await Hands(anna, second).link()
            if victim.kill_at:  # it was not reached
                victim.kill()
                victim.kill_at = []
                await start(victim)
            text = f"to both, {number}"
            async with asyncio.timeout(people.PATIENCE):
                await hears(anna, boris, second, text)
            if number + 1 == len(points):
                break
            # And once more, with a device that nobody knows.
            async with Client.connect(anna.directory) as client:
                gone = (await client.node.devices())[1].id
                await client.node.remove_device(gone)
            second.kill()
            second = run.node(f"second{number}", nobody=True)


async def hears(anna: NodeProgram, boris: NodeProgram, second: NodeProgram, text: str) -> None:
    """Boris has one contact, and what he writes comes to both devices, once."""
    async with Client.connect(anna.directory) as client:
        assert len(await client.node.devices()) == 2
    async with Client.connect(second.directory) as client:
        assert len(await client.node.devices()) == 2
    async with Client.connect(boris.directory) as client:
        await client.node.send(await people.contact(client), text)
        assert len([c for c in await client.node.contacts() if not c.echo]) == 1
    for program in (anna, second):
        while True:
            said = [m.text for m in await people.conversation(program.directory)]
            if text in said:
                break
            await asyncio.sleep(people.GLANCE)
        assert said.count(text) == 1


@pytest.mark.prove
def test_a_sample(tmp_path: Path) -> None:
    luck = random.Random("linking")
    points = [("old", "holdfast.node.linking:confirm:after")]
    asyncio.run(life(tmp_path, luck, points))


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` linkings, in each of which one of the two devices dies."""
    luck = random.Random(f"linking {seed}")
    all = [("new", point) for point in NEW] + [("old", point) for point in OLD]
    for start in range(0, count, 8):
        points = [luck.choice(all) for _ in range(min(8, count - start))]
        asyncio.run(life(directory / str(start), luck, points))
    return {"linkings": count}
