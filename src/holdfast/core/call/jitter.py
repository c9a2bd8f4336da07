"""The jitter buffer: what the listener's sound card is given each time it asks.

The sound card is the clock. Sound is counted in units of 20 ms and packets hold one or more. In the
first second the depth is found, by force, since nobody has said anything yet. From then on it
changes where it is not heard: a packet that is played may be played a little faster or slower,
wherever what it holds is quiet. One that comes late for the first time in a while is left out, as
its time was bridged already, so that what follows keeps its place. After a gap everything that was
said in it is played, faster than it was said, until nothing waits any more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

UNIT_MS: Final = 20
MOST: Final = 600
"""Units that wait at most, 12 seconds; older ones are left out."""
CONCEALED: Final = 5
"""Units concealed in a row; what is missing longer is silence."""
START: Final = 2
"""Units that are there when playing begins."""
SETTLING: Final = 50
"""Units at the beginning in which the depth is found."""
SETTLED: Final = 10
CALM: Final = 200
"""Units in which too much must have waited all the time before it is played faster."""
MOST_CALM: Final = 1_500
"""After some came late it takes longer, up to this."""
SHORTLY: Final = 25
HURRY: Final = 10
"""Units beyond what is wanted from which on it is played faster whatever it holds."""
FORGIVEN: Final = 2
"""Units that may come late, so far apart that it does not happen again in `REMEMBERED`, before
the buffer becomes deeper."""
REMEMBERED: Final = 250
"""Units over which losses are counted."""
PLAYED: Final = 6_000
"""Packets of which is remembered that they were played."""
PLAIN: Final = 100
"""Speed, in percent."""
GENTLE: Final = 10
"""So much more or less is for what is quiet alone."""
QUIET_FASTER: Final = PLAIN + GENTLE
QUIET_SLOWER: Final = PLAIN - GENTLE
FAST: Final = 115
FASTEST: Final = 150


@dataclass(frozen=True, slots=True)
class Packet:
    """Play this, of so many units; `kind` is how it was coded, `speed` how fast, in percent: within
    `GENTLE` of 100 only where it is quiet, beyond it all."""

    data: bytes
    units: int = 1
    kind: int = 0
    speed: int = PLAIN


@dataclass(frozen=True, slots=True)
class Conceal:
    """A unit is missing: the decoder bridges it."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to play: silence, for a unit."""


Pulled = Packet | Conceal | Nothing


