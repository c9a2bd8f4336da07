"""The recording disk tells a database that keeps its promises from one that does not."""

from pathlib import Path

import apsw
import pytest

from holdfast.testing.disk import (
    Crash,
    Create,
    Disk,
    Mark,
    Operation,
    Sync,
    Write,
    crash_states,
)

KEY = bytes(range(32)).hex()


def work(disk: Disk, path: Path, key: str | None, synchronous: str, rows: int = 30) -> None:
    """Insert rows one transaction each and promise each once it is committed."""
    db = open_db(path, disk.cipher_vfs if key else disk.vfs, key)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute("PRAGMA wal_autocheckpoint=5")
    db.execute("CREATE TABLE rows(n INTEGER PRIMARY KEY, filler BLOB)")
    disk.mark("table")
    for n in range(rows):
        db.execute("INSERT INTO rows VALUES(?, ?)", (n, bytes([n]) * 1500))
        disk.mark(n)
    db.close()


def open_db(path: Path, vfs: str | None, key: str | None) -> apsw.Connection:
    db = apsw.Connection(str(path), vfs=vfs)
    if key:
        db.pragma("cipher", "chacha20")
        db.execute(f"PRAGMA hexkey='{key}'")
    return db


def found(crash: Crash, directory: Path, key: str | None) -> list[int]:
    directory.mkdir()
    crash.write(directory)
    db = open_db(directory / "a.db", None, key)
    try:
        assert db.pragma("integrity_check") == "ok"
        return [n for (n,) in db.execute("SELECT n FROM rows ORDER BY n")]
    finally:
        db.close()


def lost(tmp_path: Path, key: str | None, synchronous: str, number: int) -> int:
    """States in which something promised is missing or the file is broken."""
    (tmp_path / "live").mkdir()
    disk = Disk()
    try:
        work(disk, tmp_path / "live" / "a.db", key, synchronous)
        table = disk.operations.index(Mark("table"))
        bad = 0
        for index, crash in enumerate(crash_states(disk.operations, 1, number, since=table + 1)):
            promised = [note for note in crash.promised if isinstance(note, int)]
            try:
                rows = found(crash, tmp_path / str(index), key)
            except (apsw.Error, AssertionError):
                bad += 1
                continue
            bad += rows != list(range(len(rows))) or len(rows) < len(promised)
        return bad
    finally:
        disk.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "cipher"])
def test_what_was_committed_is_in_every_state(tmp_path: Path, key: str | None) -> None:
    assert lost(tmp_path, key, "FULL", 150) == 0


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_database_that_does_not_sync_is_caught(tmp_path: Path, synchronous: str) -> None:
    assert lost(tmp_path, None, synchronous, 60) > 0


def test_a_seed_repeats_its_states(tmp_path: Path) -> None:
    disk = Disk()
    try:
        work(disk, tmp_path / "a.db", None, "FULL", rows=5)
        one = list(crash_states(disk.operations, 7, 20))
        assert one == list(crash_states(disk.operations, 7, 20))
        assert one != list(crash_states(disk.operations, 8, 20))
    finally:
        disk.close()


def test_the_ways_of_losing() -> None:
    ops: list[Operation] = [
        Create("d/j", announced=True),
        Write("d/j", 0, b"a" * 1024),
        Sync("d/j"),
        Write("d/j", 512, b"b" * 512 + b"c" * 512),
    ]
    seen = {crash.files["d/j"] for crash in crash_states(ops, 3, 400, since=len(ops))}
    head = b"a" * 512
    assert seen == {
        head + second + third for second in (b"a" * 512, b"b" * 512) for third in (b"", b"c" * 512)
    }
    before = {tuple(crash.files) for crash in crash_states(ops[:2], 3, 50, since=2)}
    assert before == {(), ("d/j",)}
