"""A node's database after a power cut: what the API answered is there, nothing is sealed twice.

One of two people lives on a recording disk, below the cipher, while both write. In every
state that a power cut may leave, the database opens whole; what was answered is there once
and in order; what was acknowledged to the other has been taken; and what the recovered
session seals next was never used for anything that had left.
"""

import asyncio
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.core.caps import Home
from holdfast.core.seal import olm
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.rest import Rows
from holdfast.node import effects
from holdfast.node.api import Node
from holdfast.node.api import node as node_module
from holdfast.node.database import WrongKey, open_database
from holdfast.node.keeper import Keeper
from holdfast.node.program import now_ms
from holdfast.node.vault import Vault
from holdfast.paths import websocket
from holdfast.relay import program
from holdfast.testing.disk import Crash, Disk, Mark, Operation, crash_states
from holdfast.testing.doomed import Line, place, trace, who
from holdfast.testing.entropy import seeded

STATES = 60
"""Crashes made from one recording."""
MESSAGES = 30
"""Written by each in one recording."""
PATIENCE = 60


@dataclass(frozen=True)
class Asked:
    text: str


@dataclass(frozen=True)
class Answered:
    text: str


@dataclass
class Recording:
    operations: list[Operation]
    home: Path
    """The directory as it is in the end, for the key."""
    who: str
    """Its end of the session, as traces name it."""
    from_other: list[str]


@asynccontextmanager
async def running(home: Path, name: str, relay: Home, vfs: str | None) -> AsyncIterator[Node]:
    entropy = secrets.token_bytes
    vault = Vault(home, entropy)
    node = Node(vault, websocket.connect, now_ms, entropy, (relay,), None, vfs)
    await node.start(name)
    try:
        yield node
    finally:
        await node.stop()


async def record(directory: Path, dice: random.Random) -> Recording:
    """Two people meet and write; the disk is that of one, at times the inviter's."""
    disk = Disk()
    stop, said = asyncio.Event(), asyncio.Queue[str]()
    listen = ("127.0.0.1", 0)
    relay = asyncio.create_task(
        program.run(directory / "relay", listen, say=said.put_nowait, stop=stop)
    )
    end_trace = trace(disk.mark)
    folder = directory / "recorded"
    try:
        home = Home.parse(await asyncio.wait_for(said.get(), PATIENCE))
        async with (
            asyncio.timeout(PATIENCE),
            running(folder, "Anna", home, disk.cipher_vfs) as recorded,
            running(directory / "other", "Boris", home, None) as other,
        ):
            pair = [recorded, other] if dice.random() < 0.5 else [other, recorded]
            await meet(*pair)
            await asyncio.gather(
                write(recorded, "Anna", disk, random.Random(dice.random())),
                write(other, "Boris", None, random.Random(dice.random())),
            )
            await arrived(recorded, "Boris")
            await arrived(other, "Anna")
    finally:
        end_trace()
        stop.set()
        await relay
        disk.close()
    with opened(folder) as (db, key):
        session = session_in(db, key)
    assert session is not None
    from_other = [f"Boris {number}" for number in range(MESSAGES)]
    return Recording(disk.operations, folder, who(session), from_other)


async def meet(inviter: Node, acceptor: Node) -> None:
    invitation = await inviter.create_invitation()
    while invitation.state == "preparing":
        await asyncio.sleep(0.01)
        (invitation,) = await inviter.invitations()
    await acceptor.accept_invitation(invitation.link)
    for node in (inviter, acceptor):
        while [contact.state for contact in await node.contacts()] != ["active"]:
            await asyncio.sleep(0.01)


async def write(node: Node, name: str, disk: Disk | None, dice: random.Random) -> None:
    (contact,) = await node.contacts()
    for number in range(MESSAGES):
        text = f"{name} {number}"
        if disk is not None:
            disk.mark(Asked(text))
        await node.send(contact.id, text, key=text)
        if disk is not None:
            disk.mark(Answered(text))
        await asyncio.sleep(dice.choice((0, 0, 0.005, 0.03)))


async def arrived(node: Node, other: str) -> None:
    (contact,) = await node.contacts()
    while True:
        page = await node.messages(contact.id, limit=200)
        if any(message.text == f"{other} {MESSAGES - 1}" for message in page.messages):
            return
        await asyncio.sleep(0.02)


@contextmanager
def opened(home: Path) -> Iterator[tuple[apsw.Connection, bytes]]:
    """The database of a node that is not running, and its key."""
    vault = Vault(home, secrets.token_bytes)
    try:
        key = vault.open()
        with closing(open_database(vault.database, key)) as db:
            yield db, key
    finally:
        vault.release()


