"""What the targets have in common."""

import functools
from collections.abc import Iterator

from holdfast.core import caps, wire
from holdfast.testing.pairs import Met, meet

HELLO = bytes.fromhex(
    "160301004c01000048030300000000000000000000000000000000000000000000000000000000000000000000"
    "0213010100001d00000012001000000d72656c61792e6578616d706c65002b0003020304"
)
SECRETS = caps.Caps.make(bytes(range(128)))
LOG = SECRETS.log_id(bytes(32))


def frames_of(data: bytes) -> Iterator[bytes]:
    """Bytes as a sequence of frames, each behind two bytes of length."""
    while len(data) >= 2:
        size = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def framed(*frames: wire.ClientFrame | wire.RelayFrame) -> bytes:
    parts = [wire.encode(frame) for frame in frames]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


@functools.cache
def two() -> Met:
    return meet("fuzz")
