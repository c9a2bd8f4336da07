"""What is in a segment: batches of entries, each with a checksum.

A batch is what was made durable together. Its header is 24 bytes, little endian: `HFb1`, the
segment's number, the batch's number in it (from 1), bytes that follow, their CRC-32, and the
CRC-32 of the header so far, begun from the store's seed: who has a body stored cannot make
it look like a batch. An entry is CRC-32 of the rest of the entry, bytes of its body, kind
(1 byte), key, sequence number (4 each), time (8, milliseconds), and the body.

A batch is written after the one before it is on the disk. So behind a batch that is broken
nothing can be whole, unless the disk has changed what it had: `scan` tells the two apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from zlib_ng.zlib_ng import crc32 as _crc

MAGIC: Final = b"HFb1"
BATCH: Final = struct.Struct("<4sIIIII")
HEAD: Final = struct.Struct("<IIBIIQ")
_CHECKED: Final = struct.Struct("<IBIIQ")

RECORD: Final = 1
"""Key, sequence number, end of life; the body."""
MAKE: Final = 2
"""Key, greatest number of records, day of last use; name and verifiers."""
TRIM: Final = 3
"""Key, the last record deleted."""
DROP: Final = 4
TOUCH: Final = 5
"""Key, day of last use."""

SMALL: Final = 4096
"""Parts smaller than this on average are copied together: cheaper than telling them apart."""


class Damaged(Exception):
    """What the disk gave back is not what it was given."""


def entry(kind: int, key: int, seq: int, time: int, body: bytes) -> bytes:
    """What precedes `body` in a segment."""
    checked = _CHECKED.pack(len(body), kind, key, seq, time)
    return _crc(body, _crc(checked)).to_bytes(4, "little") + checked


def batch(segment: int, number: int, payload: Sequence[bytes], seed: int) -> bytes:
    """What precedes `payload`, entries and their bodies, in a segment."""
    crc = size = 0
    for part in payload:
        crc = _crc(part, crc)
        size += len(part)
    head = BATCH.pack(MAGIC, segment, number, size, crc, 0)[:-4]
    return head + _crc(head, seed).to_bytes(4, "little")


def body_of(data: bytes, key: int, seq: int) -> bytes:
    """The body of the record that `data` is. Raises `Damaged`."""
    if len(data) < HEAD.size:
        raise Damaged
    crc, size, kind, found, number, _ = HEAD.unpack_from(data)
    body = data[HEAD.size :]
    if (kind, found, number, size) != (RECORD, key, seq, len(body)):
        raise Damaged
    if crc != _crc(body, _crc(data[4 : HEAD.size])):
        raise Damaged
    return body


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: where its entries begin and end. `whole` unless the disk changed it."""

    number: int
    start: int
    end: int
    whole: bool = True


def scan(data: memoryview, segment: int, seed: int) -> Iterator[Batch]:
    """The batches of a segment, up to what a crash cut short. One that is not whole has later
    ones behind it, so it was whole once: its entries are to be checked one by one."""
    at, last = 0, 0
    while True:
        found = _header(data, at, segment, seed)
        if found is None or found[0] <= last:
            further = _next(data, at, segment, seed, last)
            if further is None:
                return
            yield Batch(last + 1, min(at + BATCH.size, further), further, False)
            at = further
            continue
        number, size, crc = found
        start, end = at + BATCH.size, at + BATCH.size + size
        whole = end <= len(data) and _crc(data[start:end]) == crc
        if not whole and _next(data, start, segment, seed, number) is None:
            return
        yield Batch(number, start, min(end, len(data)), whole)
        at, last = end, number


def _header(data: memoryview, at: int, segment: int, seed: int) -> tuple[int, int, int] | None:
    if at + BATCH.size > len(data):
        return None
    magic, found, number, size, crc, check = BATCH.unpack_from(data, at)
    head = data[at : at + BATCH.size - 4]
    if magic != MAGIC or found != segment or _crc(head, seed) != check:
        return None
    return number, size, crc


def _next(data: memoryview, at: int, segment: int, seed: int, last: int) -> int | None:
    """Where a later batch begins, behind something that is none."""
    content = bytes(data[at:])
    found = content.find(MAGIC)
    while found >= 0:
        header = _header(data, at + found, segment, seed)
        if header is not None and header[0] > last:
            return at + found
        found = content.find(MAGIC, found + 1)
    return None


Entry = tuple[int, int, int, int, int, int]
"""Kind, key, sequence number, time, where the entry starts, and bytes of its body."""


def entries(data: memoryview, part: Batch) -> Iterator[Entry | None]:
    """The entries of a batch; None for one that the disk changed."""
    at, end, whole = part.start, part.end, part.whole
    step, unpack = HEAD.size, HEAD.unpack_from
    while at + step <= end:
        crc, size, kind, key, seq, time = unpack(data, at)
        after = at + step + size
        if whole or (after <= end and _crc(data[at + 4 : after]) == crc):
            yield kind, key, seq, time, at, size
        else:
            yield None
            if after > end or not RECORD <= kind <= TOUCH:
                return  # where the next one begins cannot be known
        at = after
