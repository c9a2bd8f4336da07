"""A channel, with the ladder told of what passes through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from holdfast.core import wire
from holdfast.core.ladder import FREEZE_BYTES, FREEZE_MS, Ladder
from holdfast.core.seen import SLOW, SMALL
from holdfast.node.speed import Speed
from holdfast.paths import websocket
from holdfast.paths.base import MOVED, Channel, Handler, Line, Link

if TYPE_CHECKING:
    from holdfast.node.lending import Lender

SOON: Final = 3.0
LOOK_SECONDS: Final = 10.0
HEARD_MS: Final = 1_000
"""How often the ladder is told that something came."""


_HELLO: Final = wire.encode(wire.Hello(wire.VERSION))
_ASK: Final = wire.encode(wire.Probe(0))
_ANSWER: Final = wire.encode(wire.Probed(b""))


class Watched:
    """Stands between a channel and its handler. `climb` is called when a better path may be tried,
    `crawls` when what comes is very slow. `ready` says whether another connection to the place can
    be used at once."""

    def __init__(
        self,
        ladder: Ladder,
        clock: Callable[[], int],
        place: str,
        path: str,
        climb: Callable[[Watched], None],
        crawls: Callable[[], None],
        ready: Callable[[str], bool] = lambda place: False,
        line: Line | None = None,
    ) -> None:
        self.channel: Channel | None = None
        self._handler: Handler | None = None
        self._early: list[bytes] = []
        self._ladder, self._clock = ladder, clock
        self.place, self.path = place, path
        self._climb, self._crawls, self._ready = climb, crawls, ready
        self.lender: Lender | None = None
        """Whose datagrams are its own."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it is over."""
        self.under: Watched | None = None
        """The connection to the relay that it leads through."""
        self.replaced = False
        """Its successor stands already."""
        self._heard = asyncio.Event()
        self._greeted = self._second = False
        self._began = self._size = self._came = 0
        self._passing = False
        self._speed = Speed(
            clock,
            self.send,
            lambda: self.received,
            lambda: self.buffered,
            self._runs_at,
            self._is_held,
            line or Line(),
        )
        self._told = self.over = False
        self.reason = ""
        """Why it is over."""
        self._timer: asyncio.TimerHandle | None = None

    def stands(self, second: bool) -> None:
        """The connection is made; `second`: beside one that is in use."""
        self._began = self._clock()
        self._second = second
        suspect = self._ladder.suspect(self.place, self.path, self._began)
        took = self.under.age if self.under is not None else 0
        self._ladder.worked(self.place, self.path, self._began, second, took)
        self._look_later(SOON if suspect else LOOK_SECONDS)

    def adopt(self, handler: Handler, *, passing: bool = False) -> Channel:
        """Hand everything on. `passing`: it leads to another relay, and tells of no rate."""
        self._handler, self._passing = handler, passing
        for frame in self._early:
            handler.on_frame(frame)
        self._early = []
        if self.over:
            handler.on_closed(self.reason)
        return self

    def greet(self) -> None:
        """Say hello before anybody uses it: who does not is closed."""
        self.send(_HELLO)
        self._greeted = True

    async def answers(self, seconds: float) -> bool:
        """Ask whether it still stands: whether anything came within so long."""
        self._heard.clear()
        self.send(_ASK)
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return not self.over

    @property
    def silent(self) -> bool:
        """Whether nothing has come since it was asked."""
        return not self._heard.is_set()

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
            if self._tells and not self.over:
                self._speed.sent(frame)

    def send_live(self, frame: bytes) -> None:
        """Send one frame now or never."""
        link = self.lender.link if self.lender is not None else None
        if self.channel is None:
            return
        if link is None or self.lender is None or len(frame) > wire.MAX_LIVE:
            self.channel.send_live(frame)
            return
        self.lender.send_live(frame)

    def leave(self, reason: str) -> None:
        """End it for who uses it, who waits for nothing that is still on its way."""
        self.close(reason)
        if not self.over:
            self.on_closed(reason)

    def close(self, reason: str = "") -> None:
        """End it."""
        if self.channel is not None:
            self.channel.close(reason)

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self.channel.buffered if self.channel is not None else 0

    @property
    def received(self) -> int:
        """Bytes that came."""
        return self.channel.received if self.channel is not None else 0

    @property
    def link(self) -> Link | None:
        """How its datagrams fare."""
        lent = self.lender.link if self.lender is not None else None
        return lent or (self.channel.link if self.channel is not None else None)

    # A Handler.

    def on_frame(self, frame: bytes) -> None:
        """One whole frame came."""
        if self.over:
            return
        self._heard.set()
        self._lives()
        self._count(len(frame))
        if frame == _ANSWER:
            return
        if self._second and self._handler is not None:
            self._second = False
            self._ladder.answered(self.place, self.path, self._clock())
        if self._handler is None:
            self._early.append(frame)
        elif self._tells and self._speed.came(frame):
            pass
        else:
            self._handler.on_frame(frame)

    def on_live(self, frame: bytes) -> None:
        """A datagram came."""
        if self.over:
            return
        self._size += len(frame)
        if self._handler is not None:
            self._handler.on_live(frame)

    def on_drained(self) -> None:
        """Little is left unsent."""
        if self._handler is not None and not self.over:
            self._handler.on_drained()

    def on_closed(self, reason: str) -> None:
        """The channel is over."""
        if self.over:
            return
        self.over, self.reason = True, reason
        self._heard.set()
        if not self.gone.done():
            self.gone.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        self._speed.over()
        stalled = reason == websocket.STALLED
        size, age = max(self._size, self.received), now - self._began
        self._ladder.ended(self.place, self.path, stalled, size, age, now)
        if self.under is not None and self.under.reason == websocket.STALLED:
            reason = websocket.STALLED
        if self._handler is not None:
            self._handler.on_closed(MOVED if self.replaced or self._ready(self.place) else reason)

    # What passes.

    def _lives(self) -> None:
        now = self._clock()
        if now - self._came >= HEARD_MS:
            self._came = now
            self._ladder.heard(self.place, self.path, now)

    def _count(self, size: int) -> None:
        """Of what came; what was sent has passed only when somebody says so."""
        self._size += size
        now = self._clock()
        if not self._told and (self._size > FREEZE_BYTES or now - self._began > FREEZE_MS):
            self._told = True
            self._ladder.lasted(self.place, self.path, now)

    @property
    def _tells(self) -> bool:
        """Whether what comes over it tells of a rate: small exchanges are slow by themselves."""
        return not self._passing and self.path != SMALL

    def _runs_at(self, bits: float) -> None:
        """So many bits a second were measured."""
        self._ladder.rate(self.place, self.path, bits, self._clock())
        if bits < SLOW:
            self._crawls()
            if self._ladder.rests(self.place, self.path, self._clock()):
                self._climb(self)

    def _is_held(self) -> None:
        """What is sent leaves slowly."""
        now = self._clock()
        self._ladder.held(self.place, self.path, now)
        if self._ladder.rests(self.place, self.path, now):
            self._climb(self)

    def _look_later(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        better = self._ladder.better(self.place, self.path, self._clock())
        if better or self._ready(self.place):
            self._climb(self)
        suspect = self._ladder.suspect(self.place, self.path, self._clock())
        if suspect and self._tells and self._handler is not None:
            self._speed.measure(again=True)
        self._look_later(LOOK_SECONDS)
