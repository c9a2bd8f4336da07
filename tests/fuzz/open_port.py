"""What strangers send to an open port, for test_targets.py: function and usual bytes each."""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import udp_port
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from samples import two

from holdfast.core import caps, near, reflect
from holdfast.core.call.direct import Checks
from holdfast.core.seal import padding, renewal, rest
from holdfast.core.seal.hpke import Unopenable
from holdfast.drive import http
from holdfast.node import backup, rpc
from holdfast.testing.entropy import seeded


class _Wire(asyncio.Transport):
    """Takes what is written and remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class _Site:
    def respond(self, request: http.Request) -> http.Response:
        return http.plain(200, f"{len(request.body)} {request.is_websocket} {request.path!r}")

    def take(self, request: http.Request) -> None:
        """Long bodies are refused."""

    def error(self, status: int) -> http.Response:
        return http.plain(status)

    def upgrade(self, request: http.Request, transport: object, rest: bytes) -> None:
        assert request.is_websocket and request.head


@functools.cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def http_request(data: bytes) -> None:
    async def serve() -> None:
        transport = _Wire()
        open_ = http.Open()
        connection = http.HttpConnection(_Site(), open_)
        connection.connection_made(transport)
        for start in range(0, len(data), 97):
            if not transport.closed:
                connection.data_received(data[start : start + 97])
        connection.connection_lost(None)
        assert not open_

    _runner().run(serve())


class _Node:
    """Takes any call that the types let through."""

    def __getattr__(self, name: str) -> Any:
        async def call(**arguments: Any) -> None:
            assert name in rpc.METHODS

        return call


class _Api(rpc.Session):
    def __init__(self) -> None:
        super().__init__(_Node(), lambda _: None)
        self.answers: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.answers.append(frame)

    async def settle(self) -> None:
        await asyncio.gather(*self._calls)


def api_request(data: bytes) -> None:
    """Every request is answered once, with a result or an error that has a sentence."""

    async def serve() -> None:
        session = _Api()
        session.got(data)
        await session.settle()
        (answer,) = map(msgspec.json.decode, session.answers)
        assert answer["jsonrpc"] == "2.0"
        assert "result" in answer or answer["error"]["message"]

    _runner().run(serve())


def call(method: str, **params: object) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
UPGRADE = (
    b"GET /s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def renewal_record(data: bytes) -> None:
    """As it comes from a contact, and what is inside, as the contact made it."""
    met = two()
    inbox, root = met.at_anna.mine.caps, met.boris.devices.root
    plain = padding.pad(data[:4_000], 29)
    sealed = AESGCM(caps.hkdf(inbox.locator, "renewal/1")).encrypt(bytes(12), plain, renewal.KIND)
    for record in (data, renewal.KIND + bytes(12) + sealed):
        with contextlib.suppress(Unopenable):
            renewal.open_renewal(record, inbox, root, 0)


def backup_file(data: bytes) -> None:
    """A file that somebody takes for a backup; the passphrase is not what takes time here."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest, "unwrap_key", lambda wrapped, passphrase: bytes(32))
        path = Path(folder, "file")
        path.write_bytes(data)
        Path(folder, "parts").mkdir()
        with contextlib.suppress(backup.BadBackup):
            backup.read(path, Path(folder, "parts"), "")


def near_line(data: bytes) -> None:
    """What a stranger, and a contact, says on the local network."""
    one = near.Peer.of("a", bytes(32), b"1" * 32)
    other = near.Peer.of("b", b"1" * 32, bytes(32))
    with contextlib.suppress(near.BadLine):
        near.Line([one], 1, seeded("a")).received(data, 1)
    first, second = near.Line([one], 1, seeded("b"), one), near.Line([other], 1, seeded("c"))
    second.received(first.take(), 1)
    first.received(second.take(), 1)
    first._say(data)
    with contextlib.suppress(near.BadLine):
        second.received(first.take(), 1)
    near.found([one], [data[at : at + 255] for at in range(0, len(data), 255)], 1)


def packet_of_call(data: bytes) -> None:
    """What comes to the UDP port of a call, and to a relay's from whom asks where it is."""
    Checks(bytes(32), "caller", seeded("a")).received(data, ("203.0.113.1", 1), 1)
    known = Checks(bytes(32), "callee", seeded("a"))
    known.offer(("203.0.113.1", 1), 1)
    known.received(data, ("203.0.113.1", 1), 1)
    assert reflect.Mirror([bytes(16)]).answer(data, ("203.0.113.1", 1), 1, seeded("b")) is None
    reflect.answered(bytes(16), bytes(60), data)
    reflect.unpack(data)


Seeds = tuple[bytes, ...]


def targets() -> dict[str, tuple[Callable[[bytes], None], Seeds]]:
    """By name."""
    met = two()
    return {
        "near-line": (near_line, (b"\0" + bytes(17), b"\3" + bytes(18))),
        "call-packet": (packet_of_call, (b"\x40" + bytes(59), bytes(40))),
        "api": (
            api_request,
            (
                call("status"),
                call("send", contact="Amina", text="On my way.", reply_to=None),
                call("messages", contact="Amina", before=7, limit=50),
                call("update_settings", theme="dark", timer=60),
            ),
        ),
        "udp-port": (udp_port.port, (udp_port.first_words(), b"\0\x14\xc0" + bytes(19))),
        "http3": (udp_port.visit, tuple(udp_port.visits())),
        "http": (http_request, (GET, GET + POST, CHUNKED + GET, UPGRADE)),
        "renewal": (
            renewal_record,
            (renewal.seal(met.boris, met.at_anna.mine.caps, met.invitation.link, seeded("r")),),
        ),
        "backup": (
            backup_file,
            (
                backup.MAGIC + b"\0\1w" + b"\x08database" + (3).to_bytes(8, "big") + b"abc\0",
                backup.MAGIC + b"\0\0" + b"\x20" + b"a" * 32 + bytes(8) + b"\0",
            ),
        ),
    }
