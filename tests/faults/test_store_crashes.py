"""The relay's store after a power cut: what it answered is there, once and in order.

The store is driven over a recording disk by a random sequence of operations. Whatever it
holds in a state after a crash must be exactly what it would hold after the first k of those
operations, where k is at least what was acknowledged and at most what had been asked for:
then nothing is lost, doubled, reordered, half done or numbered twice.
"""

import hashlib
import queue
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store import tables
from holdfast.store.base import Quota, StoreFailed
from holdfast.store.embedded import Embedded
from holdfast.testing.disk import Crash, Disk, crash_states

NOW = 1_800_000_000_000
FOREVER = NOW + 10**9
QUOTA = Quota(disk_reserve=0)
STATES = 40
"""Crashes made from one recording."""

Content = dict[bytes, tuple[int, tuple[tuple[int, bytes], ...]]]
"""By a log's name: the next sequence number, and the records."""


@dataclass(frozen=True)
class Op:
    what: str
    log: bytes
    value: int = 0
    body: bytes = b""


@dataclass(frozen=True)
class Asked:
    number: int


@dataclass(frozen=True)
class Answered:
    number: int


class Run:
    """One store over one recording disk, driven from this thread, which owns it."""

    def __init__(self, directory: Path, dice: random.Random) -> None:
        self.disk = Disk()
        self.ops: list[Op] = []
        self.results: list[Refusal | None] = []
        self._dice = dice
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._store = Embedded(
            directory / "relay.db",
            quota=QUOTA,
            clock=lambda: NOW,
            post=self._posted.put,
            failed=pytest.fail,
            vfs=self.disk.vfs,
        )
        self._keys: dict[bytes, int] = {}
        self._live: list[bytes] = []
        self._answered = 0

    def play(self, groups: int) -> None:
        """Ask for groups of operations, some while the one before is being committed."""
        for _ in range(groups):
            self._group()
            if self._dice.random() < 0.5:
                self._posted.get()()
                self._group()
            while self._answered < len(self.ops):
                self._posted.get()()
            self._find()
        self._store.close()
        self.disk.close()

    def _group(self) -> None:
        for _ in range(self._dice.randint(1, 6)):
            self._ask(self._choose())

    def _choose(self) -> Op:
        dice = self._dice
        roll = dice.random()
        if not self._live or roll < 0.05:
            return Op("make", dice.randbytes(16))
        log = dice.choice(self._live)
        if roll < 0.10:
            return Op("trim", log, dice.randint(0, 60))
        if roll < 0.13:
            self._live.remove(log)
            return Op("drop", log)
        size = dice.choice((0, 20, 512, 1100, 1100, 5000, wire.MAX_BODY))
        return Op("append", log, 0, dice.randbytes(size))

    def _ask(self, op: Op) -> None:
        number = len(self.ops)
        self.ops.append(op)
        self.disk.mark(Asked(number))

        def done(refusal: Refusal | None, seq: int = 0) -> None:
            assert number == self._answered, "answers come in the order of the writes"
            self._answered += 1
            self.results.append(refusal)
            self.disk.mark(Answered(number))

        match op.what:
            case "make":
                verifier = bytes(32)
                self._store.make(wire.Create(1, op.log, verifier, verifier, verifier, 0), done)
            case "append":
                self._store.append(self._keys[op.log], FOREVER, op.body, done)
            case "trim":
                self._store.trim(self._keys[op.log], op.value, done)
            case "drop":
                self._store.drop(self._keys[op.log], done)

    def _find(self) -> None:
        for op in self.ops:
            if op.what == "make" and op.log not in self._keys:
                got: list[Found | None] = []
                self._store.find(op.log, got.append)
                while not got:
                    self._posted.get()()
                assert got[0] is not None
                self._keys[op.log] = got[0].key
                self._live.append(op.log)


