"""A call simulated: two call machines, two sound cards and a network, on one clock.

    world = CallWorld(seed=7, delay=30, jitter=10, loss=0.05)
    world.run(1_000)
    world.callee.accept()
    world.run(60_000)
    assert world.callee.missing < 0.1

Every packet of a microphone is numbered, so that what an ear played says which packets came,
in which order and how late. The same seed gives the same call.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Final

from holdfast.core.call import machine
from holdfast.core.call.frames import FRAME_MS
from holdfast.core.call.jitter import GENTLE, PLAIN, Packet
from holdfast.core.call.machine import Command, Machine

SIGNAL_MS: Final = 20
"""What a step of the call needs over the messages' way, beside the network's delay."""


class Side:
    """One person with a sound card whose clock runs `drift` millionths fast."""

    def __init__(self, world: CallWorld, outgoing: bool, drift: int = 0) -> None:
        self._world = world
        self.machine = Machine(outgoing, world.now)
        self.frame_ms = FRAME_MS * (1 - drift / 1_000_000)
        self.said = 0
        """Packets the microphone has made."""
        self.sent: list[tuple[int, int]] = []
        """When (ms) a frame left, and its bytes."""
        self.heard: list[tuple[int, int]] = []
        """When (ms) a packet was played, and its number."""
        self.pulled = 0
        self.silent = 0
        """Frames concealed or silent, of those `pulled` while talking."""
        self.attached = False
        self.over = False
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
        """The share of frames that the ear had to do without."""
        return self.silent / self.pulled if self.pulled else 0.0

    def do(self, commands: list[Command]) -> None:
        """Carry the machine's commands out."""
        world = self._world
        for command in commands:
            match command:
                case machine.Send(plain):
                    self.sent.append((world.now, len(plain)))
                    world.carry(self, self._counter, plain)
                    self._counter += 1
                case machine.Say(step):
                    world.tell(self, step)
                case machine.Attach():
                    self.attached = True
                    self.start()
                case machine.Over():
                    self.over = True

    def start(self) -> None:
        """Sound card and clock begin to run."""
        if not self._speaking:
            self._speaking = True
            self._speak(float(self._world.now))
            self._tick()
            self._listen(float(self._world.now) + 7)

    def _speak(self, at: float) -> None:
        if self.over:
            return
        packet = self.said.to_bytes(4, "big").ljust(40, b"\1")
        self.said += 1
        if not self._world.stalled(self):
            self.do(self.machine.microphone(packet, self._world.now))
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
            self.pulled += 1
            played = self.machine.pull()
            if isinstance(played, Packet):
                took *= played.units * 100 / self._speed(played.speed)
            if isinstance(played, Packet) and played.data:
                self.heard.append((self._world.now, int.from_bytes(played.data[:4], "big")))
            else:
                self.silent += 1
        self._world.at(at + took, lambda: self._listen(at + took))

    def _speed(self, asked: int) -> int:
        """How fast it is played: a little faster or slower only while it is quiet."""
        return asked if abs(asked - PLAIN) > GENTLE or self._world.quiet else PLAIN


class CallWorld:
    """Delay and jitter in milliseconds one way, loss as a share; all can be changed while it
    runs. `cut` stops everything."""

    def __init__(
        self,
        seed: int = 0,
        delay: float = 2,
        jitter: float = 3,
        loss: float = 0.0,
        drift: int = 0,
    ) -> None:
        self.random = Random(seed)
        self.now = 1_000
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.cut = False
        self.quiet = False
        """Nobody speaks now: what is played may be played faster or slower unheard."""
        self.stall: Side | None = None
        """Whose sound card gives nothing now."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.caller = Side(self, True, drift)
        self.callee = Side(self, False)
        for side in (self.caller, self.callee):
            self._slow_tick(side)
        self.tell(self.callee, "ringing")

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

    def carry(self, side: Side, counter: int, plain: bytes) -> None:
        """A frame goes over, or not."""
        if self.cut or self.random.random() < self.loss:
            return
        other = self.other(side)

        def arrive() -> None:
            if other.attached and not self.cut:
                other.do(other.machine.frame(counter, plain, self.now))

        self.at(self.now + self.delay + self.random.random() * self.jitter, arrive)

    def tell(self, side: Side, step: str) -> None:
        """A step goes the way of messages: it arrives, once the network is there."""
        other = self.other(side)

        def arrive() -> None:
            if self.cut:
                self.at(self.now + 500, arrive)
            else:
                other.do(other.machine.heard(step, self.now))

        self.at(self.now + self.delay + SIGNAL_MS, arrive)

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