class Jitter:
    """Packets by the unit at which they begin."""

    def __init__(self) -> None:
        self.floor = 0
        """Units that are to wait behind what is played, because copies come so late."""
        self.lump = 0
        """Units that come at once, beyond one."""
        self._packets: dict[int, Packet] = {}
        self._played_at: dict[int, None] = {}
        self._end = 0
        """Behind the last unit that came."""
        self._next: int | None = None
        """The unit to play next, once one has come."""
        self._held = 0
        """Units bridged in a row while nothing was there."""
        self._bridged = 0
        """Units of a hole that were bridged in a row."""
        self._late_at = -REMEMBERED
        self._played = 0
        """Units, in all."""
        self._waiting: deque[tuple[int, int]] = deque()
        """How many units waited behind the packets that were played lately, (when, units): those
        alone that no later one is below, so that both rise."""
        self._known_since = 0
        self._calm = CALM
        self._recent: deque[bool] = deque(maxlen=REMEMBERED)
        self._depth = 0.0
        self.late = 0
        """Packets that came after their time, or twice."""
        self.left_out = 0
        """Units that came and were never played, because too many waited."""

    @property
    def depth_ms(self) -> int:
        """How long what comes waits here, lately."""
        return int(self._depth * UNIT_MS) + UNIT_MS // 2

    @property
    def waiting_ms(self) -> int:
        """How much waits now."""
        return 0 if self._next is None else max(0, self._end - self._next) * UNIT_MS

    @property
    def lost(self) -> int:
        """Of a hundred units asked for lately, how many were missing."""
        return 100 * sum(self._recent) // len(self._recent) if self._recent else 0

    @property
    def end(self) -> int:
        """The unit behind the last that came."""
        return self._end

    def take(self) -> list[tuple[int, Packet]]:
        """What waits to be played, with the units at which it begins: it will not be."""
        out = sorted(self._packets.items(), key=lambda one: one[0])
        self._packets.clear()
        return out

    def was_played(self, at: int) -> bool:
        """Whether the packet that begins at this unit was played, or waits to be."""
        return at in self._packets or at in self._played_at

    @property
    def _settling(self) -> bool:
        return self._played < SETTLING

    def put(self, at: int, data: bytes, units: int = 1, kind: int = 0) -> bool:
        """A packet came that begins at unit `at`; whether it will be played."""
        if at in self._packets or (self._next is not None and at < self._next):
            self.late += 1
            return False
        self._packets[at] = Packet(data, units, kind)
        self._end = max(self._end, at + units)
        if self._end - (min(self._packets) if self._next is None else self._next) > MOST:
            self._skip_to(self._end - MOST)
        return at in self._packets

    def pull(self) -> Pulled:
        """What to play now."""
        if self._next is None and not self._begin():
            return Nothing()
        assert self._next is not None
        if not self._packets:
            return self._starve()
        self._resume()
        found = self._packets.pop(self._next, None)
        if found is None:
            return self._bridge()
        self._bridged = 0
        self._played_at[self._next] = None
        if len(self._played_at) > PLAYED:
            del self._played_at[next(iter(self._played_at))]
        self._next += found.units
        self._recent.extend([False] * found.units)
        return self._paced(found)

    def _begin(self) -> bool:
        """Begin with what is said now, as soon as enough shows that more is coming."""
        if not self._packets:
            return False
        last = max(self._packets)
        if self._end - min(self._packets) < START and self._packets[last].units < START:
            return False
        self._next = self._end - START
        if self._next not in self._packets:
            self._next = last
        self._skip_to(self._next)
        return True

    def _starve(self) -> Pulled:
        """Nothing is there: wait for it."""
        self._held += 1
        self._played += 1
        self._recent.append(True)
        self._forget()
        return Conceal() if self._held <= CONCEALED else Nothing()

    def _resume(self) -> None:
        """After waiting: what was bridged is left out if that was short and has not happened for
        a while; otherwise it is played, and everything from then on later."""
        assert self._next is not None
        if not self._held:
            return
        seldom = self._played - self._late_at > REMEMBERED and not self._settling
        if self._held <= FORGIVEN and seldom:
            self._skip_to(self._next + self._held)
        else:
            self._skip_to(min(self._next + self._held, *self._packets))
            self._calm = min(MOST_CALM, self._calm * 2)
        self._late_at = self._played
        self._held = 0

    def _bridge(self) -> Pulled:
        """A hole. It passes, unless waiting for a copy makes the buffer as deep as it should be;
        nobody waits for the end of a large one."""
        assert self._next is not None
        self._played += 1
        self._recent.append(True)
        self._bridged += 1
        if self._bridged > CONCEALED + self.floor:
            self._next = min(self._packets)
        elif self._end - self._next > self.floor:
            self._next += 1
        return Conceal()

    def _paced(self, found: Packet) -> Packet:
        """The packet at the speed that makes the depth what it should be."""
        assert self._next is not None
        self._played += found.units
        ahead = self._end - self._next
        self._depth += (ahead - self._depth) / 16
        while self._waiting and self._waiting[-1][1] >= ahead:
            self._waiting.pop()
        self._waiting.append((self._played, ahead))
        while self._waiting[0][0] <= self._played - MOST_CALM:
            self._waiting.popleft()
        wanted = self.floor + 1
        speed = PLAIN
        if self._settling and not self.lump:
            if self._least(SETTLED) > wanted:
                self._skip_to(self._next + self._least(SETTLED) - wanted)
                self._forget()
        elif self._least(SHORTLY) > wanted + HURRY + self.lump:
            speed = min(FASTEST, FAST + (ahead - wanted - HURRY - self.lump) // 4)
        elif self._least(self._calm) > wanted:
            speed = QUIET_FASTER
            self._calm = max(CALM, self._calm - found.units)
        elif ahead < self.floor:
            speed = QUIET_SLOWER
        return found if speed == PLAIN else Packet(found.data, found.units, found.kind, speed)

    def _least(self, units: int) -> int:
        """The fewest that waited in the last so many units; 0 if they are not all known."""
        since = self._played - units
        if self._known_since > since:
            return 0
        return next(ahead for at, ahead in self._waiting if at > since)

    def _forget(self) -> None:
        """What waited says nothing any more."""
        self._waiting.clear()
        self._known_since = self._played

    def _skip_to(self, first: int) -> None:
        """Play from there on; what reaches beyond it is played whole."""
        for at, packet in list(self._packets.items()):
            if at + packet.units <= first:
                self.left_out += self._packets.pop(at).units
            elif at < first:
                first = at
        if self._next is not None:
            self._next = first