def contents(ops: list[Op], results: list[Refusal | None]) -> list[Content]:
    """What is there after the first k operations, for every k."""
    logs: Content = {}
    after = [dict(logs)]
    for op, refusal in zip(ops, results, strict=True):
        if refusal is None:
            coming, records = logs.get(op.log, (1, ()))
            match op.what:
                case "make":
                    logs[op.log] = (1, ())
                case "append":
                    digest = hashlib.sha256(op.body).digest()
                    logs[op.log] = (coming + 1, (*records, (coming, digest)))
                case "trim":
                    kept = tuple(record for record in records if record[0] > op.value)
                    logs[op.log] = (coming, kept)
                case "drop":
                    del logs[op.log]
        after.append(dict(logs))
    return after


def found(directory: Path) -> Content:
    """Recover the database the way a relay does and read all of it."""
    path = directory / "relay.db"
    store = tables.Tables(path, QUOTA)
    views = tables.Views(path, QUOTA)
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("integrity_check") == "ok"
        logs: Content = {}
        for name, count, size in list(db.execute("SELECT name, records, bytes FROM logs")):
            log = views.find(name, NOW)
            assert log is not None
            records: list[tuple[int, bytes]] = []
            more, total = True, 0
            while more:
                part, more = views.read(log.key, records[-1][0] if records else 0, NOW)
                records += [(seq, hashlib.sha256(body).digest()) for seq, body in part]
                total += sum(len(body) + tables.ROW_COST for _, body in part)
            assert (count, size) == (len(records), total), "the counters differ from the rows"
            logs[name] = (log.next, tuple(records))
        return logs
    finally:
        db.close()
        views.close()
        store.close()


def check(crash: Crash, after: list[Content], directory: Path) -> None:
    """Raises AssertionError if this state breaks a promise."""
    asked = sum(isinstance(note, Asked) for note in crash.promised)
    answered = sum(isinstance(note, Answered) for note in crash.promised)
    crash.write(directory)
    try:
        logs = found(directory)
    except (apsw.Error, StoreFailed) as error:
        raise AssertionError(f"{crash}: the database does not open: {error}") from error
    assert any(logs == after[k] for k in range(answered, asked + 1)), (
        f"{crash}: {answered} of {asked} operations were answered, and what is there is not"
        " what any number of them between leaves"
    )


def stale_memory(dice: random.Random) -> dict[str, bytes]:
    """Shared memory that an earlier life left behind is to be ignored."""
    return {"relay.db-shm": dice.randbytes(32_768)} if dice.random() < 0.3 else {}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` crash states from recordings that begin with `seed`."""
    made = 0
    while made < count:
        dice = random.Random(seed * 1_000_003 + made)
        with tempfile.TemporaryDirectory(dir=directory) as name:
            run = Run(Path(name), dice)
            run.play(groups=25)
            after = contents(run.ops, run.results)
            number = min(STATES, count - made)
            for crash in crash_states(run.disk.operations, seed, number, extra=stale_memory):
                with tempfile.TemporaryDirectory(dir=directory) as state:
                    check(crash, after, Path(state))
            made += number
    return {"states": made}


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 200, tmp_path) == {"states": 200}


def test_a_store_that_does_not_sync_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tables.connect

    def unsynced(path: Path, *, vfs: str | None, readonly: bool) -> apsw.Connection:
        db = real(path, vfs=vfs, readonly=readonly)
        db.execute("PRAGMA synchronous=OFF")
        return db

    monkeypatch.setattr(tables, "connect", unsynced)
    with pytest.raises(AssertionError, match=r"operations were answered|does not open"):
        prove(1, 200, tmp_path)


def test_a_store_that_answers_before_the_commit_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tables.Tables.commit
    begin = tables.Tables.begin
    held: list[tables.Tables] = []

    def late(self: tables.Tables) -> None:
        held.append(self)

    def catch_up(self: tables.Tables) -> None:
        if held:
            real(held.pop())
        begin(self)

    monkeypatch.setattr(tables.Tables, "commit", late)
    monkeypatch.setattr(tables.Tables, "begin", catch_up)
    # Found at once: what was answered cannot even be read back.
    with pytest.raises(AssertionError):
        prove(1, 40, tmp_path)
