"""The outer encryption of every Olm message between two devices, and how its key moves on.

Opening: each side seals under HPKE until both have given a share; then O_0. From
then on each Olm message is sealed under O_n, one key a direction. The initiator
offers a fresh HPKE key at most every 50 messages or 7 days, the responder answers
with a share under it, and O_{n+1} follows. An old key goes as soon as nothing that
was sealed under it can still be missing. Source: spec/seal.md, "The outer key".
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from holdfast.core import caps
from holdfast.core.seal import Entropy, hpke, padding
from holdfast.core.seal.hpke import HpkeKey, Unopenable
from holdfast.core.seal.identity import Key32, Party, Secret

OPENING: Final = 1
KEYED: Final = 2
"""First byte of a record: sealed under HPKE, or under an outer key."""
ROTATE_MESSAGES: Final = 50
ROTATE_MILLIS: Final = 7 * 86_400_000
NONCE: Final = 12
TAG: Final = 16
PURPOSE: Final = "message"

Secret96 = Annotated[bytes, Meta(min_length=96, max_length=96)]


class Early(Exception):
    """Sealed under a key that a record still missing will bring."""


class OuterState(Secret):
    """What is kept of the outer keys; `root_` keys are O_n, 32 bytes."""

    initiator: bool
    transcript: Key32
    share: Key32
    """Mine; the initiator's went out with the accept record."""
    mine: Secret96 | None
    """My opening HPKE key, until nothing sealed to it can be missing."""
    theirs: Annotated[bytes, Meta(max_length=hpke.PUBLIC)]
    """The peer's opening HPKE public key."""
    epoch: int = -1
    """n of the key I seal under; -1 while opening."""
    keys: dict[int, Key32] = {}
    """O_n by n: the one I seal under and those the peer may still use."""
    offered: Secret96 | None = None
    asked: Annotated[bytes, Meta(max_length=hpke.PUBLIC)] | None = None
    """The peer's offer, to be answered in the next record; it is the last under O_n."""
    count: int = 0
    since: int = 0
    """Records either way under the present key, and when it began (ms)."""


