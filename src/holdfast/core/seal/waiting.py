"""Records that came before their turn, bounded in number and in bytes.

Nothing here is stored: while there is a gap the node's reading mark stays where it is,
so that after a restart the relay brings them again. Source: spec/seal.md, "Order".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.olm import Ciphertext

MAX_RECORDS: Final = 4096
MAX_BYTES: Final = 8 << 20
_HEAD: Final = struct.Struct(">QQ8s8sB")


@dataclass(frozen=True)
class Record:
    """A record out of its outer key, and which key that was."""

    epoch: int
    key_id: bytes
    seq: int
    ack: int
    past: bytes
    """Of what the sender sealed before this record; see `trail`."""
    echo: bytes
    """Of what the sender took, up to `ack`."""
    olm: Ciphertext

    @staticmethod
    def encode(seq: int, ack: int, past: bytes, echo: bytes, olm: Ciphertext) -> bytes:
        """What is sealed under the outer key."""
        return _HEAD.pack(seq, ack, past, echo, olm.kind) + olm.body

    @classmethod
    def decode(cls, epoch: int, key_id: bytes, body: bytes) -> Record:
        """Inverse of `encode`. Raises `Unopenable`."""
        if len(body) < _HEAD.size:
            raise Unopenable
        seq, ack, past, echo, kind = _HEAD.unpack_from(body)
        return cls(epoch, key_id, seq, ack, past, echo, Ciphertext(kind, body[_HEAD.size :]))


class Waiting:
    """Records by sequence number, and blobs whose outer key is not there yet."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.early: list[bytes] = []
        self.bytes = 0

    def put(self, record: Record, received: int) -> None:
        """Hold a record; what there is no room for is dropped, and asked for in its turn."""
        known = record.seq in self.records
        if not known and record.seq <= received + MAX_RECORDS and self._room(record.olm.body):
            self.records[record.seq] = record
            self.bytes += len(record.olm.body)

    def put_early(self, blob: bytes) -> None:
        """Hold a blob that nothing opens yet."""
        if blob not in self.early and self._room(blob):
            self.early.append(blob)
            self.bytes += len(blob)

    def pop(self, seq: int) -> Record | None:
        """The record with this number, which is held no longer."""
        record = self.records.pop(seq, None)
        if record is not None:
            self.bytes -= len(record.olm.body)
        return record

    def take_early(self) -> list[bytes]:
        """All blobs, which are held no longer."""
        early, self.early = self.early, []
        self.bytes -= sum(map(len, early))
        return early

    def gap(self, received: int) -> tuple[int, int] | None:
        """What is missing before the first that is held; to = 0 if nobody knows how far."""
        if self.records:
            return received + 1, min(self.records) - 1
        return (received + 1, 0) if self.early else None

    def _room(self, data: bytes) -> bool:
        count = len(self.records) + len(self.early)
        return count < MAX_RECORDS and self.bytes + len(data) <= MAX_BYTES
