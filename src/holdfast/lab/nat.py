"""A NAT before a host of the packet lab: one outside address, ports that are given as they are
needed. Pure.

`cone` gives a port for each inside port, whoever it speaks with, and lets in who was spoken with
(RFC 4787: endpoint-independent mapping, address and port-dependent filtering); `symmetric` gives
another port for each one spoken with, so that no hole can be told of.
"""

from __future__ import annotations

from typing import Final, Literal

from holdfast.lab import packets
from holdfast.lab.packets import Packet

Kind = Literal["cone", "symmetric"]
FIRST: Final = 40_000

_End = tuple[bytes, int]
_Inside = tuple[int, int, _End | None]
"""Protocol, port, and with `symmetric` who is spoken with."""


class Nat:
    """Of one host; addresses are packed."""

    def __init__(self, inside: bytes, outside: bytes, kind: Kind) -> None:
        self._inside, self.outside, self._kind = inside, outside, kind
        self._given: dict[_Inside, int] = {}
        self._behind: dict[tuple[int, int], int] = {}
        """Inside port by protocol and outside port."""
        self._spoken: set[tuple[int, int, _End]] = set()
        """Protocol, outside port, and who may answer there."""

    def out(self, packet: Packet) -> bytes | None:
        """The packet as it is seen outside; None: it does not pass."""
        if packet.protocol not in (packets.TCP, packets.UDP) or not packet.start:
            return None
        far = (packet.target, packet.target_port)
        inside = (packet.protocol, packet.source_port, far if self._kind == "symmetric" else None)
        port = self._given.get(inside)
        if port is None:
            port = self._given[inside] = FIRST + len(self._given)
            self._behind[packet.protocol, port] = packet.source_port
        self._spoken.add((packet.protocol, port, far))
        return packets.readdressed(packet, source=self.outside, ports=(port, packet.target_port))

    def back(self, packet: Packet) -> bytes | None:
        """A packet that came to the outside address, as the host gets it; None: it does not
        pass."""
        far = (packet.source, packet.source_port)
        port = self._behind.get((packet.protocol, packet.target_port))
        if port is None or (packet.protocol, packet.target_port, far) not in self._spoken:
            return None
        return packets.readdressed(packet, target=self._inside, ports=(packet.source_port, port))
