"""SFrame: each frame of a call sealed on its own (RFC 9605), suite 0x0005.

AES-256-GCM with a 128-bit tag, keys by HKDF-SHA-512. A sender's counter rises with every
frame and is never used twice under a key, since each call and each joining has another.
Source: RFC 9605 sections 4.3, 4.4; spec/seal.md, "Calls".
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from holdfast.core.caps import hkdf

SUITE: Final = 0x0005
WINDOW: Final = 2048
"""Counters behind the highest that are still taken, once each."""
_TAG: Final = 16


class FrameError(Exception):
    """The frame is not the sender's, or was there before; every cause looks alike."""

    def __init__(self) -> None:
        super().__init__("not a frame of this call")


def encode_header(kid: int, counter: int) -> bytes:
    """RFC 9605 section 4.3: config byte, then what does not fit into it."""
    config = 0
    tail = b""
    for value, shift in ((kid, 4), (counter, 0)):
        if value < 8:
            config |= value << shift
        else:
            length = (value.bit_length() + 7) // 8
            config |= (8 | (length - 1)) << shift
            tail += value.to_bytes(length, "big")
    return bytes((config,)) + tail


def decode_header(frame: bytes) -> tuple[int, int, int]:
    """Key id, counter and the header's length. Raises `FrameError`."""
    if not frame:
        raise FrameError
    at, found = 1, []
    for shift in (4, 0):
        field = frame[0] >> shift & 15
        if field < 8:
            found.append(field)
            continue
        length = (field & 7) + 1
        value = int.from_bytes(frame[at : at + length], "big")
        least = 8 if length == 1 else 1 << 8 * (length - 1)
        if len(frame) < at + length or value < least:
            raise FrameError  # cut short, or not the one form of this number
        found.append(value)
        at += length
    return found[0], found[1], at


def _derive(base_key: bytes, kid: int) -> tuple[AESGCM, int]:
    prk = hmac.digest(b"", base_key, "sha512")  # HKDF-Extract without salt
    tail = kid.to_bytes(8, "big") + SUITE.to_bytes(2, "big")
    key = HKDFExpand(hashes.SHA512(), 32, b"SFrame 1.0 Secret key " + tail).derive(prk)
    salt = HKDFExpand(hashes.SHA512(), 12, b"SFrame 1.0 Secret salt " + tail).derive(prk)
    return AESGCM(key), int.from_bytes(salt, "big")


class Sealer:
    """One sender's key; its counter begins at 0."""

    def __init__(self, base_key: bytes, kid: int) -> None:
        self._cipher, self._salt = _derive(base_key, kid)
        self._kid = kid
        self.counter = 0
        """Of the next frame."""

    def seal(self, plaintext: bytes, metadata: bytes = b"") -> bytes:
        """A sealed frame."""
        header = encode_header(self._kid, self.counter)
        nonce = (self._salt ^ self.counter).to_bytes(12, "big")
        self.counter += 1
        return header + self._cipher.encrypt(nonce, plaintext, header + metadata)


class Opener:
    """One sender's key at its receiver."""

    def __init__(self, base_key: bytes, kid: int, window: int = WINDOW) -> None:
        self._cipher, self._salt = _derive(base_key, kid)
        self._kid = kid
        self._window = window
        self._highest = -1
        self._seen = 0

    def open(self, frame: bytes, metadata: bytes = b"") -> tuple[int, bytes]:
        """Counter and content. Raises `FrameError`."""
        kid, counter, length = decode_header(frame)
        behind = self._highest - counter
        if kid != self._kid or behind >= self._window or (behind >= 0 and self._seen >> behind & 1):
            raise FrameError
        nonce = (self._salt ^ counter).to_bytes(12, "big")
        try:
            plain = self._cipher.decrypt(nonce, frame[length:], frame[:length] + metadata)
        except InvalidTag:
            raise FrameError from None
        if counter > self._highest:
            self._seen = (self._seen << (counter - self._highest) | 1) & ((1 << self._window) - 1)
            self._highest = counter
        else:
            self._seen |= 1 << behind
        return counter, plain


def call_keys(
    rand_caller: bytes,
    rand_callee: bytes,
    call_id: bytes,
    devices: tuple[bytes, bytes],
    conv_id: bytes,
) -> bytes:
    """The key of a call, to which both sides gave half."""
    return hkdf(rand_caller + rand_callee, "call/1", call_id, *devices, conv_id)


def sender_key(base: bytes, generation: int, device: bytes, join_nonce: bytes) -> bytes:
    """The SFrame base key of one sender's joining."""
    return hkdf(base, "sender/1", generation.to_bytes(4, "big"), device, join_nonce)
