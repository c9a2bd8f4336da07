"""What editors say about events: confirmed, annotated, rejected; signed, each on the one before.

An editor is an Ed25519 key that the observatory's keeper lists. Nothing is ever taken out: a
later word stands beside the earlier one, and a rejected event stays to be seen as rejected.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta, Struct

from holdfast.watch.ledger import raw

START: Final = bytes(32)
MAX_NOTE: Final = 600


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


def decode(data: bytes) -> Edit:
    """Parse an edit. Raises `BadEdit`."""
    try:
        return msgspec.json.decode(data, type=Edit)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEdit(f"not an edit: {type(error).__name__}") from None


class Edits:
    """The history in one file, a line an edit."""

    def __init__(self, path: Path, editors: frozenset[bytes]) -> None:
        self._path = path
        self._editors = editors
        self.all: list[Edit] = []
        self.head = START
        if path.exists():
            for line in path.read_bytes().split(b"\n")[:-1]:
                self._check(edit := decode(line))
                self._add(edit)

    def add(self, edit: Edit) -> None:
        """Check an edit and keep it. Raises `BadEdit`."""
        if edit.editor not in self._editors:
            raise BadEdit("this key is no editor's here. The keeper adds it to the file editors")
        self._check(edit)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(edit) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._add(edit)

    def of(self, event: str) -> list[Edit]:
        """Of one event, in order."""
        return [edit for edit in self.all if edit.event == event]

    def verdict(self, event: str) -> str:
        """The last word that confirms or rejects; empty if there is none."""
        words = [edit.what for edit in self.of(event) if edit.what != "annotate"]
        return words[-1] if words else ""

    def _check(self, edit: Edit) -> None:
        if edit.before != self.head:
            raise BadEdit("somebody else edited meanwhile. Look again and repeat it")
        try:
            Ed25519PublicKey.from_public_bytes(edit.editor).verify(edit.signature, edit.signed())
        except (InvalidSignature, ValueError):
            raise BadEdit("the signature is wrong") from None

    def _add(self, edit: Edit) -> None:
        self.all.append(edit)
        self.head = edit.hash
