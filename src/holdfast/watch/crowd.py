"""What it costs to be one more of a network's on a day: a newcomer who wants tokens, or a form
without any for what was complained of from there before.

Thousands share one IPv4 address of a carrier, and somebody with one machine can pretend to be
thousands; by the address alone nobody can tell. So the first few of a network are free, and the
price in work doubles whenever their number does. Who has tokens from before pays nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from holdfast.core.log.admission import MOST_BITS, is_work
from holdfast.core.report import DAY

FREE: Final = 8
"""Newcomers of a network and day."""
FIRST: Final = 19
"""Bits of work from then on: a second or so. It ends at `MOST_BITS`, minutes."""
NETWORKS: Final = 200_000
SALT: Final = 16


class Crowd:
    """Of one day; networks by a keyed hash in memory, with a key that lives as long."""

    def __init__(self, entropy: Callable[[int], bytes], free: int = FREE) -> None:
        self._entropy = entropy
        self._free = free
        self._key = b""
        self._day = -1
        self._came: dict[bytes, int] = {}

    def price(self, network: bytes, now: int) -> int | None:
        """Bits of work for the next one; None if it is too late for today."""
        self._turn(now)
        name = self._hidden(network)
        full = name not in self._came and len(self._came) >= NETWORKS
        beyond = (0 if full else self._came.get(name, 0) - self._free) // FREE
        bits = FIRST + (beyond + 1).bit_length() - 1 if beyond >= 0 else 0
        return bits if bits <= MOST_BITS else None

    def owes(
        self, network: bytes, found: bytes, over: Callable[[int], bytes], now: int
    ) -> int | None:
        """0 if what was done is enough for one more, else as `price`; `over` tells by the day what
        the work is over."""
        bits = self.price(network, now)
        # The price may have gone up while they worked, and the day may have ended.
        days = (now // DAY, now // DAY - 1)
        if bits and any(is_work(over(day), found, bits - 1) for day in days):
            return 0
        return bits

    def came(self, network: bytes, now: int) -> None:
        """One more."""
        self._turn(now)
        name = self._hidden(network)
        if name in self._came or len(self._came) < NETWORKS:
            self._came[name] = self._came.get(name, 0) + 1

    def _turn(self, now: int) -> None:
        if now // DAY != self._day:
            self._day, self._key, self._came = now // DAY, self._entropy(32), {}

    def _hidden(self, network: bytes) -> bytes:
        return hmac.digest(self._key, network, "sha256")[:12]


def form(watch: str, salt: bytes, day: int) -> bytes:
    """What a form's work is over."""
    name = hashlib.sha256(watch.encode()).digest()
    return b"holdfast/form/1" + name + salt + day.to_bytes(4, "big")
