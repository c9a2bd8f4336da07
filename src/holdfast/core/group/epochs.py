"""Epochs: one secret for each state of the roster, and what is sealed under it.

An entry that renews the key brings a fresh secret and names its hash; every other state's
secret follows by HKDF from that of the state before, so that adding somebody costs no
message to the others, and whoever is added can open nothing from before. The id of an
epoch is a hash of its secret, which is what commits every record to one key.
Source: spec/seal.md, "Epochs".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.caps import Caps, hkdf
from holdfast.core.group.roster import Roster, View, head
from holdfast.core.seal import Entropy, keys, padding
from holdfast.core.seal.hpke import Unopenable

Kind = Literal["entries", "sender", "message", "card", "keys", "ask", "report"]
KINDS: Final[tuple[Kind, ...]] = (
    "entries",
    "sender",
    "message",
    "card",
    "keys",
    "ask",
    "report",
)
ID: Final = 32
NONCE: Final = 12
OVERHEAD: Final = 1 + ID + NONCE + 16
LOG: Final = 96
"""Bytes of a group log's locator, append and read secrets."""


def commitment(group: bytes, secret: bytes) -> bytes:
    """What a renewing entry says of its secret; `group` is empty in the founding one, which has
    no name yet."""
    return keys.digest("group-commitment/1", group, secret)


def log_secret(secret: bytes) -> bytes:
    """The secrets of the log that a renewal begins, but for the owner's."""
    return hkdf(secret, "group-log/1", length=LOG)


def log_caps(log: bytes, owner: bytes | None = None) -> Caps:
    """The log as capabilities."""
    return Caps(log[:32], log[32:64], log[64:96], owner)


@dataclass(frozen=True)
class Epoch:
    """One secret and the state of the roster that it belongs to."""

    group: bytes
    tips: tuple[bytes, ...]
    secret: bytes = field(repr=False)
    _aeads: dict[str, AESGCM] = field(default_factory=dict, repr=False, compare=False)

    @property
    def id(self) -> bytes:
        """Its name, 32 bytes."""
        return keys.digest("group-epoch/1", self.group, self.secret)

    @property
    def head(self) -> bytes:
        """The name of the roster's state."""
        return head(self.tips)

    def _aead(self, kind: Kind) -> AESGCM:
        found = self._aeads.get(kind)
        if found is None:
            found = AESGCM(hkdf(self.secret, "group-record/1", kind.encode(), self.group))
            self._aeads[kind] = found
        return found

    def seal(self, kind: Kind, plain: bytes, entropy: Entropy) -> bytes:
        """A record for the group's log, of the length of a size class. Raises
        `padding.TooLong`."""
        start = bytes([1 + KINDS.index(kind)]) + self.id
        nonce = entropy(NONCE)
        padded = padding.pad(plain, OVERHEAD)
        return start + nonce + self._aead(kind).encrypt(nonce, padded, start)

    def open(self, record: bytes) -> tuple[Kind, bytes]:
        """Inverse of `seal`. Raises `Unopenable`."""
        kind, id = place(record)
        if id != self.id:
            raise Unopenable
        start = record[: 1 + ID]
        nonce = record[1 + ID : 1 + ID + NONCE]
        try:
            return kind, padding.unpad(
                self._aead(kind).decrypt(nonce, record[1 + ID + NONCE :], start)
            )
        except (InvalidTag, ValueError):
            raise Unopenable from None


def place(record: bytes) -> tuple[Kind, bytes]:
    """Kind of a record, and the id of the epoch that opens it. Raises `Unopenable`."""
    if len(record) not in padding.CLASSES or not 1 <= record[0] <= len(KINDS):
        raise Unopenable
    return KINDS[record[0] - 1], record[1 : 1 + ID]


class Epochs:
    """The secrets of a group that are held here."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self.held: dict[bytes, Epoch] = {}
        """By the name of the roster's state."""
        self._ids: dict[bytes, Epoch] = {}

    def hold(self, tips: tuple[bytes, ...], secret: bytes) -> Epoch | None:
        """Keep a secret that somebody gave; None if it is not the one that was committed to."""
        known = self._roster.past(tips)
        entry = self._roster.entries[self._roster.index[tips[0]]]
        renewal = entry.body.renewal if len(tips) == 1 else None
        group = self._roster.id if entry.body.parents else b""
        if renewal is not None and renewal.commitment != commitment(group, secret):
            return None
        if self._roster.tips_of(known) != tips:
            return None
        return self._keep(tips, secret)

    def _keep(self, tips: tuple[bytes, ...], secret: bytes) -> Epoch:
        epoch = Epoch(self._roster.id, tips, secret)
        self.held[epoch.head] = epoch
        self._ids[epoch.id] = epoch
        return epoch

    def drop(self, epoch: Epoch) -> None:
        """Forget one."""
        if self.held.get(epoch.head) == epoch:
            del self.held[epoch.head]
        self._ids.pop(epoch.id, None)

    def by_id(self, id: bytes) -> Epoch | None:
        """The one of this name, if it is held."""
        return self._ids.get(id)

    def at(self, known: int) -> Epoch | None:
        """The epoch of a set of entries, derived as far as need be; None if what it follows
        from is not held, or nothing is."""
        steps: list[tuple[bytes, ...]] = []
        while True:
            tips = self._roster.tips_of(known)
            epoch = self.held.get(head(tips))
            if epoch is not None:
                break
            source = self._roster.source(known)
            if source is None or source == known:
                return None
            steps.append(tips)
            known = source
        for tips in reversed(steps):
            secret = hkdf(epoch.secret, "group-next/1", self._roster.id, head(tips))
            epoch = self._keep(tips, secret)
        return epoch

    def now(self) -> Epoch | None:
        """The epoch of all that is here."""
        return self.at(self._roster.all)

    def view(self, epoch: Epoch) -> View:
        """The group as it is under an epoch."""
        return self._roster.view(epoch.tips)
