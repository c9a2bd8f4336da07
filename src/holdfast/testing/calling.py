"""A call simulated: two call machines, two sound cards and a network, on one clock.

    world = CallWorld(seed=7, delay=30, jitter=10, loss=0.05)
    world.run(1_000)
    world.callee.accept()
    world.run(60_000)
    assert world.callee.missing < 0.1

What a microphone says is numbered by the units of 20 ms, so that what an ear played says what came,
in which order and how late. The network has ways, each a stream or datagrams, which share a line
that may be slow; text has a way of its own. The same seed gives the same call.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from holdfast.core.call import commands
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.commands import Command
from holdfast.core.call.frames import FRAME_MS
from holdfast.core.call.jitter import GENTLE, PLAIN, Packet
from holdfast.core.call.machine import Machine
from holdfast.core.call.routes import Route
from holdfast.core.call.rungs import DATAGRAM_BYTES, STREAM_BYTES, Rung

SIGNAL_MS: Final = 20
"""What a step of the call needs over the messages' way, beside the network's delay."""
TEXT_BYTES: Final = 900
"""What a record costs beyond its own bytes, with what is answered."""
QUEUE_MS: Final = 3_000
"""What a slow line keeps unless told otherwise; more is lost, or waits with its sender."""
AGAIN_MS: Final = 250
"""After an outage a stream goes on within so long."""

Kind = Literal["stream", "datagrams"]


@dataclass
class Way:
    """One route of the call. `up`: it stands; `blocked`: and yet nothing passes."""

    kind: Kind
    up: bool = True
    blocked: bool = False
    held: list[Callable[[], None]] = field(default_factory=list)
    last: dict[bool, float] = field(default_factory=dict)


class Side:
    """One person with a sound card whose clock runs `drift` millionths fast."""

    def __init__(self, world: CallWorld, outgoing: bool, drift: int = 0) -> None:
        self._world = world
        self.outgoing = outgoing
        self.machine = Machine(outgoing, world.now)
        self.frame_ms = FRAME_MS * (1 - drift / 1_000_000)
        self.said = 0
        """Units the microphone has made."""
        self.said_at: dict[int, int] = {}
        """When (ms) a unit was over."""
        self.sent: list[tuple[int, int]] = []
        """When (ms) a frame left, and its bytes."""
        self.bursts: list[tuple[int, int]] = []
        """The same of bursts."""
        self.heard: list[tuple[int, int]] = []
        """When (ms) a packet began to be played, and the unit at which it begins."""
        self.units: set[int] = set()
        """All units that were heard, whenever."""
        self.doubts: list[int] = []
        """When (ms) it was asked whether connections still stand."""
        self.kept: list[Spoken] = []
        """What came too late."""
        self.pulled = 0
        """Units that were played, silence included."""
        self.silent = 0
        """Units concealed or silent, of those `pulled` while talking."""
        self.attached = False
        self.over = False
        self._rung: Rung = self.machine.rung
        self._coming: Rung = self.machine.rung
        self._units = 0
        self._counter = 0
        self._speaking = False

    def accept(self) -> None:
        """Answer."""
        self.do(self.machine.accept(self._world.now))

    def decline(self) -> None:
        """Do not answer."""
        self.do(self.machine.decline(self._world.now))

    def hang_up(self) -> None:
        """End it."""
        self.do(self.machine.hang_up(self._world.now))

    def mute(self, muted: bool) -> None:
        """Send silence, or sound."""
        self.do(self.machine.mute(muted))

    @property
    def missing(self) -> float:
        """The share of units that the ear had to do without."""
        return self.silent / self.pulled if self.pulled else 0.0

    def delays(self, since: int = 0) -> list[int]:
        """Milliseconds from when a packet's first unit was over until it was played."""
        said = self._world.other(self).said_at
        return [at - said[unit] for at, unit in self.heard if at >= since and unit in said]

    def gap(self, since: int, until: int) -> int:
        """The longest time, in ms, without the beginning of a packet."""
        times = [since, *(at for at, _ in self.heard if since <= at <= until), until]
        return max(b - a for a, b in itertools.pairwise(times))

    def do(self, wanted: list[Command]) -> None:
        """Carry the machine's commands out."""
        world = self._world
        for command in wanted:
            match command:
                case commands.Send(plain, routes):
                    self.sent.append((world.now, len(plain)))
                    world.carry(self, self._counter, plain, routes)
                    self._counter += 1
                case commands.Burst(data, upto):
                    self.bursts.append((world.now, len(data)))
                    world.text(self, data, upto)
                case commands.Code(rung):
                    self._coming = rung
                case commands.Keep(_, packets):
                    self.kept += packets
                case commands.Doubt():
                    self.doubts.append(world.now)
                case commands.Say(step):
                    world.tell(self, step)
                case commands.Attach():
                    self.attached = True
                    self.start()
                case commands.Over():
                    self.over = True

    def start(self) -> None:
        """Sound card and clock begin to run."""
        if not self._speaking:
            self._speaking = True
            self._world.connect(self)
            self._speak(float(self._world.now))
            self._tick()
            self._listen(float(self._world.now) + 7)

    def _speak(self, at: float) -> None:
        if self.over:
            return
        self.said_at[self.said] = self._world.now
        self.said += 1
        self._units += 1
        if self._units == self._rung.units:
            first = self.said - self._units
            packet = first.to_bytes(4, "big").ljust(self._rung.size, b"\1")
            if not self._world.stalled(self):
                now = self._world.now
                self.do(self.machine.microphone(self._rung.number, packet, now))
            self._units, self._rung = 0, self._coming
        self._world.at(at + self.frame_ms, lambda: self._speak(at + self.frame_ms))

    def _tick(self) -> None:
        if self.over:
            return
        self.do(self.machine.tick(self._world.now))
        self._world.at(self._world.now + FRAME_MS, self._tick)

    def _listen(self, at: float) -> None:
        if self.over:
            return
        took = self.frame_ms
        if self.machine.state == "talking":
            played = self.machine.pull()
            units = played.units if isinstance(played, Packet) else 1
            self.pulled += units
            if isinstance(played, Packet):
                took *= played.units * 100 / self._speed(played.speed)
            if isinstance(played, Packet) and played.data:
                first = int.from_bytes(played.data[:4], "big")
                self.heard.append((self._world.now, first))
                self.units.update(range(first, first + units))
            else:
                self.silent += units
        self._world.at(at + took, lambda: self._listen(at + took))

    def _speed(self, asked: int) -> int:
        """How fast it is played: a little faster or slower only while it is quiet."""
        return asked if abs(asked - PLAIN) > GENTLE or self._world.quiet else PLAIN


