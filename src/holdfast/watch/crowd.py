"""What a newcomer's first tokens cost, by how many came from the same network that day.

Thousands share one IPv4 address of a carrier, and somebody with one machine can pretend to be
thousands; by the address alone nobody can tell. So the first few of a network are free, and the
price in work doubles whenever their number does. Who was here before pays nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from holdfast.core.log.admission import MOST_BITS

FREE: Final = 8
"""Newcomers of a network and day."""
FIRST: Final = 19
"""Bits of work from then on: a second or so. It ends at `MOST_BITS`, minutes."""
NETWORKS: Final = 200_000
DAY: Final = 86_400


class Newcomers:
    """Of one day; networks by a keyed hash in memory, with a key that lives as long."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._key = b""
        self._day = -1
        self._came: dict[bytes, int] = {}

    def price(self, network: bytes, now: int) -> int | None:
        """Bits of work for the next one; None if it is too late for today."""
        self._turn(now)
        name = self._hidden(network)
        full = name not in self._came and len(self._came) >= NETWORKS
        came = FREE if full else self._came.get(name, 0)
        bits = FIRST + (came // FREE).bit_length() - 1 if came >= FREE else 0
        return bits if bits <= MOST_BITS else None

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
