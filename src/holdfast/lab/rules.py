"""What a censor does, as rules that connections are held against. Pure: times come in.

A rule sees what a box in the middle sees: where a connection goes, its first bytes, and how many
bytes went which way. It answers with an act; of several rules the hardest act counts. Which reports
a rule plays is said in `scenarios`; rules for what goes over UDP are in `datagrams`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random
from typing import Final, Literal
from weakref import WeakKeyDictionary, WeakSet

from holdfast.paths.hello import Hello

SEGMENT: Final = 1_400
"""Bytes that are counted as one packet, where packets cannot be seen."""


APPLICATION_DATA: Final = 0x17


class Act(IntEnum):
    """Harder ones are higher."""

    PASS = 0
    DROP = 1
    """From now on nothing passes, either way, and nobody is told."""
    RESET = 2
    """Both sides see the connection reset, or refused before it was open. What is not TCP is
    dropped."""


Kind = Literal["tcp", "udp", "other"]


@dataclass(eq=False)
class Flow:
    """One connection through the middle, from the client's side; of UDP, what passes between two
    ports, and of other protocols what passes between two hosts. `host` is the foreign end."""

    host: str
    port: int
    opened: float
    kind: Kind = "tcp"
    first: bytes = b""
    """The first bytes of the client, once they say what this is; of TCP."""
    hello: Hello | None = None
    """What they are, if they are TLS."""
    sent: int = 0
    received: int = 0
    packets: int = 0
    records: int = 0
    """TLS records of application data from the client; the first ends the handshake."""
    _left: int = 0
    _head: bytes = b""

    def walk(self, data: bytes) -> None:
        """Count the records that begin in what the client sends."""
        while self.hello is not None and data:
            if self._left:
                skipped = min(self._left, len(data))
                self._left -= skipped
                data = data[skipped:]
                continue
            taken = 5 - len(self._head)
            self._head += data[:taken]
            data = data[taken:]
            if len(self._head) == 5:
                self.records += self._head[0] == APPLICATION_DATA
                self._left = int.from_bytes(self._head[3:], "big")
                self._head = b""

    @property
    def name(self) -> str:
        """The name it asks for, else where it goes."""
        return (self.hello.server_name if self.hello else "") or self.host


class Rule:
    """Lets everything pass."""

    def resolves(self, host: str) -> bool:
        """Whether the name is found."""
        return True

    def lookup(self, host: str, now: float) -> float:
        """Seconds until it is, or until it is known not to be."""
        return 0

    def diverts(self, host: str) -> str:
        """Which host answers in its stead; "": itself."""
        return ""

    def opens(self, flow: Flow, now: float) -> Act:
        """The first packet of a connection."""
        return Act.PASS

    def begins(self, flow: Flow, now: float) -> Act:
        """The client's first bytes are known; of TCP."""
        return Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        """A packet of either side; it is counted in `flow` already. `size` is that of what it
        carries. TCP that was dropped once stays so."""
        return Act.PASS

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        """What a datagram says, beside `passes`; `sent`: by the client."""
        return Act.PASS

    def rate(self, flow: Flow) -> float:
        """Bits a second that connections held against this may have together; 0: any."""
        return 0

    def delay(self, flow: Flow, now: float) -> float:
        """Seconds that a packet waits."""
        return 0


def concerns(flow: Flow, names: tuple[str, ...]) -> bool:
    """Whether a rule for these names is for this connection; () is for all."""
    return not names or flow.name in names or flow.host in names


def hardest(acts: Iterable[Act]) -> Act:
    """What is done where several rules are; without rules all passes."""
    return max(acts, default=Act.PASS)


@dataclass
class Freeze(Rule):
    """After so many bytes or packets, both ways counted, nothing more."""

    size: int
    packets: int
    share: float
    random: Random
    _spared: WeakKeyDictionary[Flow, bool] = field(default_factory=WeakKeyDictionary)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if flow.kind != "tcp" or (
            flow.sent + flow.received <= self.size and flow.packets <= self.packets
        ):
            return Act.PASS
        spared = self._spared.setdefault(flow, self.random.random() >= self.share)
        return Act.PASS if spared else Act.DROP


