"""What stands inside an Olm message: the statement of what it is, then its parts.

Fixed layout, so that the envelope's size is known: 82 bytes, then each part that
its flag announces, in the order of the flags; the content is the rest.
Source: spec/seal.md, "Inside Olm".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from holdfast.core.seal import hpke, keys
from holdfast.core.seal.identity import Party

VERSION: Final = 1
HEADER: Final = struct.Struct(">BBQQ32s32s")

SHARE: Final = 1
OFFER: Final = 2
ANSWER: Final = 4
RESEND: Final = 8
LIST: Final = 16
CONTENT: Final = 32
ALL: Final = 63

SHARE_SIZE: Final = 32
ANSWER_SIZE: Final = SHARE_SIZE + hpke.OVERHEAD
_RANGE: Final = struct.Struct(">QQ")


class Malformed(ValueError):
    """Not the inside of a message."""


@dataclass(frozen=True, repr=False)
class Inner:
    """One message's inside; a part that is None is not there."""

    seq: int
    ack: int
    head: bytes
    """Head of the sender's device list."""
    context: bytes
    """Hash of what both sides know: see `Context` in the specification."""
    share: bytes | None = None
    """32 random bytes towards the first outer key."""
    offer: bytes | None = None
    """A fresh HPKE public key."""
    answer: bytes | None = None
    """The share that answers an offer, under HPKE."""
    resend: tuple[int, int] | None = None
    """First and last sequence number asked for; last = 0 means whatever there is."""
    devices: bytes | None = None
    """The sender's new device list."""
    content: bytes | None = None

    @property
    def wants_ack(self) -> bool:
        """Whether there is more in it than an acknowledgement."""
        parts = (self.share, self.offer, self.answer, self.resend, self.devices, self.content)
        return any(part is not None for part in parts)

    def encode(self) -> bytes:
        """As it goes into Olm."""
        flags, parts = 0, []
        resend = None if self.resend is None else _RANGE.pack(*self.resend)
        devices = self.devices
        if devices is not None:
            devices = len(devices).to_bytes(2, "big") + devices
        for flag, part in (
            (SHARE, self.share),
            (OFFER, self.offer),
            (ANSWER, self.answer),
            (RESEND, resend),
            (LIST, devices),
            (CONTENT, self.content),
        ):
            if part is not None:
                flags |= flag
                parts.append(part)
        header = HEADER.pack(VERSION, flags, self.seq, self.ack, self.head, self.context)
        return b"".join((header, *parts))

    @classmethod
    def decode(cls, data: bytes) -> Inner:
        """Inverse of `encode`, strict. Raises `Malformed`."""
        if len(data) < HEADER.size:
            raise Malformed("too short")
        version, flags, seq, ack, head, context = HEADER.unpack_from(data)
        if version != VERSION or flags & ~ALL:
            raise Malformed("unknown version or part")
        at = HEADER.size

        def take(flag: int, size: int) -> bytes | None:
            nonlocal at
            if not flags & flag:
                return None
            part = data[at : at + size]
            if len(part) != size:
                raise Malformed("cut short")
            at += size
            return part

        share = take(SHARE, SHARE_SIZE)
        offer = take(OFFER, hpke.PUBLIC)
        answer = take(ANSWER, ANSWER_SIZE)
        resend = take(RESEND, _RANGE.size)
        length = take(LIST, 2)
        devices = None if length is None else take(LIST, int.from_bytes(length, "big"))
        content = take(CONTENT, len(data) - at)
        if at != len(data):
            raise Malformed("bytes left over")
        span = None if resend is None else _RANGE.unpack(resend)
        return cls(seq, ack, head, context, share, offer, answer, span, devices, content)


def context(
    conv_id: bytes, session_id: bytes, key_id: bytes, sender: Party, recipient: Party
) -> bytes:
    """What both sides know and neither sends: 32 bytes inside Olm stand for all of it."""
    return keys.digest(
        "pair/1",
        conv_id,
        session_id,
        key_id,
        sender.root,
        sender.device,
        sender.curve25519,
        recipient.root,
        recipient.device,
        recipient.curve25519,
    )
