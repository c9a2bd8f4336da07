"""What makes a relay this relay: its key, its secret paths, and the addresses made of them."""

from __future__ import annotations

import hashlib
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.caps import BadAddress, Home, b64, join, unb64
from holdfast.relay import watching
from holdfast.relay.shards import shard_of
from holdfast.store import whole


class RelayError(Exception):
    """The relay cannot start or go on; the sentence says why and what to do."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Secrets:
    """What makes this relay this relay, in its data directory, readable by nobody else.

    `relay.key` is the permanent Ed25519 key (32 raw bytes); `paths` has one path secret a
    line (base64), the first of which is advertised. More lines are more addresses of the
    same relay; deleting one closes it. Raises `RelayError`.
    """

    def __init__(self, data: Path) -> None:
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            data.chmod(0o700)
            key = whole.keep(data / "relay.key", lambda: secrets.token_bytes(32))
            lines = whole.keep(
                data / "paths", lambda: b64(secrets.token_bytes(16)).encode() + b"\n"
            )
        except OSError as error:
            raise RelayError(
                f"the directory {data} cannot be used: {error.strerror}. Choose another with"
                " --data, or make it yours"
            ) from error
        try:
            self.key = Ed25519PrivateKey.from_private_bytes(key)
            self.paths = [unb64(line) for line in lines.decode("ascii").split()]
        except ValueError as error:
            raise RelayError(
                f"{data} holds a damaged relay.key or paths file. Restore them from a backup;"
                " without them this is another relay, and its old address leads nowhere"
            ) from error
        if not self.paths or any(len(path) != 16 for path in self.paths):
            raise RelayError(f"{data / 'paths'} needs one path secret of 16 bytes a line")
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.pin = hashlib.sha256(self.public).digest()
        self.operators = watching.operators(key)

    def owner(self, count: int) -> Callable[[bytes], int]:
        """Which of so many processes keeps a log, by the log's id."""
        return lambda name: shard_of(name, count, self.operators)

    def home(self, host: str, port: int) -> Home:
        """The address under which this relay is advertised."""
        return Home(host, port, self.paths[0], self.pin)

    def prove(self, tls_key_hash: bytes) -> bytes:
        """That the TLS key whose SHA-256 this is belongs to this relay."""
        return self.key.sign(join(b"holdfast/tls/1", tls_key_hash))


def reachable(host: str, advertise: str | None) -> str:
    """The host part of what nodes are told."""
    if advertise:
        name, colon, port = advertise.rpartition(":")
        return (name if colon and port.isdecimal() else advertise).strip("[]")
    return socket.gethostname() if host in ("", "0.0.0.0", "::") else host


def address_of(keys: Secrets, host: str, port: int, advertise: str | None) -> Home:
    """What nodes are told: by `advertise`, HOST or HOST:PORT, if it is given."""
    if advertise and (last := advertise.rpartition(":")[2]).isdecimal() and "]" not in last:
        port = int(last)
    try:
        return Home.parse(str(keys.home(reachable(host, advertise), port)))
    except BadAddress as error:
        raise RelayError(f"--advertise takes HOST or HOST:PORT: {error}") from None
