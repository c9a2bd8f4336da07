"""salamander (Dodis et al. 2018, Facebook's message franking): one ciphertext never opens under
two keys. AES-GCM alone can be made to: here it is done, and refused."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.seal.chunks import COMMITMENT, SALT, BadChunk, FileKeys

ZERO = bytes(12)
SIZE = 256
R = 0xE1 << 120


def times(x: int, y: int) -> int:
    """A product in GCM's field (NIST SP 800-38D, 6.3)."""
    z = 0
    for bit in range(127, -1, -1):
        if y >> bit & 1:
            z ^= x
        x = x >> 1 ^ (R if x & 1 else 0)
    return z


def power(x: int, n: int) -> int:
    z = 1 << 127
    while n:
        if n & 1:
            z = times(z, x)
        x = times(x, x)
        n >>= 1
    return z


def ecb(key: bytes, block: bytes) -> int:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return int.from_bytes(encryptor.update(block), "big")


def salamander(keys: tuple[bytes, bytes], body: bytes) -> bytes:
    """A ciphertext with one tag that both keys accept: `body` with its last block chosen.

    The tag under a key is a polynomial of the blocks at H, plus a pad; setting both equal is
    one linear equation for the block before the length."""
    blocks = [int.from_bytes(body[i : i + 16], "big") for i in range(0, len(body), 16)]
    length = len(body) * 8
    n = len(blocks)
    known, factor = 0, 0
    for key in keys:
        h = ecb(key, bytes(16))
        tag = ecb(key, ZERO + b"\0\0\0\1")
        for place, block in enumerate(blocks[:-1]):
            tag ^= times(block, power(h, n + 1 - place))
        known ^= tag ^ times(length, h)
        factor ^= times(h, h)
    blocks[-1] = times(known, power(factor, 2**128 - 2))
    h = ecb(keys[0], bytes(16))
    tag = ecb(keys[0], ZERO + b"\0\0\0\1") ^ times(length, h)
    for place, block in enumerate(blocks):
        tag ^= times(block, power(h, n + 1 - place))
    return b"".join(block.to_bytes(16, "big") for block in [*blocks, tag])


def forged() -> tuple[FileKeys, FileKeys, bytes]:
    """Two files' keys, and a chunk made for both; it carries the first one's commitment."""
    one, other = (FileKeys(os.urandom(32), SIZE, SIZE) for _ in range(2))
    salt = os.urandom(SALT)
    (first, commitment), (second, _) = one._derive(salt, 0), other._derive(salt, 0)
    return one, other, salt + commitment + salamander((first, second), os.urandom(SIZE))


def test_aes_gcm_alone_opens_under_two_keys() -> None:
    keys = os.urandom(32), os.urandom(32)
    text = salamander(keys, os.urandom(SIZE))
    one, other = (AESGCM(key).decrypt(ZERO, text, None) for key in keys)
    assert one != other


def test_a_chunk_opens_under_one_key_alone() -> None:
    one, other, chunk = forged()
    assert len(one.open(0, chunk)) == SIZE
    with pytest.raises(BadChunk):
        other.open(0, chunk)
    swapped = bytearray(chunk)
    swapped[SALT : SALT + COMMITMENT] = other._derive(chunk[:SALT], 0)[1]
    with pytest.raises(BadChunk):
        one.open(0, bytes(swapped))


def test_twin_without_the_commitment_it_opens_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, chunk = forged()
    monkeypatch.setattr("holdfast.core.seal.chunks.hmac.compare_digest", lambda a, b: True)
    assert one.open(0, chunk) != other.open(0, chunk)