class Outer:
    """Seals and opens records for one device pair; see the module."""

    def __init__(self, state: OuterState, me: Party, peer: Party, conv_id: bytes) -> None:
        self.state = state
        self._me, self._peer, self._conv = me, peer, conv_id
        self._mine = None if state.mine is None else HpkeKey(state.mine)
        self._aeads: dict[tuple[int, bool], tuple[AESGCM, bytes]] = {}

    # Sealing.

    def seal(self, body: bytes, entropy: Entropy) -> bytes:
        """One record of a size class around seq, ack and the Olm message in `body`."""
        state = self.state
        if state.epoch < 0:
            plain = padding.pad(body, 1 + hpke.OVERHEAD)
            info = self._info(self._peer, state.theirs)
            return bytes([OPENING]) + hpke.seal(state.theirs, info, plain)
        header = bytes([KEYED, state.epoch & 0xFF])
        nonce = entropy(NONCE)
        aead, _ = self._key(state.epoch, mine=True)
        plain = padding.pad(body, 2 + NONCE + TAG)
        return header + nonce + aead.encrypt(nonce, plain, header)

    @property
    def key_id(self) -> bytes:
        """Names the key that the next record is sealed under, 32 bytes, for the context."""
        if self.state.epoch < 0:
            return hpke.key_id(self.state.theirs)
        return self._key(self.state.epoch, mine=True)[1]

    # Opening.

    def open(self, blob: bytes) -> tuple[int, bytes, bytes]:
        """Epoch (-1 while opening), key id and what was sealed. Raises `Unopenable`, or
        `Early` if the key is not there yet."""
        if len(blob) not in padding.CLASSES:
            raise Unopenable
        if blob[0] == OPENING and self._mine is not None:
            info = self._info(self._me, self._mine.public)
            plain = self._mine.open(blob[1:], info)
            return -1, hpke.key_id(self._mine.public), _unpad(plain)
        if blob[0] != KEYED:
            raise Unopenable
        for epoch in self.state.keys:
            if epoch & 0xFF == blob[1]:
                aead, key_id = self._key(epoch, mine=False)
                nonce = blob[2 : 2 + NONCE]
                try:
                    plain = aead.decrypt(nonce, blob[2 + NONCE :], blob[:2])
                except InvalidTag:
                    raise Unopenable from None
                return epoch, key_id, _unpad(plain)
        if self.state.offered is not None and (self.state.epoch + 1) & 0xFF == blob[1]:
            raise Early
        raise Unopenable

    def _info(self, to: Party, public: bytes) -> bytes:
        return hpke.info(PURPOSE, to.root, to.device, public, self._conv)

    def _key(self, epoch: int, mine: bool) -> tuple[AESGCM, bytes]:
        found = self._aeads.get((epoch, mine))
        if found is None:
            root = self.state.keys[epoch]
            start, end = (self._me, self._peer) if mine else (self._peer, self._me)
            key = caps.hkdf(root, "direction/1", start.device, end.device)
            found = self._aeads[epoch, mine] = AESGCM(key), caps.hkdf(root, "epoch-id/1")
        return found

    # Moving on.

    def begin(self, theirs: bytes, now: int) -> None:
        """The peer's share has come: O_0 is known. The initiator seals under it at once,
        the responder when it has seen that the initiator knows it too."""
        if 0 in self.state.keys or self.state.epoch >= 0:
            return
        first, second = self.state.share, theirs
        if not self.state.initiator:
            first, second = second, first
        self.state.keys[0] = caps.hkdf(first + second, "outer/1", self.state.transcript)
        if self.state.initiator:
            self.state.epoch, self.state.since = 0, now

    def wants_offer(self, now: int) -> Literal["", "old", "full"]:
        """Whether a fresh HPKE key should be offered, and why."""
        state = self.state
        if not state.initiator or state.epoch < 0 or state.offered is not None:
            return ""
        if state.count >= ROTATE_MESSAGES:
            return "full"
        return "old" if state.count and now - state.since >= ROTATE_MILLIS else ""

    @property
    def renewal(self) -> int | None:
        """When (ms) a key that was used grows too old, if it is mine to renew."""
        state = self.state
        idle = not state.initiator or state.epoch < 0 or state.offered is not None
        return None if idle or not state.count else state.since + ROTATE_MILLIS

    def offer(self, entropy: Entropy) -> bytes:
        """A fresh HPKE public key, to go inside the next message."""
        key = HpkeKey.make(entropy(hpke.SECRET))
        self.state.offered = key.secret
        return key.public

    def answer(self, entropy: Entropy) -> tuple[bytes, bytes] | None:
        """The answer to the peer's offer, if there is one, and the key that follows it."""
        public, epoch = self.state.asked, self.state.epoch
        if public is None:
            return None
        share = entropy(32)
        sealed = hpke.seal(public, self._offer_info(public, self._peer), share)
        return sealed, next_key(self.state.keys[epoch], share, epoch, public, sealed)

    def read_answer(self, sealed: bytes) -> bytes:
        """The next key from the answer to my offer. Raises `Unopenable`."""
        if self.state.offered is None:
            raise Unopenable
        key = HpkeKey(self.state.offered)
        share = key.open(sealed, self._offer_info(key.public, self._me))
        epoch = self.state.epoch
        return next_key(self.state.keys[epoch], share, epoch, key.public, sealed)

    def _offer_info(self, public: bytes, to: Party) -> bytes:
        return hpke.info("rotate", to.root, to.device, public, self._conv)

    def advance(self, key: bytes, now: int) -> None:
        """Seal under the next key from now on. The initiator has read all that came under
        the old one; the responder keeps it until the initiator's first under the next."""
        state = self.state
        state.epoch += 1
        state.keys[state.epoch] = key
        state.offered = state.asked = None
        state.count, state.since = 0, now
        if state.initiator:
            self._forget(state.epoch)

    def received(self, epoch: int, now: int) -> None:
        """A record under `epoch` was taken in order: what is older cannot be missing."""
        state = self.state
        if epoch < 0:
            return
        if self._mine is not None:
            self._mine = state.mine = None
        if state.epoch < 0:
            state.epoch, state.since = 0, now
        self._forget(epoch)

    def _forget(self, before: int) -> None:
        """Delete every key older than `before`."""
        for old in [epoch for epoch in self.state.keys if epoch < before]:
            del self.state.keys[old]
            self._aeads.pop((old, True), None)
            self._aeads.pop((old, False), None)


def next_key(key: bytes, share: bytes, epoch: int, public: bytes, sealed: bytes) -> bytes:
    """O_{n+1} = HKDF(salt = O_n, share, n ‖ H(offer) ‖ H(answer))."""
    info = caps.join(
        b"holdfast/outer-next/1",
        epoch.to_bytes(8, "big"),
        hpke.key_id(public),
        hpke.key_id(sealed),
    )
    return HKDF(hashes.SHA256(), 32, key, info).derive(share)


def _unpad(plain: bytes) -> bytes:
    try:
        return padding.unpad(plain)
    except ValueError:
        raise Unopenable from None
