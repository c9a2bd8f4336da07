"""The node's directory and the key to its database.

The key is random. It lies beside the database in one of three ways: wrapped by a
passphrase; in the system's keyring; or, where there is neither, in a file that only
its user can read, which protects against nobody who has the disk. Source:
spec/seal.md, "At rest".
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from holdfast.core.caps import b64, unb64
from holdfast.core.seal import rest
from holdfast.store import whole

DATABASE: Final = "holdfast.db"
KEY: Final = "key"
_SET_DUMPABLE: Final = 4
"""PR_SET_DUMPABLE of linux/prctl.h."""
SERVICE: Final = "holdfast"

Kept = Literal["file", "keyring", "passphrase"]


def _dump_no_core() -> None:
    """The limit alone is not obeyed where the kernel hands dumps to a program (core(5)); not being
    dumpable is (prctl(2)), and keeps other programs of this user from reading the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


class VaultError(Exception):
    """The directory cannot be used; the sentence says why and what to do."""


class _Key(Struct, frozen=True):
    kept: Kept
    secret: bytes
    """The key itself, its name in the keyring, or its wrapping."""


class Vault:
    """One directory, held by this process alone. Raises `VaultError`."""

    def __init__(self, home: Path, entropy: Callable[[int], bytes], keyring: bool = False) -> None:
        self.home = home
        self._entropy = entropy
        self._keyring = keyring
        # No secret in a core dump, no file that others can read.
        _dump_no_core()
        os.umask(0o077)
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.chmod(0o700)
            lock = whole.hold(home / "lock")
        except OSError as error:
            raise VaultError(
                f"the directory {home} cannot be used: {error.strerror}. Choose another with"
                " --home, or make it yours"
            ) from error
        if lock is None:
            raise VaultError(
                f"another Holdfast is using {home}. Stop it, or choose another directory"
            )
        self._lock = lock

    def release(self) -> None:
        """Let another process use the directory."""
        os.close(self._lock)

    @property
    def database(self) -> Path:
        """Where the database is or will be."""
        return self.home / DATABASE

    @property
    def phase(self) -> Literal["new", "locked", "ready"]:
        """Whether there is a key, and whether it opens by itself."""
        if not (self.home / KEY).exists():
            return "new"
        return "locked" if self.kept == "passphrase" else "ready"

    @property
    def kept(self) -> Kept:
        """How the key is kept. Raises `VaultError`."""
        return self._read().kept

    def make(self, passphrase: str | None) -> bytes:
        """A new database key, 32 bytes, kept from now on."""
        key = self._entropy(32)
        self.keep(key, passphrase)
        return key

    def open(self, passphrase: str | None = None) -> bytes:
        """The database key. Raises `rest.WrongPassphrase`, `VaultError`."""
        stored = self._read()
        if stored.kept == "passphrase":
            return rest.unwrap_key(stored.secret, passphrase or "")
        if stored.kept == "keyring":
            import keyring

            found = keyring.get_password(SERVICE, stored.secret.decode())
            if found is None:
                raise VaultError(
                    "the system's keyring does not have the key to this directory; unlock the"
                    " keyring and start again"
                )
            return unb64(found)
        return stored.secret

    def keep(self, key: bytes, passphrase: str | None) -> None:
        """Keep the key under the passphrase, or without one as well as this machine can."""
        if passphrase is not None:
            self._write(_Key("passphrase", rest.wrap_key(key, passphrase, self._entropy)))
        elif self._keyring and (name := self._to_keyring(key)):
            self._write(_Key("keyring", name.encode()))
        else:
            self._write(_Key("file", key))

    def _to_keyring(self, key: bytes) -> str | None:
        """The name it has there, or None if there is no keyring that can be trusted."""
        import keyring
        from keyring.errors import KeyringError

        name = b64(self._entropy(9))
        with contextlib.suppress(KeyringError, RuntimeError, OSError):
            if keyring.get_keyring().priority >= 1:
                keyring.set_password(SERVICE, name, b64(key))
                return name
        return None

    def _read(self) -> _Key:
        try:
            return msgspec.msgpack.decode((self.home / KEY).read_bytes(), type=_Key)
        except OSError as error:
            raise VaultError(f"{self.home / KEY} cannot be read: {error.strerror}") from None
        except msgspec.MsgspecError:
            raise VaultError(
                f"{self.home / KEY} is damaged; restore it from a copy, nothing else opens the"
                " messages here"
            ) from None

    def _write(self, key: _Key) -> None:
        """Whole or not at all: without this file everything is lost."""
        try:
            whole.write(self.home / KEY, msgspec.msgpack.encode(key))
        except OSError as error:
            raise VaultError(f"{self.home} cannot be written: {error.strerror}") from error
