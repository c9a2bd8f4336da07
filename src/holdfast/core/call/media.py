"""The frames of a call that goes on: sound from here, sound from there, by live ways and in bursts.

Events in, commands out; `now` is in milliseconds, the same clock for all. Source: spec/call.md.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.choice import AWFUL, BAD, FELL, Choice
from holdfast.core.call.commands import Burst, Changed, Code, Command, Keep, Send, State
from holdfast.core.call.frames import FRAME_MS, BadFrame, Frame, decode
from holdfast.core.call.gathering import Gathering
from holdfast.core.call.jitter import Jitter, Pulled
from holdfast.core.call.receipts import RECOVERED, Receipts
from holdfast.core.call.routes import SILENT, Route, Routes
from holdfast.core.call.rungs import BURST, CODINGS, RUNGS, Rung
from holdfast.core.call.sender import Sender
from holdfast.core.call.story import Story, Why

LATE_MS: Final = 100
"""The sound card's rhythm may be so uneven before silence takes a place."""
EARLY_MS: Final = 120
STALE_MS: Final = 500
"""What waited longer is not sent any more when the line turns out to be thin,"""
WAITED_MS: Final = 1_500
"""or when so much waits beside a queue, and not because nothing passed for a while:"""
RESUMED_MS: Final = 15_000
HELLO_MS: Final = 60
"""Between two frames without sound until the other side has heard of one; each time doubled, to"""
LONGEST_HELLO_MS: Final = 480
NEAR_MS: Final = 100
FAR_MS: Final = 300
"""Who answers later than that may be behind a thin line: it is begun on a low rung, or a lower."""
CAREFUL: Final = 4
SAVE_MS: Final = 700
"""After so long without an answer what is said is coded thinner: all of it waits."""
TELL_MS: Final = 300
"""After so long what came is told in a frame without sound."""
PROBE_MS: Final = 100
"""Between two frames on a way that is silent."""
REPORT_MS: Final = 500
"""Between two reports on live ways while it is spoken in bursts."""
CROWD_MS: Final = 600
"""So much more patience there is with a way back on which a queue stands,"""
MOST_CROWD_MS: Final = 2_000
"""and with one there at most, twice as much as stood there;"""
YOUNG_MS: Final = 5_000
"""so long after a stream was begun on that may be thin, so much, until it is known how thin."""
YOUNG_CROWD_MS: Final = 1_000


