"""Size classes: every sealed record has one of eight lengths.

A relay sees sizes whatever else is hidden, so a record is filled with zero bytes,
inside the encryption, up to the next class. Source: spec/seal.md, "Sizes".
"""

from __future__ import annotations

from typing import Final

CLASSES: Final = (512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
"""Lengths in bytes of a whole sealed record, before the home's outer envelope."""


class TooLong(ValueError):
    """More than the largest class holds; the message says how much fits."""


def size_class(length: int) -> int:
    """The smallest class that holds `length` bytes. Raises `TooLong`."""
    for size in CLASSES:
        if length <= size:
            return size
    raise TooLong(f"{length} bytes; at most {CLASSES[-1]} fit in one record")


def pad(data: bytes, overhead: int = 0) -> bytes:
    """Data behind its length in four bytes, then zeros, so that with `overhead` bytes
    of encryption around it the whole has the length of a class. Raises `TooLong`."""
    size = size_class(4 + len(data) + overhead)
    return (len(data).to_bytes(4, "big") + data).ljust(size - overhead, b"\0")


def unpad(padded: bytes) -> bytes:
    """Inverse of `pad`; anything but zeros in the filling raises ValueError."""
    length = int.from_bytes(padded[:4], "big")
    if len(padded) < 4 + length or padded.count(0, 4 + length) != len(padded) - 4 - length:
        raise ValueError("not padded")
    return padded[4 : 4 + length]
