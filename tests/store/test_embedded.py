"""The embedded store, with its threads, on real files."""

import asyncio
import contextlib
import errno
import re
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
from benches import Bench, opened, until_checkpointed

from holdfast.core.log.server import Found
from holdfast.store import embedded, shelf
from holdfast.store.base import Quota, StoreFailed
from holdfast.store.files import OsFiles


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
    monkeypatch.setattr(shelf, "draw_key", iter([5, 5, 6]).__next__)
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


async def test_a_log_takes_so_many_records_a_second_from_all_together(tmp_path: Path) -> None:
    async with opened(tmp_path, Quota(log_rate=3)) as b:
        await b.make()
        await b.make(b"m" * 16)
        assert [(await b.append(1))[0] for _ in range(3)] == [None] * 3
        assert (await b.append(1))[0].code == "rate"
        assert (await b.append(2))[0] is None
        b.now += 1_000
        assert (await b.append(1))[0] is None


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
        async with asyncio.timeout(60):  # the room comes back in the background
            while (await b.append(1, b"x" * 60_000))[0] is not None:
                await asyncio.sleep(0.01)
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


class BrokenFiles(OsFiles):
    """The operating system's files, whose sync fails once told to."""

    broken = False
    room = 1 << 40

    def write(self, descriptor: int, parts: Sequence[bytes]) -> None:
        self.room -= sum(map(len, parts))
        if self.room < 0:
            super().write(descriptor, [b"".join(parts)[:10]])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(descriptor, parts)

    def sync(self, descriptor: int) -> None:
        if self.broken:
            raise OSError("the disk is gone")
        super().sync(descriptor)


async def test_nothing_is_acknowledged_after_a_failed_sync(tmp_path: Path) -> None:
    disk = BrokenFiles()
    bench = Bench(tmp_path / "logs", files=disk)
    await bench.make()
    await bench.append(1, b"kept")
    disk.broken = True
    answers: list[object] = []
    bench.store.append(1, bench.now + 60_000, b"lost", lambda *answer: answers.append(answer))
    async with asyncio.timeout(60):
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
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "index.db").write_bytes(b"no database, but long enough to look at" * 30)
    with pytest.raises(StoreFailed, match="cannot be opened"):
        Bench(tmp_path / "logs")


async def test_a_database_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with apsw.Connection(str(tmp_path / "logs" / "index.db")) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(StoreFailed, match="version 99"):
        Bench(tmp_path / "logs")


async def test_a_disk_that_is_full_all_the_same_stops_it_and_loses_nothing(tmp_path: Path) -> None:
    """The room was measured, and somebody else took it."""
    files = BrokenFiles()
    bench = Bench(tmp_path / "logs", files=files)
    await bench.make()
    assert await bench.append(1, b"kept") == (None, 1)
    files.room = 0
    answers: list[object] = []
    bench.store.append(1, bench.now + 60_000, b"lost", lambda *answer: answers.append(answer))
    async with asyncio.timeout(60):
        while not bench.failed:
            await asyncio.sleep(0)
    bench.store.close()
    assert answers == [] and "No space left" in bench.failed[0]
    async with opened(tmp_path) as b:
        assert await b.read(1) == [(1, b"kept")]
        assert await b.append(1, b"again") == (None, 2)


SMALL = Quota(disk_bytes=8 * 20_000, disk_reserve=0, ripe_seconds=0)
"""Segments of 20,000 bytes."""


def files(path: Path, kind: str) -> list[Path]:
    return sorted((path / "logs").glob(f"*.{kind}"))


async def test_what_is_in_the_index_is_read_trimmed_and_counted_like_what_is_not(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, Quota(log_records=8)) as b:
        await b.make()
        for n in range(1, 5):
            await b.append(1, b"old %d" % n)
        await until_checkpointed(b)
        for n in range(5, 9):
            await b.append(1, b"new %d" % n)
        assert (await b.append(1))[0].code == "full"
        everything = [(n, b"%s %d" % (b"old" if n < 5 else b"new", n)) for n in range(1, 9)]
        assert await b.read(1) == everything
        assert await b.read(1, 3) == everything[3:]
        await b.ask(b.store.trim, 1, 2)
        assert await b.read(1) == everything[2:]
        found = await b.find()
        assert found is not None and (found.first, found.next) == (3, 9)
        assert [await b.append(1) for _ in range(2)] == [(None, 9), (None, 10)]
        assert (await b.append(1))[0].code == "full"
        await b.ask(b.store.trim, 1, 6)
        assert [seq for seq, _ in await b.read(1)] == [7, 8, 9, 10]
        await until_checkpointed(b)
        assert [seq for seq, _ in await b.read(1)] == [7, 8, 9, 10]
    async with opened(tmp_path) as b:
        found = await b.find()
        assert found is not None and (found.first, found.next) == (7, 11)
        assert [seq for seq, _ in await b.read(1)] == [7, 8, 9, 10]


async def test_deleted_bytes_leave_the_disk_and_what_is_kept_loses_its_order(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, SMALL) as b:
        for log in (b"1" * 16, b"2" * 16):
            await b.make(log)
        for n in range(30):
            await b.append(2 - n % 2, b"kept %2d" % n + bytes(400))
            await b.append(2 - n % 2, b"gone %2d" % n + bytes(400), seconds=10)
        await until_checkpointed(b)
        b.now += 11_000
        b.store.sweep()
        async with asyncio.timeout(60):
            while len(files(tmp_path, "kept")) != 1 or files(tmp_path, "log"):
                await asyncio.sleep(0.01)
        (path,) = files(tmp_path, "kept")
        content = path.read_bytes()
        assert b"gone" not in content
        order = [int(found[1]) for found in re.finditer(rb"kept (..)", content)]
        assert order == [*range(1, 30, 2), *range(0, 30, 2)], "by log, not by time"
        assert len(await b.read(1)) == len(await b.read(2)) == 15
        assert b.failed == []


