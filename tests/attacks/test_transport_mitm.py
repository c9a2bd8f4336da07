"""transport-mitm (jabber.ru, 2023; active probing): somebody between node and relay who has
a certificate that browsers believe, or who asks the port what it is."""

import asyncio
import hashlib
import re
import ssl
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.drive.http import Request, Response
from holdfast.paths import websocket
from holdfast.paths.base import Channel, Unreachable
from holdfast.relay import certificate, decoy
from holdfast.relay.front import Door, Front

PATH = b"p" * 16
UPGRADE = (
    "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Quiet:
    """What hears a channel and says nothing."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_live(self, frame: bytes) -> None:
        pass

    def on_drained(self) -> None:
        pass

    def on_closed(self, reason: str) -> None:
        pass


class Relay:
    """A relay's greeting under some permanent key; keeps what it was told."""

    def __init__(self, seed: int) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.key.public_key().public_bytes_raw()
        self.heard: list[Quiet] = []

    def accept(self, channel: Channel, tls_key_hash: bytes, address: str) -> Quiet:
        proof = self.key.sign(caps.join(b"holdfast/tls/1", tls_key_hash))
        channel.send(wire.encode(wire.Welcome(wire.VERSION, self.public, proof, 1, 1)))
        self.heard.append(Quiet())
        return self.heard[-1]


class MiddleDoor(Door):
    """Takes every path, and writes down what it was asked for."""

    asked: str = ""

    def upgrade(
        self, request: Request, transport: asyncio.Transport, rest: bytes
    ) -> asyncio.BaseProtocol | None:
        MiddleDoor.asked = request.target
        self._sockets = [request.target.encode()]
        return super().upgrade(request, transport, rest)


class Middle(Front):
    """Has its own TLS key."""

    door = MiddleDoor


async def serve(
    stack: AsyncExitStack, kind: type[Front], data: Path, relay: Relay
) -> tuple[Front, Home]:
    data.mkdir()
    decoy.make_site(data / "site", lambda n: b"\x07" * n)
    tls = certificate.load_or_make(data, "127.0.0.1", int(time.time() * 1000))
    front = kind(tls, [PATH], decoy.Folder(data / "site"), relay.accept)
    port = await front.listen("127.0.0.1", 0)
    stack.push_async_callback(front.close)
    return front, Home("127.0.0.1", port, PATH, hashlib.sha256(relay.public).digest())


async def exchange(port: int, sent: bytes) -> bytes:
    """What the port answers a stranger; the date and the port's own number are left out."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(sent)
    async with asyncio.timeout(60):
        answer = b""
        while b"101 " not in answer[:16] and (more := await reader.read(65_536)):
            answer += more
    writer.close()
    with suppress(OSError, ssl.SSLError):  # the other side may have hung up first
        await writer.wait_closed()
    answer = answer.replace(b'":%d"' % port, b'":443"')
    return re.sub(rb"(?i)date: [^\r]*\r\n", b"", answer)


async def through_the_middle(stack: AsyncExitStack, tmp_path: Path) -> tuple[Home, Home, Relay]:
    true, impostor = Relay(1), Relay(2)
    _, home = await serve(stack, Front, tmp_path / "true", true)
    _, there = await serve(stack, Middle, tmp_path / "middle", impostor)
    return home, Home(there.host, there.port, PATH, home.pin), impostor


async def test_another_key_is_refused_whatever_its_certificate(tmp_path: Path) -> None:
    """No authority is asked, so one that is believed everywhere helps nobody: the
    impostor's own key vouches for its TLS key and is not the pin."""
    async with AsyncExitStack() as stack:
        _, diverted, impostor = await through_the_middle(stack, tmp_path)
        for _ in range(2):  # and no second attempt is laxer
            with pytest.raises(Unreachable) as caught:
                await websocket.connect(diverted, Quiet())
            assert caught.value.kind == "pin"
        assert all(heard.frames == [] for heard in impostor.heard)


async def test_twin_without_the_pin_the_impostor_is_spoken_to(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        _, diverted, impostor = await through_the_middle(stack, tmp_path)
        with patch.object(websocket, "is_pinned", lambda pin, key: True):
            channel = await websocket.connect(diverted, Quiet())
        channel.send(b"words")
        async with asyncio.timeout(60):
            while not impostor.heard[0].frames:
                await asyncio.sleep(0)
        assert impostor.heard[0].frames == [b"words"]
        channel.close()


async def learned_path_opens(tmp_path: Path) -> bool:
    """Whether the path that the middle was shown opens the true relay."""
    async with AsyncExitStack() as stack:
        home, diverted, _ = await through_the_middle(stack, tmp_path)
        with pytest.raises(Unreachable):
            await websocket.connect(diverted, Quiet())
        asked = UPGRADE.format(method="GET", path=MiddleDoor.asked).encode()
        return (await exchange(home.port, asked)).startswith(b"HTTP/1.1 101")


async def test_the_middle_learns_no_path_of_use(tmp_path: Path) -> None:
    assert not await learned_path_opens(tmp_path)


async def test_twin_a_path_not_bound_to_the_key_opens_the_relay(tmp_path: Path) -> None:
    bound = caps.request_path
    with patch.object(caps, "request_path", lambda home, seen: bound(home, bytes(32))):
        assert await learned_path_opens(tmp_path)


def probes(secret: str) -> list[bytes]:
    """What strangers send to find out what a port is; `secret` is the true path."""
    plain = "{} {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    asked = [plain.format("GET", path) for path in ("/", "/nothing", "/ws", "*", secret)]
    asked += [plain.format(verb, "/") for verb in ("HEAD", "POST", "OPTIONS", "ERROR", "CONNECT")]
    asked += [plain.format(verb, secret) for verb in ("HEAD", "POST", "PUT", "CONNECT")]
    asked += [UPGRADE.format(method="GET", path=p) for p in ("/", "/ws", secret[:-1], secret + "x")]
    asked += [UPGRADE.format(method="POST", path=secret)]
    right = UPGRADE.format(method="GET", path=secret)
    asked += [right.replace("Version: 13", "Version: 8"), right.replace("AAAA==", "AA==")]
    asked += [
        right.replace("websocket", "h2c"),
        right.replace("/1.1", "/1.0", 1)[:-2] + "X:\0\r\n\r\n",
    ]
    return [text.encode() for text in asked] + [
        b"\0" * 64 + b"\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000,
    ]  # fmt: skip


async def told_apart(tmp_path: Path, kind: type[Front]) -> int:
    """How many probes a relay answers otherwise than a server that has the site alone."""
    async with AsyncExitStack() as stack:
        front, home = await serve(stack, kind, tmp_path / "relay", Relay(1))
        site = Front(front.certificate, [], front.decoy, Relay(3).accept)
        port = await site.listen("127.0.0.1", 0)
        stack.push_async_callback(site.close)
        secret = caps.request_path(home, front.certificate.key_hash)
        count = 0
        for probe in probes(secret):
            answer = await exchange(home.port, probe)
            assert answer.startswith(b"HTTP/1.1 ")
            count += answer != await exchange(port, probe)
        return count


async def test_a_probe_sees_only_the_decoy(tmp_path: Path) -> None:
    assert await told_apart(tmp_path, Front) == 0


class HelpfulDoor(Door):
    """The defence off: says what its path is for, as HTTP would have it."""

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        if request.target.encode() in self._sockets:
            return Response(426, (("upgrade", "websocket"),))
        return super().respond(request)


class Helpful(Front):
    door = HelpfulDoor


async def test_twin_a_helpful_relay_is_told_apart(tmp_path: Path) -> None:
    assert await told_apart(tmp_path, Helpful) > 0
