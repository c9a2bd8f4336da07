"""The little of DNS that the lab needs: questions read, answers made. Pure. Source: RFC 1035."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PORT: Final = 53
A: Final = 1
AAAA: Final = 28
IN: Final = 1
NXDOMAIN: Final = 3
LIFE: Final = 5
"""Seconds for which an answer may be kept."""
_ANSWER: Final = 0x8180
"""An answer, with recursion wanted and available."""


class NotQuestion(ValueError):
    """These bytes are no question."""


@dataclass(frozen=True)
class Question:
    """Who is asked for: `name` in lower case without the dot at its end."""

    id: int
    name: str
    kind: int
    raw: bytes
    """Name, kind and class as they were asked."""


def read(data: bytes) -> Question:
    """The first question of a message, of which there is one in practice. Raises `NotQuestion`."""
    if len(data) < 17:
        raise NotQuestion("too short")
    id, flags, questions = struct.unpack_from(">HHH", data)
    if flags & 0xF800 or not questions:
        raise NotQuestion("not a question")
    labels, at = [], 12
    while at < len(data) and (size := data[at]):
        label = data[at + 1 : at + 1 + size]
        if size > 63 or len(label) < size or at + size > 12 + 255:
            raise NotQuestion("a name that is wrong")
        labels.append(label.decode("latin-1").lower())
        at += 1 + size
    if at + 5 > len(data):
        raise NotQuestion("too short")
    (kind,) = struct.unpack_from(">H", data, at + 1)
    return Question(id, ".".join(labels), kind, data[12 : at + 5])


def ask(id: int, name: str, kind: int = A) -> bytes:
    """A question. Raises ValueError for a name that is none."""
    head = struct.pack(">HHHHHH", id, 0x0100, 1, 0, 0, 0)
    labels = [label.encode("ascii") for label in name.split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("a label of a name has 1 to 63 characters")
    body = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return head + body + struct.pack(">HH", kind, IN)


def answer(question: Question, addresses: Sequence[bytes] = (), code: int = 0) -> bytes:
    """Packed addresses of the kind that was asked for; none of them: the name has none."""
    head = struct.pack(">HHHHHH", question.id, _ANSWER | code, 1, len(addresses), 0, 0)
    records = [
        struct.pack(">HHHIH", 0xC00C, question.kind, IN, LIFE, len(one)) + one for one in addresses
    ]
    return head + question.raw + b"".join(records)


def found(data: bytes) -> tuple[int, list[bytes]]:
    """An answer's code, and its addresses as `answer` writes them. Raises `NotQuestion`."""
    if len(data) < 12 or not data[2] & 0x80:
        raise NotQuestion("not an answer")
    count = int.from_bytes(data[6:8], "big")
    asked = read(data[:2] + b"\x01\x00" + data[4:])
    at, addresses = 12 + len(asked.raw), []
    for _ in range(count):
        if at + 12 > len(data):
            raise NotQuestion("too short")
        size = int.from_bytes(data[at + 10 : at + 12], "big")
        addresses.append(data[at + 12 : at + 12 + size])
        at += 12 + size
    return data[3] & 15, addresses
