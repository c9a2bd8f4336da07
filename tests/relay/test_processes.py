"""A relay of several processes, as its operator starts it: each has its share of the logs."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from test_program import Node

from holdfast.core.caps import Caps, Home
from holdfast.drive.logs import Appended, CaughtUp, Created, Dropped, Live, Logs, Received, Refused
from holdfast.paths import micro
from holdfast.relay.directory import is_running, restart, take_lock
from holdfast.relay.keys import RelayError, Secrets, now_ms
from holdfast.testing.processes import DidNotStart, RelayProgram


@contextmanager
def relay(data: Path, count: int = 2) -> Iterator[tuple[RelayProgram, Home]]:
    program = RelayProgram("relay", data, more=("--processes", str(count)))
    program.start()
    try:
        yield program, Home.parse(program.address)
    finally:
        program.stop()


def logs_of_all(data: Path, count: int, each: int = 3) -> list[Caps]:
    """So many logs of every process."""
    keys = Secrets(data)
    owner, found = keys.owner(count), list[Caps]()
    left = dict.fromkeys(range(count), each)
    while any(left.values()):
        log = Caps.make(secrets.token_bytes(128))
        number = owner(log.log_id(keys.pin))
        if left[number]:
            left[number] -= 1
            found.append(log)
    return found


def children(program: RelayProgram) -> list[psutil.Process]:
    return sorted(psutil.Process(program.pid).children(), key=lambda one: one.pid)


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)


async def test_every_connection_reaches_every_log(tmp_path: Path) -> None:
    with relay(tmp_path / "relay") as (_, home):
        logs = logs_of_all(tmp_path / "relay", 2)
        anna, boris, clara = Node(), Node(), Node()
        for log in logs:
            anna.logs.create(log, home)
            anna.logs.follow(log, home, 0)
        await anna.until(CaughtUp, len(logs))
        for number in range(20):
            for node in (boris, clara):
                for log in logs:
                    node.logs.append(log, home, secrets.token_bytes(16), b"%d" % number, 3600)
        await anna.until(Received, 40 * len(logs))
        await boris.until(Appended, 20 * len(logs))
        for log in logs:
            boris.logs.append(log, home, secrets.token_bytes(16), b"now", 0)
        await anna.until(Live, len(logs))
        for log in logs:
            anna.logs.trim(log, home, 30)
        clara.logs.follow(logs[0], home, 0)
        clara.logs.follow(logs[-1], home, 0)
        await clara.until(CaughtUp, 2)
        anna.logs.drop(logs[0], home)
        anna.logs.drop(logs[-1], home)
        await anna.until(Dropped, 2)
        await clara.until(Refused, 2)
        for node in (anna, boris, clara):
            await node.logs.stop()


async def test_small_exchanges_find_their_session(tmp_path: Path) -> None:
    with relay(tmp_path / "relay") as (_, home):
        logs = logs_of_all(tmp_path / "relay", 2, 1)
        node = Node()
        node.logs = Logs(micro.connect, now_ms, secrets.token_bytes, node._event)
        for log in logs:
            node.logs.create(log, home)
            node.logs.append(log, home, secrets.token_bytes(16), b"small", 3600)
        await node.until(Appended, 2)
        await node.logs.stop()


class Traffic:
    """Numbered records to every log, by one node, to another one that follows them all."""

    def __init__(self, home: Home, logs: list[Caps]) -> None:
        self.home, self.logs = home, logs
        self.writer, self.reader = Node(), Node()
        self.sent = 0

    async def begin(self) -> None:
        for log in self.logs:
            self.reader.logs.create(log, self.home)
            self.reader.logs.follow(log, self.home, 0)
        await self.reader.until(CaughtUp, len(self.logs))

    async def write(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            self.write_one()
            await asyncio.sleep(0.005)

    def write_one(self) -> None:
        self.sent += 1
        for log in self.logs:
            rid = log.locator[:8] + self.sent.to_bytes(8, "big")
            self.writer.logs.append(log, self.home, rid, b"%d" % self.sent, 3600)

    async def all_came(self) -> None:
        """In every log once, in order, whatever came twice by the same name."""
        wanted = [b"%d" % number for number in range(1, self.sent + 1)]

        def came(log: Caps) -> list[bytes]:
            found = [
                (one.rid, one.body)
                for one in self.reader.events
                if isinstance(one, Received) and one.locator == log.locator
            ]
            return list(dict(found).values())

        await self.writer.until(Appended, self.sent * len(self.logs))
        self.writer.logs.retry()
        self.reader.logs.retry()
        await until(lambda: all(len(came(log)) == self.sent for log in self.logs))
        for log in self.logs:
            assert sorted(came(log), key=int) == wanted

    async def end(self) -> None:
        await self.writer.logs.stop()
        await self.reader.logs.stop()


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_processes_that_are_replaced_lose_nothing(tmp_path: Path, how: str) -> None:
    with relay(tmp_path / "relay") as (program, home):
        traffic = Traffic(home, logs_of_all(tmp_path / "relay", 2, 2))
        await traffic.begin()
        before = children(program)
        writing = asyncio.create_task(traffic.write(1.0))
        await asyncio.sleep(0.2)
        if how == "restart":
            assert restart(tmp_path / "relay")
        else:
            for one in before:
                one.send_signal(signal.SIGKILL)
                await until(lambda: len(children(program)) == 2)
        await writing
        await until(lambda: len(new := children(program)) == 2 and not set(new) & set(before))
        traffic.write_one()
        await traffic.all_came()
        await traffic.end()


async def test_without_their_parent_processes_end(tmp_path: Path) -> None:
    with relay(tmp_path / "relay") as (program, home):
        node, log = Node(), Caps.make(secrets.token_bytes(128))
        node.logs.create(log, home)
        await node.until(Created)
        program.kill()
        await until(lambda: not is_running(tmp_path / "relay"))
        await node.logs.stop()


async def test_a_number_of_processes_that_changes_keeps_all_logs(tmp_path: Path) -> None:
    logs = [Caps.make(secrets.token_bytes(128)) for _ in range(12)]
    for turn, count in enumerate((1, 3, 1)):
        with relay(tmp_path / "relay", count) as (program, home):
            node = Node()
            for log in logs:
                node.logs.create(log, home)
                node.logs.append(log, home, secrets.token_bytes(16), b"%d" % turn, 3600)
            await node.until(Appended, len(logs))
            for log in logs:
                node.logs.follow(log, home, 0)
            await node.until(Received, len(logs) * (turn + 1))
            for log in logs:
                came = [e for e in node.events if isinstance(e, Received)]
                found = [(e.seq, e.body) for e in came if e.locator == log.locator]
                assert found == [(seq + 1, b"%d" % seq) for seq in range(turn + 1)]
            await node.logs.stop()
            program.port = 0
    names = sorted(path.name for path in (tmp_path / "relay").glob("logs*"))
    assert names == ["logs"]


async def test_a_disk_that_fails_one_process_stops_all(tmp_path: Path) -> None:
    """What was not made durable is not promised, and nothing goes on as if it had been."""
    first = tmp_path / "first.py"
    first.write_text(
        "import holdfast.store.files as files\n"
        "left = [20]\n"
        "def sync(self, descriptor, real=files.OsFiles.sync):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0:\n"
        "        raise OSError(5, 'the disk does not answer')\n"
        "    real(self, descriptor)\n"
        "files.OsFiles.sync = sync\n"
    )
    program = RelayProgram("relay", tmp_path / "relay", more=("--processes", "2"))
    program.first = first
    program.start()
    home, node = Home.parse(program.address), Node()
    log = logs_of_all(tmp_path / "relay", 2, 1)[0]
    node.logs.create(log, home)
    await node.until(Created)
    for number in range(60):
        node.logs.append(log, home, secrets.token_bytes(16), b"%d" % number, 3600)
        await asyncio.sleep(0.005)
    assert await asyncio.to_thread(program.wait, 30)
    assert "promises nothing" in program.errors.read_text()
    assert node.count(Appended) < 60 and not is_running(tmp_path / "relay")
    await node.logs.stop()


async def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path) -> None:
    with relay(tmp_path / "one") as (_, home):
        listen, more = f"127.0.0.1:{home.port}", ("--processes", "2")
        program = RelayProgram("two", tmp_path / "two", listen=listen, more=more)
        with pytest.raises(DidNotStart, match="another program uses it"):
            await asyncio.to_thread(program.start)


def test_one_process_says_how_it_is_restarted(tmp_path: Path) -> None:
    Secrets(tmp_path)
    lock = take_lock(tmp_path)
    with pytest.raises(RelayError, match="drain"):
        restart(tmp_path)
    os.close(lock)
