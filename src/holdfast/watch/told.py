"""Complaints that a bot passes on: people told it in a chat, somewhere else.

A bot is an Ed25519 key that the observatory's keeper lists, as an editor's. What it passes on is
like what comes from the form: it counts once a person, function and day, and for no quorum. Whom it
has it from is a hash that the bot keys, another one each day. Normative text: spec/watch.md.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta, Struct

from holdfast.core.report import MAX_RESULTS, Code, Complaint, Function
from holdfast.watch.ledger import raw

WHO: Final = 16


class BadTold(ValueError):
    """Not what a bot of this observatory passes on; the sentence says why."""


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """What one person complains about on a day, counted since 1970 in UTC."""

    region: Code
    operator: Code
    functions: Annotated[tuple[Function, ...], Meta(min_length=1, max_length=MAX_RESULTS)]
    day: Annotated[int, Meta(ge=0, le=10**6)]
    who: Annotated[bytes, Meta(min_length=WHO, max_length=WHO)]
    bot: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: Annotated[bytes, Meta(max_length=64)] = b""

    def signed(self) -> bytes:
        """What the signature is over."""
        plain = msgspec.structs.replace(self, signature=b"")
        return b"holdfast/told/1" + msgspec.json.encode(plain)

    def complaints(self) -> list[Complaint]:
        """One a function."""
        return [Complaint(self.region, self.operator, each) for each in self.functions]

    def check(self, watch: str, bots: frozenset[bytes], today: int) -> None:
        """Raise `BadTold` unless a bot that is listed signed this for today, here."""
        if self.bot not in bots:
            raise BadTold("this observatory does not know that bot")
        if self.day != today:
            raise BadTold("it is of another day")
        try:
            key = Ed25519PublicKey.from_public_bytes(self.bot)
            key.verify(self.signature, _name(watch) + self.signed())
        except (InvalidSignature, ValueError):
            raise BadTold("it was not signed by that bot for this observatory") from None


def make(
    key: Ed25519PrivateKey,
    watch: str,
    region: str,
    operator: str,
    functions: tuple[str, ...],
    day: int,
    who: bytes,
) -> Told:
    """Signed, for the observatory of this name."""
    plain = Told(region, operator, functions, day, who, raw(key))
    return msgspec.structs.replace(plain, signature=key.sign(_name(watch) + plain.signed()))


def decode(data: bytes) -> Told:
    """Parse what a bot sent. Raises `BadTold`."""
    try:
        return msgspec.json.decode(data, type=Told)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadTold(f"not what a bot passes on: {type(error).__name__}") from None


def _name(watch: str) -> bytes:
    name = watch.encode()
    return len(name).to_bytes(2, "big") + name
