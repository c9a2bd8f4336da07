"""Two contacts on one local network: how they find each other, and the line between them.

What is announced are tags, one a contact, that nobody but that contact can tell from random bytes,
and others every hour. The line carries sealed records as relays do, each until it was taken.
Nothing here knows what a record is. Source: spec/paths.md, "The local network".
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.core.caps import RID, hkdf, join
from holdfast.core.seal.frame import FrameError, Opener, Sealer

HOUR: Final = 3_600_000
AROUND: Final = 3
"""Hours by which two clocks may differ."""
TAG: Final = 8
TOGETHER: Final = 16
"""Tags are announced in multiples of so many, so that their number tells little."""
A_STRING: Final = 31
"""Tags in one string of a TXT record, which has at most 255 bytes (RFC 6763 section 6.1)."""
MOST_TAGS: Final = 4 * TOGETHER
NONCE: Final = 16
PROOF: Final = 16
LARGEST: Final = 70_000
"""Bytes of one sealed frame of a line."""
PING_MS: Final = 5_000
SILENT_MS: Final = 12_000
"""Nothing came for so long: the other one is gone."""
OPENING_MS: Final = 5_000
CALL: Final = 16
_RECORD, _TAKEN, _PING, _PLACE = range(4)


class BadLine(Exception):
    """Whoever this is, it is no contact; every cause looks alike."""

    def __init__(self) -> None:
        super().__init__("not a contact")


@dataclass(frozen=True)
class Peer:
    """A contact as it is found: the secret of the pair, and on which log each of the two reads."""

    contact: str
    secret: bytes
    mine: bytes
    theirs: bytes

    @classmethod
    def of(cls, contact: str, mine: bytes, theirs: bytes) -> Peer:
        """`mine` is the locator of the log that this side reads, `theirs` of the other's. Nobody
        but the two knows both."""
        return cls(contact, hkdf(join(*sorted((mine, theirs))), "near/pair/1"), mine, theirs)

    def tag(self, announcer: bytes, now: int, hours: int = 0) -> bytes:
        """What the one who reads that log announces for the other; `now` in ms since 1970."""
        hour = max(0, now // HOUR + hours).to_bytes(8, "big")
        return hkdf(self.secret, "near/tag/1", announcer, hour, length=TAG)


def announced(peers: Sequence[Peer], now: int, entropy: Callable[[int], bytes]) -> list[bytes]:
    """Strings of tags: those of the first of these contacts, and random ones."""
    tags = [one.tag(one.mine, now) for one in peers[:MOST_TAGS]]
    tags += [entropy(TAG) for _ in range(-len(tags) % TOGETHER or TOGETHER * (not tags))]
    tags.sort()
    return [b"".join(tags[at : at + A_STRING]) for at in range(0, len(tags), A_STRING)]


def found(peers: Iterable[Peer], strings: Iterable[bytes], now: int) -> list[Peer]:
    """Which of these contacts announce themselves so."""
    tags = {
        one[at : at + TAG]
        for one in list(strings)[:8]
        for at in range(0, min(len(one), 255) - TAG + 1, TAG)
    }
    return [
        peer
        for peer in peers
        if any(peer.tag(peer.theirs, now, hours) in tags for hours in range(-AROUND, AROUND + 1))
    ]


@dataclass(frozen=True, slots=True)
class Ready:
    """The other end is this contact."""

    contact: str


@dataclass(frozen=True, slots=True)
class Came:
    """A record of the contact's; answer with `taken` when it is on the disk."""

    rid: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """The contact has this record on its disk."""

    rid: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """The contact takes frames of this call at this UDP port."""

    call: bytes
    port: int


Event = Ready | Came | Taken | Placed


