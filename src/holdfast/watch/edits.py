"""What editors say about events: confirmed, annotated, rejected; signed, each on the one before.

An editor is an Ed25519 key that the observatory's keeper lists. Nothing is ever taken out: a
later word stands beside the earlier one, and a rejected event stays to be seen as rejected.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta, Struct

from holdfast.watch.ledger import append, mend, raw

START: Final = bytes(32)
MAX_NOTE: Final = 600
FRESH: Final = 300
"""Seconds for which a look is good."""


class Edit(Struct, frozen=True, forbid_unknown_fields=True):
    """One word of an editor. `before` is the hash of the edit before, of all events."""

    event: Annotated[str, Meta(max_length=48)]
    what: Literal["confirm", "annotate", "reject"]
    note: Annotated[str, Meta(max_length=MAX_NOTE)]
    at: Annotated[int, Meta(ge=0)]
    editor: Annotated[bytes, Meta(min_length=32, max_length=32)]
    before: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: Annotated[bytes, Meta(max_length=64)] = b""

    def signed(self) -> bytes:
        """What the signature is over."""
        plain = msgspec.structs.replace(self, signature=b"")
        return b"holdfast/edit/1" + msgspec.json.encode(plain)

    @property
    def hash(self) -> bytes:
        """Of the whole edit."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()


class Look(Struct, frozen=True, forbid_unknown_fields=True):
    """An editor asks for all events, those that are not public, too."""

    editor: Annotated[bytes, Meta(min_length=32, max_length=32)]
    at: Annotated[int, Meta(ge=0)]
    signature: Annotated[bytes, Meta(max_length=64)] = b""

    def signed(self, watch: str) -> bytes:
        """What the signature is over."""
        return b"holdfast/look/1" + hashlib.sha256(watch.encode()).digest() + str(self.at).encode()


class BadEdit(ValueError):
    """An edit that does not fit; the sentence says why."""


def make(
    key: Ed25519PrivateKey,
    event: str,
    what: Literal["confirm", "annotate", "reject"],
    note: str,
    at: int,
    before: bytes,
) -> Edit:
    """A signed edit."""
    plain = Edit(event, what, note[:MAX_NOTE], at, raw(key), before)
    return msgspec.structs.replace(plain, signature=key.sign(plain.signed()))


def look(key: Ed25519PrivateKey, watch: str, at: int) -> Look:
    """A signed look at the observatory of this name."""
    plain = Look(raw(key), at)
    return msgspec.structs.replace(plain, signature=key.sign(plain.signed(watch)))


def decode(data: bytes) -> Edit:
    """Parse an edit. Raises `BadEdit`."""
    try:
        return msgspec.json.decode(data, type=Edit)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEdit(f"not an edit: {type(error).__name__}") from None


def decode_look(data: bytes) -> Look:
    """Parse a look. Raises `BadEdit`."""
    try:
        return msgspec.json.decode(data, type=Look)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEdit(f"not an editor's request: {type(error).__name__}") from None


class Edits:
    """The history in one file, a line an edit."""

    def __init__(self, path: Path, editors: frozenset[bytes]) -> None:
        self._path = path
        self._editors = editors
        self.all: list[Edit] = []
        self._by_event: dict[str, list[Edit]] = {}
        self.head = START
        mend(path)
        if path.exists():
            for line in path.read_bytes().split(b"\n")[:-1]:
                self._check(edit := decode(line))
                self._add(edit)

    def add(self, edit: Edit) -> None:
        """Check an edit and keep it. Raises `BadEdit`."""
        self._known(edit.editor)
        self._check(edit)
        append(self._path, msgspec.json.encode(edit) + b"\n", sync=True)
        self._add(edit)

    def admit(self, one: Look, watch: str, now: int) -> None:
        """Check that an editor asks, and now. Raises `BadEdit`."""
        self._known(one.editor)
        if abs(now - one.at) > FRESH:
            raise BadEdit("the clocks differ by minutes. Set this computer's and repeat it")
        _verify(one.editor, one.signature, one.signed(watch))

    def of(self, event: str) -> list[Edit]:
        """Of one event, in order."""
        return self._by_event.get(event, [])

    def verdict(self, event: str) -> str:
        """The last word that confirms or rejects; empty if there is none."""
        words = [edit.what for edit in self.of(event) if edit.what != "annotate"]
        return words[-1] if words else ""

    def _check(self, edit: Edit) -> None:
        if edit.before != self.head:
            raise BadEdit("somebody else edited meanwhile. Look again and repeat it")
        _verify(edit.editor, edit.signature, edit.signed())

    def _known(self, editor: bytes) -> None:
        if editor not in self._editors:
            raise BadEdit("this key is no editor's here. The keeper adds it to the file editors")

    def _add(self, edit: Edit) -> None:
        self.all.append(edit)
        self._by_event.setdefault(edit.event, []).append(edit)
        self.head = edit.hash


def _verify(key: bytes, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise BadEdit("the signature is wrong") from None