@dataclass
class NameBlock(Rule):
    """A TLS connection that asks for a listed name; afterwards the address rests for a while."""

    names: tuple[str, ...]
    act: Act
    residual: float
    _until: dict[str, float] = field(default_factory=dict)

    def begins(self, flow: Flow, now: float) -> Act:
        if now < self._until.get(flow.host, 0):
            return Act.DROP
        if flow.hello is None or flow.hello.server_name not in self.names:
            return Act.PASS
        if self.residual:
            self._until[flow.host] = now + self.residual
        return self.act


@dataclass
class Fingerprint(Rule):
    """A listed ClientHello. `learns` of those seen from now on are put on the list."""

    act: Act
    learns: int = 1
    listed: set[str] = field(default_factory=set)

    def begins(self, flow: Flow, now: float) -> Act:
        if flow.hello is None:
            return Act.PASS
        if len(self.listed) < self.learns:
            self.listed.add(flow.hello.ja4)
        return self.act if flow.hello.ja4 in self.listed else Act.PASS


@dataclass
class Groups(Rule):
    """Drops ClientHellos that offer ML-KEM (or, `classical`, that do not) after so many."""

    classical: bool
    after: int
    seconds: float
    _seen: int = 0
    _until: float = 0

    def begins(self, flow: Flow, now: float) -> Act:
        if flow.hello is None or flow.hello.post_quantum is self.classical:
            return Act.PASS
        if now < self._until:
            return Act.DROP
        self._seen += 1
        if self._seen > self.after:
            self._seen, self._until = 0, now + self.seconds
            return Act.DROP
        return Act.PASS


@dataclass
class Crowd(Rule):
    """More than `most` new TLS connections within `seconds`: those beyond hang."""

    most: int
    seconds: float
    _recent: deque[float] = field(default_factory=deque)

    def begins(self, flow: Flow, now: float) -> Act:
        if flow.hello is None:
            return Act.PASS
        while self._recent and now - self._recent[0] >= self.seconds:
            self._recent.popleft()
        if len(self._recent) >= self.most:
            return Act.DROP
        self._recent.append(now)
        return Act.PASS


@dataclass
class Parallel(Rule):
    """More than `most` TLS handshakes to one name within `within` seconds: its ClientHellos are
    dropped for `seconds`, and longer each time one is repeated meanwhile."""

    most: int
    within: float
    seconds: float
    _recent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _until: dict[str, float] = field(default_factory=dict)

    def begins(self, flow: Flow, now: float) -> Act:
        if flow.hello is None:
            return Act.PASS
        if now < self._until.get(flow.name, 0):
            self._until[flow.name] = now + self.seconds
            return Act.DROP
        recent = self._recent[flow.name]
        recent.append(now)
        while now - recent[0] >= self.within:
            recent.popleft()
        if len(recent) > self.most:
            self._until[flow.name] = now + self.seconds
            return Act.DROP
        return Act.PASS


@dataclass
class FirstData(Rule):
    """To these names the TLS handshake passes, what follows does not."""

    names: tuple[str, ...]

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return Act.DROP if flow.records > 1 and concerns(flow, self.names) else Act.PASS


@dataclass
class Unknown(Rule):
    """First bytes that are neither TLS nor HTTP; the address rests for a while."""

    residual: float
    _until: dict[str, float] = field(default_factory=dict)

    def begins(self, flow: Flow, now: float) -> Act:
        words = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ")
        if now >= self._until.get(flow.host, 0) and (flow.hello or flow.first.startswith(words)):
            return Act.PASS
        self._until[flow.host] = now + self.residual
        return Act.DROP