def session_in(db: apsw.Connection, key: bytes) -> Pairwise | None:
    """The one contact's session, if there is one."""
    found = db.execute("SELECT id, session, counter FROM contact").fetchone()
    if found is None:
        return None
    id, session, counter = found
    return Pairwise.load(Rows(key).unwrap("contact", id.encode(), counter, session))


def check(crash: Crash, recording: Recording, directory: Path) -> None:
    """Raises AssertionError if this state breaks a promise."""
    crash.write(directory)
    shutil.copy(recording.home / "key", directory / "key")
    with opened(directory) as (db, key):
        assert db.pragma("integrity_check") == "ok", f"{crash}: the database is damaged"
        answered = [note.text for note in crash.promised if isinstance(note, Answered)]
        asked = [note.text for note in crash.promised if isinstance(note, Asked)]
        sql = "SELECT text FROM message WHERE kind = 'text' AND mine = ? ORDER BY id"
        mine = [text for (text,) in db.execute(sql, (1,))]
        theirs = [text for (text,) in db.execute(sql, (0,))]
        assert mine == asked[: len(mine)], f"{crash}: what was written is not in order"
        assert len(mine) >= len(answered), (
            f"{crash}: {len(answered)} messages were answered, {len(mine)} are there"
        )
        assert theirs == recording.from_other[: len(theirs)], f"{crash}: not what was received"
        check_session(crash, session_in(db, key), recording.who)


def check_session(crash: Crash, session: Pairwise | None, name: str) -> None:
    """What had left the node before the crash fits what it knows afterwards."""
    lines: list[Line] = [note for note in crash.promised if isinstance(note, dict)]
    handed = {line["handed"] for line in lines if "handed" in line}
    left = [line for line in lines if line.get("sealed") in handed and line["who"] == name]
    if session is None:
        assert not left, f"{crash}: a session was in use and its contact is forgotten"
        return
    assert session.sent >= max((line["seq"] for line in left), default=0), (
        f"{crash}: a record had left that is forgotten: its number would be used again"
    )
    assert session.received >= max((line["ack"] for line in left), default=0), (
        f"{crash}: something was acknowledged to the other and is forgotten"
    )
    used = {line["place"] for line in left}
    assert next_place(session) not in used, f"{crash}: a ratchet key would be used again"


def next_place(session: Pairwise) -> str:
    """Key and index of the ratchet that the next record takes."""
    places: list[str] = []
    real = olm.Session.encrypt

    def encrypt(self: olm.Session, plaintext: bytes) -> olm.Ciphertext:
        made = real(self, plaintext)
        places.append(place(made))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(olm.Session, "encrypt", encrypt)
        session.seal(b"after the crash", now_ms(), seeded("after"))
    return places[0]


def first_promise(operations: list[Operation]) -> int:
    """Before it the directory may be as good as empty."""
    return next(at for at, each in enumerate(operations) if isinstance(each, Mark)) + 1


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` crash states of databases that recordings from `seed` made."""
    made = 0
    while made < count:
        with tempfile.TemporaryDirectory(dir=directory) as name:
            dice = random.Random(seed * 1_000_003 + made)
            recording = asyncio.run(record(Path(name), dice))
            number = min(STATES, count - made)
            since = first_promise(recording.operations)
            for crash in crash_states(recording.operations, seed + made, number, since):
                with tempfile.TemporaryDirectory(dir=directory) as state:
                    try:
                        check(crash, recording, Path(state))
                    except (apsw.Error, WrongKey) as error:
                        raise AssertionError(f"{crash}: it does not open: {error}") from error
            made += number
    return {"states": made}


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 120, tmp_path) == {"states": 120}


def test_a_database_that_does_not_sync_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsynced(path: Path, key: bytes, vfs: str | None = None) -> apsw.Connection:
        db = open_database(path, key, vfs)
        db.pragma("synchronous", "off")
        return db

    monkeypatch.setattr(node_module, "open_database", unsynced)
    with pytest.raises(AssertionError, match="crash after"):
        prove(1, 60, tmp_path)


def test_a_node_that_sends_before_it_commits_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Keeper._try

    def hasty(self: Keeper, db: apsw.Connection, job: Any) -> None:
        real(self, db, job)
        early = [each for each in job.work.after if isinstance(each, effects.Append)]
        if early:
            self._loop.call_soon_threadsafe(self._follow, early)
            time.sleep(0.01)  # until it has left

    monkeypatch.setattr(Keeper, "_try", hasty)
    with pytest.raises(AssertionError, match="forgotten"):
        prove(1, 300, tmp_path)
