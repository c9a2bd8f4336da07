"""The censor of the packet lab: holds packets against rules of both kinds. Pure: times come in.

Rules for packets get each packet as it is. For rules that see connections (`rules`), as much of TCP
is put together as they need: who opened it, its first bytes in their order, and what was counted.
What such a rule drops stays dropped as long as the rules are the same; a rate is policed, by what
is above it being dropped. Questions for names that are not to be found are answered in the
resolver's stead.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.lab import dns, packets
from holdfast.lab.packet_rules import DROPPED, PASSED, Decision, PacketRule
from holdfast.lab.packets import ACK, SYN, TCP, UDP, Packet
from holdfast.lab.rules import Act, Flow, Kind, Rule, hardest
from holdfast.paths import hello

MOST: Final = 20_000
"""Connections that are remembered; beyond, those are forgotten that were idle longest."""
AHEAD: Final = 64
"""Segments that are kept until what comes before them is there."""
BURST: Final = 16_000
"""Bytes that pass at once where a rate is policed, or what a quarter of a second lets through."""
KINDS: Final[dict[int, Kind]] = {TCP: "tcp", UDP: "udp"}
_ALL: Final = 2**32
_HALF: Final = 2**31
_Ends = tuple[int, bytes, int, bytes, int]


@dataclass(eq=False)
class _Connection:
    flow: Flow
    client: tuple[bytes, int]
    syn: int = -1
    """Its sequence number; -1: it was not seen."""
    next: int = 0
    """The client's sequence number that is expected."""
    ahead: dict[int, bytes] = field(default_factory=dict)
    whole: bool = False
    """The first bytes say what this is."""
    begun: bool = False
    """They were held against the rules."""
    fate: Act = Act.PASS
    era: int = 0
    """Of the rules that decided its fate."""


@dataclass
class _Bucket:
    """Bytes that may pass now, and when that was counted."""

    left: float
    at: float