class Line:
    """One end of a line. `now` is in milliseconds since 1970. With `peer` it is the end that
    connects; without, the one that is connected to, by one of `peers`."""

    def __init__(
        self,
        peers: Sequence[Peer],
        now: int,
        entropy: Callable[[int], bytes],
        peer: Peer | None = None,
        known: set[bytes] | None = None,
    ) -> None:
        """`known`: first words that were said already, to somebody or by somebody else."""
        self._peers = peers
        self._entropy = entropy
        self._known = set() if known is None else known
        self._peer = peer
        self._calls = peer is not None
        self._nonce = entropy(NONCE)
        self._in = bytearray()
        self._out: list[bytes] = []
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self.ready = False
        self._began = self._heard = self._said = now
        if peer is not None:
            proof = _hello(peer, peer.mine, now, 0, self._nonce)
            self._out.append(self._nonce + proof)

    @property
    def contact(self) -> str:
        """Who is at the other end, once `ready`."""
        return self._peer.contact if self._peer is not None else ""

    def take(self) -> bytes:
        """What is to be sent."""
        out, self._out = b"".join(self._out), []
        return out

    def record(self, rid: bytes, blob: bytes) -> None:
        """Pass a record on, once `ready`."""
        self._say(bytes((_RECORD,)) + rid + blob)

    def taken(self, rid: bytes) -> None:
        """A record that came is on the disk."""
        self._say(bytes((_TAKEN,)) + rid)

    def place(self, call: bytes, port: int) -> None:
        """Frames of this call are taken at this UDP port, 0 for none."""
        self._say(bytes((_PLACE,)) + call + port.to_bytes(2, "big"))

    def tick(self, now: int) -> None:
        """Time has passed. Raises `BadLine` when nobody is there any more."""
        if not self.ready:
            if now - self._began > OPENING_MS:
                raise BadLine
            return
        if now - self._heard > SILENT_MS:
            raise BadLine
        if now - self._said >= PING_MS:
            self._said = now
            self._say(bytes((_PING,)))

    def received(self, data: bytes, now: int) -> list[Event]:
        """Bytes came. Raises `BadLine`."""
        self._in += data
        events: list[Event] = []
        if self._sealer is None and len(self._in) >= NONCE + PROOF:
            first = bytes(self._in[: NONCE + PROOF])
            del self._in[: NONCE + PROOF]
            self._greeted(first, now)
        while self._opener is not None and len(self._in) >= 3:
            length = int.from_bytes(self._in[:3], "big")
            if length > LARGEST:
                raise BadLine
            if len(self._in) < 3 + length:
                break
            frame = bytes(self._in[3 : 3 + length])
            del self._in[: 3 + length]
            try:
                _, plain = self._opener.open(frame)
            except FrameError:
                raise BadLine from None
            self._heard = now
            if not self.ready:
                assert self._peer is not None
                self.ready = True
                events.append(Ready(self._peer.contact))
            events += _read(plain)
        if self._opener is None and len(self._in) > NONCE + PROOF:
            raise BadLine
        return events

    def _greeted(self, first: bytes, now: int) -> None:
        nonce, proof = first[:NONCE], first[NONCE:]
        if self._calls:
            assert self._peer is not None
            answer = _answer(self._peer, self._nonce, nonce)
            if not hmac.compare_digest(answer, proof):
                raise BadLine
            self._agree(self._nonce, nonce)
            return
        self._peer = None if nonce in self._known else self._who(nonce, proof, now)
        if self._peer is None:
            raise BadLine
        self._known.add(nonce)
        self._out.append(self._nonce + _answer(self._peer, nonce, self._nonce))
        self._agree(nonce, self._nonce)

    def _who(self, nonce: bytes, proof: bytes, now: int) -> Peer | None:
        for peer in self._peers:
            for hours in range(-AROUND, AROUND + 1):
                if hmac.compare_digest(_hello(peer, peer.theirs, now, hours, nonce), proof):
                    return peer
        return None

    def _agree(self, first: bytes, second: bytes) -> None:
        assert self._peer is not None
        base = hkdf(self._peer.secret, "near/line/1", first, second)
        keys = [hkdf(base, "near/side/1", side) for side in (b"calls", b"is called")]
        mine, theirs = keys if self._calls else keys[::-1]
        self._sealer, self._opener = Sealer(mine, 0), Opener(theirs, 0)
        self._say(bytes((_PING,)))  # the first frame shows that this end has the keys

    def _say(self, plain: bytes) -> None:
        if self._sealer is not None:
            frame = self._sealer.seal(plain)
            self._out.append(len(frame).to_bytes(3, "big") + frame)


def _hello(peer: Peer, caller: bytes, now: int, hours: int, nonce: bytes) -> bytes:
    hour = max(0, now // HOUR + hours).to_bytes(8, "big")
    return hkdf(peer.secret, "near/hello/1", caller, hour, nonce, length=PROOF)


def _answer(peer: Peer, first: bytes, second: bytes) -> bytes:
    return hkdf(peer.secret, "near/answer/1", first, second, length=PROOF)


def _read(plain: bytes) -> list[Event]:
    """What one frame says; what is not known says nothing."""
    if not plain:
        raise BadLine
    kind, rest = plain[0], plain[1:]
    if kind == _RECORD and len(rest) > RID:
        return [Came(rest[:RID], rest[RID:])]
    if kind == _TAKEN and len(rest) == RID:
        return [Taken(rest)]
    if kind == _PLACE and len(rest) == CALL + 2:
        return [Placed(rest[:CALL], int.from_bytes(rest[CALL:], "big"))]
    return []
