"""Proof of what somebody said in a group, for those who lead it.

A message of Megolm carries its session's signature, and the session's name the signature of a
device: whoever opened a message holds all that shows who wrote it but for the key, and gives
that of this one message along. What was signed opens one way only: it begins with 48 bytes
that the verifier knows, of which 32 are decided by key and ciphertext alone, so that a second
key for the same bytes is a collision of 256 bits. So nobody can report what was not said,
and a sender cannot make a message that opens for members and is no proof. Sources: Grubbs, Lu,
Ristenpart, Message Franking via Committing Authenticated Encryption (2017); the Megolm
specification; spec/groups.md, "Reports".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Meta

from holdfast.core.group import senders
from holdfast.core.group.entries import Signer
from holdfast.core.seal import keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import U53, Key32, Party, Signature, Wire
from holdfast.core.seal.keys import BadKey

PURPOSE: Final = "group-report/1"
PRIVATE: Final = "pair-frank/1"
KEY: Final = 48
"""Of one message: 32 bytes for AES-256-CBC, 16 for its first block."""
MAX_WORDS: Final = 1_000
MAX_PROOFS: Final = 3
_RATCHET: Final = slice(5, 133)
_END: Final = 72
"""Bytes of a Megolm message behind what is encrypted: 8 of its MAC, 64 of its signature."""
_VERSION: Final = 3


class Proof(Wire, frozen=True):
    """One message, with what shows whose it is."""

    statement: Annotated[bytes, Meta(max_length=1024)]
    signature: Signature
    message: Annotated[bytes, Meta(max_length=65_536)]
    key: Annotated[bytes, Meta(min_length=KEY, max_length=KEY)]


class Private(Wire, frozen=True):
    """What one member wrote to another who had not accepted them, with the commitment's key and its
    author's signature of the commitment."""

    group: Key32
    root: Key32
    device: Key32
    to: Key32
    mid: Annotated[bytes, Meta(min_length=16, max_length=16)]
    at: U53
    text: Annotated[str, Meta(max_length=16_000)]
    key: Key32
    signature: Signature


class Report(Wire, frozen=True):
    """What a member tells those who lead. Of a message that was changed, the first proof is of what
    was said at first."""

    group: Key32
    root: Key32
    device: Key32
    at: U53
    words: Annotated[str, Meta(max_length=MAX_WORDS)]
    proofs: Annotated[tuple[Proof, ...], Meta(max_length=MAX_PROOFS)]
    private: Private | None = None
    """In their place: what the reporter was written."""


class _Vouched(Wire, frozen=True):
    group: Key32
    root: Key32
    device: Key32
    to: Key32
    commitment: Key32


class _Signed(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=65_536)]
    signature: Signature


@dataclass(frozen=True)
class Said:
    """What a proof shows."""

    root: bytes
    device: bytes
    session: bytes
    index: int
    content: bytes = field(repr=False)


def message_key(exported: bytes) -> bytes:
    """The key of the message at which a session was exported (165 bytes), and of no other."""
    derived = HKDF(hashes.SHA256(), 80, None, b"MEGOLM_KEYS").derive(exported[_RATCHET])
    return derived[:32] + derived[64:]


def opened(proof: Proof, group: bytes) -> Said:
    """What was said and by whose device; whether that device is somebody's remains to be asked of
    the roster. Raises `Unopenable` for what proves nothing."""
    try:
        said = msgspec.msgpack.decode(proof.statement, type=senders.Statement)
        keys.verify(said.device, senders.PURPOSE, proof.statement, proof.signature)
        index, sealed = _parts(proof.message)
        session = Ed25519PublicKey.from_public_bytes(keys.require_ed25519(said.session))
        session.verify(proof.message[-64:], proof.message[:-64])
        aes = Cipher(algorithms.AES(proof.key[:32]), modes.CBC(proof.key[32:])).decryptor()
        filled = PKCS7(128).unpadder()
        padded = aes.update(sealed) + aes.finalize()
        plain = filled.update(padded) + filled.finalize()
    except (msgspec.MsgspecError, RecursionError, BadKey, InvalidSignature, ValueError):
        raise Unopenable from None
    if said.group != group or not _is_bound(plain, said):
        raise Unopenable
    return Said(said.root, said.device, said.session, index, plain[senders.PREFIX :])


def _is_bound(plain: bytes, said: senders.Statement) -> bool:
    """Whether this is what the session's owner sealed, by the one key that there is for it."""
    return plain[: senders.PREFIX] == senders.prefix(said)


def _parts(message: bytes) -> tuple[int, bytes]:
    """Index and ciphertext of a Megolm message (version 3). Raises ValueError."""
    if len(message) <= _END or message[0] != _VERSION or message[1] != 0x08:
        raise ValueError("not a message of Megolm")
    index, at = _number(message, 2)
    if message[at] != 0x12:
        raise ValueError("not a message of Megolm")
    length, at = _number(message, at + 1)
    if at + length + _END != len(message):
        raise ValueError("not a message of Megolm")
    return index, message[at : at + length]


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint of at most 32 bits, and where it ends."""
    value = 0
    for shift in range(0, 35, 7):
        byte = data[at] if at < len(data) else 0x80
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("not a number")


def sign(
    group: bytes,
    me: Party,
    words: str,
    proofs: tuple[Proof, ...],
    now: int,
    signer: Signer,
    private: Private | None = None,
) -> bytes:
    """A report of mine, to be sealed for those who lead."""
    report = Report(group, me.root, me.device, now, words, proofs, private)
    body = msgspec.msgpack.encode(report)
    return msgspec.msgpack.encode(_Signed(body, signer.sign(PURPOSE, body)))


def read(data: bytes, group: bytes) -> Report:
    """Inverse of `sign`; whose device it is remains to be asked of the roster, and what the proofs
    show of `opened`. Raises `Unopenable`."""
    try:
        signed = msgspec.msgpack.decode(data, type=_Signed)
        report = msgspec.msgpack.decode(signed.body, type=Report)
        keys.verify(report.device, PURPOSE, signed.body, signed.signature)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadKey):
        raise Unopenable from None
    if report.group != group or bool(report.proofs) == (report.private is not None):
        raise Unopenable
    return report


# Between two, before one has accepted the other.


def vouch(said: Private, signer: Signer) -> Private:
    """The same with my signature."""
    signature = signer.sign(PRIVATE, _vouched(said))
    return msgspec.structs.replace(said, signature=signature)


def require_vouched(said: Private) -> None:
    """Raises `Unopenable` unless its author's device signed this very text for this reader."""
    try:
        keys.verify(said.device, PRIVATE, _vouched(said), said.signature)
    except BadKey:
        raise Unopenable from None


def _vouched(said: Private) -> bytes:
    commitment = keys.digest(
        PRIVATE,
        said.key,
        said.group,
        said.root,
        said.to,
        said.mid,
        said.at.to_bytes(8, "big"),
        said.text.encode(),
    )
    body = _Vouched(said.group, said.root, said.device, said.to, commitment)
    return msgspec.msgpack.encode(body)
