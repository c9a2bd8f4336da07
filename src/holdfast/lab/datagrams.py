"""What a censor does to datagrams, and to hosts it has asked about. Pure: times come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from holdfast.lab.rules import Act, Flow, Rule, is_resolver
from holdfast.paths import hello

STUN_COOKIE: Final = bytes.fromhex("2112a442")
CALL_PORTS: Final = frozenset((*range(596, 600), 1400, *range(3478, 3498)))
WIREGUARD: Final = ((1, 148), (2, 92))
"""First byte and length of its first datagram, and of the answer."""


@dataclass
class Sweep(Rule):
    """No UDP but questions for names."""

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return Act.DROP if flow.kind == "udp" and not is_resolver(flow) else Act.PASS


@dataclass
class Quic(Rule):
    """A large datagram of this QUIC version to a port: nothing more between these two."""

    version: int
    size: int
    port: int
    _known: WeakSet[Flow] = field(default_factory=WeakSet)

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        if flow in self._known:
            return Act.DROP
        long = data[:1] >= b"\x80" and int.from_bytes(data[1:5], "big") == self.version
        if flow.port != self.port or not sent or not long or len(data) < self.size:
            return Act.PASS
        self._known.add(flow)
        return Act.DROP


@dataclass
class Stun(Rule):
    """Between two ports that spoke STUN `share` of all is lost; if `ports`, only where one of them
    is one that the messengers use."""

    share: float
    ports: bool
    random: Random
    _known: WeakSet[Flow] = field(default_factory=WeakSet)

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        if data[4:8] == STUN_COOKIE and data[0] < 4 and (not self.ports or flow.port in CALL_PORTS):
            self._known.add(flow)
        if flow in self._known and self.random.random() < self.share:
            return Act.DROP
        return Act.PASS


@dataclass
class Dtls(Rule):
    """Hellos of DTLS whose fingerprint is listed, of either side. The first `learns` of those that
    are seen are put on the list."""

    learns: int
    listed: set[str] = field(default_factory=set)

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        try:
            print = hello.dtls(data)
        except hello.NotHello:
            return Act.PASS
        if len(self.listed) < self.learns:
            self.listed.add(print)
        return Act.DROP if print in self.listed else Act.PASS


@dataclass
class WireGuard(Rule):
    """Between two ports that shook hands as WireGuard does, so many more datagrams pass."""

    after: int
    _left: WeakKeyDictionary[Flow, int] = field(default_factory=WeakKeyDictionary)
    _asked: WeakSet[Flow] = field(default_factory=WeakSet)

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        about = (data[0] if data else 0, len(data))
        if flow in self._left:
            self._left[flow] -= 1
            return Act.PASS if self._left[flow] >= 0 else Act.DROP
        if about == WIREGUARD[0] and sent:
            self._asked.add(flow)
        elif about == WIREGUARD[1] and not sent and flow in self._asked:
            self._left[flow] = self.after
        return Act.PASS


@dataclass
class EncryptedHello(Rule):
    """A ClientHello with the ECH extension and one of these outer names."""

    names: tuple[str, ...]

    def begins(self, flow: Flow, now: float) -> Act:
        if flow.hello is None or hello.ECH not in flow.hello.extensions:
            return Act.PASS
        return Act.DROP if flow.hello.server_name in self.names else Act.PASS


@dataclass
class InnerTls(Rule):
    """Of a TLS connection, the bursts behind its handshake: where a middling one is answered by a
    large one and followed by a small one, another handshake is within (Xue et al., USENIX Security
    2024). Each span is the bytes of least and most."""

    first: tuple[int, int] = (250, 2_400)
    answer: tuple[int, int] = (900, 9_000)
    last: tuple[int, int] = (80, 260)
    _seen: WeakKeyDictionary[Flow, _Bursts] = field(default_factory=WeakKeyDictionary)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if flow.kind != "tcp" or flow.hello is None or not size:
            return Act.PASS
        bursts = self._seen.setdefault(flow, _Bursts())
        bursts.count(flow)
        spans = (self.first, self.answer, self.last)
        found = bursts.sizes[:3]
        if len(found) < 3 or bursts.judged or len(bursts.sizes) < 4:
            return Act.PASS
        bursts.judged = all(
            low <= one <= high for one, (low, high) in zip(found, spans, strict=True)
        )
        return Act.DROP if bursts.judged else Act.PASS


@dataclass(eq=False)
class _Bursts:
    sizes: list[int] = field(default_factory=list)
    judged: bool = False
    _sent: int = 0
    _received: int = 0
    _out: bool = False

    def count(self, flow: Flow) -> None:
        """Those of the client are at even places, and begin behind its handshake."""
        sent, received = flow.sent - self._sent, flow.received - self._received
        self._sent, self._received = flow.sent, flow.received
        if flow.records < 2:  # the first record ends the handshake
            return
        out = sent > 0
        if not self.sizes and not out:
            return
        if not self.sizes or out is not self._out:
            self.sizes.append(0)
        self._out = out
        self.sizes[-1] += sent + received


@dataclass(frozen=True)
class Suspect:
    """A server to be asked: what a client said to it first, and which name it asked for."""

    host: str
    port: int
    first: bytes
    name: str


@dataclass
class ActiveProbe(Rule):
    """Each new server is asked by `ask`, which calls back if it does not look like a site: so many
    seconds later it is blocked, for everybody. See `prober`."""

    ask: Callable[[Suspect, Callable[[], None]], None]
    after: float
    _asked: set[tuple[str, int]] = field(default_factory=set)
    _guilty: set[str] = field(default_factory=set)
    _until: dict[str, float] = field(default_factory=dict)

    def opens(self, flow: Flow, now: float) -> Act:
        if flow.host not in self._guilty:
            return Act.PASS
        return Act.DROP if now >= self._until.setdefault(flow.host, now + self.after) else Act.PASS

    def begins(self, flow: Flow, now: float) -> Act:
        place = (flow.host, flow.port)
        if place not in self._asked:
            self._asked.add(place)
            name = flow.hello.server_name if flow.hello else ""
            suspect = Suspect(*place, flow.first, name)
            self.ask(suspect, lambda: self._guilty.add(flow.host))
        return Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return self.opens(flow, now)
