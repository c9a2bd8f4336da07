"""The embedded store, with its threads, on real files."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store import tables
from holdfast.store.base import Quota, StoreFailed
from holdfast.store.embedded import Embedded


@pytest.fixture(autouse=True)
def keys_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first log's key is 1, the second's 2: easier to read than random ones."""
    monkeypatch.setattr(tables, "draw_key", itertools.count(1).__next__)


class Bench:
    """A store whose answers are awaited."""

    def __init__(self, path: Path, quota: Quota | None = None, vfs: str | None = None) -> None:
        self.now = 1_000_000_000
        self.failed: list[str] = []
        self.store = Embedded(
            path,
            quota=quota or Quota(),
            clock=lambda: self.now,
            post=asyncio.get_running_loop().call_soon_threadsafe,
            failed=self.failed.append,
            vfs=vfs,
        )

    async def ask(self, method: Callable[..., None], *args: object) -> Any:
        future = asyncio.get_running_loop().create_future()
        method(*args, lambda *answer: future.set_result(answer))
        return await asyncio.wait_for(future, 10)

    async def make(self, name: bytes = b"n" * 16, limit: int = 0) -> Refusal | None:
        frame = wire.Create(1, name, b"a" * 32, b"r" * 32, b"o" * 32, limit)
        refusal: Refusal | None = (await self.ask(self.store.make, frame))[0]
        return refusal

    async def find(self, name: bytes = b"n" * 16) -> Found | None:
        found: Found | None = (await self.ask(self.store.find, name))[0]
        return found

    async def append(self, key: int, body: bytes = b"x", seconds: int = 60) -> Any:
        return await self.ask(self.store.append, key, self.now + seconds * 1000, body)

    async def read(self, key: int, since: int = 0) -> list[tuple[int, bytes]]:
        records, more = await self.ask(self.store.read, key, since)
        if more:
            records = records + await self.read(key, records[-1][0])
        return list(records)


@asynccontextmanager
async def opened(path: Path, quota: Quota | None = None) -> AsyncIterator[Bench]:
    bench = Bench(path / "logs.db", quota)
    yield bench
    bench.store.close()


async def test_make_find_append_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        assert await b.find() is None
        assert await b.make() is None
        found = await b.find()
        assert found == Found(1, b"a" * 32, b"r" * 32, b"o" * 32, 1, 1)
        assert [await b.append(1, body) for body in (b"one", b"two")] == [(None, 1), (None, 2)]
        assert await b.read(1) == [(1, b"one"), (2, b"two")]
        assert await b.read(1, 1) == [(2, b"two")]


async def test_it_is_all_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        await b.append(1, b"one")
    async with opened(tmp_path) as b:
        assert await b.append(1, b"two") == (None, 2)
        assert await b.read(1) == [(1, b"one"), (2, b"two")]


async def test_logs_do_not_mix(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        for name in (b"1" * 16, b"2" * 16, b"3" * 16):
            await b.make(name)
        for key in (3, 1, 2, 1, 3):
            await b.append(key, b"%d" % key)
        assert await b.read(1) == [(1, b"1"), (2, b"1")]
        assert await b.read(2) == [(1, b"2")]
        await b.ask(b.store.drop, 2)
        assert await b.find(b"2" * 16) is None
        assert (await b.append(2))[0].code == "denied"
        assert await b.read(3) == [(1, b"3"), (2, b"3")]


async def test_keys_do_not_tell_the_order_of_creation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    async with opened(tmp_path) as b:
        keys = []
        for i in range(40):
            await b.make(bytes([i]) * 16)
            found = await b.find(bytes([i]) * 16)
            assert found is not None
            keys.append(found.key)
        assert keys != sorted(keys)
        assert len(set(keys)) == 40


async def test_a_key_in_use_is_not_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "draw_key", iter([5, 5, 6]).__next__)
    async with opened(tmp_path) as b:
        for name, key in ((b"1" * 16, 5), (b"2" * 16, 6)):
            assert await b.make(name) is None
            found = await b.find(name)
            assert found is not None and found.key == key


async def test_make_again_is_done_but_not_with_other_verifiers(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        assert await b.make() is None
        assert await b.make() is None
        refusal = await b.make(limit=8)
        assert refusal is not None and refusal.code == "denied"


async def test_sequence_numbers_never_come_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        for _ in range(3):
            await b.append(1)
        await b.ask(b.store.trim, 1, 99)
        assert await b.append(1) == (None, 4)
        found = await b.find()
        assert found is not None and (found.first, found.next) == (4, 5)


async def test_records_end_with_their_lifetime_and_room_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path, Quota(log_records=2)) as b:
        await b.make()
        await b.append(1, b"short", 10)
        await b.append(1, b"long", 100)
        refusal, _ = await b.append(1)
        assert refusal.code == "full" and "2 records" in refusal.text
        b.now += 10_000
        assert await b.read(1) == [(2, b"long")]
        b.store.sweep()
        assert await b.append(1) == (None, 3)


