"""Comparing seven emoji: short authentication strings with a commitment.

Seven emoji are 42 bits, which a man in the middle could grind for if it saw one
side's key before it had to fix its own. So whoever is asked first commits to its
key by a hash, and shows the key only when the asker's is on the table. vodozemac
computes the strings; the commitment and what the MACs cover are ours.
Source: the Matrix specification's SAS method; RFC 6189 section 4.4.1.1 (hash
commitment); spec/seal.md, "Comparing".
"""

from __future__ import annotations

import hmac
from typing import Annotated, Final, Literal

import msgspec
import vodozemac
from msgspec import Meta

from holdfast.core.caps import b64
from holdfast.core.seal import Entropy, keys
from holdfast.core.seal.emoji import EMOJI
from holdfast.core.seal.identity import Key32, Party, Wire

State = Literal["asked", "waiting", "compare", "confirmed", "done", "mismatch", "cancelled"]
FINAL: Final = ("done", "mismatch", "cancelled")
TIMEOUT: Final = 600_000
"""Milliseconds without a step after which a comparison is cancelled."""

Name = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Ask(Wire, frozen=True, tag=1):
    """First step, by the asker: names the comparison."""

    name: Name


class Commit(Wire, frozen=True, tag=2):
    """The one who was asked fixes its key without showing it."""

    name: Name
    commitment: Key32


class Show(Wire, frozen=True, tag=3):
    """A key: the asker's, then the other's."""

    name: Name
    key: Key32


class Confirm(Wire, frozen=True, tag=4):
    """The person saw the same emoji; the MAC is over this side's root and device list."""

    name: Name
    mac: Annotated[str, Meta(max_length=64)]


class Cancel(Wire, frozen=True, tag=5):
    """It ends without a result, or (`mismatch`) with the worst one."""

    name: Name
    mismatch: bool = False


Step = Ask | Commit | Show | Confirm | Cancel
_decoder: Final[msgspec.msgpack.Decoder[Step]] = msgspec.msgpack.Decoder(Step)