class Media:
    """Nothing here rings or ends; `Machine` says when it is `open`."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.since = 0
        """When talking began."""
        self.muted = False
        self.their_muted = False
        self.offline = False
        self.bursts = False
        """What this side says goes in bursts."""
        self.their_bursts = False
        self.story = Story()
        self.rung = RUNGS[CAREFUL]
        """On which the microphone is coded."""
        self._due = 0
        self._sender = Sender()
        self._choice = Choice()
        self._routes = Routes()
        self._receipts = Receipts()
        self._jitter = Jitter()
        self._their_rung = RUNGS[0]
        self._their_ms = FRAME_MS
        self._their_frame = 0
        self._heard_at = 0
        self._doubling = False
        self._silent_since = 0
        self._probed = 0
        self._gathering = Gathering()
        self._reported = 0
        self._arrived_at = 0
        """When something was known to have arrived, by whichever way."""
        self._burst_at = 0
        self._resumed = 0
        self._saving = False
        """Nothing leaves, so that what is said is coded thinner."""
        self._begun = 0
        self._queue = 0
        """On the way there, in milliseconds, as the other side said last."""
        self._hello = 0
        self._double_until = self._doubled_at = 0
        self.away = 0
        """Since when nothing came, once that is worth saying."""

    @property
    def open(self) -> bool:
        """Frames go both ways."""
        return self.state in ("connecting", "talking")

    @property
    def lost(self) -> int:
        """Of a hundred frames, how many were missing lately."""
        return self._jitter.lost

    @property
    def route(self) -> int | None:
        """The number of the live way in use, if there is one."""
        current = self._routes.current
        return None if self.bursts or current is None else current.number

    @property
    def ways(self) -> tuple[int, ...]:
        """The numbers of all live ways that there are."""
        return tuple(one.number for one in self._routes.up)

    # Sound, from here.

    def microphone(self, number: int, packet: bytes, now: int) -> list[Command]:
        """A packet of the encoder, coded on the rung of this number. Without a place in the rhythm
        it is dropped."""
        rung = CODINGS.get(number)
        if rung is None or not self.open or len(packet) not in (0, rung.size):
            return []
        if now < self._due - EARLY_MS - rung.ms:
            return []
        self._due = max(self._due, now - LATE_MS - rung.ms) + rung.ms
        return self._speak(rung, b"" if self.muted else packet, now)

    def _speak(self, rung: Rung, packet: bytes, now: int) -> list[Command]:
        self._sender.speak(rung, packet, now)
        return self._pump(now)

    def _fill(self, now: int) -> list[Command]:
        """Silence where the sound card gave nothing."""
        out: list[Command] = []
        late = LATE_MS + self.rung.ms
        if now - self._due > late + 5 * FRAME_MS + self.rung.ms:
            self._due = now - late - 1  # after a sleep nothing is made up for
        while now - self._due > late:
            self._due += self.rung.ms
            out += self._speak(self.rung, b"", now)
        return out

    def routes(self, up: tuple[Route, ...], now: int) -> list[Command]:
        """These live ways there are now, the best first."""
        had = self._routes.up
        if up == had:
            return []
        self.offline = self.open and not up
        before = self._routes.current
        if self._routes.set(up, now) and self.open:
            if not self.bursts and self._routes.current is not None:
                self._silent_since = 0
            self._moved(before, Why("gone" if before else "came"), now)
        return []

    def _moved(self, before: Route | None, why: Why, now: int) -> None:
        """Another way is in use: what the last one swallowed is sent again."""
        after = self._routes.current
        by = None if after is None else after.number
        again = self._again(now, by) if self._sender.heard_of else 0
        self._doubled_at = 0  # what is sent again goes by this one
        self._choice.moved()
        if after is not None:
            self.story.note("way", why, now, str(after.number), again)
        elif before is not None:
            self.story.note("no-way", why, now, again=again)

    def _again(self, now: int, by: int | None = None) -> int:
        """What is under way, and not by this way, is sent again; only the last of it where it is
        late, not lost: all of it would fill a thin line for long. How many."""
        again = self._sender.send_again(by)
        if self._thin(now):
            self._sender.give_up(STALE_MS, now)
        else:
            self._resumed = now
        return again

    def _thin(self, now: int) -> bool:
        """Whether a queue stands, or has just been too much, and not because of an outage."""
        late = self._queue > BAD or now - self._choice.fell < FELL
        return late and now - self._resumed > RECOVERED

    def _pump(self, now: int) -> list[Command]:
        """Send what may leave."""
        if self.bursts:
            return self._gather(now)
        route = self._routes.current
        if route is None:
            return []
        if not self._sender.heard_of:
            if now - self._probed < self._hello:
                return []
            self._probed = now
            self._hello = min(LONGEST_HELLO_MS, max(HELLO_MS, 2 * self._hello))
            return [self._send(None, self._routes.turn(now) or route, now)]
        out: list[Command] = []
        silent = self._silent(now)
        crowded = self._receipts.crowded(now)
        every = max(CROWD_MS, int(self._sender.trip) // 4) if crowded else PROBE_MS
        if silent and now - self._probed >= every:
            asked = route if crowded else self._routes.ask(now)
            if asked is not None:
                self._probed = now
                out.append(self._send(None, asked, now))
        while len(out) < 3:
            spoken = self._sender.next(self._their_ms, now, silent)
            if spoken is None:
                break
            out.append(self._send(spoken, route, now))
            if self._silent_since:
                break
        every = max(TELL_MS, int(self._sender.trip) // 4)
        held = self._sender.waiting(now) > TELL_MS and now - self._reported >= every
        if held and not out and self._receipts.news and not silent and not self._doubling:
            # Nothing more may leave until they say what came, and they wait for that as well.
            out.append(self._send(None, route, now))
        return out

    def _send(self, spoken: Spoken | None, route: Route, now: int) -> Send:
        routes: tuple[Route, ...] = (route,)
        if self._doubling and spoken is not None:
            beside = self._routes.beside(now)
            if beside is not None:  # what is sent again went by the one in use already
                routes = (beside,) if spoken.made < self._doubled_at else (route, beside)
        report = self._receipts.report(now)
        self._reported = now
        plain = self._sender.frame(spoken, self.muted, report, routes, now)
        for one in routes:
            self._routes.sent(one, now)
        return Send(plain, tuple(one.number for one in routes))

    def _crowd(self, now: int) -> int:
        """So much more patience there is with a way on which a queue stands."""
        route = self._routes.current
        young = self._begun and now - self._begun < YOUNG_MS
        young = young and route is not None and not route.datagrams
        back = YOUNG_CROWD_MS if young else CROWD_MS * self._receipts.crowded(now)
        # After an outage a queue stands on any line.
        there = 2 * self._queue if now - self._resumed > RECOVERED else 0
        return max(back, min(MOST_CROWD_MS, there))

    def _patience(self, base: int) -> int:
        return base + int(self._sender.trip * 1.25) + self._their_ms

    def _silent(self, now: int) -> bool:
        """The way in use is silent: nothing more is thrown into it."""
        return (
            self.state == "talking"
            and self._sender.heard_of
            and self._routes.silence(now) > self._patience(SILENT)
        )

    # Sound, from there.

    def frame(self, counter: int, plain: bytes, now: int) -> list[Command]:
        """A frame of theirs that was opened; `counter` is its place in the order."""
        if not self.open:
            return []
        try:
            frame = decode(plain)
        except BadFrame:
            return []
        newer = self._receipts.frame(counter, frame.clock, now)
        if newer:
            if self._their_frame and now - self._their_frame > self._patience(SILENT):
                self._routes.again()  # theirs may be another connection, and mine pass with it
            self.their_muted = frame.muted
            if self._their_frame and frame.rung is not None:
                self._their_ms = frame.rung.ms
            elif frame.rung is None and self.their_bursts:
                self._their_ms = REPORT_MS
            self._their_frame = now
        out = self._report(frame, now)
        if self.state == "connecting":
            self._talk(now)
        self._heard(now)
        if frame.rung is not None:
            if newer:
                self._their_rung = frame.rung
                self.their_bursts = False
                self._jitter.floor = max(frame.rung.copies, default=0) * frame.rung.units
                self._jitter.lump = frame.rung.units - 1
            self._put(frame)
        return out

    def _talk(self, now: int) -> None:
        self.state, self.since = "talking", now
        self.story.begin(now)

    def _heard(self, now: int) -> None:
        self._heard_at = now
        self.away = 0

    def _put(self, frame: Frame) -> None:
        rung = frame.rung
        assert rung is not None
        self._jitter.put(frame.at, frame.packet, rung.units, rung.number)
        for copy, back in zip(frame.copies, rung.copies, strict=True):
            if copy and frame.at >= back * rung.units:
                self._jitter.put(frame.at - back * rung.units, copy, rung.units, rung.number)

    def _report(self, frame: Frame, now: int) -> list[Command]:
        report = frame.report
        unheard = not self._sender.heard_of
        arrived, lost = self._sender.reported(report, now)
        if arrived:
            self._arrived_at = now
        begins = unheard and self._sender.heard_of and not self.bursts
        out = self._begin(now) if begins else []
        if self._doubling and not self.bursts:
            self._sender.put_back(lost)  # they went into the silence
        for sent, size, numbers in arrived:
            self._choice.through(size, now)
            if len(numbers) == 1:
                oldest = self._sender.oldest(numbers[0], sent)
                self._routes.arrived(numbers[0], sent, oldest, now)
                before = self._routes.current
                if self._routes.answers(numbers[0], self._patience(SILENT), now):
                    self._silent_since = 0
                    if not self.bursts:
                        self._moved(before, Why("answers"), now)
                        self._choice.begin_at(self._choice.index, now)
        thin = self._thin(now)  # before it fell silent
        if report.seen is not None:
            self._queue = report.queue
        if report.seen is None or self.bursts or not self._sender.heard_of:
            return out
        route = self._routes.current
        if self._silent_since and route is not None and not self._silent(now):
            self._recovered(thin, now)
        waiting = self._sender.waiting(now)
        if route is None or now - self._resumed < RECOVERED:
            return out  # what waited meanwhile is no queue of this line
        trip = int(self._sender.trip)
        index = self._choice.index
        # What waits for a silent way says nothing of how much gets through.
        stands = 0 if self._silent_since else waiting
        changed = self._choice.consider(
            report.queue, stands, report.lost, trip, route.datagrams, now
        )
        thin = waiting > WAITED_MS and report.queue > BAD and now - self._resumed > RESUMED_MS
        if self._choice.index > index or thin:
            self._sender.give_up(STALE_MS, now)  # the line is thin: it would never catch up
            if report.queue > AWFUL:
                self._sender.drain()
        return out + self._code(now) if changed else out

    def _recovered(self, thin: bool, now: int) -> None:
        """The silent way answers."""
        silent = now - self._silent_since
        self._silent_since = 0
        self._resumed = self._resumed if thin else now
        again = 0
        current = self._routes.current
        assert current is not None
        if current.datagrams:
            again = self._sender.send_again()
        self.story.note("goes-on", Why("silent", (silent,)), now, again=again)

    def _begin(self, now: int) -> list[Command]:
        """The other side hears: what is said now leaves, and what was said just before."""
        self._sender.give_up(STALE_MS, now)
        self._routes.begin(now)  # what was sent before they were there says nothing of the ways
        self._begin_at(0, now)
        return self._code(now)

    def _begin_at(self, index: int, now: int) -> None:
        """Begin to speak live on this rung, or on a lower one, if the line may be thin."""
        index = max(index, self._careful)
        self._choice.begin_at(index, now, start=index > 0)
        self._begun = now if self._careful else 0

    @property
    def _careful(self) -> int:
        """The rung to begin on, by how soon an answer comes."""
        trip = max(self._sender.trip, self._sender.latest)
        return 0 if trip < NEAR_MS else CAREFUL if trip < FAR_MS else CAREFUL + 1

    def _code(self, now: int, why: Why | None = None) -> list[Command]:
        """Code the microphone as it is to be; thinner, while nothing leaves."""
        rung = self._gathering.rung if self.bursts else self._choice.rung
        if not self.bursts and self._saving and rung.rate > BURST.rate:
            rung = BURST
        if rung is self.rung:
            return []
        self.rung = rung
        self.story.note("coding", why or self._choice.why, now, rung.name)
        return [Code(rung)]

    def _save(self, now: int) -> list[Command]:
        """What cannot leave for long is much to send at once, when it can."""
        silent = now - self._silent_since if self._silent_since else 0
        if self._saving is (silent >= SAVE_MS):
            return []
        self._saving = not self._saving
        return self._code(now, Why("silent", (silent,)) if silent else Why("answers"))

    def pull(self) -> Pulled:
        """What the sound card is to play next."""
        return self._jitter.pull()

    # When no live way holds.

    def _burst(self, now: int, why: Why) -> list[Command]:
        """Speak in bursts, beginning with all of which nothing is known."""
        self.bursts, self._burst_at, self._saving = True, now, False
        self._doubling, self._silent_since = False, 0
        index = self._choice.index
        self._gathering.begin(self._sender.take(), self._sender.at, index, now)
        self.story.note("bursts", why, now)
        self._choice.why = Why("bursting")
        return [*self._code(now), *self._gather(now), Changed()]

    def _gather(self, now: int) -> list[Command]:
        return self._flush(now) if self._gathering.add(self._sender.take_waiting()) else []

    def _flush(self, now: int) -> list[Command]:
        """What was gathered leaves."""
        out: list[Command] = [Burst(one, self._jitter.end) for one in self._gathering.take()]
        if behind := self._gathering.behind(self._sender.at):
            self._choice.why = Why("behind", (behind * FRAME_MS,))
            out += self._code(now)
        return out

    def burst(self, data: bytes, upto: int, now: int) -> list[Command]:
        """A burst of theirs. Raises `BadFrame`."""
        packets = bursts.decode(data)
        self._gathering.reached(upto, self._sender.at)
        if not self.open:
            return self._late(packets) if self.state == "ended" and self.since else []
        if self.state == "connecting":
            self._talk(now)
        self._heard(now)
        if packets and packets[-1].end > self._jitter.end:
            self.their_bursts = True
            self._their_rung = packets[-1].rung
            self._jitter.floor, self._jitter.lump = 0, bursts.UNITS
        late = [
            one
            for one in packets
            if not self._jitter.put(one.at, one.packet, one.rung.units, one.rung.number)
            and not self._jitter.was_played(one.at)
        ]
        return self._late(late)

    def _late(self, packets: list[Spoken]) -> list[Command]:
        said = tuple(one for one in packets if one.packet)
        if not said:
            return []
        return [Keep(said[0].at * FRAME_MS, said)]

    def _unheard(self) -> list[Command]:
        """What came in bursts and is not played any more."""
        waits = [
            Spoken(at, CODINGS[packet.kind], packet.data) for at, packet in self._jitter.take()
        ]
        return self._late(waits)
