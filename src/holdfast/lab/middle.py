"""The middlebox that sees packets: it carries what hosts send to one another, and a censor sits in
it. See `hosts` for where the hosts come from, `streams` for the censor, `rules` and `packet_rules`
for what it does.

A packet to or from a watched host is held against the rules, and every packet against those of
`everywhere`. What a rule answers goes straight to where it is addressed. Packets to nowhere are
answered with ICMP.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import struct
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from holdfast.lab import packets
from holdfast.lab.nat import Nat
from holdfast.lab.packet_rules import Decision, PacketRule
from holdfast.lab.packets import NotPacket, Packet
from holdfast.lab.rules import Act, Flow, Rule
from holdfast.lab.streams import Censor

LARGEST: Final = 65_535
BURST: Final = 64
"""Packets that are read from one host before the others have a turn."""
WAITING: Final = 100_000
"""Packets that are under way; more are lost."""


@dataclass(frozen=True)
class Link:
    """A host's end: the descriptor of its TUN device."""

    name: str
    device: int
    watched: bool
    lan: str = ""
    """Hosts of one get what the others say to all (RFC 1112)."""
    nat: Nat | None = None


class Middle:
    """Runs in a thread of its own from `with` on. `rules` may be changed at any time."""

    def __init__(self) -> None:
        self._censor = Censor(self.name)
        self.everywhere: Sequence[PacketRule] = ()
        """What is so for everybody: hosts that are down, a slow line of a host."""
        self.dark = False
        """Watched hosts have no network: nothing passes, and nobody is told."""
        self.counts: Counter[str] = Counter()
        """Packets by what became of them: passed, dropped, reset, answered, lost, unreachable."""
        self._links: dict[bytes, Link] = {}
        self._all: list[Link] = []
        self._outside: dict[bytes, Link] = {}
        """Of the NATs."""
        self._left: set[bytes] = set()
        self._due: list[tuple[float, int, bytes, Link]] = []
        self._made = 0
        self._capture: BinaryIO | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="middlebox", daemon=True)
        self._over = False
        self._error: Exception | None = None

    @property
    def rules(self) -> Sequence[Rule | PacketRule]:
        """What the censor does now."""
        return self._censor.rules

    @rules.setter
    def rules(self, rules: Sequence[Rule | PacketRule]) -> None:
        self._censor.rules = rules

    @property
    def flows(self) -> list[Flow]:
        """The connections of watched hosts."""
        return self._censor.flows

    def cut(self) -> None:
        """Nothing passes any more over the connections of watched hosts that stand."""
        self._censor.cut()

    def join(self, link: Link, addresses: Sequence[bytes]) -> None:
        """Before the thread runs: a host, and its addresses."""
        for address in addresses:
            if address in self._links:
                raise ValueError("two hosts cannot have one address")
            self._links[address] = link
        self._all.append(link)
        if link.nat is not None:
            self._outside[link.nat.outside] = link
        self._selector.register(link.device, selectors.EVENT_READ, link)

    def move(self, old: bytes, new: bytes) -> None:
        """The host that had one address has another. What still comes for the old one is lost."""
        self._links[new] = self._links.pop(old)
        self._left.add(old)
        self._left.discard(new)

    def capture(self, path: Path) -> None:
        """Before the thread runs: write what watched hosts send and are sent to a pcap file."""
        self._capture = path.open("wb")
        self._capture.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, LARGEST, 101))

    def name(self, address: bytes) -> str:
        """Of the host that has it; "" if none has."""
        link = self._links.get(address)
        return link.name if link else ""

    def __enter__(self) -> Self:
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Raises what a rule raised."""
        self._over = True
        os.write(self._woken, b"\0")
        self._thread.join()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """When its thread does not run, or never did."""
        self._selector.close()
        os.close(self._wake)
        os.close(self._woken)
        if self._capture is not None:
            self._capture.close()

    # In the thread.

    def _run(self) -> None:
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001  whoever waits for its end gets it
            self._error = error

    def _turn(self) -> None:
        while not self._over:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                if key.data is not None:
                    self._drain(key.data)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, raw, link = heapq.heappop(self._due)
                self._write(raw, link)

    def _drain(self, link: Link) -> None:
        for _ in range(BURST):
            try:
                raw = os.read(link.device, LARGEST)
            except BlockingIOError:
                return
            except OSError:  # its namespace is gone
                self._selector.unregister(link.device)
                return
            with contextlib.suppress(NotPacket):
                self._carry(packets.read(raw), link)

    def _carry(self, packet: Packet, near: Link) -> None:
        if near.lan and len(packet.target) == 4 and packet.target[0] >> 4 == 14:
            self._to_all(packet, near)
            return
        far = self._links.get(packet.target)
        home = far is not None and near.lan and near.lan == far.lan
        if near.nat is not None and not home:
            if (raw := near.nat.out(packet)) is None:
                self.counts["lost"] += 1
                return
            packet = packets.read(raw)
        if (behind := self._outside.get(packet.target)) is not None and behind.nat is not None:
            if (raw := behind.nat.back(packet)) is None:
                self.counts["lost"] += 1
                return
            packet, far = packets.read(raw), behind
        elif far is not None and far.nat is not None and not home:
            far = None  # nobody reaches an inside address from without
        if packet.source in self._left or packet.target in self._left:
            self.counts["lost"] += 1
            return
        if self.dark and (near.watched or (far is not None and far.watched)):
            self.counts["lost"] += 1
            return
        if far is None:
            self._nowhere(packet, near)
            return
        now = time.monotonic()
        delay, raw, again = 0.0, packet.raw, False
        for one in self.everywhere:
            decision = one.sees(packet, True, now)
            if not self._decided(packet, decision):
                return
            delay += decision.delay
        if near.watched or far.watched:
            self._note(packet.raw)
            decision = self._censor.sees(packet, near.watched, now)
            if not self._decided(packet, decision):
                return
            delay += decision.delay
            again = decision.again
            if decision.instead:
                raw = decision.instead
                far = self._links.get(_target(raw), far)
        for _ in range(1 + again):
            self._send(raw, far, delay)

    def _to_all(self, packet: Packet, near: Link) -> None:
        if self.dark and near.watched:
            return
        for link in self._all:
            if link is not near and link.lan == near.lan:
                self._write(packet.raw, link)

    def _decided(self, packet: Packet, decision: Decision) -> bool:
        """Do what was decided; whether the packet passes."""
        for answer in decision.answers:
            self.counts["answered"] += 1
            self._answer(answer)
        if decision.act is Act.PASS:
            return True
        if decision.act is Act.DROP or packet.flags & packets.RST:
            self.counts["dropped"] += 1
        else:
            self.counts["reset"] += 1
            for answer in packets.resets(packet):
                self._answer(answer)
        return False

    def _nowhere(self, packet: Packet, near: Link) -> None:
        """Of what is not addressed to one host (RFC 1122 section 3.2.2) and of ICMP nothing is
        said."""
        self.counts["unreachable"] += 1
        group = packet.target[0] in (0xFF, 0) or (
            len(packet.target) == 4 and packet.target[0] >= 224
        )
        if packet.protocol in (packets.TCP, packets.UDP) and not group and near.watched:
            self._note(packet.raw)
        if packet.protocol in (packets.TCP, packets.UDP) and not group:
            self._write(packets.unreachable(packet, packet.target), near)

    def _answer(self, raw: bytes) -> None:
        if (link := self._links.get(_target(raw))) is not None:
            self._note(raw)
            self._write(raw, link)

    def _send(self, raw: bytes, link: Link, delay: float) -> None:
        if not delay:
            self._write(raw, link)
        elif len(self._due) < WAITING:
            self._made += 1
            heapq.heappush(self._due, (time.monotonic() + delay, self._made, raw, link))
        else:
            self.counts["lost"] += 1

    def _write(self, raw: bytes, link: Link) -> None:
        try:
            os.write(link.device, raw)
            self.counts["passed"] += 1
        except OSError:  # full, or gone
            self.counts["lost"] += 1

    def _note(self, raw: bytes) -> None:
        if self._capture is not None:
            now = time.time()
            head = struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(raw), len(raw))
            self._capture.write(head + raw)


def _target(raw: bytes) -> bytes:
    """Where a packet goes."""
    return raw[24:40] if raw[0] >> 4 == 6 else raw[16:20]
