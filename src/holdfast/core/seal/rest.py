"""Secrets as they are written to disk: the database key, and rows that hold ratchets.

A row is encrypted a second time inside the encrypted database, bound to its place
and to a counter, so that rows cannot be exchanged or quietly set back one by one.
A rollback of the whole disk sets the counter back too; see `pairwise.Pairwise.frozen`.
Source: RFC 9106 (Argon2id), spec/seal.md, "At rest".
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta, Struct

from holdfast.core import caps
from holdfast.core.seal import Entropy

MEMORY_KIB: Final = 65_536
ITERATIONS: Final = 3
LANES: Final = 4
MAX_MEMORY_KIB: Final = 1 << 20


class WrongPassphrase(ValueError):
    """The passphrase does not open the database key, or the wrapping is damaged."""


class Damaged(ValueError):
    """A stored row is not what was written at this place with this counter."""


class _Wrapped(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]
    memory: Annotated[int, Meta(ge=MEMORY_KIB, le=MAX_MEMORY_KIB)]
    iterations: Annotated[int, Meta(ge=1, le=16)]
    lanes: Annotated[int, Meta(ge=1, le=16)]
    nonce: Annotated[bytes, Meta(min_length=12, max_length=12)]
    sealed: Annotated[bytes, Meta(min_length=48, max_length=48)]


def wrap_key(key: bytes, passphrase: str, entropy: Entropy) -> bytes:
    """The 32-byte database key under a passphrase; about 0.1 s and 64 MiB on purpose."""
    if len(key) != 32:
        raise ValueError("the database key has 32 bytes")
    salt, nonce = entropy(16), entropy(12)
    outer = _stretch(passphrase, salt, MEMORY_KIB, ITERATIONS, LANES)
    sealed = AESGCM(outer).encrypt(nonce, key, b"holdfast/database-key/1")
    return msgspec.msgpack.encode(_Wrapped(1, salt, MEMORY_KIB, ITERATIONS, LANES, nonce, sealed))


def unwrap_key(wrapped: bytes, passphrase: str) -> bytes:
    """Inverse of `wrap_key`. Raises `WrongPassphrase`; its parameters are bounded."""
    try:
        w = msgspec.msgpack.decode(wrapped, type=_Wrapped)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise WrongPassphrase("the stored database key is damaged") from None
    outer = _stretch(passphrase, w.salt, w.memory, w.iterations, w.lanes)
    try:
        return AESGCM(outer).decrypt(w.nonce, w.sealed, b"holdfast/database-key/1")
    except InvalidTag:
        raise WrongPassphrase("the passphrase is not right") from None


def _stretch(passphrase: str, salt: bytes, memory: int, iterations: int, lanes: int) -> bytes:
    kdf = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
    return kdf.derive(passphrase.encode("utf-8", "surrogatepass"))


class Rows:
    """Wraps rows under one database key."""

    def __init__(self, database_key: bytes) -> None:
        self._aead = AESGCM(caps.hkdf(database_key, "pickle/1"))

    def wrap(self, table: str, row: bytes, counter: int, plain: bytes, entropy: Entropy) -> bytes:
        """Bytes for that row; `counter` must be greater at every write."""
        nonce = entropy(12)
        return nonce + self._aead.encrypt(nonce, plain, _place(table, row, counter))

    def unwrap(self, table: str, row: bytes, counter: int, stored: bytes) -> bytes:
        """Inverse of `wrap` at the same place and counter. Raises `Damaged`."""
        try:
            return self._aead.decrypt(stored[:12], stored[12:], _place(table, row, counter))
        except (InvalidTag, ValueError):
            raise Damaged(f"a stored row of {table} was changed or set back") from None


def _place(table: str, row: bytes, counter: int) -> bytes:
    return caps.join(b"holdfast/row/1", table.encode(), row, counter.to_bytes(8, "big"))
