"""A channel, with the ladder told of what passes through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.core import wire
from holdfast.core.ladder import FREEZE_BYTES, FREEZE_MS, SLOW, SMALL, Ladder
from holdfast.paths import websocket
from holdfast.paths.base import MOVED, Channel, Handler, Link

LARGE: Final = 8 * 1024
"""Bytes of a frame that tells of a rate: a call's frames are as slow as speech."""
PAUSE: Final = 2
"""Milliseconds for a byte after which large frames do not belong together."""
SOON: Final = 3.0
LOOK_SECONDS: Final = 20.0
PROBES: Final = 3
PROBE: Final = 8 * 1024
MEASURE_SECONDS: Final = 15.0
"""When a measurement ends with what there is: on a crawling line the answers may wait behind
what was sent before."""
LONGEST_SECONDS: Final = 45.0
MEASURE_EVERY: Final = 240_000
"""Milliseconds between two measurements of one connection."""


_HELLO: Final = wire.encode(wire.Hello(wire.VERSION))
_PROBED: Final = wire.encode(wire.Probed(b""))[:2]
"""How the frame begins."""


class Watched:
    """Stands between a channel and its handler. `climb` is called when a better path may be tried,
    `crawls` when what comes is very slow. That is suspected of large frames with long pauses; since
    it may be who sends them that is slow, the relay is then asked for something to measure. `ready`
    says whether another connection to the place can be used at once."""

    def __init__(
        self,
        ladder: Ladder,
        clock: Callable[[], int],
        place: str,
        path: str,
        climb: Callable[[Watched], None],
        crawls: Callable[[], None],
        ready: Callable[[str], bool] = lambda place: False,
    ) -> None:
        self.channel: Channel | None = None
        self._handler: Handler | None = None
        self._early: list[bytes] = []
        self._ladder, self._clock = ladder, clock
        self.place, self.path = place, path
        self._climb, self._crawls, self._ready = climb, crawls, ready
        self._greeted = self._second = False
        self._began = self._size = 0
        self._large = 0
        """When the last large frame came."""
        self._passing = False
        self._measured = -MEASURE_EVERY
        self._probes: list[tuple[int, int]] = []
        """When each answer came, and what had come until then."""
        self._marks: list[tuple[int, int]] = []
        """The same of large frames that came meanwhile."""
        self._measuring = False
        self._told = self.over = False
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None

    def stands(self, second: bool) -> None:
        """The connection is made; `second`: beside one that is in use."""
        self._began = self._clock()
        self._second = second
        suspect = self._ladder.suspect(self.place, self.path, self._began)
        self._ladder.worked(self.place, self.path, self._began, second)
        self._look_later(SOON if suspect else LOOK_SECONDS)

    def adopt(self, handler: Handler, *, passing: bool = False) -> Channel:
        """Hand everything on. `passing`: it leads to another relay, and tells of no rate."""
        self._handler, self._passing = handler, passing
        for frame in self._early:
            handler.on_frame(frame)
        self._early = []
        if self.over:
            handler.on_closed(self._reason)
        return self

    def greet(self) -> None:
        """Say hello before anybody uses it: who does not is closed."""
        self.send(_HELLO)
        self._greeted = True

    @property
    def age(self) -> int:
        """How long it stands, in milliseconds."""
        return self._clock() - self._began

    @property
    def passes(self) -> bool:
        """Whether it leads to another relay."""
        return self._passing and not self.over

    # A Channel.

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if self._greeted and frame == _HELLO:
            self._greeted = False
        elif self.channel is not None:
            self.channel.send(frame)

    def send_live(self, frame: bytes) -> None:
        """Send one frame now or never."""
        if self.channel is not None:
            self.channel.send_live(frame)

    def close(self, reason: str = "") -> None:
        """End it."""
        if self.channel is not None:
            self.channel.close(reason)

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self.channel.buffered if self.channel is not None else 0

    @property
    def link(self) -> Link | None:
        """How its datagrams fare."""
        return self.channel.link if self.channel is not None else None

    # A Handler.

    def on_frame(self, frame: bytes) -> None:
        """One whole frame came."""
        self._count(len(frame))
        if self._second and self._handler is not None:
            self._second = False
            self._ladder.answered(self.place, self.path, self._clock())
        if self._measuring and frame.startswith(_PROBED):
            self._probed()
        elif self._handler is None:
            self._early.append(frame)
        else:
            self._handler.on_frame(frame)

    def on_live(self, frame: bytes) -> None:
        """A datagram came."""
        self._size += len(frame)
        if self._handler is not None:
            self._handler.on_live(frame)

    def on_drained(self) -> None:
        """Little is left unsent."""
        if self._handler is not None:
            self._handler.on_drained()

    def on_closed(self, reason: str) -> None:
        """The channel is over."""
        self.over, self._reason = True, reason
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        stalled = reason == websocket.STALLED
        age = now - self._began
        self._ladder.ended(self.place, self.path, stalled, self._size, age, now)
        if self._handler is not None:
            self._handler.on_closed(MOVED if self._ready(self.place) else reason)

    # What passes.

    def _count(self, size: int) -> None:
        """Of what came; what was sent has passed only when somebody says so."""
        self._size += size
        now = self._clock()
        if not self._told and (self._size > FREEZE_BYTES or now - self._began > FREEZE_MS):
            self._told = True
            self._ladder.lasted(self.place, self.path, now)
        if size < LARGE or self._passing:
            return
        if self._measuring:
            self._marks.append((now, self._size))
            return
        before, self._large = self._large, now
        if before and now - before < size * PAUSE and size * 8_000 < SLOW * (now - before):
            self.measure()

    # How fast it is.

    def measure(self) -> None:
        """Ask the relay for something, unless that was done lately."""
        now = self._clock()
        if self.over or self._handler is None or self._passing or self.path == SMALL:
            return
        if self._measuring or now - self._measured < MEASURE_EVERY:
            return
        self._measured, self._measuring, self._probes, self._marks = now, True, [], []
        for _ in range(PROBES):
            self.send(wire.encode(wire.Probe(PROBE)))
        for seconds in (MEASURE_SECONDS, LONGEST_SECONDS):
            asyncio.get_running_loop().call_later(seconds, self._conclude, now)

    def _probed(self) -> None:
        self._probes.append((self._clock(), self._size))
        if len(self._probes) == PROBES:
            self._conclude(self._measured)

    def _conclude(self, asked: int) -> None:
        """All that came between the first answer and the last, or, while answers are awaited,
        between large frames: there was more all the time."""
        if not self._measuring or asked != self._measured:
            return
        marks = self._probes if len(self._probes) > 1 else self._marks
        over = self._clock() - asked >= LONGEST_SECONDS * 1_000
        if len(marks) > 1 or over or self.over:
            self._measuring = False
        if self._measuring or self.over or len(marks) < 2:
            return
        (began, before), (ended, after) = marks[0], marks[-1]
        bits = (after - before) * 8_000 / max(1, ended - began)
        self._ladder.rate(self.place, self.path, bits, self._clock())
        if bits < SLOW:
            self._crawls()
            if self._ladder.rests(self.place, self.path, self._clock()):
                self._climb(self)

    def _look_later(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        better = self._ladder.better(self.place, self.path, self._clock())
        if better or self._ready(self.place):
            self._climb(self)
        if self._ladder.suspect(self.place, self.path, self._clock()):
            self.measure()
        self._look_later(LOOK_SECONDS)
