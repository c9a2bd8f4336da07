"""`holdfast relay`: keys and secrets on the disk, the store, the port, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core import wire
from holdfast.core.caps import Home, b64, join, unb64
from holdfast.relay.hub import Hub
from holdfast.relay.limits import Doors, RelayLimits
from holdfast.relay.session import Connection
from holdfast.store.base import Store, StoreFailed
from holdfast.store.embedded import Embedded

if TYPE_CHECKING:
    from holdfast.paths.base import Channel, Handler

TICK_SECONDS: Final = 5
PROOFS: Final = 16


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
            key = _keep(data / "relay.key", lambda: secrets.token_bytes(32))
            lines = _keep(data / "paths", lambda: b64(secrets.token_bytes(16)).encode() + b"\n")
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

    def home(self, host: str, port: int) -> Home:
        """The address under which this relay is advertised."""
        return Home(host, port, self.paths[0], self.pin)

    def prove(self, tls_key_hash: bytes) -> bytes:
        """That the TLS key whose SHA-256 this is belongs to this relay."""
        return self.key.sign(join(b"holdfast/tls/1", tls_key_hash))


class Relay:
    """The relay without a port: gives every accepted channel its session."""

    def __init__(
        self,
        store: Store,
        keys: Secrets,
        limits: RelayLimits,
        clock: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.hub = Hub(store, limits, clock, soon)
        self._doors = Doors(limits)
        self._limits = limits
        self._keys = keys
        self._prove = functools.lru_cache(PROOFS)(keys.prove)

    def accept(self, channel: Channel, tls_key_hash: bytes, address: str) -> Handler:
        """A channel was established. `address` is counted while it lasts, and not kept."""
        bounds = self._limits.connection
        welcome = wire.Welcome(
            wire.VERSION,
            self._keys.public,
            self._prove(tls_key_hash),
            bounds.max_body,
            bounds.max_lifetime,
        )
        why_not = self._doors.enter(address)
        left = functools.partial(self._doors.leave, address) if not why_not else lambda: None
        connection = Connection(self.hub, channel, welcome, left)
        if why_not:
            connection.end("full", why_not)
        return connection


def check_lock(data: Path) -> int:
    """Hold the directory for this process; the file descriptor keeps it. Raises `RelayError`."""
    import fcntl

    lock = os.open(data / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise RelayError(
            f"another relay is using {data}. Stop it, or choose another directory with --data"
        ) from None
    return lock


def _keep(path: Path, make: Callable[[], bytes]) -> bytes:
    """The file's content; made, durable, at first."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path.read_bytes()
