"""A file as sealed chunks that commit to their key, under one hash of all of them.

Each chunk is sealed on its own, so that it can be fetched from any relay in any order,
and begins with a value that only one key gives: AES-GCM alone would let whoever makes a
ciphertext choose two keys that both open it. The Merkle root over the ciphertexts fixes
the whole file; each record carries its proof. Source: spec/seal.md, "Files"; RFC 9162
section 2.1 (tree hash); Dodis et al., "Fast Message Franking" (2018).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.caps import Caps, hkdf

SALT: Final = 16
COMMITMENT: Final = 32
OVERHEAD: Final = SALT + COMMITMENT + 16
"""Bytes a sealed chunk has more than what is in it."""
LARGE: Final = 64_512
SMALL: Final = 15_872
"""Plain bytes of a chunk: the large ones for files above `SMALL_FILE`."""
SMALL_FILE: Final = 1024 * 1024
PART: Final = 2_048
"""Chunks in one log; a longer file goes on in the next one."""
MAX_SIZE: Final = 64 * 1024**3
MAX_DEPTH: Final = 23
"""Of the tree over the smallest chunks of the largest file."""
_SMALLEST: Final = 256
_ZERO: Final = b"\0" * 12


class BadChunk(ValueError):
    """Not a chunk of this file; every reason looks alike."""


def chunk_size(size: int) -> int:
    """Plain bytes of each chunk of a file of `size` bytes."""
    return SMALL if size <= SMALL_FILE else LARGE


def count(size: int, chunk: int) -> int:
    """Chunks of a file; an empty one has one."""
    return max(1, -(-size // chunk))


class FileKeys:
    """All that follows from a file's secret (32 bytes) and its measures, in bytes; `writes` is what
    its sender alone has (32 bytes), from which the roles come that append and drop."""

    def __init__(self, secret: bytes, size: int, chunk: int, writes: bytes | None = None) -> None:
        if not 0 <= size <= MAX_SIZE or not _SMALLEST <= chunk <= LARGE:
            raise ValueError("no file has these measures")
        self.secret = secret
        self.writes = writes
        self.size = size
        self.chunk = chunk
        self.count = count(size, chunk)
        self._key = hkdf(secret, "file/key/1")
        self._id = hkdf(secret, "file/id/1", length=16)

    def caps(self, part: int) -> Caps:
        """The log of a part: to read it, and with `writes` to do everything."""
        of = part.to_bytes(4, "big")
        reads = Caps.make(hkdf(self.secret, "file/log/1", of, length=128)).only("read")
        if self.writes is None:
            return reads
        roles = Caps.make(hkdf(self.writes, "file/log/1", of, length=128))
        return replace(reads, append=roles.append, owner=roles.owner)

    def rid(self, index: int) -> bytes:
        """The record id of a chunk, the same at every home."""
        return hkdf(self.secret, "file/rid/1", index.to_bytes(4, "big"), length=16)

    @property
    def parts(self) -> int:
        """Logs of this file."""
        return -(-self.count // PART)

    def plain_length(self, index: int) -> int:
        """Bytes of the file that a chunk holds."""
        return min(self.chunk, self.size - index * self.chunk)

    def sealed_length(self, index: int) -> int:
        """Bytes of a sealed chunk: the last is filled up to a power of two."""
        return self._filled(self.plain_length(index)) + OVERHEAD

    def _filled(self, length: int) -> int:
        size = _SMALLEST
        while size < length:
            size *= 2
        return min(size, self.chunk)

    def _derive(self, salt: bytes, index: int) -> tuple[bytes, bytes]:
        last = index == self.count - 1
        keys = hkdf(
            self._key,
            "chunk/1",
            salt,
            self._id,
            index.to_bytes(4, "big"),
            bytes([last]),
            self.size.to_bytes(8, "big"),
            length=64,
        )
        return keys[:32], keys[32:]

    def seal(self, index: int, plain: bytes, salt: bytes) -> bytes:
        """A sealed chunk: salt ‖ commitment ‖ AES-256-GCM. `salt`: 16 random bytes, never
        used twice; sealing a chunk again with other content needs another."""
        if len(plain) != self.plain_length(index) or len(salt) != SALT:
            raise ValueError("a chunk is sealed whole")
        key, commitment = self._derive(salt, index)
        filled = plain.ljust(self._filled(len(plain)), b"\0")
        return salt + commitment + AESGCM(key).encrypt(_ZERO, filled, None)

    def open(self, index: int, sealed: bytes) -> bytes:
        """The plain bytes. Raises `BadChunk`."""
        if not 0 <= index < self.count or len(sealed) != self.sealed_length(index):
            raise BadChunk("not a chunk of this file")
        salt, commitment = sealed[:SALT], sealed[SALT : SALT + COMMITMENT]
        key, expected = self._derive(salt, index)
        if not hmac.compare_digest(commitment, expected):
            raise BadChunk("not a chunk of this file")
        try:
            plain = AESGCM(key).decrypt(_ZERO, sealed[SALT + COMMITMENT :], None)
        except InvalidTag:
            raise BadChunk("not a chunk of this file") from None
        return plain[: self.plain_length(index)]


def leaf(sealed: bytes) -> bytes:
    """The hash of a sealed chunk in the tree."""
    digest = hashlib.sha256(b"\0")
    digest.update(sealed)
    return digest.digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The Merkle tree over all leaves, to make proofs; 64 bytes of memory a chunk."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            level = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) % 2:
                level.append(below[-1])
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The hash of the whole, 32 bytes."""
        return self._levels[-1][0]

    def proof(self, index: int) -> bytes:
        """The hashes beside the way from a leaf to the root, lowest first."""
        found = []
        for level in self._levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                found.append(level[beside])
            index //= 2
        return b"".join(found)


def record(index: int, proof: bytes, sealed: bytes) -> bytes:
    """What is appended to a part's log: index (4) ‖ proof ‖ sealed chunk."""
    return index.to_bytes(4, "big") + proof + sealed


def read_record(keys: FileKeys, root: bytes, body: bytes) -> tuple[int, bytes]:
    """Index and sealed chunk of a record that belongs under this root. Raises `BadChunk`."""
    index = int.from_bytes(body[:4], "big")
    if len(body) < 4 or index >= keys.count:
        raise BadChunk("not a chunk of this file")
    steps = _steps(index, keys.count)
    at = 4 + 32 * sum(beside != "" for beside in steps)
    if len(body) != at + keys.sealed_length(index):
        raise BadChunk("not a chunk of this file")
    sealed = body[at:]
    found, place = leaf(sealed), 4
    for beside in steps:
        if beside:
            other = body[place : place + 32]
            place += 32
            found = _node(found, other) if beside == "right" else _node(other, found)
    if not hmac.compare_digest(found, root):
        raise BadChunk("not a chunk of this file")
    return index, sealed


def _steps(index: int, leaves: int) -> list[str]:
    """On each level, on which side the hash beside stands; empty where there is none."""
    steps = []
    while leaves > 1:
        beside = index ^ 1
        steps.append("" if beside >= leaves else "right" if beside > index else "left")
        index //= 2
        leaves = (leaves + 1) // 2
    return steps
