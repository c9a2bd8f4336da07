"""What is written in spec/log.md is enough: an implementation that knows nothing else gets along
with the relay, and with what the first one writes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import second
from second import Address, Connection, Ended, Log, Wrong

from holdfast.core.caps import Caps, Home
from holdfast.drive.logs import Appended, Created, LogEvent, Logs, Received
from holdfast.paths import websocket
from holdfast.relay.keys import now_ms
from holdfast.testing.processes import Processes

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
HOUR = 3_600
ENVELOPE = 12 + 16 + 16


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Processes(tmp_path_factory.mktemp("second")) as programs:
        yield programs.relay().address


@pytest.fixture
def connect(home: str) -> Iterator[Callable[[], Connection]]:
    made: list[Connection] = []

    def one() -> Connection:
        connection = Connection(Address.parse(home))
        connection.hello()
        made.append(connection)
        return connection

    yield one
    for connection in made:
        connection.close()


def test_it_knows_nothing_of_the_first() -> None:
    found = re.findall(r"^(?:from|import) (\w+)", Path(second.__file__).read_text(), re.M)
    assert "holdfast" not in found


def test_who_is_not_the_relay_of_the_address_is_told_nothing(home: str) -> None:
    right = Address.parse(home)
    with pytest.raises((Wrong, Ended)):
        Connection(dataclasses.replace(right, pin=bytes(32)))
    with pytest.raises((Wrong, Ended)):
        Connection(dataclasses.replace(right, path=bytes(16)))


def test_secrets_at_a_relay() -> None:
    vectors = json.loads((VECTORS / "caps.json").read_text())
    parts = bytes.fromhex(vectors["secrets"])
    log = Log(*(parts[at : at + 32] for at in range(0, 128, 32)))
    assert second.hkdf(log.locator, "uid/1", length=16).hex() == vectors["conv_id"]
    for at in vectors["homes"]:
        relay = bytes.fromhex(at["relay_id"])
        address = Address.parse(at["address"])
        assert address.pin == relay
        assert address.request(bytes(32)) == at["request_path_for_tls_key_hash_of_zeros"]
        assert log.id(relay).hex() == at["log_id"]
        for role in second.ROLES:
            assert log.token(role, relay).hex() == at["tokens"][role]
            assert log.verifier(role, relay).hex() == at["verifiers"][role]
        rid, body = bytes.fromhex(vectors["rid"]), bytes.fromhex(vectors["body"])
        sealed = log.seal(relay, rid, body, bytes.fromhex(vectors["nonce"]))
        assert sealed.hex() == at["record"]
        assert log.open(relay, sealed) == (rid, body)


def test_frames() -> None:
    for name, frame in json.loads((VECTORS / "log.json").read_text())["frames"].items():
        raw = bytes.fromhex(frame)
        assert second.pack(second.unpack(raw)) == raw, name


def test_a_log_from_its_making_to_its_end(connect: Callable[[], Connection]) -> None:
    writer, reader, log = connect(), connect(), Log.make()
    assert writer.create(7, log) == [69, 7, "create"]
    assert writer.create(8, log) == [69, 8, "create"], "the same again succeeds"
    assert writer.create(9, log, limit=5)[:3] == [70, 9, "denied"], "another limit does not"
    assert writer.attach(1, log, "append", "owner") == [66, 1, 1, 1]

    names = [os.urandom(16) for _ in range(20)]
    for number, rid in enumerate(names):
        writer.append(1, log, rid, b"%d" % number * 500)
    writer.settle()
    first = reader.attach(3, log, "read", since=0)
    assert first == [66, 3, 1, 21]
    kept = list(reader.records(log))
    assert [(seq, rid) for seq, rid, _ in kept] == list(enumerate(names, 1))
    assert kept[4][2] == b"4" * 500

    # What comes later is followed, live frames too.
    rid = os.urandom(16)
    writer.append(1, log, rid, b"later")
    writer.settle()
    assert list(reader.opened(log, reader.answer(68))) == [(21, rid, b"later")]
    sound = log.seal(writer.address.pin, rid, b"sound", os.urandom(12))
    writer.say(11, 1, sound)
    assert list(reader.opened(log, reader.answer(68))) == [(0, rid, b"sound")]

    writer.say(5, 1, 20)
    assert writer.answer(69) == [69, 1, "trim"]
    assert connect().attach(0, log, "read", since=0) == [66, 0, 21, 22]
    writer.say(6, 1)
    assert writer.answer(69) == [69, 1, "drop"]
    assert reader.answer(70)[1:3] == [3, "denied"], "who follows it is told"


def test_who_has_not_the_secrets_learns_nothing(connect: Callable[[], Connection]) -> None:
    one, log = connect(), Log.make()
    one.create(1, log)
    absent = one.attach(2, Log.make(), "read")
    another = Log(log.locator, log.append, os.urandom(32), log.owner)
    assert one.attach(2, another, "read") == absent
    assert absent[:3] == [70, 2, "denied"]
    one.attach(2, log, "read")
    one.append(2, log, bytes(16), b"without the append role")
    refused = one.answer(70)
    assert (refused[1], refused[2], refused[4]) == (2, "denied", 1)
    one.append(5, log, bytes(16), b"on no handle")
    refused = one.answer(70)
    assert (refused[1], refused[2], refused[4]) == (5, "unknown-handle", 2)


def test_a_log_that_takes_no_more(connect: Callable[[], Connection]) -> None:
    one, log = connect(), Log.make()
    assert one.create(1, log, limit=1)[0] == 69
    one.attach(1, log, "append")
    one.append(1, log, bytes(16), b"the only one")
    one.append(1, log, bytes(16), b"one too many")
    refused = one.answer(70)
    assert (refused[1], refused[2], refused[4]) == (1, "closed", 2)
    one.settle()


def test_the_largest_record(connect: Callable[[], Connection]) -> None:
    one, log = connect(), Log.make()
    one.create(1, log)
    one.attach(1, log, "append", "read", since=0)
    assert list(one.records(log)) == []
    largest = bytes(one.max_body - ENVELOPE)
    one.append(1, log, bytes(16), largest)
    one.settle()
    assert list(one.opened(log, one.answer(68))) == [(1, bytes(16), largest)]
    one.append(1, log, bytes(16), largest + b"!")
    with pytest.raises(Ended, match="malformed"):
        one.hear()


def test_probes_and_what_is_no_frame(home: str, connect: Callable[[], Connection]) -> None:
    one = connect()
    one.say(10, 1000)
    assert one.answer(73) == [73, bytes(1000)]
    one.send(b"\x93\x04")
    with pytest.raises(Ended, match="malformed"):
        one.hear()
    old = Connection(Address.parse(home))
    old.say(1, 99)
    with pytest.raises(Ended, match="version"):
        old.hear()
    old.close()


async def test_each_reads_what_the_other_wrote(
    home: str, connect: Callable[[], Connection]
) -> None:
    caps, at = Caps.make(secrets.token_bytes(128)), Home.parse(home)
    assert caps.append is not None and caps.read is not None and caps.owner is not None
    log = Log(caps.locator, caps.append, caps.read, caps.owner)
    came: asyncio.Queue[LogEvent] = asyncio.Queue()
    logs = Logs(websocket.connect, now_ms, secrets.token_bytes, came.put_nowait)

    async def until(kind: type[LogEvent]) -> LogEvent:
        async with asyncio.timeout(60):
            while not isinstance(event := await came.get(), kind):
                pass
        return event

    theirs, mine = os.urandom(16), os.urandom(16)
    try:
        logs.create(caps, at)
        await until(Created)
        logs.append(caps, at, theirs, b"from the first", HOUR)
        await until(Appended)
        reader = await asyncio.to_thread(connect)
        assert (await asyncio.to_thread(reader.attach, 1, log, "read", "append", since=0))[0] == 66
        assert list(reader.records(log)) == [(1, theirs, b"from the first")]
        logs.follow(caps, at, 1)
        reader.append(1, log, mine, b"from the second")
        await asyncio.to_thread(reader.settle)
        event = await until(Received)
        assert isinstance(event, Received)
        assert (event.seq, event.rid, event.body) == (2, mine, b"from the second")
    finally:
        await logs.stop()
