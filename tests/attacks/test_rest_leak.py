"""rest-leak: whoever takes the disk looks for what was written, in every file.

The defence is the cipher of the database, with its write-ahead log, temporary files in
memory, and a key that a passphrase wraps. The twin opens the database without a cipher.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import apsw
import pytest

from holdfast.core.caps import Home
from holdfast.node import database
from holdfast.node.api import Node
from holdfast.node.api import node as node_module
from holdfast.node.reporting import NAME as REPORTING
from holdfast.node.vault import Vault
from holdfast.paths import websocket

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import came, meet, person, relay, send_file, served

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

    monkeypatch.setattr(node_module, "open_database", plain)
    assert asyncio.run(_write(tmp_path)) != []


async def _talk(folder: Path) -> list[Path]:
    """Two people with everything that a node keeps: texts, files and their names, an edit, a
    reaction, names, a group, a report that waits. Which files of either node hold any of it, while
    they run, after one was cut off, and in the end."""
    held: list[Path] = []
    async with AsyncExitStack() as stack:
        where = await stack.enter_async_context(relay(folder / "relay"))
        anna = await stack.enter_async_context(person(folder / "anna", "Anna", where))
        boris = await stack.enter_async_context(person(folder / "boris", "Boris", where))
        there, _ = await meet(anna, boris)
        sent = await anna.send(there.id, f"a text {CANARY}")
        await came(boris, lambda m: CANARY in m.text)
        await anna.edit(sent.id, f"edited {CANARY}")
        await boris.react((await came(boris, lambda m: "edited" in m.text)).id, "👍")
        await anna.rename_contact(there.id, NAME)
        await anna.create_group(f"group {CANARY}", [there.id])
        client = await stack.enter_async_context(served(anna, folder / "anna"))
        await send_file(client, CANARY.encode() * 500, f"{CANARY}.txt")
        await anna._do(lambda desk, work: desk.put(work, REPORTING + "-seen", CANARY))
        assert await anna.search(CANARY)
        held += _holding(folder)
    return held + _holding(folder)


def test_nothing_of_a_conversation_is_in_any_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "temporary").mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "temporary"))
    caplog.set_level("DEBUG")
    assert asyncio.run(_talk(tmp_path)) == []
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err):
        assert CANARY not in text
        assert NAME not in text


DIES = """
import ctypes, os, resource, secrets, sys
from pathlib import Path
from holdfast.node import vault
if sys.argv[2] == "twin":
    vault._dump_no_core = lambda: None
vault.Vault(Path(sys.argv[1]), secrets.token_bytes).make(None)
limit = resource.getrlimit(resource.RLIMIT_CORE)[0]
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), limit, flush=True)
os.abort()
"""
"""Says whether it may be dumped (PR_GET_DUMPABLE) and how much, and ends as a crash does."""


def dumpable(folder: Path, kind: str) -> tuple[bool, bool]:
    """Whether the kernel may dump the memory of a node that crashes, and whether it did."""
    with subprocess.Popen(
        [sys.executable, "-c", DIES, str(folder / kind), kind],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        may, limit = process.stdout.readline().split()
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
    return may == "1" or limit != "0", os.WCOREDUMP(status)


def test_a_crash_leaves_no_memory_behind(tmp_path: Path) -> None:
    assert dumpable(tmp_path, "node") == (False, False)
    assert _holding(tmp_path) == []


def test_twin_that_does_not_say_so_may_be_dumped(tmp_path: Path) -> None:
    assert dumpable(tmp_path, "twin")[0]
