"""What two relays keep, and what passes on the wire, seized together.

Two people use the same two relays. Then both relays' whole disks and everything that went
over the wire are searched: for what people wrote, for names and keys, for anything at all
that a node keeps; and the two disks are searched for anything by which they could be
matched: nothing that a node gave one relay may occur on the other's disk, in the database,
its journal or what is left of deleted records.
"""

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import people
import pytest

from holdfast.core.caps import Home, b64
from holdfast.node.client import Client
from holdfast.node.database import open_database
from holdfast.node.vault import Vault
from holdfast.store import entries
from holdfast.testing.capture import Capture, possible
from holdfast.testing.processes import NodeProgram, Processes, RelayProgram
from holdfast.testing.tap import Tap

WINDOW = 8
"""Bytes that two places do not share by chance."""
STORED = 20
"""Messages that wait at both relays in the end."""
HOUR = 3_600_000
DAY = 24 * HOUR

Windows = set[bytes]


def windows(*values: bytes) -> Windows:
    """Every run of `WINDOW` bytes; those of a few bytes over and over, as counts are, left out."""
    found = set()
    for value in values:
        found |= {value[at : at + WINDOW] for at in range(len(value) - WINDOW + 1)}
    return {window for window in found if len(set(window)) > 3}


def disk(directory: Path) -> list[bytes]:
    """Every file, by content, and every file's name."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return [path.read_bytes() for path in files] + [path.name.encode() for path in files]


def values_of(db: apsw.Connection, tables: Iterable[str]) -> Iterator[bytes]:
    """Everything in these tables that is not a number."""
    for table in tables:
        for row in db.execute(f'SELECT * FROM "{table}"'):
            for value in row:
                if isinstance(value, str):
                    yield value.encode()
                elif isinstance(value, bytes):
                    yield value


@dataclass
class Seized:
    """What is there in the end."""

    disks: list[list[bytes]]
    given: list[list[bytes]]
    """By relay: what nodes gave it, out of its database."""
    wires: list[bytes]
    kept: list[bytes]
    """What the nodes keep for themselves."""
    addresses: list[bytes]
    """The relays' own secrets: their own disks have them, rightly."""
    fresh: list[bytes]
    """The disk of a relay that was never used."""
    canaries: list[bytes]


async def seize(directory: Path, first: Path | None) -> Seized:
    """Two people write over two relays; then everything is killed and read."""
    canary = secrets.token_hex(8)
    names = [f"Anna{canary[:6]}", f"Boris{canary[6:12]}"]
    texts = [f"meet me at {secrets.token_hex(8)}" for _ in range(6)]
    with Processes(directory) as run:
        relays = [run.relay("one"), run.relay("two")]
        unused = run.relay("unused")
        homes = [Home.parse(relay.address) for relay in relays]
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(Tap(homes[0]))
            two = await stack.enter_async_context(Tap(homes[1]))
            ports = [home.port for home in (*homes, one.home, two.home)]
            packets = stack.enter_context(Capture(ports)) if possible() else None
            addresses = [str(tap.home) for tap in (one, two)]
            anna = await asyncio.to_thread(run.node, names[0], *addresses, first=first)
            boris = await asyncio.to_thread(run.node, names[1], *addresses, first=first)
            await people.meet(anna, boris)
            await write(anna, texts[:3])
            await write(boris, texts[3:])
            for node, to_come in ((boris, texts[:3]), (anna, texts[3:])):
                assert await people.has_all(node.directory, to_come) == to_come
            boris.kill()
            await write(anna, [f"{texts[0]} again {n}" for n in range(STORED)])
            await stored(relays)
            for program in (anna, *relays, unused):
                program.kill()
            wires = [bytes(tap.sent + tap.received) for tap in (one, two)]
            if packets is not None:
                assert packets.frames, "the capture saw nothing"
                wires.append(packets.content)
        return Seized(
            [disk(relay.directory) for relay in relays],
            [given(relay) for relay in relays],
            wires,
            [value for node in (anna, boris) for value in kept(node)],
            [text.encode() for text in addresses]
            + [each for home in homes for each in (home.pin, home.path_secret)]
            + [b64(home.path_secret).encode() for home in homes],
            disk(unused.directory),
            [each.encode() for each in (*names, *texts)],
        )


