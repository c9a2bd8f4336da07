"""What a censor, or a bad line, does to packets, as rules. Pure: times come in. See `scenarios` for
what each plays, and `streams` for the rules that see connections."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random
from typing import Final

from holdfast.lab import dns, packets
from holdfast.lab.packets import ACK, RST, SYN, TCP, UDP, Packet
from holdfast.lab.rules import Act

HEADER: Final = 64
"""Bytes up to which a packet carries next to nothing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Of several rules the hardest act counts, delays add up, and all answers are sent."""

    act: Act = Act.PASS
    delay: float = 0
    """Seconds."""
    answers: tuple[bytes, ...] = ()
    """Forged packets."""
    instead: bytes = b""
    """What passes in its place."""
    again: bool = False
    """It arrives twice."""


PASSED: Final = Decision()
DROPPED: Final = Decision(Act.DROP)


class PacketRule:
    """Lets everything pass."""

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        """A packet; `out`: from the watched host, else to it."""
        return PASSED


def concerns(packet: Packet, addresses: Collection[bytes]) -> bool:
    """Whether a rule for these packed addresses is for this packet; () is for all."""
    return not addresses or packet.source in addresses or packet.target in addresses


@dataclass
class _Way:
    """One direction of a line."""

    free: float = 0
    """When what was taken before has left."""
    due: float = 0
    """When the last packet arrives: the next does not overtake it."""
    losing: bool = False


@dataclass
class Line(PacketRule):
    """A line between two ends. Packets wait in a queue of `queue` bytes for their turn at `bits` a
    second (0: any), are then `seconds` under way and up to `jitter` longer, in order but for those
    that are `late`, by `behind` seconds. `loss` of them do not arrive, some `burst` in a row
    (Gilbert 1960), and `twice` of them do so twice. Shares are from 0 to 1."""

    random: Random
    up: float = 0
    down: float = 0
    queue: int = 256_000
    seconds: float = 0
    jitter: float = 0
    loss: float = 0
    burst: float = 1
    late: float = 0
    behind: float = 0.02
    twice: float = 0
    addresses: Collection[bytes] = ()
    """Whose line it is; (): everybody's."""
    _ways: tuple[_Way, _Way] = field(default_factory=lambda: (_Way(), _Way()))

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if not concerns(packet, self.addresses):
            return PASSED
        if self.addresses:
            out = packet.source in self.addresses
        way, bits = self._ways[out], self.up if out else self.down
        if self._lost(way):
            return DROPPED
        sent = now
        if bits:
            if (way.free - now) * bits / 8 > self.queue:
                return DROPPED
            way.free = sent = max(now, way.free) + len(packet.raw) * 8 / bits
        due = sent + self.seconds + self.random.random() * self.jitter
        if self.late and self.random.random() < self.late:
            due += self.behind
        else:
            way.due = due = max(due, way.due)
        return Decision(delay=due - now, again=self.random.random() < self.twice)

    def _lost(self, way: _Way) -> bool:
        if not self.loss:
            return False
        leaves = 1 / max(1.0, self.burst)
        enters = min(1.0, self.loss * leaves / max(1e-9, 1 - self.loss))
        way.losing = self.random.random() >= leaves if way.losing else self.random.random() < enters
        return way.losing


@dataclass
class Drops(PacketRule):
    """A share of the packets to and from these addresses is lost, whatever they are."""

    addresses: Collection[bytes]
    share: float
    random: Random

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if concerns(packet, self.addresses) and self.random.random() < self.share:
            return DROPPED
        return PASSED


@dataclass
class Down(PacketRule):
    """Hosts that are switched off or, `refuses`, on which the program is not running."""

    addresses: Collection[bytes]
    refuses: bool

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if not concerns(packet, self.addresses):
            return PASSED
        if self.refuses and packet.target in self.addresses:
            if packet.protocol == TCP and not packet.flags & RST:
                return Decision(Act.DROP, answers=packets.resets(packet)[:1])
            if packet.protocol == UDP:
                no_port = 4 if len(packet.target) == 16 else 3
                said = packets.unreachable(packet, packet.target, no_port)
                return Decision(Act.DROP, answers=(said,))
        return DROPPED


@dataclass
class Largest(PacketRule):
    """Packets above so many bytes vanish, and nobody is told (RFC 2923 section 2.1)."""

    size: int

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        return DROPPED if len(packet.raw) > self.size else PASSED