@dataclass
class Noise(Rule):
    """First bytes that look like nothing at all: as many set bits as clear ones, little that can
    be printed (Wu et al., USENIX Security 2023)."""

    share: float
    residual: float
    random: Random
    _until: dict[str, float] = field(default_factory=dict)

    def begins(self, flow: Flow, now: float) -> Act:
        if now < self._until.get(flow.host, 0):
            return Act.DROP
        if flow.hello is not None or not looks_random(flow.first):
            return Act.PASS
        if self.random.random() >= self.share:
            return Act.PASS
        self._until[flow.host] = now + self.residual
        return Act.DROP


def looks_random(data: bytes) -> bool:
    """The published test, all its exemptions included."""
    if not data:
        return False
    bits = sum(byte.bit_count() for byte in data) / len(data)
    printable = [0x20 <= byte <= 0x7E for byte in data]
    run = longest = 0
    for one in printable:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return (
        3.4 < bits < 4.6
        and not all(printable[:6])
        and sum(printable) <= len(data) / 2
        and longest <= 20
    )


@dataclass
class AllowList(Rule):
    """Connections to other places are opened, and then nothing passes; nor does anything else."""

    hosts: tuple[str, ...]

    def begins(self, flow: Flow, now: float) -> Act:
        return Act.PASS if flow.host in self.hosts else Act.DROP

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if (flow.kind == "tcp" and not size) or is_resolver(flow):
            return Act.PASS
        return self.begins(flow, now)


def is_resolver(flow: Flow) -> bool:
    """Whether these are questions for names, which are answered where nothing else is."""
    return flow.kind == "udp" and flow.port == 53


@dataclass
class AddressBlock(Rule):
    """Nothing to or from these places."""

    hosts: tuple[str, ...]

    def opens(self, flow: Flow, now: float) -> Act:
        return Act.DROP if flow.host in self.hosts else Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return self.opens(flow, now)


@dataclass
class Learn(Rule):
    """Places that were used for a while are listed."""

    names: tuple[str, ...]
    after: float
    _since: dict[str, float] = field(default_factory=dict)

    def opens(self, flow: Flow, now: float) -> Act:
        if not concerns(flow, self.names):
            return Act.PASS
        since = self._since.setdefault(flow.host, now)
        return Act.DROP if now - since >= self.after else Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return self.opens(flow, now)


@dataclass
class Dark(Rule):
    """Nothing at all."""

    def opens(self, flow: Flow, now: float) -> Act:
        return Act.DROP

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return Act.DROP


@dataclass
class NoName(Rule):
    """Names that are not found."""

    names: tuple[str, ...]

    def resolves(self, host: str) -> bool:
        return host not in self.names


@dataclass
class Police(Rule):
    """Connections to these names share so many bits a second each way; `sni`: those alone that ask
    for them in TLS."""

    names: tuple[str, ...]
    bits: float
    sni: bool = False

    def rate(self, flow: Flow) -> float:
        if self.sni and flow.hello is None:
            return 0
        return self.bits if concerns(flow, self.names) else 0


@dataclass
class Volume(Rule):
    """A place that so many bytes went to or came from is banned."""

    names: tuple[str, ...]
    size: int
    seconds: float
    _used: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _until: dict[str, float] = field(default_factory=dict)

    def opens(self, flow: Flow, now: float) -> Act:
        return Act.DROP if now < self._until.get(flow.host, 0) else Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if now < self._until.get(flow.host, 0):
            return Act.DROP
        if concerns(flow, self.names):
            self._used[flow.host] += size
            if self._used[flow.host] > self.size:
                self._used[flow.host] = 0
                self._until[flow.host] = now + self.seconds
                return Act.DROP
        return Act.PASS


