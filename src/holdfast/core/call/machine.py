"""One call between two people, from ringing to the end.

Events in, commands out; the frames it sends and takes are plain, sealing is its driver's.
Nothing of the microphone leaves before this side's person has accepted, or before the other
side's has: until then there is no state in which a frame is sent. Source: spec/call.md.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.call import bursts
from holdfast.core.call.commands import Attach, Changed, Command, Line, Over, Reason, Say
from holdfast.core.call.frames import FRAME_MS
from holdfast.core.call.routes import Route
from holdfast.core.call.story import Way
from holdfast.core.call.watch import Watched

RING_MS: Final = 60_000
"""How long it rings."""
CONNECT_MS: Final = 30_000
"""From accepting until something is heard."""
LOST_MS: Final = 120_000
"""Nothing came for so long: it is over."""
AWAY_MS: Final = 2_000
"""Nothing came for so long: say so."""
AWAY_BURSTS_MS: Final = 9_000


class Machine(Watched):
    """`now` is in milliseconds, the same clock for all calls of all methods."""

    def __init__(self, outgoing: bool, now: int) -> None:
        super().__init__("calling" if outgoing else "ringing", now)
        self.outgoing = outgoing
        self.reason: Reason = ""
        self.until = 0
        self.delay = 0
        self._began = now
        self._accepted = 0
        self._shown: tuple[object, ...] = ()

    @property
    def line(self) -> Line:
        """What is between the two, the worse of both ways."""
        if self.away or self.offline:
            return "broken"
        if self.bursts or self.their_bursts:
            return "pieces"
        rungs = (self.rung, self._their_rung)
        if any(rung.codec == "codec2" for rung in rungs):
            return "dotted"
        return "thin" if any(rung.rate < 8_000 for rung in rungs) else "whole"

    # What people do.

    def accept(self, now: int) -> list[Command]:
        """This side's person answers."""
        if self.outgoing or self.state != "ringing":
            return []
        return [Say("accept"), *self._connect(now)]

    def decline(self, now: int) -> list[Command]:
        """This side's person does not answer."""
        if self.outgoing or self.state != "ringing":
            return []
        return self._end("declined", now, Say("decline"))

    def hang_up(self, now: int) -> list[Command]:
        """This side's person ends it."""
        if self.state == "ended":
            return []
        if not self.outgoing and self.state == "ringing":
            return self.decline(now)
        reason: Reason = "hung-up" if self.open else "unanswered"
        return self._end(reason, now, Say("end"))

    def mute(self, muted: bool) -> list[Command]:
        """Send silence, or sound again."""
        if self.state == "ended" or self.muted == muted:
            return []
        self.muted = muted
        return [Changed()]

    # What the other side says.

    def heard(self, step: str, now: int) -> list[Command]:
        """A step of theirs; one that has no place here changes nothing."""
        if self.state == "ended":
            return []
        if self.outgoing and self.state in ("calling", "ringing"):
            match step:
                case "ringing" if self.state == "calling":
                    self.state = "ringing"
                    return [Changed()]
                case "accept":
                    return self._connect(now)
                case "decline":
                    return self._end("declined", now)
                case "busy":
                    return self._end("busy", now)
        if step == "end":
            if self.open:
                return self._end("hung-up", now)
            return self._end("unanswered" if self.outgoing else "missed", now)
        return []

    def _connect(self, now: int) -> list[Command]:
        self.state = "connecting"
        self._accepted = self._heard_at = self._due = now
        return [Attach(), Changed()]

    def _end(self, reason: Reason, now: int, *first: Command) -> list[Command]:
        if self.bursts:
            first = (*self._flush(now), *first)  # nothing that was said is lost
        if self.their_bursts:
            first = (*first, *self._unheard())
        self.state, self.reason, self.until = "ended", reason, now
        return [*first, Changed(), Over()]

    # What comes and goes while it is open, and what people see of it.

    def routes(self, up: tuple[Route, ...], now: int) -> list[Command]:
        """These live ways there are now, the best first."""
        return self._seen(super().routes(up, now))

    def frame(self, counter: int, plain: bytes, now: int) -> list[Command]:
        """A frame of theirs that was opened; `counter` is its place in the order."""
        return self._seen(super().frame(counter, plain, now))

    def burst(self, data: bytes, upto: int, now: int) -> list[Command]:
        """A burst of theirs. Raises `BadFrame`."""
        return self._seen(super().burst(data, upto, now))

    def _seen(self, out: list[Command]) -> list[Command]:
        return out + self._show() if self.open else out

    def tick(self, now: int) -> list[Command]:
        """Time has passed: call it every `FRAME_MS` while the call is `open`, else every
        second or so."""
        if self.state == "ended":
            return []
        if not self.open:
            if now - self._began >= RING_MS:
                if self.outgoing:
                    return self._end("unanswered", now, Say("end"))
                return self._end("missed", now)
            # If it does not even ring, the ring may wait in a connection that only seems to stand.
            return self._doubts(now) if self.state == "calling" else []
        if self.state == "connecting" and now - self._accepted >= CONNECT_MS:
            return self._end("failed", now, Say("end"))
        quiet = now - self._heard_at
        if self.state == "talking" and quiet >= LOST_MS:
            return self._end("lost", now, Say("end"))
        out = self._fill(now)
        out += self._watch(now)
        if self.state == "talking":
            away = AWAY_BURSTS_MS if self.their_bursts else AWAY_MS
            if quiet >= away and not self.away:
                self.away = self._heard_at
        out += self._pump(now)
        self.delay = int(self._sender.trip / 2) + self._jitter.depth_ms + self._their_rung.ms
        if self.their_bursts:
            self.delay += bursts.UNITS * FRAME_MS
        self._sample(now)
        return out + self._show()

    def _sample(self, now: int) -> None:
        way: Way = "bursts" if self.bursts else "none" if self._routes.current is None else "live"
        name = "bursts" if self.their_bursts else self._their_rung.name
        self.story.sample(name, way, self.delay, self.lost, now)

    def _show(self) -> list[Command]:
        """Tell what people see, if it is not what it was; figures in coarse steps."""
        shown = (
            self.state,
            self.their_muted,
            self.away,
            self.offline,
            self.line,
            self.delay // 50,
            self.lost // 5,
        )
        if shown == self._shown:
            return []
        self._shown = shown
        return [Changed()]
