import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.database import (
    TooNew,
    WrongKey,
    close_database,
    open_database,
    row,
)
from holdfast.node.keeper import Keeper, StorageFailed, Work

KEY = bytes(range(32))


def keeper(path: Path, followed: list[Any], key: bytes = KEY) -> Keeper:
    return Keeper(lambda: open_database(path, key), close_database, lambda: 7, followed.extend)


def put(work: Work, name: str) -> None:
    work.db.execute("INSERT INTO meta VALUES (?, 1)", (name,))
    work.after.append(name)


def count(work: Work) -> int:
    return int(row(work.db, "SELECT count(*) FROM meta")[0])


async def test_jobs_in_order_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    followed: list[Any] = []
    undone: list[bool] = []
    kept = keeper(tmp_path / "db", followed)
    await kept.start()

    def fails(work: Work) -> None:
        put(work, "never")
        work.undo.append(lambda: undone.append(True))
        raise KeyError("no")

    jobs = [kept.submit(lambda work, n=n: put(work, f"{n}")) for n in range(5)]
    bad = kept.submit(fails)
    last = kept.submit(count)
    await asyncio.gather(*jobs)
    with pytest.raises(KeyError):
        await bad
    assert await last == 5
    assert followed == ["0", "1", "2", "3", "4"] and undone == [True]
    await kept.stop()


async def test_a_full_disk_fails_the_job_and_not_the_keeper(tmp_path: Path) -> None:
    followed: list[Any] = []
    kept = keeper(tmp_path / "db", followed)
    await kept.start()
    pages = await kept.run(lambda work: int(work.db.pragma("page_count")))

    def much(work: Work) -> None:
        work.db.execute("INSERT INTO meta VALUES ('big', zeroblob(1000000))")
        work.after.append("big")

    await kept.run(lambda work: work.db.pragma("max_page_count", pages + 8))
    with pytest.raises(StorageFailed, match="the disk is full"):
        await kept.run(much)
    await kept.run(lambda work: put(work, "small"))
    assert followed == ["small"]
    await kept.stop()


async def test_nothing_is_taken_after_the_stop(tmp_path: Path) -> None:
    kept = keeper(tmp_path / "db", [])
    await kept.start()
    await kept.stop()
    with pytest.raises(StorageFailed):
        await kept.run(count)


async def test_another_key_opens_nothing(tmp_path: Path) -> None:
    kept = keeper(tmp_path / "db", [])
    await kept.start()
    await kept.stop()
    with pytest.raises(WrongKey):
        await keeper(tmp_path / "db", [], bytes(32)).start()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    db = open_database(tmp_path / "db", KEY)
    db.pragma("user_version", 99)
    close_database(db)
    with pytest.raises(TooNew):
        open_database(tmp_path / "db", KEY)


def test_no_write_ahead_log_is_left_and_search_forgets(tmp_path: Path) -> None:
    path = tmp_path / "db"
    db = open_database(path, KEY)
    secret = secrets.token_hex(8)
    db.execute(
        "INSERT INTO contact (id, root, own_name, state, added, active, inbox, outbox, session,"
        " counter) VALUES ('c', x'00', 'n', 'active', 0, 0, x'', x'', x'', 0)"
    )
    db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, text, at, received, state)"
        " VALUES ('c', 1, 1, x'00', 'text', ?, 0, 0, 'sent')",
        (secret,),
    )
    found = "SELECT count(*) FROM found WHERE found MATCH ?"
    assert row(db, found, secret) == (1,)
    db.execute("DELETE FROM message")
    assert row(db, found, secret) == (0,)
    close_database(db)
    wal = path.with_name("db-wal")
    assert not wal.exists() or wal.stat().st_size == 0
