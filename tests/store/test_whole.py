"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.store import whole


def test_it_is_written_for_its_owner_alone_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in (b"first", b"second"):
        whole.write(path, content)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_the_file_and_its_name_are_on_the_disk_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "key").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    whole.write(tmp_path / "key", b"content")
    assert synced == [(str(tmp_path / "key.part"), False), (str(tmp_path), True)]


def test_a_disk_that_takes_nothing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    whole.write(path, b"first")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        whole.write(path, b"second")
    assert path.read_bytes() == b"first"


def test_what_is_kept_is_made_once(tmp_path: Path) -> None:
    made = [b"one", b"two"]
    assert whole.keep(tmp_path / "key", lambda: made.pop(0)) == b"one"
    assert whole.keep(tmp_path / "key", lambda: made.pop(0)) == b"one"
    assert made == [b"two"]


def test_a_directory_is_held_by_one(tmp_path: Path) -> None:
    held = whole.hold(tmp_path / "lock")
    assert held is not None
    assert whole.hold(tmp_path / "lock") is None
    os.close(held)
    again = whole.hold(tmp_path / "lock")
    assert again is not None
    os.close(again)