async def test_what_is_deleted_among_much_that_is_kept_leaves_the_disk_too(
    tmp_path: Path,
) -> None:
    quota = Quota(ripe_seconds=0, stale_seconds=0, disk_reserve=0)
    async with opened(tmp_path, quota) as b:
        await b.make()
        for n in range(40):
            await b.append(1, b"record %2d" % n + bytes(400), seconds=10 if n == 20 else 60)
        await until_checkpointed(b)

        async def swept() -> bytes:
            b.store.sweep()
            async with asyncio.timeout(60):
                while len(files(tmp_path, "kept")) != 1 or files(tmp_path, "log"):
                    await asyncio.sleep(0.01)
            with contextlib.suppress(FileNotFoundError):
                return files(tmp_path, "kept")[0].read_bytes()
            return b""

        assert b"record 20" in await swept()
        b.now += 11_000
        async with asyncio.timeout(60):
            while b"record 20" in (content := await swept()) or not content:
                await asyncio.sleep(0.01)
        assert len(await b.read(1)) == 39 and b.failed == []


async def test_a_segment_of_which_nothing_is_left_goes_at_the_checkpoint(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        for _ in range(20):
            await b.append(1, b"x" * 1_000)
        await b.ask(b.store.trim, 1, 20)
        await until_checkpointed(b)
        assert not files(tmp_path, "log")
        assert await b.append(1, b"y") == (None, 21)
    async with opened(tmp_path) as b:
        assert await b.read(1) == [(21, b"y")]


@pytest.mark.parametrize("known", [False, True], ids=["segment", "index"])
async def test_a_flipped_bit_costs_one_record_and_is_never_delivered(
    tmp_path: Path, known: bool
) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        for n in range(5):
            await b.append(1, b"record %d" % n)
        if known:
            await until_checkpointed(b)
    (path,) = files(tmp_path, "log")
    path.write_bytes(path.read_bytes().replace(b"record 2", b"recorD 2"))
    async with opened(tmp_path) as b:
        assert b.store.damaged == (0 if known else 1)
        assert [seq for seq, _ in await b.read(1)] == [1, 2, 4, 5]
        assert await b.append(1, b"next") == (None, 6)
        assert b.failed == []


async def test_a_clock_that_jumps_back_and_forth_numbers_nothing_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
        await b.append(1, b"one", 100)
        b.now -= 10**8
        assert await b.append(1, b"two", 50) == (None, 2)
        b.store.sweep()
        assert [seq for seq, _ in await b.read(1)] == [1, 2]
        b.now += 2 * 10**8
        b.store.sweep()
        assert await b.append(1, b"three", 100) == (None, 3)
        assert await b.read(1) == [(3, b"three")]
    async with opened(tmp_path) as b:
        b.now += 10**8
        found = await b.find()
        assert found is not None and found.next == 4


async def test_an_index_that_was_lost_is_said_plainly(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await b.make()
    (tmp_path / "logs" / "index.db").unlink()
    with pytest.raises(StoreFailed, match="backup"):
        Bench(tmp_path / "logs")


async def test_reading_goes_on_over_many_pieces_in_segments_and_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "READ_BYTES", 1_000)
    async with opened(tmp_path) as b:
        await b.make()
        for n in range(1, 61):
            await b.append(1, b"%d" % n + bytes(n * 10))
            if n % 20 == 0 and n < 60:
                await until_checkpointed(b)
        expected = [(n, b"%d" % n + bytes(n * 10)) for n in range(1, 61)]
        assert await b.read(1) == expected
        assert await b.read(1, 39) == expected[39:]


async def test_a_segment_that_the_disk_lost_costs_its_records_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "READ_BYTES", 1_000)
    async with opened(tmp_path) as b:
        await b.make()
        for n in range(60):
            await b.append(1, b"%d" % n + bytes(100))
        await until_checkpointed(b)
        (lost,) = files(tmp_path, "log")
        await b.append(1, b"kept")
        await until_checkpointed(b)
        lost.unlink()
        assert await b.read(1) == [(61, b"kept")]


async def test_logs_that_are_not_in_use_leave_the_memory_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "CACHED_LOGS", 20)
    async with opened(tmp_path, Quota(log_records=3)) as b:
        names = [bytes([n]) * 16 for n in range(60)]
        for key, name in enumerate(names, 1):
            await b.make(name)
            assert await b.append(key, b"%d" % key) == (None, 1)
        await until_checkpointed(b)
        for key in range(1, 61):
            assert await b.append(key, b"more") == (None, 2)
            await b.ask(b.store.trim, key, 1)
        await until_checkpointed(b)
        for key, name in enumerate(names, 1):
            found = await b.find(name)
            assert found is not None and (found.key, found.first, found.next) == (key, 2, 3)
            assert await b.read(key) == [(2, b"more")]
        assert len(b.store._shelf._logs) <= 60 and len(b.store._shelf._names) == len(
            b.store._shelf._logs
        )
        assert len(b.store._shelf._logs) < 30


async def test_many_tiny_records_are_in_memory_only_until_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "CHANGED_RECORDS", 50)
    async with opened(tmp_path) as b:
        await b.make()
        for n in range(1, 301):
            await b.append(1, b"%d" % n)
        assert len(b.store._shelf.changes.fresh) < 300
        assert [seq for seq, _ in await b.read(1)] == list(range(1, 301))