def read(body: bytes) -> Step | None:
    """A step, if it is one."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def cancelled(name: bytes) -> bytes:
    """What says that a comparison is over."""
    return msgspec.msgpack.encode(Cancel(name))


class Verification:
    """One comparison, as a machine over message contents: `start`, `handle` and `confirm`
    answer what is to be sent, each a content for `Pairwise.seal` (the node adds its own
    message type). `done` vouches for `verified`, a key, and for no name. It is not
    stored: after a restart a step of the other side is answered with a cancel."""

    def __init__(self, mine: Party, theirs: Party) -> None:
        self.state: State = "waiting"
        self._mine, self._theirs = mine, theirs
        self._name: bytes | None = None
        self._asker = False
        self._sas: vodozemac.Sas | None = None
        self._commitment: bytes | None = None
        self._shown = False
        self._strings: vodozemac.EstablishedSas | None = None
        self._mac: str | None = None
        self._last = 0

    @property
    def name(self) -> bytes | None:
        """Of the comparison, once it has begun."""
        return self._name

    @property
    def verified(self) -> bytes | None:
        """The root key that was compared, once `done`."""
        return self._theirs.root if self.state == "done" else None

    @property
    def emoji(self) -> list[tuple[str, str]]:
        """Seven pairs of symbol and English name, from state `compare` on; else empty."""
        if self._strings is None or self.state not in ("compare", "confirmed", "done"):
            return []
        indices = self._strings.bytes(self._about("emoji")).emoji_indices
        return [EMOJI[index] for index in indices]

    def start(self, now: int, entropy: Entropy) -> list[bytes]:
        """Ask to compare, or join the other's asking (state `asked`)."""
        if self.state == "asked":
            self.state, self._last = "waiting", now
            self._sas = vodozemac.Sas()
            return [self._say(Commit(self._id, self._promise(self._key)))]
        if self._name is not None:
            return []
        self._name, self._asker, self._last = entropy(16), True, now
        return [self._say(Ask(self._name))]

    def handle(self, body: bytes, now: int) -> list[bytes]:
        """A step of the other side. Never raises: what does not fit cancels."""
        step = read(body)
        if step is None:
            return self.cancel()
        if isinstance(step, Ask):
            return self._asked(step, now)
        if step.name != self._name:
            return [] if isinstance(step, Cancel) else [self._say(Cancel(step.name))]
        if self.state in FINAL:
            return []
        self._last = now
        match step:
            case Commit() if self._asker and self._sas is None:
                self._sas, self._commitment = vodozemac.Sas(), step.commitment
                return [self._say(Show(self._id, self._key))]
            case Show() if self._sas is not None and self._strings is None:
                return self._meet(step.key)
            case Confirm() if self._strings is not None and self._mac is None:
                return self._check(step.mac)
            case Cancel():
                self.state = "mismatch" if step.mismatch else "cancelled"
                return []
        return self.cancel()

    def _asked(self, step: Ask, now: int) -> list[bytes]:
        """Both may ask at once: the asking of the lower root key counts."""
        untouched = self._name is None
        waits = self._asker and self._sas is None
        if step.name == self._name:
            return []
        if untouched or (waits and self._theirs.root < self._mine.root):
            joins = self._asker
            self._name, self._asker, self._last = step.name, False, now
            self.state = "asked"
            return self.start(now, _no_entropy) if joins else []
        return [] if waits else [self._say(Cancel(step.name))]

    def _meet(self, key: bytes) -> list[bytes]:
        assert self._sas is not None
        if self._asker and not self._kept_promise(key):
            return self._mismatch()
        out = [] if self._asker else [self._say(Show(self._id, self._key))]
        ours = self._key
        try:
            theirs = vodozemac.Curve25519PublicKey.from_bytes(keys.require_curve25519(key))
            self._strings = self._sas.diffie_hellman(theirs)
        except (keys.BadKey, vodozemac.KeyException, vodozemac.SasException):
            return self.cancel()
        self._pair = (ours, key) if self._asker else (key, ours)
        self.state = "compare"
        return out

    def _kept_promise(self, key: bytes) -> bool:
        """The key that is shown now is the one that was fixed before."""
        return hmac.compare_digest(self._promise(key), self._commitment or b"")

    def confirm(self, match: bool, now: int) -> list[bytes]:
        """The person says whether the seven are the same. Only in state `compare`."""
        if self.state != "compare" or self._strings is None:
            return []
        if not match:
            return self._mismatch()
        self.state, self._last = "confirmed", now
        mac = self._strings.calculate_mac(self._claim(self._mine), self._about("mac", self._mine))
        out = [self._say(Confirm(self._id, mac))]
        return out + (self._check(self._mac) if self._mac is not None else [])

    def _check(self, mac: str) -> list[bytes]:
        """Their MAC over their root and list: kept until this person has spoken too."""
        assert self._strings is not None
        try:
            self._strings.verify_mac(
                self._claim(self._theirs), self._about("mac", self._theirs), mac
            )
        except (vodozemac.SasException, ValueError):
            return self._mismatch()
        self._mac = mac
        if self.state == "confirmed":
            self.state = "done"
        return []

    def expire(self, now: int) -> list[bytes]:
        """Cancel ten minutes after the last step."""
        over = self._name is not None and now - self._last >= TIMEOUT
        return self.cancel() if over else []

    def cancel(self) -> list[bytes]:
        """Stop."""
        if self.state in FINAL:
            return []
        self.state = "cancelled"
        return [] if self._name is None else [self._say(Cancel(self._name))]

    def _mismatch(self) -> list[bytes]:
        self.state = "mismatch"
        return [self._say(Cancel(self._id, True))]

    # What the strings and MACs are over.

    _pair: tuple[bytes, bytes] = (b"", b"")
    """Both ephemeral keys, the asker's first."""

    @property
    def _id(self) -> bytes:
        assert self._name is not None
        return self._name

    @property
    def _key(self) -> bytes:
        assert self._sas is not None
        return self._sas.public_key.to_bytes()

    @property
    def _transcript(self) -> bytes:
        """The comparison, and both people with their devices and lists, the asker first."""
        ends = (self._mine, self._theirs) if self._asker else (self._theirs, self._mine)
        fields = [part for end in ends for part in (end.root, end.device, end.curve25519, end.head)]
        return keys.digest("sas/1", self._id, *fields)

    def _promise(self, key: bytes) -> bytes:
        return keys.digest("sas-commit/1", key, self._transcript)

    def _about(self, purpose: str, sender: Party | None = None) -> str:
        who = b"" if sender is None else sender.root
        return b64(keys.digest(f"sas-{purpose}/1", *self._pair, self._transcript, who))

    @staticmethod
    def _claim(end: Party) -> str:
        return b64(end.root + end.head)

    @staticmethod
    def _say(step: Step) -> bytes:
        return msgspec.msgpack.encode(step)


def _no_entropy(_: int) -> bytes:
    raise AssertionError("joining draws nothing here; vodozemac makes the key")
