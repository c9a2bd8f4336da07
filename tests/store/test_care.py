"""A store looked after from outside, while it is in use, after a kill and when it is closed."""

import asyncio
import shutil
from pathlib import Path

import pytest
from benches import Bench, opened, until_checkpointed

from holdfast.store import care
from holdfast.store.base import StoreFailed
from holdfast.store.care import Report, backup, compact, verify


def told(_done: int, _of: int) -> None:
    pass


async def fill(b: Bench) -> None:
    """Ten records that the index knows, and ten that it does not, of two logs."""
    for name in (b"1" * 16, b"2" * 16):
        await b.make(name)
    for n in range(20):
        if n == 10:
            await until_checkpointed(b)
        await b.append(1 + n % 2, b"record %2d" % n)


async def contents(path: Path) -> list[list[tuple[int, bytes]]]:
    async with opened(path) as b:
        found = [await b.find(name * 16) for name in (b"1", b"2")]
        return [await b.read(log.key) for log in found if log is not None]


def closed(path: Path) -> None:
    """As a kill leaves it: what is on the disk, without the index's shared memory."""
    for each in path.glob("*-shm"):
        each.unlink()


@pytest.mark.parametrize("state", ["open", "killed", "closed"])
async def test_what_is_whole_is_found_whole_and_copied_whole(tmp_path: Path, state: str) -> None:
    async with opened(tmp_path) as b:
        await fill(b)
        if state == "killed":
            shutil.copytree(tmp_path / "logs", tmp_path / "killed" / "logs")
            closed(tmp_path / "killed" / "logs")
        if state == "open":
            assert verify(tmp_path / "logs", told) == Report(2, 10, 90, 2, 0, 0)
            backup(tmp_path / "logs", tmp_path / "copy" / "logs")
            await b.append(1, b"later")
    place = tmp_path / "killed" if state == "killed" else tmp_path
    if state != "open":
        assert verify(place / "logs", told) == Report(2, 10, 90, 2, 0, 0)
        backup(place / "logs", tmp_path / "copy" / "logs")
    copied = await contents(tmp_path / "copy")
    assert copied == [
        [(n // 2 + 1, b"record %2d" % n) for n in range(20) if n % 2 == odd] for odd in (0, 1)
    ]


@pytest.mark.parametrize("known", [True, False], ids=["index", "segment"])
async def test_a_flipped_bit_and_a_lost_segment_are_found(tmp_path: Path, known: bool) -> None:
    async with opened(tmp_path) as b:
        await fill(b)
    first, second = sorted((tmp_path / "logs").glob("*.log"))
    path, record = (first, b"record  3") if known else (second, b"record 13")
    path.write_bytes(path.read_bytes().replace(record, b"recorD" + record[6:]))
    found = verify(tmp_path / "logs", told)
    assert (found.damaged, found.missing, found.whole) == (1, int(known), False)
    first.unlink()
    assert verify(tmp_path / "logs", told).missing == 10


async def test_compaction_gives_room_back_and_changes_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as b:
        await fill(b)
        for _ in range(100):
            await b.append(1, bytes(1_000), seconds=10)
        await b.ask(b.store.trim, 2, 4)
        now = b.now + 11_000
    before, after = compact(tmp_path / "logs", now)
    assert before > 100_000 > 1_000 > after
    assert {path.suffix for path in (tmp_path / "logs").iterdir()} == {".db", ".kept"}
    one, two = await contents(tmp_path)
    assert [seq for seq, _ in one] == list(range(1, 11))
    assert [seq for seq, _ in two] == list(range(5, 11))
    assert verify(tmp_path / "logs", told).whole


async def test_a_copy_made_while_segments_come_and_go_is_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index moves on between the copy of the index and those of the segments: once more."""
    real, tried = care._share, 0

    async with opened(tmp_path) as b:
        await fill(b)

        def late(path: Path, part: Path) -> None:
            nonlocal tried
            tried += 1
            real(path, part)

        monkeypatch.setattr(care, "_share", late)
        copying = asyncio.to_thread(backup, tmp_path / "logs", tmp_path / "copy" / "logs")
        task = asyncio.create_task(copying)
        for _ in range(5):
            await b.append(1, b"meanwhile")
            await until_checkpointed(b)
        await task
    copied = await contents(tmp_path / "copy")
    assert [body for _, body in copied[1]] == [b"record %2d" % n for n in range(1, 20, 2)]
    assert verify(tmp_path / "copy" / "logs", told).whole and tried


def test_what_is_no_store_is_said_plainly(tmp_path: Path) -> None:
    for act in (
        lambda: verify(tmp_path, told),
        lambda: backup(tmp_path, tmp_path / "new"),
        lambda: compact(tmp_path, 0),
    ):
        with pytest.raises(StoreFailed, match="no relay's store"):
            act()
    with pytest.raises(StoreFailed, match="exists already"):
        backup(tmp_path, tmp_path)
