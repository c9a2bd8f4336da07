"""Which of the other side's addresses frames of a call can go to straight, without a relay.

Each side asks at every address that it was told of, and answers where it is asked from; an address
from which an answer to its own question came is used while answers come. So a hole in a NAT is
made from both sides, and nobody can have frames sent to an address that is not theirs. Like the
connectivity checks of ICE (RFC 8445 section 2.2), with SFrame around each. Source: spec/call.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from holdfast.core.caps import hkdf
from holdfast.core.seal.frame import FrameError, Opener, Sealer

Address = tuple[str, int]

MOST: Final = 8
"""Addresses that are tried."""
TOKEN: Final = 8
HASTE_MS: Final = 10_000
"""For so long an address is asked often."""
OFTEN_MS: Final = 200
USED_MS: Final = 500
"""Between two questions at an address that answers."""
SELDOM_MS: Final = 5_000
GOOD_MS: Final = 1_600
"""The last answer must not be older."""
_ASK, _ANSWER = b"\0", b"\1"


@dataclass(slots=True)
class _Place:
    since: int
    asked: int = -SELDOM_MS
    tokens: dict[bytes, int] = field(default_factory=dict)
    """Of the last questions, and when they were asked."""
    answered: int | None = None
    trip: int = 0


class Checks:
    """`now` is in milliseconds. `side` is this one's: "caller" or "callee"."""

    def __init__(self, base: bytes, side: str, entropy: Callable[[int], bytes]) -> None:
        other = "callee" if side == "caller" else "caller"
        self._sealer = Sealer(hkdf(base, "direct/1", side.encode()), 0)
        self._opener = Opener(hkdf(base, "direct/1", other.encode()), 0)
        self._entropy = entropy
        self._places: dict[Address, _Place] = {}
        self._best: Address | None = None

    def offer(self, address: Address, now: int) -> None:
        """The other side may be there."""
        if address not in self._places and len(self._places) < MOST:
            self._places[address] = _Place(now)

    def best(self, now: int) -> Address | None:
        """Where frames can go now."""
        good = {
            address: place
            for address, place in self._places.items()
            if place.answered is not None and now - place.answered <= GOOD_MS
        }
        if self._best not in good:
            self._best = min(good, key=lambda one: (good[one].trip, one), default=None)
        return self._best

    def tick(self, now: int) -> list[tuple[Address, bytes]]:
        """What is to be asked now, and where."""
        out = []
        for address, place in self._places.items():
            good = place.answered is not None and now - place.answered <= GOOD_MS
            every = USED_MS if good else OFTEN_MS
            if not good and now - place.since > HASTE_MS:
                every = SELDOM_MS
            if now - place.asked >= every:
                place.asked = now
                token = self._entropy(TOKEN)
                place.tokens[token] = now
                while len(place.tokens) > 8:
                    place.tokens.pop(next(iter(place.tokens)))
                out.append((address, self._sealer.seal(_ASK + token)))
        return out

    def received(self, data: bytes, address: Address, now: int) -> list[tuple[Address, bytes]]:
        """A question or an answer came; what is to be sent for it."""
        try:
            _, plain = self._opener.open(data)
        except FrameError:
            return []
        if len(plain) != 1 + TOKEN:
            return []
        kind, token = plain[:1], plain[1:]
        if kind == _ASK:
            self.offer(address, now)
            if address in self._places:
                return [(address, self._sealer.seal(_ANSWER + token))]
        elif kind == _ANSWER and (place := self._places.get(address)) is not None:
            for known, asked in list(place.tokens.items()):
                if hmac.compare_digest(known, token):
                    place.answered, place.trip = now, now - asked
                    del place.tokens[known]
        return []
