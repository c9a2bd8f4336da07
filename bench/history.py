"""A node with a long history: how soon its first screen is there, and how long a search takes.

    python bench/history.py [--messages N]

The database is filled directly, encrypted as always, with texts of some words from a vocabulary in
which few are frequent. "First screen" is from the start of the node until its contacts and the last
page of the newest conversation are answered, the database file not being in any cache of SQLite's.
A search is asked through the API; the slowest of a few kinds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from pathlib import Path
from random import Random

from holdfast.core.caps import Home
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.node import inviting
from holdfast.node.api import Node
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.vault import Vault
from holdfast.paths.base import Channel, Handler
from holdfast.testing.pairs import DAY, home

CONTACTS = 50


async def nowhere(home: Home, handler: Handler) -> Channel:
    """No relay answers."""
    raise ConnectionRefusedError("there is no network here")


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def fill(desk: Desk, work: Work, messages: int) -> None:
    """Contacts that were really met, and texts."""
    dice, draw = Random(1), secrets.token_bytes
    me = desk.identity(work)
    contacts = []
    for number in range(CONTACTS):
        other, _ = Identity.create(draw)
        made = Invitation.create(me, (home(),), work.now + DAY, b"", work.now, draw)
        _, answer = accept(made.link, made.record, other, (home("10.0.0.1"),), b"x", work.now, draw)
        met = made.open_accept(answer, me, work.now, draw)
        assert isinstance(met, Contact)
        contacts.append(inviting.add(desk, work, met, "active", None))
        work.db.execute(
            "UPDATE contact SET own_name = ? WHERE id = ?", (f"Person {number}", contacts[-1])
        )
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(20_000)]
    weights = [1 / (rank + 5) for rank in range(len(words))]
    work.db.executemany(
        "INSERT INTO message (contact, cursor, mine, mid, kind, text, at, received, state, seen)"
        " VALUES (?, ?, ?, ?, 'text', ?, ?, ?, 'received', 1)",
        (
            (
                dice.choice(contacts),
                number,
                number % 2,
                draw(16),
                " ".join(dice.choices(words, weights, k=dice.randrange(1, 20))),
                work.now - (messages - number) * 1000,
                work.now,
            )
            for number in range(messages)
        ),
    )
    work.db.execute("INSERT OR REPLACE INTO meta VALUES ('cursor', ?)", (messages,))
    work.db.execute("INSERT INTO meta VALUES ('word', ?)", (f"{words[0]} {words[9_000]}",))


async def measure(folder: Path, messages: int) -> list[tuple[str, str]]:
    """Rows of the table of figures."""

    def node() -> Node:
        return Node(
            Vault(folder, secrets.token_bytes), nowhere, now, secrets.token_bytes, (home(),)
        )

    first = node()
    await first.start("Anna")
    await first._do(lambda desk, work: fill(desk, work, messages))
    words = str(await first._do(lambda desk, work: desk.get(work, "word"))).split()
    await first.stop()
    opened, searched = [], []
    for _ in range(5):
        again = node()
        began = time.perf_counter()
        await again.start()
        contacts = await again.contacts()
        page = await again.messages(contacts[0].id)
        opened.append(time.perf_counter() - began)
        assert len(contacts) == CONTACTS
        assert page.messages
        for query in (words[0], words[1], words[0][:3], f"{words[0]} {words[1][:2]}"):
            began = time.perf_counter()
            await again.search(query)
            searched.append(time.perf_counter() - began)
        await again.stop()
    return [
        (f"A node with {messages:,} messages: first screen", f"{max(opened) * 1e3:.0f} ms"),
        (f"A search in {messages:,} messages, the slowest", f"{max(searched) * 1e3:.1f} ms"),
    ]


def figures(messages: int = 100_000) -> list[tuple[str, str]]:
    """Name and value, with its unit."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        return asyncio.run(measure(Path(directory), messages))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    for name, value in figures(parser.parse_args().messages):
        print(f"{name:60} {value}")