async def test_a_log_with_a_limit_closes(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make(limit=2)
        await b.append(1)
        await b.append(1)
        await b.ask(b.store.trim, 1, 2)
        assert (await b.append(1))[0].code == "closed"


async def test_an_idle_log_is_gone_and_a_used_one_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, Quota(idle_seconds=10 * 86_400)) as b:
        await b.make(b"1" * 16)
        await b.make(b"2" * 16)
        await b.append(1)
        b.now += 9 * 86_400_000
        b.store.touch(2)
        b.now += 2 * 86_400_000
        assert await b.find(b"1" * 16) is None
        b.store.sweep()
        assert (await b.append(1))[0].code == "denied"
        assert await b.find(b"2" * 16) is not None


async def test_quotas_say_which_one_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path, Quota(log_bytes=1_000, logs=1)) as b:
        await b.make(b"1" * 16)
        refusal, _ = await b.append(1, b"x" * 1_000)
        assert refusal.code == "full" and "1000 bytes" in refusal.text
        other = await b.make(b"2" * 16)
        assert other is not None and other.code == "full" and "logs" in other.text


async def test_the_disk_is_refused_before_it_is_full(tmp_path: Path) -> None:
    quota = Quota(disk_bytes=400_000, disk_reserve=0)
    async with opened(tmp_path, quota) as b:
        await b.make()
        refusal = None
        for _ in range(20):
            refusal, _ = await b.append(1, b"x" * 60_000)
            if refusal:
                break
        assert refusal is not None and refusal.code == "full" and "disk" in refusal.text
        kept = await b.read(1)
        assert 3 <= len(kept) <= 6
        await b.ask(b.store.trim, 1, 99)
        assert (await b.append(1, b"x" * 60_000))[0] is None
        assert b.failed == []


async def test_many_at_once_keep_their_order_and_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        answers: list[int] = []
        for i in range(3_000):
            b.store.append(1, b.now + 60_000, b"%d" % i, lambda r, seq: answers.append(seq))
        await b.append(1, b"last")
        assert answers == list(range(1, 3_001))
        assert [body for _, body in await b.read(1)] == [b"%d" % i for i in range(3_000)] + [
            b"last"
        ]


async def test_crowded_until_the_backlog_is_on_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path, Quota(backlog_bytes=100)) as b:
        await b.make()
        b.store.append(1, b.now + 60_000, b"x" * 101, lambda *_: None)
        assert b.store.crowded
        await b.append(1)
        assert not b.store.crowded


class BrokenDisk(apsw.VFS):
    """The default files, whose sync fails once told to."""

    def __init__(self) -> None:
        self.name = f"broken-{secrets.token_hex(4)}"
        self.broken = False
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return BrokenFile(self, name, flags)


class BrokenFile(apsw.VFSFile):
    def __init__(self, disk: BrokenDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:
        if self._disk.broken:
            raise apsw.IOError("the disk is gone")
        super().xSync(flags)


async def test_nothing_is_acknowledged_after_a_failed_sync(tmp_path: Path) -> None:
    disk = BrokenDisk()
    bench = Bench(tmp_path / "logs.db", vfs=disk.name)
    await bench.make()
    await bench.append(1, b"kept")
    disk.broken = True
    answers: list[object] = []
    bench.store.append(1, bench.now + 60_000, b"lost", lambda *answer: answers.append(answer))
    async with asyncio.timeout(10):
        while not bench.failed:
            await asyncio.sleep(0)
    disk.broken = False
    bench.store.append(1, bench.now + 60_000, b"late", lambda *answer: answers.append(answer))
    for _ in range(50):
        await asyncio.sleep(0)
    assert answers == []
    assert len(bench.failed) == 1 and "could not write its database" in bench.failed[0]
    bench.store.close()


async def test_a_database_that_cannot_be_opened_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "logs.db").write_bytes(b"not a database, but long enough to look at" * 30)
    with pytest.raises(StoreFailed, match="cannot be opened"):
        Bench(tmp_path / "logs.db")


async def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "logs.db")) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(StoreFailed, match="version 99"):
        Bench(tmp_path / "logs.db")
