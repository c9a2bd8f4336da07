"""What a relay allows altogether, and who is connected now.

Addresses are held in memory while their connections last, in order to count them, and are
written nowhere.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field, replace

from holdfast.core.log.limits import Limits
from holdfast.store.base import Quota


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """All bounds of one relay."""

    connections: int = 10_000
    connections_per_address: int = 2_500
    """Another relay brings all who come by it from one address."""
    greeting_seconds: int = 15
    """A connection that has not said hello by then is closed."""
    frame_seconds: int = 180
    """For a frame to come whole, once it is above `frame_bytes`."""
    frame_bytes: int = 16 * 1024
    partial_bytes: int = 256 * 1024 * 1024
    """Of frames that are not whole yet, over all connections."""
    unsent_bytes: int = 1024 * 1024
    """A reader whose connection has more unsent is slow: it waits, live frames are gone. At
    least the 256 KiB above which a channel tells when it has drained."""
    connection: Limits = field(default_factory=Limits)
    store: Quota = field(default_factory=Quota)

    def share(self, count: int) -> RelayLimits:
        """Of one of so many processes, to which connections and logs come evenly."""
        store = self.store
        return replace(
            self,
            partial_bytes=self.partial_bytes // count,
            connections=-(-self.connections // count),
            connections_per_address=-(-self.connections_per_address // count),
            store=replace(
                store,
                logs=-(-store.logs // count),
                disk_bytes=store.disk_bytes // count,
                backlog_bytes=store.backlog_bytes // count,
            ),
        )


class Doors:
    """Counts connections, in total and by address."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._by_network: Counter[bytes] = Counter()
        self.total = self.refused = 0
        """Connections now, and that were refused so far."""

    def enter(self, address: str) -> str:
        """Count a connection in; otherwise the sentence that says why not."""
        from_ = network(address)
        why_not = self._why_not(from_)
        if why_not:
            self.refused += 1
            return why_not
        self.total += 1
        self._by_network[from_] += 1
        return ""

    def _why_not(self, from_: bytes) -> str:
        if self.total >= self._limits.connections:
            return f"this relay has all the {self._limits.connections} connections it takes"
        if self._by_network[from_] >= self._limits.connections_per_address:
            most = self._limits.connections_per_address
            return f"this address has all the {most} connections it may have here"
        return ""

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.total -= 1
        from_ = network(address)
        self._by_network[from_] -= 1
        if self._by_network[from_] <= 0:
            del self._by_network[from_]


def network(address: str) -> bytes:
    """An IPv4 address itself, of an IPv6 one the first 64 bits: the rest is chosen freely."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address.encode()
    return found.packed if found.version == 4 else found.packed[:8]
