"""A relay's data of the first version goes on."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from benches import opened

from holdfast.store import upgrade as module
from holdfast.store.base import StoreFailed
from holdfast.store.upgrade import upgrade

FIRST_VERSION = """
CREATE TABLE logs(key INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, append BLOB NOT NULL,
    read BLOB NOT NULL, owner BLOB NOT NULL, most INTEGER NOT NULL, next INTEGER NOT NULL,
    records INTEGER NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL) STRICT;
CREATE INDEX logs_used ON logs(used);
CREATE TABLE records(row INTEGER PRIMARY KEY, expires INTEGER NOT NULL, body BLOB NOT NULL)
    STRICT;
CREATE INDEX records_expires ON records(expires);
PRAGMA user_version=1;
"""
LATER = 2_000_000_000
LOGS = 5


def first_version(path: Path) -> None:
    """A database as the first version left it: log n has n records, numbered from n + 1."""
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(FIRST_VERSION)
        for n in range(LOGS):
            keys = (b"a" * 32, b"r" * 32, b"o" * 32)
            row = (100 + n, bytes([n]) * 16, *keys, 0, 2 * n + 1, n, 0, LATER)
            db.execute("INSERT INTO logs VALUES(?,?,?,?,?,?,?,?,?,?)", row)
            for seq in range(n + 1, 2 * n + 1):
                where = ((100 + n) << 32) + seq
                record = (where, LATER, b"%d of %d" % (seq, n))
                db.execute("INSERT INTO records VALUES(?,?,?)", record)


async def test_everything_is_there_under_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT", 20)
    first_version(tmp_path / "logs.db")
    said: list[str] = []
    upgrade(tmp_path / "logs.db", tmp_path / "logs", said.append)
    assert len(said) == 1 and not list(tmp_path.glob("logs.db*"))
    assert len(list((tmp_path / "logs").glob("*.log"))) > 1
    async with opened(tmp_path) as b:
        for n in range(LOGS):
            found = await b.find(bytes([n]) * 16)
            assert found is not None and found.next == 2 * n + 1
            assert (found.append, found.read, found.owner) == (b"a" * 32, b"r" * 32, b"o" * 32)
            expected = [(seq, b"%d of %d" % (seq, n)) for seq in range(n + 1, 2 * n + 1)]
            assert await b.read(found.key) == expected
            assert await b.append(found.key) == (None, 2 * n + 1)
    upgrade(tmp_path / "logs.db", tmp_path / "logs", said.append)
    assert len(said) == 1, "there is nothing more to do"


@pytest.mark.parametrize("when", ["building", "built"])
async def test_interrupted_it_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    first_version(tmp_path / "logs.db")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where, name = (module, "_segment") if when == "building" else (Path, "unlink")
    with monkeypatch.context() as patched:
        patched.setattr(where, name, stop)
        with pytest.raises(KeyboardInterrupt):
            upgrade(tmp_path / "logs.db", tmp_path / "logs", print)
    assert (tmp_path / "logs.db").exists()
    upgrade(tmp_path / "logs.db", tmp_path / "logs", print)
    async with opened(tmp_path) as b:
        found = await b.find(bytes([3]) * 16)
        assert found is not None and len(await b.read(found.key)) == 3


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "logs.db")) as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(StoreFailed, match="version 9"):
        upgrade(tmp_path / "logs.db", tmp_path / "logs", print)
    assert (tmp_path / "logs.db").exists() and not (tmp_path / "logs").exists()
