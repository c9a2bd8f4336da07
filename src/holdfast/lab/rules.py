"""What a censor does, as rules that connections are held against. Pure: times come in.

A rule sees what a box in the middle sees: where a connection goes, its first bytes, and how many
bytes went which way. It answers with an act; of several rules the hardest act counts. Which reports
a rule plays is said in `scenarios`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random
from typing import Final

from holdfast.lab.hello import Hello

SEGMENT: Final = 1_400
"""Bytes that are counted as one packet, where packets cannot be seen."""


APPLICATION_DATA: Final = 0x17


class Act(IntEnum):
    """Harder ones are higher."""

    PASS = 0
    DROP = 1
    """From now on nothing passes, either way, and nobody is told."""
    RESET = 2
    """Both sides see the connection reset."""


@dataclass
class Flow:
    """One TCP connection through the middle, from the client's side."""

    host: str
    port: int
    opened: float
    first: bytes = b""
    """The first bytes of the client, once they say what this is."""
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

    def opens(self, flow: Flow, now: float) -> Act:
        """The first packet of a connection."""
        return Act.PASS

    def begins(self, flow: Flow, now: float) -> Act:
        """The client's first bytes are known."""
        return Act.PASS

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        """A packet of either side; it is counted in `flow` already."""
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


@dataclass
class Freeze(Rule):
    """After so many bytes or packets, both ways counted, nothing more."""

    size: int
    packets: int
    share: float
    random: Random
    _spared: dict[int, bool] = field(default_factory=dict)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if flow.sent + flow.received <= self.size and flow.packets <= self.packets:
            return Act.PASS
        spared = self._spared.setdefault(id(flow), self.random.random() >= self.share)
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
    """Connections to other places are opened, and then nothing passes."""

    hosts: tuple[str, ...]

    def begins(self, flow: Flow, now: float) -> Act:
        return Act.PASS if flow.host in self.hosts else Act.DROP

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        return Act.PASS if flow.host in self.hosts else Act.DROP


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
    """Names that are not found; () is for all."""

    names: tuple[str, ...]

    def resolves(self, host: str) -> bool:
        return host not in self.names


@dataclass
class Police(Rule):
    """Connections to these names share so many bits a second."""

    names: tuple[str, ...]
    bits: float

    def rate(self, flow: Flow) -> float:
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
    """Small packets in an even, fast rhythm are a call: nothing of it passes any more."""

    a_second: float
    largest: int
    seconds: float
    _small: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _known: set[int] = field(default_factory=set)

    def passes(self, flow: Flow, size: int, now: float) -> Act:
        if id(flow) in self._known:
            return Act.DROP
        small = self._small[id(flow)]
        if size > self.largest:
            small.clear()
            return Act.PASS
        small.append(now)
        while now - small[0] > self.seconds:
            small.popleft()
        if len(small) < self.a_second * self.seconds * 0.9 or now - small[0] < self.seconds * 0.9:
            return Act.PASS
        self._known.add(id(flow))
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
