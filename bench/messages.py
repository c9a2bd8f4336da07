"""Two nodes, one relay, as real processes on loopback: delivery, bytes on the wire, memory.

`python bench/messages.py [--messages N]`. Messages go through the nodes' APIs; a delivery
is timed from the call of `send` until the other node's API tells of the message, so two
encrypted databases and the relay's are synced on the way. Bytes are those of TLS and
above, both ways of both nodes' connections, between two quiet moments, divided by the
messages: acknowledgements and receipts are counted. Memory is resident set size.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))

import people

from holdfast.core.caps import Home
from holdfast.node.client import Client
from holdfast.node.schema import MessageChanged
from holdfast.testing.processes import Processes, Program
from holdfast.testing.tap import Tap

TEXT = "twenty characters ok"
QUIET = 3.0
"""Seconds after which receipts and acknowledgements have passed."""


@dataclass
class World:
    """What is running."""

    relay: Program
    nodes: list[Program]
    clients: list[Client]
    contacts: list[str]
    tap: Tap


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    """A relay, a tap before it, and two people who have met."""
    async with AsyncExitStack() as stack:
        run = stack.enter_context(Processes(directory))
        relay = await asyncio.to_thread(run.relay)
        tap = await stack.enter_async_context(Tap(Home.parse(relay.address)))
        anna = await asyncio.to_thread(run.node, "Anna", str(tap.home))
        boris = await asyncio.to_thread(run.node, "Boris", str(tap.home))
        await people.meet(anna, boris)
        clients = [
            await stack.enter_async_context(Client.connect(node.directory))
            for node in (anna, boris)
        ]
        contacts = [await people.contact(client) for client in clients]
        yield World(relay, [anna, boris], clients, contacts, tap)


def rss(program: Program) -> float:
    """Resident memory in MiB."""
    return float(psutil.Process(program.pid).memory_info().rss) / 2**20


async def delays(world: World, count: int) -> list[float]:
    """Seconds from `send` to the other's event, one message at a time, alternating."""
    arrived: list[dict[str, asyncio.Event]] = [{}, {}]

    async def listen(side: int) -> None:
        await world.clients[side].node.listen()
        async for event in world.clients[side].events():
            if isinstance(event, MessageChanged) and not event.message.mine:
                waiting = arrived[side].pop(event.message.text, None)
                if waiting is not None:
                    waiting.set()

    listeners = [asyncio.create_task(listen(side)) for side in (0, 1)]
    await asyncio.sleep(0.5)
    found = []
    for number in range(count):
        sender, receiver = number % 2, 1 - number % 2
        text = f"message number {number:05}"
        came = arrived[receiver].setdefault(text, asyncio.Event())
        began = time.monotonic()
        await world.clients[sender].node.send(world.contacts[sender], text)
        async with asyncio.timeout(30):
            await came.wait()
        found.append(time.monotonic() - began)
    for listener in listeners:
        listener.cancel()
    return found


async def wire_bytes(world: World, count: int) -> tuple[float, float]:
    """Bytes a message costs, up to the relay and down from it, one after another."""
    await asyncio.sleep(QUIET)
    up, down = len(world.tap.sent), len(world.tap.received)
    for _ in range(count):
        await world.clients[0].node.send(world.contacts[0], TEXT)
        await asyncio.sleep(0.15)
    await asyncio.sleep(QUIET)
    return (len(world.tap.sent) - up) / count, (len(world.tap.received) - down) / count


async def measure(directory: Path, messages: int) -> list[tuple[str, str]]:
    """Rows of the table of figures."""
    async with world(directory) as running:
        await asyncio.sleep(1)
        idle = [rss(program) for program in (running.nodes[0], running.relay)]
        took = await delays(running, messages)
        up, down = await wire_bytes(running, 40)
        used = [rss(program) for program in (running.nodes[0], running.relay)]
    cut = statistics.quantiles(took, n=100)
    wire = f"Wire, a {len(TEXT)}-character message with its receipts"
    after = f"{messages + 40:,} messages"
    return [
        ("Delivery between two nodes, p50", f"{cut[49] * 1e3:.1f} ms"),
        ("Delivery between two nodes, p99", f"{cut[98] * 1e3:.1f} ms"),
        (f"{wire}, both nodes to the relay", f"{up:,.0f} bytes"),
        (f"{wire}, the relay to both nodes", f"{down:,.0f} bytes"),
        ("Memory of a node, idle", f"{idle[0]:.0f} MiB"),
        (f"Memory of a node, after {after}", f"{used[0]:.0f} MiB"),
        ("Memory of a relay, idle", f"{idle[1]:.0f} MiB"),
        (f"Memory of a relay, after {after}", f"{used[1]:.0f} MiB"),
    ]


def figures(messages: int = 1_000) -> list[tuple[str, str]]:
    """What `make bench` prints."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        return asyncio.run(measure(Path(directory), messages))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000)
    for name, value in figures(parser.parse_args().messages):
        print(f"{name:72} {value}")


if __name__ == "__main__":
    main()
