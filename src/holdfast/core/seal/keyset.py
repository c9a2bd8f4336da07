"""What a device signs of its keys for one first contact.

Nobody signs a messenger's prekeys but the messenger: without this, whoever carries them
could put in their own. Source: spec/seal.md, "Invitations".
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.core.seal import hpke, keys
from holdfast.core.seal.identity import U53, DeviceList, Identity, Key32, Party, Signature, Wire
from holdfast.core.seal.keys import BadKey

MAX_PROFILE: Final = 1024
"""Bytes of what the node says of itself at first contact (a name), opaque here."""

Purpose = Literal["invite/1", "accept/1"]


class KeySet(Wire, frozen=True):
    """The device's keys for one invitation or for one answer to it."""

    suite: bytes
    root: Key32
    device: Key32
    curve25519: Key32
    hpke_key: Annotated[bytes, Meta(min_length=hpke.PUBLIC, max_length=hpke.PUBLIC)]
    one_time: Annotated[bytes, Meta(max_length=32)]
    """The one-time or fallback key; empty in an answer."""
    many: bool
    made: U53
    """Milliseconds since 1970: which key set of this device it is."""
    expires: U53
    """Seconds since 1970."""
    head: Key32
    conv_id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    """Of the accept log: the one invitation that this belongs to."""
    profile: Annotated[bytes, Meta(max_length=MAX_PROFILE)]

    @property
    def party(self) -> Party:
        """Whose keys these are."""
        return Party(self.root, self.device, self.curve25519, self.head)


class SignedKeys(Wire, frozen=True):
    """A key set, its device's signature, and the list by the root that the device stands in."""

    body: Annotated[bytes, Meta(max_length=8192)]
    signature: Signature
    devices: Annotated[bytes, Meta(max_length=8192)]


def sign(
    identity: Identity,
    purpose: Purpose,
    hpke_key: bytes,
    conv_id: bytes,
    profile: bytes,
    made: int,
    expires: int,
    one_time: bytes = b"",
    many: bool = False,
) -> SignedKeys:
    """This device's keys. A profile of over 1,024 bytes raises ValueError."""
    if len(profile) > MAX_PROFILE:
        raise ValueError(f"a profile has at most {MAX_PROFILE} bytes")
    me = identity.party
    ours = (hpke.SUITE_NAME, me.root, me.device, me.curve25519, hpke_key, one_time, many)
    body = msgspec.msgpack.encode(KeySet(*ours, made, expires, me.head, conv_id, profile))
    return SignedKeys(body, identity.account.sign(purpose, body), identity.devices.encode())


def verify(signed: SignedKeys, purpose: Purpose, conv_id: bytes) -> tuple[KeySet, DeviceList]:
    """A key set whose signature, keys, device and place are in order. Raises ValueError."""
    devices = DeviceList.decode(signed.devices)
    body = msgspec.msgpack.decode(signed.body, type=KeySet)
    keys.verify(body.device, purpose, signed.body, signed.signature)
    keys.require_curve25519(body.curve25519)
    hpke.require_public(body.hpke_key)
    stated = (body.suite, body.root, body.head, body.conv_id)
    if stated != (hpke.SUITE_NAME, devices.root, devices.head, conv_id):
        raise BadKey("the key set belongs to something else")
    if not devices.holds(body.device, body.curve25519):
        raise BadKey("the device is not on the list")
    return body, devices
