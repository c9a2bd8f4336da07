"""Who somebody is: a root key, a signed list of devices, and one device's own keys.

The root key signs the device list, a device its own key sets. The root's secret is on one device,
the first; a recovery key named in the first list outranks it. A list is numbered and chained by
hash, so that neither an older list nor a second successor is ever taken.
Source: spec/seal.md, "Identity".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from holdfast.core.seal import Entropy, keys, olm
from holdfast.core.seal.keys import BadKey

Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
U32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
U53 = Annotated[int, Meta(ge=0, le=2**53 - 1)]

MAX_DEVICES: Final = 16
LIST_PURPOSE: Final = "devices/1"


class Wire(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what is signed or sent: MessagePack arrays, nothing unknown.

    Printed as its name alone, since some of it is secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Secret(Struct, array_like=True, forbid_unknown_fields=True):
    """Base of stored state: the same, and it changes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Device(Wire, frozen=True):
    """One device by its own two keys; `ed25519` is also its name."""

    ed25519: Key32
    curve25519: Key32


class _ListBody(Wire, frozen=True):
    version: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
    root: Key32
    recovery: Key32
    previous: Key32
    """Head of the list before; 32 zero bytes in version 1."""
    devices: Annotated[tuple[Device, ...], Meta(min_length=1, max_length=MAX_DEVICES)]


class _SignedList(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=4096)]
    signature: Signature


@dataclass(frozen=True)
class DeviceList:
    """A list whose signature and keys were checked."""

    version: int
    root: bytes
    recovery: bytes
    previous: bytes
    devices: tuple[Device, ...]
    body: bytes
    signature: bytes

    @property
    def head(self) -> bytes:
        """The list's name, 32 bytes: what messages state and the next list continues."""
        return keys.digest("devices-head/1", self.body)

    def encode(self) -> bytes:
        """As it is sent."""
        return msgspec.msgpack.encode(_SignedList(self.body, self.signature))

    @classmethod
    def decode(cls, data: bytes) -> DeviceList:
        """Check and read. Raises `BadKey` for anything wrong with it."""
        try:
            signed = msgspec.msgpack.decode(data, type=_SignedList)
            body = msgspec.msgpack.decode(signed.body, type=_ListBody)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise BadKey("not a device list") from None
        keys.require_ed25519(body.recovery)
        for device in body.devices:
            keys.require_ed25519(device.ed25519)
            keys.require_curve25519(device.curve25519)
        if len({device.ed25519 for device in body.devices}) != len(body.devices):
            raise BadKey("a device is listed twice")
        if (body.version == 1) != (body.previous == bytes(32)):
            raise BadKey("the first list has no predecessor, every other one has")
        keys.verify(body.root, LIST_PURPOSE, signed.body, signed.signature)
        return cls(
            body.version,
            body.root,
            body.recovery,
            body.previous,
            body.devices,
            signed.body,
            signed.signature,
        )

    @classmethod
    def sign(
        cls,
        root: Ed25519PrivateKey,
        recovery: bytes,
        devices: tuple[Device, ...],
        previous: DeviceList | None = None,
        least: int = 0,
    ) -> DeviceList:
        """A first list, or one behind `previous`: its direct successor, unless the version is to
        be at least `least`."""
        version, head = (
            (1, bytes(32))
            if previous is None
            else (max(previous.version + 1, least), previous.head)
        )
        body = msgspec.msgpack.encode(
            _ListBody(version, keys.public_bytes(root), recovery, head, devices)
        )
        return cls.decode(
            msgspec.msgpack.encode(_SignedList(body, keys.sign(root, LIST_PURPOSE, body)))
        )

    def follow(self, other: DeviceList) -> Literal["same", "newer", "older", "fork", "stranger"]:
        """What `other` is to the list that is known, which is this one.

        Only `newer`, the direct successor, may replace it; `fork` must stop sending.
        `older` is no alarm by itself: a list that was known before arrives again.
        """
        if other.root != self.root or other.recovery != self.recovery:
            return "stranger"
        if other.head == self.head:
            return "same"
        if other.version == self.version + 1 and other.previous == self.head:
            return "newer"
        if other.version < self.version:
            return "older"
        return "fork"

    def holds(self, ed25519: bytes, curve25519: bytes) -> bool:
        """Whether a device with both of these keys is listed."""
        return Device(ed25519, curve25519) in self.devices


class NotFirst(ValueError):
    """Asked of a device that was linked what only the first one can do."""

    def __init__(self) -> None:
        super().__init__("only your first device can do this: it alone has the key that signs")


