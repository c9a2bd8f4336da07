"""How fast what comes over one connection is: suspected of what is late, measured by asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from holdfast.core import wire
from holdfast.core.seen import SLOW
from holdfast.paths.base import Line

LARGE: Final = 8 * 1024
"""Bytes of a frame that tells of a rate: a call's frames are as slow as speech."""
PAUSE: Final = 2
"""Milliseconds for a byte after which large frames do not belong together."""
PROBES: Final = 3
PROBE: Final = 8 * 1024
EVERY: Final = 240_000
"""Milliseconds between two measurements of one connection,"""
AGAIN: Final = 8_000
"""and after one that found it slow for the first time."""
HELD: Final = 5.0
"""Seconds in which what waits to leave does at least as fast as a line that is not slow."""
PILED: Final = int(SLOW * HELD / 8)
"""Bytes of appends not acknowledged from which there is something to send all the time."""
UNFINISHED: Final = 3.0
"""Seconds after asking, or after the frame before, when a large one that is still on its way is
late."""
LOOKS: Final = (6.0, 15.0, 45.0)
"""Seconds after asking: what came until then tells the rate if the answers did not come."""


_PROBED: Final = wire.encode(wire.Probed(b""))[:2]
_APPEND: Final = wire.encode(wire.Append(0, 1, 1, b""))[:2]
_ACKED: Final = wire.encode(wire.Acked(0))[:2]
"""How the frames begin."""


class Speed:
    """`send` is the connection's; `received` says how many bytes came over it, those of unfinished
    frames too, `waiting` how many have not left; `tell` is given bits a second, `held` is called
    whenever what is sent has left slowly for twice `HELD`; the `line` is told
    what waits. Times are milliseconds.

    Who sent what comes may be slow, not the line; so, when it is late, or what is sent leaves
    slowly, the relay is asked for something. Until the last of it came there was more to come all
    the time."""

    def __init__(
        self,
        clock: Callable[[], int],
        send: Callable[[bytes], None],
        received: Callable[[], int],
        waiting: Callable[[], int],
        tell: Callable[[float], None],
        held: Callable[[], None],
        line: Line,
    ) -> None:
        self._line = line
        self._clock, self._send = clock, send
        self._received, self._buffered, self._tell = received, waiting, tell
        self._told_held = held
        self._appends: deque[int] = deque()
        """Their sizes, of those that are not acknowledged."""
        self._acked = self._piled = 0
        """How many are, and how large all others are together."""
        self._given = 0
        """Bytes that were to leave."""
        self._held: asyncio.TimerHandle | None = None
        self._slowly = 0
        """How often in a row what waited did not leave as it should."""
        self._framed = 0
        """What had come when the last frame was whole."""
        self._awaited: asyncio.TimerHandle | None = None
        self._large = self._asked = 0
        """When the last large frame came, and when the first frame since the last answer left."""
        self._every = EVERY
        self._measured = -EVERY
        self._probes: list[tuple[int, int]] = []
        """When each answer came, and what had come until then."""
        self._before = 0
        """What had come when it was asked for."""
        self._measuring = False

    def sent(self, frame: bytes) -> None:
        """It was given to the connection."""
        if frame.startswith(_APPEND):
            self._appends.append(len(frame))
            self._pile(len(frame))
        self._asked = self._asked or self._clock()
        if self._awaited is None:
            self._await()
        self._given += len(frame)
        if self._held is None and self._waiting():
            self._hold()

    def _await(self) -> None:
        loop = asyncio.get_running_loop()
        self._awaited = loop.call_later(UNFINISHED, self._unfinished, self._framed)

    def _unfinished(self, framed: int) -> None:
        """What was asked for, or follows what came, may be large, and on its way."""
        self._awaited = None
        came = self._received() - self._framed
        if self._framed == framed and came >= LARGE:
            self.measure()
        if self._asked or came:
            self._await()

    def _waiting(self) -> int:
        """What has not left: a system may take much that is far from having arrived."""
        return max(self._buffered(), self._piled if self._piled >= PILED else 0)

    def _acknowledged(self, frame: bytes) -> None:
        with contextlib.suppress(wire.Malformed):
            match wire.decode_relay(frame):
                case wire.Acked(upto):
                    while self._acked < upto and self._appends:
                        self._acked += 1
                        self._pile(-self._appends.popleft())

    def _pile(self, size: int) -> None:
        self._piled += size
        self._line.waiting += size

    def _hold(self) -> None:
        left = self._given - self._waiting()
        self._held = asyncio.get_running_loop().call_later(HELD, self._leaves, left)

    def _leaves(self, before: int) -> None:
        """Whether what waited has left as it should."""
        self._held = None
        waiting = self._waiting()
        slow = waiting and (self._given - waiting - before) * 8 < SLOW * HELD
        self._slowly = self._slowly + 1 if slow else 0
        if waiting:
            self._hold()
        if slow:
            self.measure()
        if self._slowly > 1:
            self._told_held()

    def came(self, frame: bytes) -> bool:
        """A frame is here; whether it is an answer to what is asked here."""
        now = self._clock()
        if self._appends and frame.startswith(_ACKED):
            self._acknowledged(frame)
        asked, self._asked = self._asked, 0
        self._framed = self._received()
        if self._awaited is None:
            self._await()
        if self._measuring:
            if not frame.startswith(_PROBED):
                return False
            self._probes.append((now, self._received()))
            if len(self._probes) == PROBES:
                self._end(self._rate_of_answers())
            return True
        if len(frame) >= LARGE:
            large, self._large = self._large, now
            longest = len(frame) * 8_000 / SLOW
            apart = now - large if large else 0
            if longest < apart < len(frame) * PAUSE or (asked and now - asked > longest):
                self.measure()
        return False

    def measure(self, *, again: bool = False) -> None:
        """Ask the relay for something, unless that was done lately; `again`: what was found then
        is not true any more."""
        now = self._clock()
        if self._measuring or now - self._measured < (AGAIN if again else self._every):
            return
        self._measured, self._measuring, self._probes = now, True, []
        self._before = self._received()
        for _ in range(PROBES):
            self._send(wire.encode(wire.Probe(PROBE)))
        for seconds in LOOKS:
            asyncio.get_running_loop().call_later(seconds, self._look, now, seconds == LOOKS[-1])

    def over(self) -> None:
        """The connection is."""
        self._measuring = False
        self._pile(-self._piled)
        for timer in (self._held, self._awaited):
            if timer is not None:
                timer.cancel()

    def _rate_of_answers(self) -> float | None:
        """Bits a second between the first and the last. None: they came together, and late, which
        may be a moment in which nothing passed."""
        (began, before), (ended, after) = self._probes[0], self._probes[-1]
        if after - before >= LARGE:
            return (after - before) * 8_000 / max(1, ended - began)
        least = (after - self._before) * 8_000 / max(1, ended - self._measured)
        return least if least >= SLOW else None

    def _look(self, asked: int, last: bool) -> None:
        """The answers wait behind what was sent before, or crawl themselves."""
        if not self._measuring or asked != self._measured:
            return
        came = self._received() - self._before
        if came >= LARGE:
            self._end(came * 8_000 / max(1, self._clock() - asked))
        elif last:
            self._measuring = False

    def _end(self, bits: float | None) -> None:
        self._measuring = False
        unsure = bits is None or bits < SLOW
        self._every = AGAIN if unsure and self._every == EVERY else EVERY
        if bits is not None:
            self._line.crawls = bits < SLOW
            self._tell(bits)