@dataclass
class Rhythm(Rule):
    """Small packets in an even, fast rhythm are a call: of it `share` is lost from then on. TCP,
    where what is lost is sent again, does not pass any more at all; `kinds` are looked at."""

    a_second: float
    largest: int
    seconds: float
    kinds: tuple[Kind, ...] = ("tcp", "udp")
    share: float = 1
    random: Random = field(default_factory=lambda: Random(1))
    _small: WeakKeyDictionary[Flow, deque[float]] = field(default_factory=WeakKeyDictionary)
    _known: WeakSet[Flow] = field(default_factory=WeakSet)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if flow.kind not in self.kinds or not size:
            return Act.DROP if flow.kind == "tcp" and flow in self._known else Act.PASS
        if flow in self._known:
            lost = flow.kind == "tcp" or self.random.random() < self.share
            return Act.DROP if lost else Act.PASS
        small = self._small.setdefault(flow, deque())
        if size > self.largest:
            small.clear()
            return Act.PASS
        small.append(now)
        while now - small[0] > self.seconds:
            small.popleft()
        if len(small) < self.a_second * self.seconds * 0.9 or now - small[0] < self.seconds * 0.9:
            return Act.PASS
        self._known.add(flow)
        return Act.DROP


@dataclass
class Rough(Rule):
    """No censor: a network that is slow to answer, unevenly, and sometimes hangs for a moment."""

    seconds: float
    jitter: float
    stall: float
    stalls: float
    """Share of packets behind which everything stands for `stall` seconds."""
    bits: float
    random: Random

    def delay(self, flow: Flow, now: float) -> float:
        more = self.stall if self.random.random() < self.stalls else 0
        return self.seconds + self.random.random() * self.jitter + more

    def rate(self, flow: Flow) -> float:
        return self.bits


@dataclass
class Slow(Rule):
    """No censor: what goes to or comes from these places takes its time."""

    hosts: tuple[str, ...]
    seconds: float

    def delay(self, flow: Flow, now: float) -> float:
        return self.seconds if concerns(flow, self.hosts) else 0


@dataclass
class Refuses(Rule):
    """No censor: the program at these places is not running."""

    hosts: tuple[str, ...]

    def opens(self, flow: Flow, now: float) -> Act:
        return Act.RESET if flow.host in self.hosts else Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return self.opens(flow, now)


@dataclass
class SlowNames(Rule):
    """No censor: the resolver is slow; `share` of the questions for names go unanswered."""

    seconds: float
    share: float
    random: Random

    def lookup(self, host: str, now: float) -> float:
        return self.seconds * (3 if self.random.random() < self.share else 1)


@dataclass
class Portal(Rule):
    """No censor: all is answered by one place, until somebody has agreed to its terms."""

    portal: str

    def diverts(self, host: str) -> str:
        return self.portal

    def datagram(self, flow: Flow, data: bytes, sent: bool, now: float) -> Act:
        return Act.PASS if is_resolver(flow) else Act.DROP


@dataclass
class Ports(Rule):
    """No censor: a firewall that lets out TCP to these ports alone."""

    tcp: tuple[int, ...]

    def opens(self, flow: Flow, now: float) -> Act:
        allowed = is_resolver(flow) or (flow.kind == "tcp" and flow.port in self.tcp)
        return Act.PASS if allowed else Act.DROP


@dataclass
class Forgets(Rule):
    """No censor: an address translator that forgets connections that are idle so long."""

    seconds: float
    _last: WeakKeyDictionary[Flow, float] = field(default_factory=WeakKeyDictionary)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        last = self._last.get(flow, now)
        if flow.kind == "tcp" and now - last > self.seconds:
            return Act.DROP
        self._last[flow] = now
        return Act.PASS


@dataclass
class Tunnels(Rule):
    """No censor: a train. Nothing passes for a while, again and again."""

    light: float
    dark: float
    _began: float | None = None

    def lookup(self, host: str, now: float) -> float:
        return self._waits(now)

    def delay(self, flow: Flow, now: float) -> float:
        return self._waits(now)

    def _waits(self, now: float) -> float:
        if self._began is None:
            self._began = now
        phase = (now - self._began) % (self.light + self.dark)
        return self.light + self.dark - phase if phase > self.light else 0