class CallWorld:
    """Delay and jitter in milliseconds one way, loss as a share, `rate` of the line in bit/s, 0 for
    any; all can be changed while it runs. `cut` stops everything, `text_cut` what goes by text."""

    def __init__(
        self,
        seed: int = 0,
        delay: float = 2,
        jitter: float = 3,
        loss: float = 0.0,
        drift: int = 0,
        ways: Sequence[Kind] = ("stream",),
        rate: float = 0,
        queue: int = QUEUE_MS,
    ) -> None:
        self.random = Random(seed)
        self.now = 1_000
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.rate = rate
        self.queue = queue
        """Milliseconds of it that a slow line keeps."""
        self._cut = False
        self.text_cut = False
        self.text_every = 0
        """Milliseconds between two exchanges, where text is so slow."""
        self.ways = [Way(kind) for kind in ways]
        self.stall: Side | None = None
        """Whose sound card gives nothing now."""
        self.carried = 0
        """Bytes on the line."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._free: dict[bool, float] = {}
        self._texts: dict[bool, deque[tuple[int, Callable[[], None]]]] = {
            True: deque(),
            False: deque(),
        }
        self.caller = Side(self, True, drift)
        self.callee = Side(self, False)
        for side in (self.caller, self.callee):
            self._slow_tick(side)
        self.tell(self.callee, "ringing")

    @property
    def quiet(self) -> bool:
        """Nobody speaks now: what is played may be played faster or slower unheard."""
        return self.now % 4_000 > 3_000

    def stalled(self, side: Side) -> bool:
        """Whether this sound card gives nothing now."""
        return self.stall is side

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at a time."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, act))

    def other(self, side: Side) -> Side:
        """Whom a side talks to."""
        return self.callee if side is self.caller else self.caller

    # The network.

    @property
    def cut(self) -> bool:
        """Nothing passes."""
        return self._cut

    @cut.setter
    def cut(self, cut: bool) -> None:
        self._cut = cut
        if not cut:
            for way in self.ways:
                self._release(way)

    def block(self, number: int, blocked: bool = True) -> None:
        """Nothing passes this way any more, and nobody is told; or it does again."""
        self.ways[number].blocked = blocked
        if not blocked:
            self._release(self.ways[number])

    def raise_up(self, number: int, up: bool = True) -> None:
        """This way stands, or is gone, and both sides know. What it held is lost."""
        self.ways[number].up = up
        self.ways[number].held.clear()
        for side in (self.caller, self.callee):
            self.connect(side)

    def connect(self, side: Side) -> None:
        """Tell a side which ways there are."""
        if side.machine.open:
            up = tuple(
                Route(number, way.kind == "datagrams")
                for number, way in enumerate(self.ways)
                if way.up
            )
            side.do(side.machine.routes(up, self.now))

    def _release(self, way: Way) -> None:
        if self._cut or way.blocked:
            return
        late = self.now + self.random.random() * AGAIN_MS
        for arrive in way.held:
            self.at(late + self.delay, arrive)
        way.held.clear()

    def _line(self, side: Side, size: int) -> float | None:
        """When so many bytes of a side have passed the line; None: they do not fit."""
        self.carried += size
        if not self.rate:
            return float(self.now)
        begin = max(self.now, self._free.get(side.outgoing, 0))
        if begin - self.now > self.queue:
            return None
        self._free[side.outgoing] = begin + size * 8_000 / self.rate
        return self._free[side.outgoing]

    def carry(self, side: Side, counter: int, plain: bytes, routes: tuple[int, ...]) -> None:
        """A frame goes over, or not."""
        for number in routes:
            self._carry(side, counter, plain, self.ways[number])

    def _carry(self, side: Side, counter: int, plain: bytes, way: Way) -> None:
        other = self.other(side)
        stream = way.kind == "stream"
        dead = self._cut or way.blocked
        lost = self.random.random() < self.loss
        shake = self.random.random() * self.jitter
        if not way.up or (dead and not stream):
            return
        passed = self._line(side, len(plain) + (STREAM_BYTES if stream else DATAGRAM_BYTES))
        if passed is None or (lost and not stream):
            return

        def arrive() -> None:
            if not way.up:
                return
            if self._cut or way.blocked:
                if stream:
                    way.held.append(arrive)
                return
            if other.attached:
                other.do(other.machine.frame(counter, plain, self.now))

        if dead:
            way.held.append(arrive)
            return
        when = passed + self.delay + shake
        if stream:
            when += (200 + 2 * self.delay) if lost else 0
            when = way.last[side.outgoing] = max(when, way.last.get(side.outgoing, 0))
        self.at(when, arrive)

    def text(self, side: Side, data: bytes, upto: int) -> None:
        """A burst goes the way of messages: it arrives, once that is there."""
        other = self.other(side)

        def arrive() -> None:
            other.do(other.machine.burst(data, upto, self.now))

        self._by_text(side, len(data) + TEXT_BYTES, arrive)

    def tell(self, side: Side, step: str) -> None:
        """A step goes the way of messages."""
        other = self.other(side)

        def arrive() -> None:
            other.do(other.machine.heard(step, self.now))

        self._by_text(side, 0, arrive)

    def _by_text(self, side: Side, size: int, act: Callable[[], None]) -> None:
        self._texts[side.outgoing].append((size, act))
        if len(self._texts[side.outgoing]) == 1:
            self._leave(side)

    def _leave(self, side: Side) -> None:
        """The next text goes over, in its order."""
        waiting = self._texts[side.outgoing]
        if not waiting:
            return
        if self._cut or self.text_cut:
            self.at(self.now + 500, lambda: self._leave(side))
            return
        size, act = waiting[0]
        passed = self._line(side, size)
        when = (passed or self.now + self.queue) + self.delay + SIGNAL_MS
        if self.text_every and size:
            when = (when // self.text_every + 1) * self.text_every
        self.at(when, act)
        waiting.popleft()
        self.at(passed or self.now, lambda: self._leave(side))

    # Time.

    def _slow_tick(self, side: Side) -> None:
        if not side.machine.open and not side.over:
            side.do(side.machine.tick(self.now))
        if not side.over:
            self.at(self.now + 500, lambda: self._slow_tick(side))

    def run(self, ms: int) -> None:
        """Let so much time pass."""
        end = self.now + ms
        while self._events and self._events[0][0] <= end:
            when, _, act = heapq.heappop(self._events)
            self.now = max(self.now, int(when))
            act()
        self.now = end


def talking(**how: object) -> CallWorld:
    """A call that has just begun."""
    world = CallWorld(**how)  # type: ignore[arg-type]
    world.run(500)
    world.callee.accept()
    world.run(1_000)
    assert world.caller.machine.state == world.callee.machine.state == "talking"
    return world
