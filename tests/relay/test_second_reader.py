"""What spec/log.md says is enough to talk to a relay: see `second_reader`."""

import ast
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import second_reader
from second_reader import Address, BrokenProtocol, Log, Reader, frame, pack, unpack

from holdfast.testing.processes import Processes

VECTORS = Path(__file__).parent.parent.parent / "spec" / "vectors"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with Processes(tmp_path_factory.mktemp("second")) as run:
        yield Address(run.relay().address)


Connect = Callable[[], Reader]


@pytest.fixture
def connect(address: Address) -> Iterator[Connect]:
    readers: list[Reader] = []

    def one() -> Reader:
        readers.append(Reader(address))
        return readers[-1]

    yield one
    for reader in readers:
        reader.close()


def new_log(address: Address) -> Log:
    return Log(*(secrets.token_bytes(32) for _ in range(4)), address.pin)


def sealed(log: Log, rid: bytes, body: bytes) -> bytes:
    return log.seal(rid, body, secrets.token_bytes(12))


def test_it_knows_nothing_of_holdfast() -> None:
    tree = ast.parse(Path(second_reader.__file__).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(one.name.startswith(("holdfast", "msg")) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith(("holdfast", "msg"))


def test_the_vectors_of_secrets() -> None:
    kept = json.loads((VECTORS / "caps.json").read_text())
    secret = bytes.fromhex(kept["secrets"])
    parts = [secret[at : at + 32] for at in range(0, 128, 32)]
    for home in kept["homes"]:
        there = Address(home["address"])
        assert there.pin.hex() == home["relay_id"]
        assert there.request_path(bytes(32)) == home["request_path_for_tls_key_hash_of_zeros"]
        log = Log(*parts, there.pin)
        assert log.id.hex() == home["log_id"]
        for role in ("append", "read", "owner"):
            assert log.token(role).hex() == home["tokens"][role]
            assert log.verifier(role).hex() == home["verifiers"][role]
        rid, body = bytes.fromhex(kept["rid"]), bytes.fromhex(kept["body"])
        assert log.seal(rid, body, bytes.fromhex(kept["nonce"])).hex() == home["record"]
        assert log.open(bytes.fromhex(home["record"])) == (rid, body)


def test_the_vectors_of_frames() -> None:
    kept = json.loads((VECTORS / "log.json").read_text())
    for name, text in kept["frames"].items():
        found = unpack(bytes.fromhex(text))
        assert unpack(pack(found)) == found
        if found[0] > 64:
            assert frame(bytes.fromhex(text)) == found, name
    for text in kept["malformed"].values():
        with pytest.raises(BrokenProtocol):
            frame(bytes.fromhex(text))


def test_what_is_appended_is_read_once_and_in_order(address: Address, connect: Connect) -> None:
    log, said = new_log(address), [(secrets.token_bytes(16), b"%d" % n * n) for n in range(40)]
    writer, reader = connect(), connect()
    writer.create(log)
    writer.create(log)  # again is the same
    assert writer.attach(3, log, None, "append", "owner") == [1, 1]
    for rid, body in said[:20]:
        writer.append(3, sealed(log, rid, body))
    again = sealed(log, *said[19])
    writer.append(3, again)
    writer.settled()
    assert reader.attach(300, log, 0, "read") == [1, 22]
    stored = reader.records(300, log, 20)
    assert reader.until(69) == [69, 300, "read"]
    for rid, body in said[20:]:
        writer.append(3, sealed(log, rid, body))
    came = stored + reader.records(300, log, 20)
    assert [(rid, body) for _, rid, body in came] == said

    writer.say(11, 3, sealed(log, b"l" * 16, b"live"))
    assert reader.records(300, log, 1) == [(0, b"l" * 16, b"live")]

    writer.settled()
    writer.say(5, 3, 30)
    assert writer.until(69) == [69, 3, "trim"]
    assert connect().attach(1, log, 0, "read") == [31, 42]
    writer.say(6, 3)
    assert writer.until(69) == [69, 3, "drop"]
    assert reader.frame()[:3] == [70, 300, "denied"]


def test_refusals_have_their_names(address: Address, connect: Connect) -> None:
    log = new_log(address)
    reader = connect()
    for role in ("append", "read", "owner"):
        with pytest.raises(BrokenProtocol, match="denied"):
            reader.attach(1, log, None, role)
    reader.create(log, 1)
    with pytest.raises(BrokenProtocol, match="denied"):
        reader.create(log, 2)
    reader.attach(1, log, None, "append")
    reader.append(1, b"one")
    reader.append(1, b"two")
    reader.append(2, b"three")
    reader.append(1, b"four")
    refused = {}
    while reader.acked < 4:
        if (found := reader.frame())[0] == 70:
            refused[found[4]] = found[2]
    assert refused == {2: "closed", 3: "unknown-handle", 4: "closed"}
    reader.say(7, 1)
    assert reader.until(69) == [69, 1, "detach"]
    reader.say(4, 1, 9, 60, b"a gap")
    assert reader.frame()[:2] == [71, "malformed"]


def test_who_is_not_the_relay_of_the_address_is_told_nothing(address: Address) -> None:
    other = Address.__new__(Address)
    other.host, other.port, other.path, other.pin = (
        address.host,
        address.port,
        address.path,
        bytes(32),
    )
    with pytest.raises(BrokenProtocol, match="another relay"):
        Reader(other)
    other.path = bytes(16)
    with pytest.raises(BrokenProtocol, match="no upgrade"):
        Reader(other)
