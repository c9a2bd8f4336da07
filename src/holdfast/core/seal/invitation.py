"""First contact: the inviter's bundle, the acceptor's answer, and what comes of them.

Source: spec/seal.md, "Invitations".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.core.caps import Caps, Home
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.link import Link
from holdfast.core.seal.pairwise import Pairwise

Entropy = Callable[[int], bytes]

MAX_PROFILE: Final = 1024
"""Bytes of what the node says of itself at first contact (a name), opaque here."""
MAX_SESSIONS: Final = 1000
"""People who can accept one invitation for many."""


class BadBundle(ValueError):
    """The inviter's bundle does not match the link or is not valid; says what to do.
    `reason`: `damaged`, `expired`, `own-link`."""


class Used(ValueError):
    """The invitation was used by somebody else before, was revoked, or has expired."""


@dataclass(frozen=True)
class Inbox:
    """A log with the roles that this side holds, and its homes."""

    caps: Caps
    homes: tuple[Home, ...]


@dataclass(frozen=True)
class Bundle:
    """The inviter as the bundle shows it, checked."""

    devices: DeviceList
    profile: bytes


@dataclass(frozen=True)
class Contact:
    """A contact as it begins, on either side."""

    devices: DeviceList
    """The other's device list; `devices.root` is who they are."""
    profile: bytes
    mine: Inbox
    """What I read: all four roles."""
    theirs: Inbox
    """What I append to. On the acceptor's side with all four roles until it was created
    on every home; then keep `theirs.caps.only("append")`."""
    pairwise: Pairwise


@dataclass(frozen=True)
class Repeat:
    """The accept record that was already taken, again: nothing to do."""


class Invitation:
    """The inviter's side of one link; secret state."""

    @classmethod
    def create(
        cls,
        identity: Identity,
        homes: tuple[Home, ...],
        expires: int,
        profile: bytes,
        now: int,
        entropy: Entropy,
        many: bool = False,
    ) -> Invitation:
        """`expires` in ms since 1970. Create both logs at every home, append `record` to the
        bundle log, then show `link`."""
        raise NotImplementedError

    link: Link
    record: bytes
    """The bundle as it is appended to the bundle log."""
    bundle_caps: Caps
    accept_caps: Caps
    """All four roles of the two logs."""

    @property
    def used(self) -> bool:
        """A single-use invitation that was accepted or any that was revoked."""
        raise NotImplementedError

    def open_accept(
        self, record: bytes, identity: Identity, now: int, entropy: Entropy
    ) -> Contact | Repeat:
        """The first valid accept wins. Store this invitation's `dump` and the contact in
        one transaction. Raises `Unopenable` (ignore the record) or `Used`."""
        raise NotImplementedError

    def revoke(self) -> None:
        """Delete the keys; then drop both logs."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Secret bytes, to be wrapped by `rest.Rows`."""
        raise NotImplementedError

    @classmethod
    def load(cls, data: bytes) -> Invitation:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        raise NotImplementedError


def open_bundle(link: Link, record: bytes, now: int) -> Bundle:
    """Check the bundle log's first record against the link. Raises `BadBundle`."""
    raise NotImplementedError


def accept(
    link: Link,
    record: bytes,
    identity: Identity,
    homes: tuple[Home, ...],
    profile: bytes,
    now: int,
    entropy: Entropy,
) -> tuple[Contact, bytes]:
    """Make the contact and the record for `link.accept`. `homes` are mine. Create both
    inboxes at their homes before the record is appended; store contact and record in one
    transaction. Raises `BadBundle`."""
    raise NotImplementedError
