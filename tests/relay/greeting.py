"""A relay's program as far as a node that connects sees it: greets, and returns every frame."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import caps, wire
from holdfast.paths.base import Channel

PATH = b"p" * 16
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PIN = hashlib.sha256(KEY.public_key().public_bytes_raw()).digest()


class Heard:
    """What hears a channel."""

    def __init__(self, channel: Channel | None = None) -> None:
        self.frames: list[bytes] = []
        self.over = ""
        self._channel = channel

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        if self._channel is not None:
            self._channel.send(frame)

    def on_live(self, frame: bytes) -> None: ...

    def on_drained(self) -> None: ...

    def on_closed(self, reason: str) -> None:
        self.over = reason


def accept(channel: Channel, tls_key_hash: bytes, address: str) -> Heard:
    proof = KEY.sign(caps.join(b"holdfast/tls/1", tls_key_hash))
    public = KEY.public_key().public_bytes_raw()
    channel.send(wire.encode(wire.Welcome(wire.VERSION, public, proof, 1, 1)))
    return Heard(channel)