class Party(Wire, frozen=True):
    """One end of a conversation: a person's root and the device that takes part."""

    root: Key32
    device: Key32
    """The device's Ed25519 key."""
    curve25519: Key32
    head: Key32
    """Head of the person's device list."""


class _Stored(Wire, frozen=True):
    version: Literal[1]
    root: Annotated[bytes, Meta(max_length=32)]
    account: olm.AccountState
    devices: bytes


@dataclass(frozen=True)
class Identity:
    """What this node is to others, secrets included. It never changes by being used:
    one-time keys live with their invitations, see `olm.Account`."""

    root: Ed25519PrivateKey | None = field(repr=False)
    """None on a device that was linked: it can neither add nor remove one."""
    account: olm.AccountState = field(repr=False)
    devices: DeviceList = field(repr=False)

    @classmethod
    def create(cls, entropy: Entropy) -> tuple[Identity, bytes]:
        """A new identity, and the recovery key's secret (32 bytes), which belongs in an
        offline file and not beside the identity. vodozemac draws the device's keys itself."""
        root = Ed25519PrivateKey.from_private_bytes(entropy(32))
        recovery_secret = entropy(32)
        recovery = Ed25519PrivateKey.from_private_bytes(recovery_secret)
        account = olm.AccountState.create(entropy)
        device = Device(account.ed25519, account.curve25519)
        devices = DeviceList.sign(root, keys.public_bytes(recovery), (device,))
        return cls(root, account, devices), recovery_secret

    @classmethod
    def renew(
        cls, root: Ed25519PrivateKey, devices: DeviceList, now: int, entropy: Entropy
    ) -> Identity:
        """The same person on a new device, the only one from now on. The version is the time
        (minutes since 1970), so that whoever restores the same backup twice, or one that is
        older than the last list, is still ahead of what contacts know."""
        account = olm.AccountState.create(entropy)
        device = Device(account.ed25519, account.curve25519)
        least = now // 60_000
        return cls(
            root, account, DeviceList.sign(root, devices.recovery, (device,), devices, least)
        )

    @property
    def root_key(self) -> Ed25519PrivateKey:
        """The secret that signs for the person. Raises `NotFirst`."""
        if self.root is None:
            raise NotFirst
        return self.root

    @classmethod
    def linked(cls, account: olm.AccountState, devices: DeviceList) -> Identity:
        """A further device of the person whose list has it. Raises `BadKey`."""
        if not devices.holds(account.ed25519, account.curve25519):
            raise BadKey("the list does not have this device")
        return cls(None, account, devices)

    def link(self, device: Device) -> Identity:
        """With one more device. Raises `NotFirst`, and `BadKey` if it cannot be listed."""
        if len(self.devices.devices) >= MAX_DEVICES:
            raise BadKey(f"a person has at most {MAX_DEVICES} devices; remove one first")
        return self._listing((*self.devices.devices, device))

    def unlink(self, ed25519: bytes) -> Identity:
        """Without a device, which is another one than this. Raises `NotFirst`."""
        if ed25519 == self.account.ed25519:
            raise BadKey("a device does not remove itself")
        left = tuple(one for one in self.devices.devices if one.ed25519 != ed25519)
        return self._listing(left)

    def _listing(self, devices: tuple[Device, ...]) -> Identity:
        listed = DeviceList.sign(self.root_key, self.devices.recovery, devices, self.devices)
        return Identity(self.root, self.account, listed)

    @property
    def party(self) -> Party:
        """How others see this device."""
        return Party(
            self.devices.root, self.account.ed25519, self.account.curve25519, self.devices.head
        )

    def dump(self) -> bytes:
        """Secret bytes, to be wrapped by `rest` before they are written."""
        return msgspec.msgpack.encode(
            _Stored(
                1,
                b"" if self.root is None else self.root.private_bytes_raw(),
                self.account,
                self.devices.encode(),
            )
        )

    @classmethod
    def load(cls, data: bytes) -> Identity:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        try:
            stored = msgspec.msgpack.decode(data, type=_Stored)
        except msgspec.MsgspecError:
            raise ValueError("the stored identity is damaged") from None
        root = Ed25519PrivateKey.from_private_bytes(stored.root) if stored.root else None
        devices = DeviceList.decode(stored.devices)
        if root is not None and devices.root != keys.public_bytes(root):
            raise ValueError("the stored identity is damaged")
        return cls(root, stored.account, devices)
