"""Two front ends that are one relay, upon three NATS servers, killed in turn under traffic.

Two people write to each other through the public API; a balancer hands each of their
connections to a front end that runs. What a node answered arrives, once and in order.
"""

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import people
from test_kills import Talker, check

from holdfast.testing.cluster import free_ports, servers
from holdfast.testing.passing import Passing
from holdfast.testing.processes import Processes


@contextlib.asynccontextmanager
async def balanced(port: int, dice: random.Random) -> AsyncIterator[tuple[Passing, list[int]]]:
    """What stands before a fleet, and the ports of those behind it."""
    ports: list[int] = []
    balancer = Passing(lambda: dice.sample(ports, len(ports)))
    await balancer.open(port)
    try:
        yield balancer, ports
    finally:
        await balancer.close()


async def play(seed: int, count: int, directory: Path) -> dict[str, int]:
    dice = random.Random(seed)
    (door,) = free_ports(1)
    directory.mkdir(parents=True, exist_ok=True)
    async with servers(directory) as three, balanced(door, dice) as (balancer, ports):
        with Processes(directory) as run:
            more = {"advertise": f"127.0.0.1:{door}", "store": three.url + "?streams=2"}
            front = await asyncio.to_thread(run.relay, "front", **more)
            second = directory / "second"
            second.mkdir()
            for secret in ("relay.key", "paths"):
                shutil.copy(directory / "front" / secret, second)
            fronts = [front, await asyncio.to_thread(run.relay, "second", **more)]
            ports += [one.port for one in fronts]
            assert fronts[0].address == fronts[1].address
            anna, boris = [
                await asyncio.to_thread(run.node, name, front.address) for name in ("anna", "boris")
            ]
            await people.meet(anna, boris)
            talkers = [Talker(anna), Talker(boris)]
            talking = [asyncio.create_task(talker.talk(dice)) for talker in talkers]
            try:
                for number in range(count):
                    await asyncio.sleep(dice.uniform(0.3, 1.5))
                    if number % 2:
                        server = dice.randrange(3)
                        three.kill(server)
                        await asyncio.sleep(dice.uniform(0.2, 3))
                        three.start(server)
                    else:
                        victim = dice.choice(fronts)
                        victim.kill()
                        await asyncio.sleep(dice.uniform(0.2, 2))
                        await asyncio.to_thread(victim.start)
            finally:
                for talker in talkers:
                    talker.stopping = True
                await asyncio.gather(*talking)
            await check(talkers[0], talkers[1])
            await check(talkers[1], talkers[0])
            assert balancer.used == set(ports)
    messages = sum(len(talker.answered) for talker in talkers)
    assert messages > count, "there was no traffic to speak of"
    return {"kills": count, "messages": messages}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` kills of front ends and servers under traffic."""
    return asyncio.run(play(seed, count, directory))


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 3, tmp_path)["kills"] == 3
