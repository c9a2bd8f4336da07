"""A relay that greets and echoes, behind a real front, for the tests of paths."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import caps, wire
from holdfast.core.caps import Home
from holdfast.paths.base import Channel
from holdfast.relay import certificate, decoy
from holdfast.relay.front import Front

PATH = b"p" * 16


class Heard:
    """A handler that keeps what it heard."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.live: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.drained = asyncio.Event()

    def on_frame(self, frame: bytes) -> None:
        self.frames.put_nowait(frame)

    def on_live(self, frame: bytes) -> None:
        self.live.put_nowait(frame)

    def on_drained(self) -> None:
        self.drained.set()

    def on_closed(self, reason: str) -> None:
        self.closed.set_result(reason)


class EchoRelay:
    """A relay program that greets and returns every frame."""

    def __init__(self, key: Ed25519PrivateKey, proof_for: bytes | None = None) -> None:
        self.key = key
        self.proof_for = proof_for
        self.channels: list[Channel] = []
        self.heard: list[bytes] = []
        self.drained = asyncio.Event()
        self.reasons: list[str] = []

    @property
    def pin(self) -> bytes:
        return hashlib.sha256(self.key.public_key().public_bytes_raw()).digest()

    def accept(self, channel: Channel, tls_key_hash: bytes, address: str) -> EchoRelay.Session:
        proof = self.key.sign(caps.join(b"holdfast/tls/1", self.proof_for or tls_key_hash))
        public = self.key.public_key().public_bytes_raw()
        channel.send(wire.encode(wire.Welcome(wire.VERSION, public, proof, 1, 1)))
        self.channels.append(channel)
        return self.Session(self, channel)

    class Session:
        def __init__(self, relay: EchoRelay, channel: Channel) -> None:
            self.relay, self.channel = relay, channel

        def on_frame(self, frame: bytes) -> None:
            self.relay.heard.append(frame)
            self.channel.send(frame)

        def on_live(self, frame: bytes) -> None:
            self.channel.send_live(frame)

        def on_drained(self) -> None:
            self.relay.drained.set()

        def on_closed(self, reason: str) -> None:
            self.relay.reasons.append(reason)


async def serve(tmp_path: Path, relay: EchoRelay, host: str = "127.0.0.1") -> tuple[Front, Home]:
    site = tmp_path / "site"
    if not site.exists():
        decoy.make_site(site, lambda n: b"\x07" * n)
    cert = certificate.load_or_make(tmp_path, host, int(time.time() * 1000))
    front = Front(cert, [PATH], decoy.Folder(site), relay.accept)
    port = await front.listen(host, 0)
    return front, Home(host, port, PATH, relay.pin)
