"""A person goes on with a new device, after the old one was lost: told in a contact's own inbox.

The root key, from a backup, signs a device list that no longer has the old device, and an
invitation for one. Ratchets are never taken up again: both ends begin anew by that
invitation. Source: spec/seal.md, "Renewal".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from holdfast.core import caps
from holdfast.core.caps import Caps
from holdfast.core.seal import Entropy, keys, link, padding
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList, Identity, Signature, Wire
from holdfast.core.seal.link import Link

KIND: Final = b"\x03"
"""The first byte; a device's own records have 1 and 2."""
PURPOSE: Final = "renewal/1"
_OVERHEAD: Final = 1 + 12 + 16


class _Body(Wire, frozen=True):
    conv_id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    """Of the inbox that it was put into, so that it means nothing elsewhere."""
    link: Annotated[str, Meta(max_length=link.MAX_TEXT)]
    devices: Annotated[bytes, Meta(max_length=8192)]


class _Signed(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=16_384)]
    signature: Signature


@dataclass(frozen=True)
class Renewal:
    """What a contact says, checked."""

    link: str = field(repr=False)
    """An invitation for one; whether it is still good is seen when it is used."""
    devices: DeviceList


def seal(identity: Identity, inbox: Caps, invitation: Link, entropy: Entropy) -> bytes:
    """The record for a contact's inbox, of which only append is needed."""
    body = msgspec.msgpack.encode(
        _Body(inbox.conv_id, invitation.text(), identity.devices.encode())
    )
    signed = _Signed(body, keys.sign(identity.root_key, PURPOSE, body))
    nonce = entropy(12)
    plain = padding.pad(msgspec.msgpack.encode(signed), _OVERHEAD)
    return KIND + nonce + _aead(inbox).encrypt(nonce, plain, KIND)


def open_renewal(record: bytes, inbox: Caps, root: bytes, version: int) -> Renewal:
    """Read a record out of my inbox from the contact with this root, whose list has this
    version so far. Raises `Unopenable`: it is nobody's, somebody else's, or an old one."""
    if record[:1] != KIND or len(record) not in padding.CLASSES:
        raise Unopenable
    try:
        plain = _aead(inbox).decrypt(record[1:13], record[13:], KIND)
        signed = msgspec.msgpack.decode(padding.unpad(plain), type=_Signed)
        keys.verify(root, PURPOSE, signed.body, signed.signature)
        body = msgspec.msgpack.decode(signed.body, type=_Body)
        devices = DeviceList.decode(body.devices)
    except (InvalidTag, ValueError, RecursionError):
        raise Unopenable from None
    if body.conv_id != inbox.conv_id or devices.root != root or devices.version <= version:
        raise Unopenable
    return Renewal(body.link, devices)


def _aead(inbox: Caps) -> AESGCM:
    return AESGCM(caps.hkdf(inbox.locator, "renewal/1"))