class Censor:
    """`name` says which host has a packed address; "" for none."""

    def __init__(self, name: Callable[[bytes], str]) -> None:
        self._name = name
        self._rules: Sequence[Rule | PacketRule] = ()
        self._streams: list[Rule] = []
        self._packets: list[PacketRule] = []
        self._connections: dict[_Ends, _Connection] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._era = 0
        self._cut = False

    @property
    def rules(self) -> Sequence[Rule | PacketRule]:
        """What it does now."""
        return self._rules

    @rules.setter
    def rules(self, rules: Sequence[Rule | PacketRule]) -> None:
        self._rules = list(rules)
        self._streams = [one for one in rules if isinstance(one, Rule)]
        self._packets = [one for one in rules if isinstance(one, PacketRule)]
        self._buckets = {}
        self._era += 1

    @property
    def flows(self) -> list[Flow]:
        """Of all connections that it remembers."""
        return [one.flow for one in list(self._connections.values())]

    def cut(self) -> None:
        """From now on nothing passes over the connections that stand, as when a network is left
        for another."""
        self._cut = True

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        """A packet; `out`: from the watched host, else to it."""
        if self._cut:
            self._cut = False
            for one in self._connections.values():
                if one.flow.kind == "tcp":
                    one.fate, one.era = Act.DROP, -1
        found = self._flow(packet, out, now)
        decisions = [found] if found is not PASSED else []
        decisions += [rule.sees(packet, out, now) for rule in self._packets]
        if len(decisions) < 2:
            return decisions[0] if decisions else PASSED
        return Decision(
            hardest(one.act for one in decisions),
            sum(one.delay for one in decisions),
            tuple(answer for one in decisions for answer in one.answers),
            next((one.instead for one in decisions if one.instead), b""),
            any(one.again for one in decisions),
        )

    def _flow(self, packet: Packet, out: bool, now: float) -> Decision:
        near = (packet.source, packet.source_port)
        far = (packet.target, packet.target_port)
        ends = (packet.protocol, *min(near, far), *max(near, far))
        one = self._connections.pop(ends, None)
        if packet.protocol == TCP and packet.flags & (SYN | ACK) == SYN:
            if one is None or one.syn != packet.seq:
                one = self._made(packet, out, now)
                one.syn, one.next = packet.seq, (packet.seq + 1) % _ALL
            act = hardest(rule.opens(one.flow, now) for rule in self._streams)
        elif one is None:
            one = self._made(packet, out, now)
            one.begun = True
            act = hardest(rule.opens(one.flow, now) for rule in self._streams)
            if one.flow.kind != "tcp" and act is not Act.PASS:
                return DROPPED  # and it is held against the rules again
        else:
            act = Act.PASS
        self._connections[ends] = one  # now the last
        if len(self._connections) > MOST:
            for idle in list(itertools.islice(self._connections, MOST // 10)):
                del self._connections[idle]
        if one.fate is not Act.PASS and one.era in (self._era, -1):
            return Decision(one.fate)
        if act is not Act.PASS:
            return Decision(act)
        return self._counted(one, packet, near == one.client, now)

    def _made(self, packet: Packet, out: bool, now: float) -> _Connection:
        """By the side that this packet is from. Its host is the one that is not watched."""
        foreign = packet.target if out else packet.source
        host = self._name(foreign) or str(ipaddress.ip_address(foreign))
        kind = KINDS.get(packet.protocol, "other")
        flow = Flow(host, packet.target_port, now, kind)
        return _Connection(flow, (packet.source, packet.source_port))

    def _counted(self, one: _Connection, packet: Packet, sent: bool, now: float) -> Decision:
        flow, size = one.flow, len(packet.payload)
        flow.packets += bool(size)
        acts = []
        if sent:
            flow.sent += size
        else:
            flow.received += size
        if flow.kind == "tcp" and size:
            if sent and one.syn >= 0:
                _assemble(one, packet)
            if not one.begun and (one.whole or (flow.first and not sent)):
                one.begun = True
                acts += [rule.begins(flow, now) for rule in self._streams]
        elif flow.kind == "udp":
            if sent and flow.port == dns.PORT and (forged := self._names(packet)):
                return Decision(Act.DROP, answers=(forged,))
            acts += [rule.datagram(flow, packet.payload, sent, now) for rule in self._streams]
        acts += [rule.passes(flow, size, now) for rule in self._streams]
        act = hardest(acts)
        if act is not Act.PASS:
            if flow.kind != "tcp":
                return DROPPED
            one.fate, one.era = act, self._era
            return Decision(act)
        if not self._within(flow, len(packet.raw), now):
            return DROPPED
        delay = max((rule.delay(flow, now) for rule in self._streams), default=0)
        return Decision(delay=delay) if delay else PASSED

    def _names(self, packet: Packet) -> bytes:
        """The forged answer to a question for a name that is not to be found."""
        try:
            question = dns.read(packet.payload)
        except dns.NotQuestion:
            return b""
        if all(rule.resolves(question.name) for rule in self._streams):
            return b""
        ports = packet.target_port, packet.source_port
        said = dns.answer(question, code=dns.NXDOMAIN)
        return packets.udp(packet.target, packet.source, ports, said)

    def _within(self, flow: Flow, size: int, now: float) -> bool:
        """Whether it is within all rates that it is held against."""
        within = True
        for rule in self._streams:
            if bits := rule.rate(flow):
                most = max(BURST, bits / 32)
                bucket = self._buckets.setdefault(id(rule), _Bucket(most, now))
                bucket.left = min(most, bucket.left + (now - bucket.at) * bits / 8)
                bucket.at = now
                if bucket.left < size:
                    within = False
                else:
                    bucket.left -= size
        return within


def _assemble(one: _Connection, packet: Packet) -> None:
    """What the client says, in its order; what was seen is not seen again."""
    if len(one.ahead) < AHEAD:
        one.ahead.setdefault(packet.seq, packet.payload)
    for seq in sorted(one.ahead, key=lambda seq: (seq - one.next + _HALF) % _ALL):
        behind = (one.next - seq) % _ALL
        if behind >= _HALF:
            return  # what is before it is not there yet
        if new := one.ahead.pop(seq)[behind:]:
            one.next = (one.next + len(new)) % _ALL
            _hear(one, new)


def _hear(one: _Connection, data: bytes) -> None:
    flow = one.flow
    if one.begun or one.whole:
        flow.walk(data)
        return
    flow.first += data
    try:
        flow.hello = hello.read(flow.first)
    except hello.Incomplete:
        return
    except hello.NotHello:
        pass
    one.whole = True
    flow.walk(flow.first)
