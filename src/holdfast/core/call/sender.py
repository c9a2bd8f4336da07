"""What is said, from the encoder to the other side's word that it came.

Frames leave as they are made, as long as what is under way is known to arrive. If not, they wait
here and nothing is thrown into a queue that already stands; what waits too long is given up. When
a way turns out to be dead, what it swallowed is sent again by the next one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from holdfast.core.call.bursts import Spoken
from holdfast.core.call.frames import MASK, Frame, Report, encode, size
from holdfast.core.call.routes import Route
from holdfast.core.call.rungs import DATAGRAM_BYTES, STREAM_BYTES, Rung

KEPT: Final = 8_000
"""Milliseconds that something said waits to be sent, at most."""
THIN: Final = 8_000
"""Bit/s below which a rung is for thin lines."""
STALE: Final = 500
"""Milliseconds of it that are kept while a queue is let run dry."""
ROOM: Final = 150
"""Milliseconds of sound that may be under way beside the way there and back."""
OVERTAKEN: Final = 4
"""Frames known to have arrived after one before it counts as lost."""
FIRST: Final = 160
"""Milliseconds that are sent again before it is known that some of it has arrived."""
FLYING: Final = 600
UNKNOWN: Final = 400
"""Milliseconds for the way there and back before any is known."""
WINDOW: Final = 15_000
"""Milliseconds over which the quickest way is remembered, once or twice."""


@dataclass(slots=True)
class _Flying:
    spoken: Spoken | None
    sent: int
    size: int
    routes: tuple[int, ...]
    sure: bool
    """It went by a way that loses nothing."""


class Sender:
    """Counters are those of the sealed frames, from 0 without gaps."""

    def __init__(self) -> None:
        self.at = 0
        """The unit to be said next."""
        self.trip = 0.0
        """There and back, smoothed; 0 until known."""
        self.latest = 0
        """There and back, as measured last."""
        self.dropped = 0
        """Units that were never sent."""
        self.again = 0
        """Frames sent again."""
        self._least = [UNKNOWN, UNKNOWN]
        self._turned: int | None = None
        self._count = 0
        self._queue: deque[Spoken] = deque()
        self._flying: OrderedDict[int, _Flying] = OrderedDict()
        self._recent: deque[Spoken] = deque(maxlen=8)
        self._seen = -1
        self._bytes = 0
        self._drains_to = 0
        """The counter before which everything is to have arrived first."""
        self._again_from = 0
        """The counter of the first frame since what was under way was to be sent again."""
        self._waits: int | None = None
        """Since when something is under way and nothing has arrived."""

    @property
    def heard_of(self) -> bool:
        """Whether the other side has ever said that something came."""
        return self._seen >= 0

    @property
    def least(self) -> int:
        """There and back without any queue, lately."""
        return min(self._least)

    def silence(self, now: int) -> int:
        """For how long something is under way, by whichever way, and nothing has arrived."""
        return 0 if self._waits is None else now - self._waits

    def waiting(self, now: int) -> int:
        """For how long the oldest that was not sent waits, in milliseconds."""
        return now - self._queue[0].made if self._queue else 0

    def speak(self, rung: Rung, packet: bytes, now: int) -> None:
        """A packet of the encoder, empty for silence."""
        one = Spoken(self.at, rung, packet, now)
        self.at += rung.units
        self._queue.append(one)
        self._recent.append(one)

    def next(self, theirs_ms: int, now: int, held: bool) -> Spoken | None:
        """What is to leave now; `held`: the way is silent, nothing more is sent into it. Before the
        other side has said that anything came, nothing does: it might not be there yet, or the
        line so thin that it would wait behind it for a minute."""
        self.give_up(KEPT, now)
        if not self._queue or held or not self.heard_of:
            return None
        rung = self._queue[-1].rung
        asks = self._seen < self._again_from  # the way may be thin, not dead
        if asks and self._count - self._again_from >= max(FIRST, self.trip * 1.25) / rung.ms:
            return None
        # On a thin line a frame takes up to its own time there, and the answer as long.
        room = self.least + theirs_ms + ROOM + (3 if rung.rate < THIN else 1) * rung.ms
        frame = size(rung) + STREAM_BYTES
        if next(iter(self._flying), self._count) < self._drains_to:
            self.give_up(STALE, now)
            return None
        if self._bytes > max(3, room / rung.ms) * frame:
            return None
        return self._queue.popleft()

    def drain(self) -> None:
        """Nothing leaves until all that is under way has arrived, or is lost."""
        self._drains_to = self._count

    def give_up(self, age: int, now: int) -> None:
        """What has waited longer is not sent any more."""
        while self._queue and now - self._queue[0].made > age:
            self.dropped += self._queue.popleft().rung.units

    def frame(
        self,
        spoken: Spoken | None,
        muted: bool,
        report: Report,
        routes: tuple[Route, ...],
        now: int,
    ) -> bytes:
        """The frame of it, noted as under way."""
        if spoken is None:
            plain = encode(Frame(None, muted=muted, clock=now, report=report))
        else:
            copies = tuple(self._copy(spoken, back) for back in spoken.rung.copies)
            plain = encode(Frame(spoken.rung, spoken.at, spoken.packet, copies, muted, now, report))
        sure = any(not route.datagrams for route in routes)
        wire = len(plain) + (STREAM_BYTES if sure else DATAGRAM_BYTES)
        numbers = tuple(route.number for route in routes)
        self._flying[self._count] = _Flying(spoken, now, wire, numbers, sure)
        self._bytes += wire
        self._count += 1
        self._waits = now if self._waits is None else self._waits
        while len(self._flying) > FLYING:
            self._bytes -= self._flying.popitem(last=False)[1].size
        return plain

    def _copy(self, spoken: Spoken, back: int) -> bytes:
        at = spoken.at - back * spoken.rung.units
        for one in self._recent:
            if one.at == at and one.rung is spoken.rung:
                return one.packet
        return b""

    def reported(
        self, report: Report, now: int
    ) -> tuple[list[tuple[int, int, tuple[int, ...]]], list[Spoken]]:
        """The other side says what came: when each left, its bytes, and by which routes; and what
        did not."""
        arrived: list[tuple[int, int, tuple[int, ...]]] = []
        lost: list[Spoken] = []
        if report.seen is None or report.seen >= self._count:
            return arrived, lost
        for counter in list(self._flying):
            if counter > report.seen:
                break
            back = report.seen - counter
            if back == 0 or (back <= MASK and report.mask >> (back - 1) & 1):
                one = self._flying.pop(counter)
                self._bytes -= one.size
                arrived.append((one.sent, one.size, one.routes))
                if back == 0 and report.held < 1000:
                    trip = max(0, now - one.sent - report.held)
                    self._measure(trip, now)
            elif back > MASK or (back >= OVERTAKEN and not self._flying[counter].sure):
                gone = self._flying.pop(counter)
                self._bytes -= gone.size
                if gone.spoken is not None:
                    lost.append(gone.spoken)
        self._seen = max(self._seen, report.seen)
        if arrived:
            self._waits = now if self._flying else None
        return arrived, lost

    def _measure(self, trip: int, now: int) -> None:
        self.latest = trip
        if self._turned is None:
            self.trip, self._least, self._turned = trip, [trip, trip], now
        self.trip += (trip - self.trip) / 8
        if now - self._turned > WINDOW:
            self._least, self._turned = [trip, self._least[0]], now
        self._least[0] = min(self._least[0], trip)

    def oldest(self, route: int, after: int) -> int | None:
        """When the first frame left by this route, at `after` or later, of which nothing is
        known."""
        return next(
            (
                one.sent
                for one in self._flying.values()
                if route in one.routes and one.sent >= after
            ),
            None,
        )

    def send_again(self, by: int | None = None) -> int:
        """What is under way is lost, but for what went `by` this way as well: it waits to be sent
        again, in its order. How many."""
        lost = []
        for counter, one in list(self._flying.items()):
            if by not in one.routes:
                del self._flying[counter]
                self._bytes -= one.size
                if one.spoken is not None:
                    lost.append(one.spoken)
        if lost:
            self._again_from = self._count
        return self.put_back(lost)

    def put_back(self, lost: list[Spoken]) -> int:
        """These are to be sent again, in their order. How many."""
        known = {one.at for one in self._queue}
        again = [one for one in lost if one.at not in known]
        self._queue = deque(sorted([*again, *self._queue], key=lambda one: one.at))
        self.again += len(again)
        return len(again)

    def take(self) -> list[Spoken]:
        """Everything of which nothing is known, to go another way."""
        self.send_again()
        return self.take_waiting()

    def take_waiting(self) -> list[Spoken]:
        """Everything that was not sent, to go another way."""
        out, self._queue = list(self._queue), deque()
        return out
