"""A new device and a long past: how long until it has every message.

    python bench/new_device.py [--messages N]

Two nodes and a relay in this process, over loopback TLS. The first node's database is filled as in
bench/history.py. "All there" is from the second person's word that the emoji are the same until the
last message is in the new device's database.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from pathlib import Path

from history import fill, now

from holdfast.core.caps import Home
from holdfast.node.api import Node
from holdfast.node.vault import Vault
from holdfast.paths import websocket
from holdfast.relay.program import run


async def when(node: Node, *states: str) -> None:
    """Wait until the linking is so far."""
    async with asyncio.timeout(60):
        while True:
            found = await node.linking()
            if found is not None and found.state in states:
                return
            await asyncio.sleep(0.01)


async def count(node: Node) -> int:
    """Messages that are here."""
    asked = "SELECT count(*) FROM message WHERE kind = 'text'"
    return int(await node._do(lambda desk, work: work.db.execute(asked).fetchone()[0]))


async def measure(folder: Path, messages: int) -> float:
    """Seconds in which a device that is linked has everything."""
    said: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    relay = asyncio.create_task(
        run(folder / "relay", ("127.0.0.1", 0), say=said.put_nowait, stop=stop)
    )
    home = Home.parse(await said.get())
    nodes = []
    for name in ("old", "new"):
        vault = Vault(folder / name, secrets.token_bytes)
        homes = (home,) if name == "old" else ()
        nodes.append(Node(vault, websocket.connect, now, secrets.token_bytes, homes))
    old, new = nodes
    await old.start("Anna")
    await new.start()
    await old._do(lambda desk, work: fill(desk, work, messages))
    await old.link_device()
    await when(old, "waiting")
    found = await old.linking()
    assert found is not None
    await new.join_device(found.code, "new")
    for node in nodes:
        await when(node, "compare")
    began = time.monotonic()
    for node in nodes:
        await node.confirm_link(True)
    while await count(new) < messages:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    for node in nodes:
        await node.stop()
    stop.set()
    await relay
    return took


def figures(messages: int = 100_000) -> list[tuple[str, str]]:
    """For the table of all figures."""
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(measure(Path(folder), messages))
    return [(f"A linked device has {messages:,} messages of before", f"{took:.0f} s")]


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--messages", type=int, default=100_000)
    for name, value in figures(parser.parse_args().messages):
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
