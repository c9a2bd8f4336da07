"""One call between two people, from ringing to the end.

Events in, commands out; the frames it sends and takes are plain, sealing is its driver's.
Nothing of the microphone leaves before this side's person has accepted, or before the other
side's has: until then there is no state in which a frame is sent. Source: spec/call.md.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.core.call.frames import FRAME_MS, PACKET, BadFrame, Frame, decode, encode
from holdfast.core.call.jitter import Jitter, Pulled

RING_MS: Final = 60_000
"""How long it rings."""
CONNECT_MS: Final = 30_000
"""From accepting until something is heard."""
LOST_MS: Final = 120_000
"""Nothing came for so long: it is over."""
AWAY_MS: Final = 2_000
"""Nothing came for so long: say so."""
LATE_MS: Final = 100
"""The sound card's rhythm may be so uneven before a frame of silence takes a place."""
EARLY_MS: Final = 120
SENT: Final = 256
"""Frames whose time of sending is remembered, to measure the way there and back."""

State = Literal["calling", "ringing", "connecting", "talking", "ended"]
Step = Literal["ringing", "accept", "decline", "busy", "end"]
Reason = Literal["", "hung-up", "declined", "busy", "missed", "unanswered", "lost", "failed"]


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the other side, durably, over the messages' way."""

    step: Step


@dataclass(frozen=True, slots=True)
class Attach:
    """Both accepted: follow the call's logs and begin to send."""


@dataclass(frozen=True, slots=True)
class Send:
    """Seal this frame and pass it on, now or never."""

    plain: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that people see is not what it was."""


@dataclass(frozen=True, slots=True)
class Over:
    """The call has ended: let go of everything."""


Command = Say | Attach | Send | Changed | Over


class Machine:
    """`now` is in milliseconds, the same clock for all calls of all methods."""

    def __init__(self, outgoing: bool, now: int) -> None:
        self.outgoing = outgoing
        self.state: State = "calling" if outgoing else "ringing"
        self.reason: Reason = ""
        self.since = 0
        """When talking began."""
        self.until = 0
        self.muted = False
        self.their_muted = False
        self.away = 0
        self.offline = False
        self.delay = 0
        self._began = now
        self._accepted = 0
        self._due = 0
        self._sent: OrderedDict[int, int] = OrderedDict()
        self._count = 0
        self._jitter = Jitter()
        self._seen: int | None = None
        self._seen_at = 0
        self._round = 0.0
        self._shown: tuple[object, ...] = ()

    @property
    def open(self) -> bool:
        """Frames go both ways."""
        return self.state in ("connecting", "talking")

    @property
    def lost(self) -> int:
        """Of a hundred frames, how many were missing lately."""
        return self._jitter.lost

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
        self._accepted = self._seen_at = self._due = now
        return [Attach(), Changed()]

    def _end(self, reason: Reason, now: int, *first: Command) -> list[Command]:
        self.state, self.reason, self.until = "ended", reason, now
        return [*first, Changed(), Over()]

    # Sound.

    def microphone(self, packet: bytes, now: int) -> list[Command]:
        """A packet of the sound card. Without a place in the rhythm it is dropped."""
        if not self.open or now < self._due - EARLY_MS or len(packet) > PACKET:
            return []
        self._due = max(self._due, now - 5 * FRAME_MS) + FRAME_MS
        return [self._frame(b"" if self.muted else packet, now)]

    def _frame(self, packet: bytes, now: int) -> Send:
        held = 0 if self._seen is None else now - self._seen_at
        self._sent[self._count] = now
        self._count += 1
        if len(self._sent) > SENT:
            self._sent.popitem(last=False)
        return Send(encode(Frame(packet, self.muted, self._seen, held, self.lost)))

    def frame(self, counter: int, plain: bytes, now: int) -> list[Command]:
        """A frame of theirs that was opened; `counter` is its place in the order."""
        if not self.open:
            return []
        try:
            frame = decode(plain)
        except BadFrame:
            return []
        out: list[Command] = []
        if self._seen is None or counter > self._seen:
            self._seen = counter
            self._seen_at = now
            self.their_muted = frame.muted
            if frame.seen is not None and frame.held < 255:
                self._measure(frame.seen, frame.held, now)
        if self.state == "connecting":
            self.state, self.since = "talking", now
        self.away = 0
        self._jitter.put(counter, frame.packet)
        return out + self._show()

    def _measure(self, seen: int, held: int, now: int) -> None:
        sent = self._sent.get(seen)
        if sent is not None:
            trip = max(0, now - sent - held)
            self._round = trip if not self._round else self._round + (trip - self._round) / 16

    def pull(self) -> Pulled:
        """What the sound card is to play next."""
        return self._jitter.pull()

    # Time.

    def line(self, up: bool, now: int) -> list[Command]:
        """This side's way to the relay is there, or not."""
        self.offline = self.open and not up
        return self._show()

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
            return []
        if self.state == "connecting" and now - self._accepted >= CONNECT_MS:
            return self._end("failed", now, Say("end"))
        quiet = now - self._seen_at
        if self.state == "talking" and quiet >= LOST_MS:
            return self._end("lost", now, Say("end"))
        out: list[Command] = []
        if now - self._due > 10 * FRAME_MS:
            self._due = now - FRAME_MS  # after a sleep nothing is made up for
        while now - self._due > LATE_MS:
            self._due += FRAME_MS
            out.append(self._frame(b"", now))
        if self.state == "talking" and quiet >= AWAY_MS and not self.away:
            self.away = self._seen_at
        self.delay = int(self._round / 2) + self._jitter.depth_ms + FRAME_MS
        return out + self._show()

    def _show(self) -> list[Command]:
        """Tell what people see, if it is not what it was; figures in coarse steps."""
        shown = (
            self.state,
            self.their_muted,
            self.away,
            self.offline,
            self.delay // 50,
            self.lost // 5,
        )
        if shown == self._shown:
            return []
        self._shown = shown
        return [Changed()]
