"""One signed act in a group: what its author does, and after which acts.

An entry names the entries that its author had seen last (its parents), so that all entries
together are a graph which everyone folds the same way, see `roster`. The device signs,
the device list says whose device it is. Source: spec/seal.md, "Groups".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from holdfast.core.seal import keys
from holdfast.core.seal.identity import U53, DeviceList, Key32, Signature, Wire
from holdfast.core.seal.keys import BadKey

PURPOSE: Final = "group-entry/1"
MAX_ENTRY: Final = 48_000
"""Bytes of one entry: it fits one record beside others."""
MAX_PARENTS: Final = 64
MAX_ADDS: Final = 120
"""People whom one entry may add."""
MAX_LISTS: Final = 64
"""Device lists of one person: nobody fills the roster with theirs."""
SETTINGS: Final = ("title", "timer", "slow", "history", "adding")
"""title: text. timer: seconds that messages last. slow: seconds between two messages of a
member. history: how many messages a newcomer is given. adding: admins or members."""

Role = Literal["member", "admin", "owner"]
Name = Annotated[str, Meta(max_length=256)]
Listed = Annotated[bytes, Meta(max_length=4096)]
"""A signed device list."""


class BadEntry(ValueError):
    """Not an entry, or one that its author may not make."""


class Op(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what an entry does."""


class Found(Op, frozen=True, tag="found"):
    """The author begins the group and owns it."""

    title: Name
    name: Name
    devices: Listed
    nonce: Key32


class Add(Op, frozen=True, tag="add"):
    """Somebody is a member from now on."""

    name: Name
    devices: Listed
    role: Literal["member", "admin"] = "member"


class Cut(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Up to where somebody who is removed was heard: a session, and its next index."""

    session: Key32
    index: Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Remove(Op, frozen=True, tag="remove"):
    """Somebody is a member no longer; with `ban` nobody adds them again."""

    root: Key32
    ban: bool = False
    cuts: Annotated[tuple[Cut, ...], Meta(max_length=256)] = ()


class Unban(Op, frozen=True, tag="unban"):
    """Somebody may be added again."""

    root: Key32


class Appoint(Op, frozen=True, tag="role"):
    """Somebody's role from now on."""

    root: Key32
    role: Role


class Leave(Op, frozen=True, tag="leave"):
    """The author is a member no longer."""


class Devices(Op, frozen=True, tag="devices"):
    """A later device list of the author's. Which device it lacks is removed: with a fresh key."""

    devices: Listed


class Set(Op, frozen=True, tag="set"):
    """A setting of the group, one of `SETTINGS`."""

    key: Annotated[str, Meta(max_length=16)]
    value: Annotated[str, Meta(max_length=256)]


AnyOp = Found | Add | Remove | Unban | Appoint | Leave | Devices | Set


class Renewal(Wire, frozen=True):
    """A fresh epoch begins with this entry: the commitment to its secret, and the relays that
    have its log."""

    commitment: Key32
    homes: Annotated[
        tuple[Annotated[str, Meta(max_length=400)], ...], Meta(min_length=1, max_length=3)
    ]


class Body(Wire, frozen=True):
    """What is signed."""

    version: Annotated[int, Meta(ge=1, le=1)]
    group: Annotated[bytes, Meta(max_length=32)]
    """Hash of the founding entry; empty in that one itself."""
    parents: Annotated[tuple[Key32, ...], Meta(max_length=MAX_PARENTS)]
    root: Key32
    device: Key32
    head: Key32
    """Of the author's device list."""
    at: U53
    ops: Annotated[tuple[AnyOp, ...], Meta(max_length=MAX_ADDS)]
    renewal: Renewal | None = None


class _Signed(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=MAX_ENTRY)]
    signature: Signature


class Signer(Protocol):
    """A device that signs, see `seal.olm.AccountState`."""

    def sign(self, purpose: str, body: bytes) -> bytes:
        """A signature for this purpose."""


@dataclass(frozen=True)
class Entry:
    """An entry that its device has signed, with device lists that their roots have signed."""

    hash: bytes
    body: Body
    data: bytes = field(repr=False)
    lists: tuple[DeviceList, ...] = field(repr=False)
    """Of its operations, in their order."""

    @property
    def strikes(self) -> tuple[bytes, ...]:
        """Roots that it removes, or takes a role from."""
        return tuple(
            op.root
            for op in self.body.ops
            if isinstance(op, Remove) or (isinstance(op, Appoint) and op.role == "member")
        )

    @property
    def renewed(self) -> DeviceList | None:
        """The author's list, if they have lost all their devices and go on with another one, which
        signs this entry itself: then it does nothing else."""
        body = self.body
        if len(body.ops) == 1 and isinstance(body.ops[0], Devices):
            (listed,) = self.lists
            return listed if listed.head == body.head else None
        return None

    @property
    def removes(self) -> bool:
        """Whether somebody must not read what follows: a member, or a device of the author's."""
        fresh = self.body.renewal is not None
        return any(
            isinstance(op, Remove) or (fresh and isinstance(op, Devices)) for op in self.body.ops
        )


_bodies: Final = msgspec.msgpack.Decoder(Body)
_signed: Final = msgspec.msgpack.Decoder(_Signed)


def sign(body: Body, signer: Signer) -> Entry:
    """An entry of one's own. Raises `BadEntry` if it is too long."""
    packed = msgspec.msgpack.encode(body)
    if len(packed) > MAX_ENTRY:
        raise BadEntry("too much for one entry")
    return decode(msgspec.msgpack.encode(_Signed(packed, signer.sign(PURPOSE, packed))))


def decode(data: bytes) -> Entry:
    """Check and read what is true of an entry by itself. Raises `BadEntry`."""
    try:
        signed = _signed.decode(data)
        body = _bodies.decode(signed.body)
        if msgspec.msgpack.encode(body) != signed.body:
            raise BadEntry("not in its one form")
        keys.verify(body.device, PURPOSE, signed.body, signed.signature)
        lists = tuple(
            DeviceList.decode(op.devices)
            for op in body.ops
            if isinstance(op, Found | Add | Devices)
        )
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadKey):
        raise BadEntry("not an entry of a group") from None
    _check(body, lists)
    return Entry(keys.digest("group-entry-hash/1", signed.body), body, data, lists)


def _check(body: Body, lists: tuple[DeviceList, ...]) -> None:
    founding = bool(body.ops) and isinstance(body.ops[0], Found)
    if founding != (body.group == b"") or founding == bool(body.parents):
        raise BadEntry("a group begins with one founding entry")
    if sum(isinstance(op, Found) for op in body.ops) != founding:
        raise BadEntry("a group is founded once")
    if tuple(sorted(set(body.parents))) != body.parents:
        raise BadEntry("parents stand in order")
    if not body.ops and body.renewal is None:
        raise BadEntry("nothing is done")
    needs = founding or any(isinstance(op, Remove) for op in body.ops)
    if needs and body.renewal is None:
        raise BadEntry("a removal renews the key")
    if founding and (lists[0].root != body.root or lists[0].head != body.head):
        raise BadEntry("the founder's list is not the founder's")
    for op in body.ops:
        if isinstance(op, Set) and op.key not in SETTINGS:
            raise BadEntry("no such setting")
        if isinstance(op, Devices) and not any(one.root == body.root for one in lists):
            raise BadEntry("somebody else's device list")
