"""The relay's store after a power cut: what it answered is there, once and in order.

The store is driven over a recording disk by a random sequence of operations, with segments so
small that checkpoints and compaction are always on their way. Whatever it
holds in a state after a crash must be exactly what it would hold after the first k of those
operations, where k is at least what was acknowledged and at most what had been asked for:
then nothing is lost, doubled, reordered, half done or numbered twice.
"""

import hashlib
import queue
import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store import index
from holdfast.store.base import Quota, Records, StoreFailed
from holdfast.store.embedded import Embedded
from holdfast.store.files import OsFiles
from holdfast.testing.disk import Crash, Create, Disk, DiskFiles, crash_states


class Small(Quota):
    """Segments that a few records fill."""

    segment_bytes = 40_000


NOW = 1_800_000_000_000
FOREVER = NOW + 10**9
QUOTA = Small(disk_reserve=0, ripe_seconds=0)
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


class Owner:
    """This thread, as the owner of a store."""

    def __init__(self, folder: Path, vfs: str | None = None, files: OsFiles | None = None) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._store = Embedded(
            folder,
            quota=QUOTA,
            clock=lambda: NOW,
            post=self._posted.put,
            failed=pytest.fail,
            vfs=vfs,
            files=files,
        )

    def find(self, name: bytes) -> Found | None:
        got: list[Found | None] = []
        self._store.find(name, got.append)
        while not got:
            self._posted.get(timeout=30)()
        return got[0]

    def read(self, key: int) -> list[tuple[int, bytes]]:
        records: list[tuple[int, bytes]] = []
        more = True
        while more:
            got: list[tuple[Records, bool]] = []
            since = records[-1][0] if records else 0
            self._store.read(key, since, lambda part, more: got.append((part, more)))  # noqa: B023
            while not got:
                self._posted.get(timeout=30)()
            part, more = got[0]
            assert part or not more
            records += part
        return records

    def close(self) -> None:
        self._store.close()


class Run(Owner):
    """One store over one recording disk."""

    def __init__(self, directory: Path, dice: random.Random) -> None:
        self.disk = Disk()
        self.ops: list[Op] = []
        self.results: list[Refusal | None] = []
        self._dice = dice
        super().__init__(directory / "logs", self.disk.vfs, DiskFiles(self.disk))
        self._keys: dict[bytes, int] = {}
        self._live: list[bytes] = []
        self._answered = 0

    def play(self, groups: int) -> None:
        """Ask for groups of operations, some while the one before is being committed."""
        for _ in range(groups):
            self._group()
            if self._dice.random() < 0.5:
                self._posted.get(timeout=30)()
                self._group()
            while self._answered < len(self.ops):
                self._posted.get(timeout=30)()
            self._find()
            if self._dice.random() < 0.3:
                self._store.sweep()
        self.close()
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
                got = self.find(op.log)
                assert got is not None
                self._keys[op.log] = got.key
                self._live.append(op.log)


def step(logs: Content, op: Op, body: Any) -> None:
    """What an operation that is not refused makes of what is there; an append leaves `body`."""
    coming, records = logs.get(op.log, (1, ()))
    match op.what:
        case "make":
            logs[op.log] = (1, ())
        case "append":
            logs[op.log] = (coming + 1, (*records, (coming, body)))
        case "trim":
            kept = tuple(record for record in records if record[0] > op.value)
            logs[op.log] = (coming, kept)
        case "drop":
            del logs[op.log]


def contents(ops: list[Op], results: list[Refusal | None]) -> list[Content]:
    """What is there after the first k operations, for every k."""
    logs: Content = {}
    after = [dict(logs)]
    for op, refusal in zip(ops, results, strict=True):
        if refusal is None:
            step(logs, op, hashlib.sha256(op.body).digest())
        after.append(dict(logs))
    return after


def found(folder: Path, names: list[bytes]) -> Content:
    """Recover the store the way a relay does and read all of it."""
    owner = Owner(folder)
    try:
        logs: Content = {}
        for name in names:
            log = owner.find(name)
            if log is not None:
                records = owner.read(log.key)
                first = records[0][0] if records else log.next
                assert log.first == first, "what is listed is not there"
                logs[name] = (
                    log.next,
                    tuple((seq, hashlib.sha256(body).digest()) for seq, body in records),
                )
        return logs
    finally:
        owner.close()


def check(crash: Crash, run: Run, after: list[Content], directory: Path) -> None:
    """Raises AssertionError if this state breaks a promise."""
    asked = sum(isinstance(note, Asked) for note in crash.promised)
    answered = sum(isinstance(note, Answered) for note in crash.promised)
    folder = directory / "logs"
    folder.mkdir()
    crash.write(folder)
    names = [op.log for op in run.ops if op.what == "make"]
    try:
        logs = found(folder, names)
        assert found(folder, names) == logs, f"{crash}: opened again it is another"
        with apsw.Connection(str(folder / "index.db")) as db:
            assert db.pragma("integrity_check") == "ok"
    except (apsw.Error, StoreFailed) as error:
        raise AssertionError(f"{crash}: the store does not open: {error}") from error
    assert any(logs == after[k] for k in range(answered, asked + 1)), (
        f"{crash}: {answered} of {asked} operations were answered, and what is there is not"
        " what any number of them between leaves"
    )


def stale_memory(dice: random.Random) -> dict[str, bytes]:
    """Shared memory that an earlier life left behind is to be ignored."""
    return {"index.db-shm": dice.randbytes(32_768)} if dice.random() < 0.3 else {}


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
                    check(crash, run, after, Path(state))
            made += number
    return {"states": made}


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 200, tmp_path) == {"states": 200}


def test_an_index_that_does_not_sync_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = index.connect

    def unsynced(path: Path, *, vfs: str | None, readonly: bool) -> apsw.Connection:
        db = real(path, vfs=vfs, readonly=readonly)
        db.execute("PRAGMA synchronous=OFF")
        return db

    monkeypatch.setattr(index, "connect", unsynced)
    with pytest.raises(AssertionError, match=r"operations were answered|does not open"):
        prove(1, 200, tmp_path)


@pytest.mark.parametrize("method", ["sync", "create"])
def test_segments_that_do_not_sync_are_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def unannounced(self: DiskFiles, path: Path) -> int:
        descriptor = OsFiles.create(self, path)
        self._open[descriptor] = (str(path), 0)
        self._operations.append(Create(str(path), False))
        return descriptor

    twin = (lambda self, descriptor: None) if method == "sync" else unannounced
    monkeypatch.setattr(DiskFiles, method, twin)
    with pytest.raises(AssertionError, match=r"operations were answered|is not there"):
        prove(1, 200, tmp_path)


def test_a_store_that_removes_before_the_index_knows_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[DiskFiles] = []
    begin, move = DiskFiles.__init__, index.Index.move

    def note(self: DiskFiles, disk: Disk) -> None:
        begin(self, disk)
        files[:] = [self]

    def hasty(self: index.Index, old: Iterable[int], *rest: Any) -> None:
        numbers = list(old)
        for path in tmp_path.rglob("*.log"):
            if int(path.stem) in numbers:
                files[0].remove(path)
        move(self, numbers, *rest)

    monkeypatch.setattr(DiskFiles, "__init__", note)
    monkeypatch.setattr(index.Index, "move", hasty)
    with pytest.raises(AssertionError, match=r"operations were answered|is not there"):
        prove(1, 400, tmp_path)