async def write(node: NodeProgram, texts: list[str]) -> None:
    async with Client.connect(node.directory) as client:
        to = await people.contact(client)
        for text in texts:
            await client.node.send(to, text)


async def stored(relays: list[RelayProgram]) -> None:
    """Wait until both relays hold what Boris has not fetched."""
    async with asyncio.timeout(people.PATIENCE):
        for relay in relays:
            while sum(kind == entries.RECORD for kind, _, _ in given_entries(relay)) < STORED:
                await asyncio.sleep(people.GLANCE)


def given_entries(relay: RelayProgram) -> Iterator[tuple[int, int, bytes]]:
    """Kind, time and body of everything in the segments."""
    folder = relay.directory / "logs"
    with closing(apsw.Connection(str(folder / "index.db"))) as db:
        seed = int(db.execute("SELECT seed FROM state").get)
    for path in sorted(folder.glob("*.log")):
        data = memoryview(path.read_bytes())
        for part in entries.scan(data, int(path.stem), seed):
            for found in entries.entries(data, part):
                assert found is not None
                kind, _, _, time, at, size = found
                yield kind, time, bytes(data[at + entries.HEAD.size :][:size])


def given(relay: RelayProgram) -> list[bytes]:
    found = list(given_entries(relay))
    assert all(time % HOUR == 0 for _, time, _ in found), "exact times match records"
    return [body for _, _, body in found]


def kept(node: NodeProgram) -> Iterator[bytes]:
    """All that a node's encrypted database holds, but for the relays' addresses."""
    vault = Vault(node.directory, secrets.token_bytes)
    try:
        with closing(open_database(vault.database, vault.open())) as db:
            tables = [
                name
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
                if not name.startswith(("sqlite_", "found")) and name != "relay"
            ]
            yield from values_of(db, tables)
    finally:
        vault.release()


def examine(seized: Seized) -> None:
    """Raises AssertionError for whatever gives something away."""
    ours = windows(*seized.fresh, *seized.addresses)
    inside = windows(*seized.kept) - ours
    for place, contents in [*enumerate(seized.disks), *enumerate([w] for w in seized.wires)]:
        for canary in seized.canaries:
            assert not any(canary in content for content in contents), (
                f"{place}: what was written, or a name, is there in plain"
            )
        shared = windows(*contents) & inside
        assert not shared, f"{place}: {len(shared)} pieces of what nodes keep are there"
    for mine, other in ((0, 1), (1, 0)):
        assert len(seized.given[mine]) > STORED
        shared = windows(*seized.given[mine]) & windows(*seized.disks[other])
        assert not shared, (
            f"{len(shared)} pieces of what nodes gave relay {mine} are on the disk of the other"
        )


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` times, each with other keys: what is looked for is random, so is the seed."""
    searched = 0
    for number in range(count):
        seized = asyncio.run(seize(directory / str(number), None))
        examine(seized)
        searched += sum(map(len, (*seized.wires, *seized.disks[0], *seized.disks[1])))
    return {"runs": count, "bytes searched": searched}


def test_nothing_is_found_and_nothing_matches(tmp_path: Path) -> None:
    prove(1, 1, tmp_path)


DEFENCES = {
    "envelope": """
from holdfast.core import caps
caps.Envelope.seal = lambda self, rid, body, nonce: bytes(28) + rid + body
caps.Envelope.open = lambda self, stored: (stored[28:44], stored[44:])
""",
    "log id": """
from holdfast.core import caps
caps.Caps.log_id = lambda self, relay: caps.hkdf(self.locator, "id/1", length=16)
""",
    "verifier": """
from holdfast.core import caps
caps.Caps.token = lambda self, role, relay: (
    getattr(self, role) and caps.hkdf(getattr(self, role), "cap/1", role.encode())
)
""",
}


@pytest.mark.parametrize("defence", DEFENCES)
def test_without_a_defence_the_disks_match(tmp_path: Path, defence: str) -> None:
    twin = tmp_path / "twin.py"
    twin.write_text(DEFENCES[defence])
    seized = asyncio.run(seize(tmp_path / "run", twin))
    with pytest.raises(AssertionError, match="pieces of what nodes"):
        examine(seized)
