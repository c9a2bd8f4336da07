"""rest-leak: whoever takes the disk looks for what was written, in every file.

The defence is the cipher of the database, with its write-ahead log, temporary files in
memory, and a key that a passphrase wraps. The twin opens the database without a cipher.
"""

import asyncio
import secrets
from pathlib import Path

import apsw
import pytest

from holdfast.core.caps import Home
from holdfast.node import api, database
from holdfast.node.api import Node
from holdfast.node.vault import Vault
from holdfast.paths import websocket

CANARY = "canary-4f1c0b7d"
NAME = "Kanarienvogel-93ab"


async def _write(home: Path) -> list[Path]:
    """A node with the canary as its name, a label and a setting; which files hold it."""
    vault = Vault(home, secrets.token_bytes)
    relay = Home("127.0.0.1", 9, bytes(16), bytes(32))
    node = Node(vault, websocket.connect, lambda: 1_800_000_000_000, secrets.token_bytes, (relay,))
    await node.start()
    await node.set_up(NAME, "a passphrase")
    await node.create_invitation(label=CANARY)
    during = _holding(home)
    await node.stop()
    return during + _holding(home)


def _holding(home: Path) -> list[Path]:
    needles = (CANARY.encode(), NAME.encode())
    return [
        file
        for file in sorted(home.rglob("*"))
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    ]


def test_no_file_holds_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    assert asyncio.run(_write(tmp_path)) == []
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err):
        assert CANARY not in text and NAME not in text


def test_twin_without_the_cipher_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(path: Path, key: bytes, vfs: str | None = None) -> apsw.Connection:
        connection = apsw.Connection(str(path))
        connection.pragma("journal_mode", "wal")
        connection.execute("".join(database.SCHEMA))
        return connection

    monkeypatch.setattr(api, "open_database", plain)
    assert asyncio.run(_write(tmp_path)) != []