class NoSix(PacketRule):
    """IPv6 is there, with a route, and leads nowhere."""

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        return DROPPED if len(packet.source) == 16 else PASSED


@dataclass
class SlowNames(PacketRule):
    """Answers of resolvers are late, or do not come."""

    seconds: float
    loss: float
    random: Random

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if packet.protocol != UDP or packet.source_port != dns.PORT:
            return PASSED
        return DROPPED if self.random.random() < self.loss else Decision(delay=self.seconds)


@dataclass
class Ports(PacketRule):
    """A firewall that lets out TCP to these ports and questions for names, nothing else. Of what
    it refuses nobody is told."""

    tcp: Collection[int]

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        port = packet.target_port if out else packet.source_port
        if packet.protocol == TCP and port in self.tcp:
            return PASSED
        return PASSED if packet.protocol == UDP and port == dns.PORT else DROPPED


_Ends = tuple[int, bytes, int, bytes, int]


@dataclass
class Forgets(PacketRule):
    """An address translator that forgets what is idle (RFC 4787 section 4.3, RFC 5382 section 5):
    TCP that goes on is dropped, datagrams go on from another port, which `random` chooses."""

    udp: float
    tcp: float
    random: Random
    _last: dict[_Ends, float] = field(default_factory=dict)
    _outside: dict[_Ends, int] = field(default_factory=dict)
    _inside: dict[_Ends, int] = field(default_factory=dict)

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if packet.protocol not in (TCP, UDP):
            return PASSED
        near = (packet.source, packet.source_port) if out else (packet.target, packet.target_port)
        far = (packet.target, packet.target_port) if out else (packet.source, packet.source_port)
        if packet.protocol == UDP:
            return self._datagram(packet, out, now, near, far)
        ends = (TCP, *near, *far)
        last = self._last.get(ends)
        if out and packet.flags & (SYN | ACK) == SYN:
            last = now
        if last is None or now - last > self.tcp:
            return DROPPED
        self._last[ends] = now
        return PASSED

    def _datagram(
        self, packet: Packet, out: bool, now: float, near: tuple[bytes, int], far: tuple[bytes, int]
    ) -> Decision:
        if not out:
            port = self._inside.get((UDP, *near, *far))
            ends = (UDP, near[0], port or 0, *far)
            if port is None or now - self._last[ends] > self.udp:
                return DROPPED
            self._last[ends] = now
            if port == near[1]:
                return PASSED
            ports = packet.source_port, port
            return Decision(instead=packets.readdressed(packet, ports=ports))
        ends = (UDP, *near, *far)
        port = self._outside.get(ends)
        if port is None or now - self._last[ends] > self.udp:
            if port is not None:
                self._inside.pop((UDP, near[0], port, *far), None)
            port = near[1] if port is None else self.random.randrange(20_000, 60_000)
            self._outside[ends] = port
            self._inside[UDP, near[0], port, *far] = near[1]
        self._last[ends] = now
        if port == near[1]:
            return PASSED
        return Decision(instead=packets.readdressed(packet, ports=(port, packet.target_port)))


@dataclass
class Portal(PacketRule):
    """Until somebody has agreed to its terms, all of TCP ends at the portal, whatever its address
    was, but for what goes to `free`; datagrams other than questions for names vanish."""

    portal: bytes
    free: Collection[bytes] = ()
    _meant: dict[tuple[bytes, int, int], bytes] = field(default_factory=dict)

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if len(packet.source) != len(self.portal):
            return DROPPED
        if packet.protocol == UDP and dns.PORT in (packet.source_port, packet.target_port):
            return PASSED
        if packet.protocol != TCP:
            return DROPPED
        if out and packet.target not in (self.portal, *self.free):
            self._meant[packet.source, packet.source_port, packet.target_port] = packet.target
            return Decision(instead=packets.readdressed(packet, target=self.portal))
        if not out and packet.source == self.portal:
            meant = self._meant.get((packet.target, packet.target_port, packet.source_port))
            if meant is not None:
                return Decision(instead=packets.readdressed(packet, source=meant))
        return PASSED


@dataclass
class Tunnels(PacketRule):
    """Nothing passes for a while, again and again: `light` and `dark` are seconds."""

    light: float
    dark: float
    _began: float | None = None

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if self._began is None:
            self._began = now
        return DROPPED if (now - self._began) % (self.light + self.dark) > self.light else PASSED
