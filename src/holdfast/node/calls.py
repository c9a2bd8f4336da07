"""Calls of this node: at most one at a time, its keys, its logs, its sound.

What is said about a call goes the way of messages and is durable; what is heard in it are
live frames on two logs that the caller makes, one each way. Nothing here touches those logs
before both sides have accepted. Source: spec/call.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

from holdfast.core import reflect
from holdfast.core.call import commands
from holdfast.core.call.frames import FRAME_MS, BadFrame
from holdfast.core.call.jitter import Nothing, Pulled
from holdfast.core.call.machine import Machine
from holdfast.core.call.pace import Pace
from holdfast.core.call.routes import Route
from holdfast.core.call.rungs import CODINGS
from holdfast.core.caps import Caps, Home
from holdfast.core.chat import content
from holdfast.core.log.events import By
from holdfast.core.seal.frame import FrameError, Opener, Sealer
from holdfast.core.seen import SMALL
from holdfast.drive.logs import Down, Live, LogEvent, Logs, Refused, Up
from holdfast.node import ringing
from holdfast.node.desk import Desk
from holdfast.node.direct import Direct
from holdfast.node.keeper import Work
from holdfast.node.late import Late
from holdfast.node.ringing import ELSEWHERE, Doubtful, Terms, over, ring, rung, say, told
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Call, CallChanged, Event
from holdfast.node.sound import SoundSession
from holdfast.node.thin import Thin

TICK: Final = FRAME_MS / 1000
RING_TICK: Final = 0.5
FAREWELL_SECONDS: Final = 2.0
WITHDRAWN: Final = 2.0
"""Seconds in which the end of a ring that waited somewhere comes after it."""
MARK: Final = 5_000
"""Milliseconds between two notes of how long was talked, for a node that is killed meanwhile."""
AGAIN: Final = 1.0
"""Seconds before a log that is not there yet is asked for again."""
UNSENT: Final = 4096
"""Bytes that may wait in a connection: what comes after them would be stale."""
MUTE: Final = 0.18
"""Seconds without an answer after which datagrams are taken for dead."""
DIRECT: Final = 2 * content.MAX_HOMES
"""The number of the route without any relay; those before are of the homes."""
ONE_RECORD: Final = 1
"""The logs take live frames; a log that takes no records at all cannot be made."""

Said = content.Ring | content.Answer | content.Burst | content.Places
Submit = Callable[[Callable[[Work], Any]], "asyncio.Future[Any] | None"]


class Current:
    """The call that is going on."""

    def __init__(self, contact: str, terms: Terms, machine: Machine) -> None:
        self.id = terms.id.hex()
        self.contact = contact
        self.terms = terms
        self.machine = machine
        self.pace = Pace()
        self.random = b""
        """The callee's, once accepted; with its nonce."""
        self.nonce = b""
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
        self.sound: SoundSession | None = None
        self.direct: Direct | None = None
        self.asking: asyncio.Task[None] | None = None
        self.places: list[tuple[str, int]] = []
        """Where the contact was said to be on the local network before it was asked."""
        self.straight = False
        """Both allow that frames go straight wherever they are."""
        self.elsewhere = False
        """Another device of this person's has it."""
        self.talked = 0
        """Milliseconds, as noted last."""

    @property
    def side(self) -> str:
        """Which of the two this node is."""
        return "caller" if self.machine.outgoing else "callee"

    @property
    def other(self) -> str:
        """Which the contact is."""
        return "callee" if self.machine.outgoing else "caller"


class Calls:
    """On the loop's thread; `desk` is for jobs only."""

    def __init__(
        self,
        desk: Desk,
        logs: Callable[[Callable[[LogEvent], None]], Logs],
        submit: Submit,
        tell: Callable[[Event], None],
        clock: Callable[[], int],
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self._desk = desk
        self._doubt = doubt
        self._logs = logs(self._on_event)
        self._submit = submit
        self._tell = tell
        self._clock = clock
        self._call: Current | None = None
        self._coming: dict[tuple[str, bytes], str] = {}
        """Rings that are being looked at, by contact and call: how they ended meanwhile, or ""."""
        self._ticking: asyncio.Task[None] | None = None
        self._thin = Thin()
        self._late = Late(desk, submit, self._thin)
        self._sending: Caps | None = None
        self.place: Callable[[str, bytes, int], None] = lambda contact, call, port: None
        """Told at which port frames of a call are taken, for a contact on the local network."""
        self.here: Callable[[str], bool] = lambda contact: False
        """Whether a contact is there."""
        self.straight = False
        """Whether frames may go straight beyond the local network, if both people allow it."""

    async def stop(self) -> None:
        """The node ends, and the call with it: the contact is told, if the disk is quick."""
        if self._call is not None:
            self._do(self._call.machine.hang_up(_now()))
            if (said := self._submit(lambda work: None)) is not None:
                await asyncio.wait([said], timeout=FAREWELL_SECONDS)
        if self._ticking is not None:
            self._ticking.cancel()
        self._late.stop()
        await self._thin.stop()
        await self._logs.stop()

    @property
    def homes(self) -> set[Home]:
        """The relays over which somebody talks."""
        call = self._call
        return set(call.terms.homes) if call is not None and call.machine.open else set()

    # Calls of the API.

    def current(self) -> list[Call]:
        """The call that is going on, if any."""
        return [] if self._call is None else [self._view(self._call)]

    async def start(self, contact: str, run: Callable[..., Any]) -> Call:
        """Ring a contact, given by id. `run` does a job and answers with its result."""
        self._free_or_raise()
        terms = await run(lambda desk, work: ring(desk, work, contact))
        self._free_or_raise()
        self._begin(Current(contact, terms, Machine(True, _now())))
        call = self._call
        assert call is not None
        for home in terms.homes:
            for side in ("caller", "callee"):
                self._logs.create(terms.caps(side), home, ONE_RECORD)
        return self._view(call)

    def _free_or_raise(self) -> None:
        if self._call is not None:
            raise ApiError("taken", "there is a call going on already; end it first")

    def accept(self, id: str) -> Call:
        """Answer."""
        call = self._find(id)
        if call.machine.outgoing or call.machine.state != "ringing":
            return self._view(call)
        call.random, call.nonce = self._desk.entropy(32), self._desk.entropy(16)
        call.straight = self.straight and call.terms.direct
        self._do(call.machine.accept(_now()))
        return self._view(call)

    def decline(self, id: str) -> Call:
        """Do not answer."""
        call = self._find(id)
        self._do(call.machine.decline(_now()))
        return self._view(call)

    def hang_up(self, id: str) -> Call:
        """End it."""
        call = self._find(id)
        self._do(call.machine.hang_up(_now()))
        return self._view(call)

    def mute(self, id: str, muted: bool) -> Call:
        """Send silence, or sound again."""
        call = self._find(id)
        self._do(call.machine.mute(muted))
        return self._view(call)

    def _find(self, id: str) -> Current:
        if self._call is None or self._call.id != id:
            raise ApiError("not-found", "this call is over")
        return self._call

    # The interface's sound.

    def join(self, id: str) -> SoundSession | None:
        """An interface brings microphone and ear; it takes the place of one before it."""
        if self._call is None or self._call.id != id:
            return None
        if not self._call.machine.open and not self._call.machine.outgoing:
            return None
        if self._call.sound is not None:
            self._call.sound.dismiss("another window has the sound of this call now")
        self._call.sound = SoundSession(self, self._call.machine.rung, self._thin)
        return self._call.sound

    def microphone(self, number: int, packet: bytes) -> None:
        """A packet from the sound card: it leaves in an even rhythm."""
        rung = CODINGS.get(number)
        if self._call is not None and rung is not None:
            loop = asyncio.get_running_loop()
            leaves = self._call.pace.leaves(loop.time() * 1000, rung.ms) / 1000
            loop.call_at(leaves, self._speak, self._call, number, packet)

    def _speak(self, call: Current, number: int, packet: bytes) -> None:
        if self._call is call:
            self._do(call.machine.microphone(number, packet, _now()))

    def pull(self) -> Pulled:
        """What is to be played next."""
        if self._call is None:
            return Nothing()
        return self._call.machine.pull()

    def left(self, sound: SoundSession) -> None:
        """This interface is gone; the call goes on without it."""
        if self._call is not None and self._call.sound is sound:
            self._call.sound = None

    # What the contact says.

    def heard(self, contact: str, said: Said, live: bool = False) -> None:
        """Something about a call came, and was committed. `live`: nobody had kept it for long."""
        if isinstance(said, content.Ring):
            self._coming[contact, said.call] = ""
            self._rung(contact, said, None if live else False)
            return
        if (contact, said.call) in self._coming:
            if isinstance(said, content.Answer) and said.step in ("end", ELSEWHERE):
                self._coming[contact, said.call] = "missed" if said.step == "end" else ELSEWHERE
            return
        call = self._call
        if isinstance(said, content.Burst):
            if call is not None and (call.contact, call.terms.id) == (contact, said.call):
                with contextlib.suppress(BadFrame):
                    self._do(call.machine.burst(said.data, said.upto, _now()))
            else:
                self._late.came(contact, said.call, said.data)
            return
        if call is None or call.terms.id != said.call:
            return
        if call.contact != contact and not self._turns(call, contact, said):
            return
        if isinstance(said, content.Places):
            self._told(call, said)
            return
        if said.step == ELSEWHERE:
            if not call.machine.outgoing and call.machine.state == "ringing":
                call.elsewhere = True
                self._do(call.machine.heard("end", _now()))
            return
        if said.step in ("accept", "decline"):
            self._leave_others(call)
        if said.step == "accept":
            if len(said.random) != 32 or len(said.nonce) != 16 or call.random:
                return
            call.random, call.nonce = said.random, said.nonce
            call.straight = self.straight and call.terms.direct and said.direct
        self._do(call.machine.heard(said.step, _now()))

    def _turns(self, call: Current, line: str, said: Said) -> bool:
        """Another device of the callee's speaks; whether the call goes on with that one."""
        if line not in call.terms.lines or call.random or not isinstance(said, content.Answer):
            return False
        if said.step == "busy":
            return False
        if said.step in ("accept", "decline"):
            device, conversation = call.terms.lines[line]
            call.contact = line
            call.terms.devices = (call.terms.devices[0], device)
            call.terms.conversation = conversation
        return True

    def _leave_others(self, call: Current) -> None:
        """One device has answered: the others ring no longer."""
        for line in call.terms.lines:
            if line != call.contact and not call.random:
                self._answer(line, call.terms, ELSEWHERE)

    def _rung(self, contact: str, said: content.Ring, sure: bool | None) -> None:
        found = self._submit(lambda work: rung(self._desk, work, contact, said, sure))
        if found is not None:
            found.add_done_callback(lambda found: self._looked(contact, said, found))

    def _looked(
        self, contact: str, said: content.Ring, found: asyncio.Future[Terms | Doubtful | None]
    ) -> None:
        terms = None if found.cancelled() or found.exception() is not None else found.result()
        if isinstance(terms, Doubtful):
            # Somebody's clock is wrong, or it waited at theirs: then its end comes with it.
            loop = asyncio.get_running_loop()
            loop.call_later(WITHDRAWN, self._rung, contact, said, True)
            return
        ended = self._coming.pop((contact, said.call), "")
        if terms is not None and ended:
            self._note(contact, said.call, ended, 0)
        elif terms is not None:
            self._rings(contact, terms)

    def _rings(self, contact: str, terms: Terms) -> None:
        mine = self._call
        both = (
            mine is not None
            and mine.contact == contact
            and mine.machine.outgoing
            and mine.machine.state in ("calling", "ringing")
        )
        if mine is not None and not both:
            self._answer(contact, terms, "busy")
            self._note(contact, terms.id, "missed", 0)
            return
        if mine is not None and mine.terms.id < terms.id:
            return  # both rang: theirs accepts mine, which has the lower id
        if mine is not None:
            self._close(mine)
        self._begin(Current(contact, terms, Machine(False, _now())))
        if mine is not None:
            self.accept(terms.id.hex())
        else:
            self._answer(contact, terms, "ringing")

    # The machine's commands.

    def _begin(self, call: Current) -> None:
        self._call = call
        self._tell(CallChanged(self._view(call)))
        self._tick_from_now()

    def _do(self, wanted: list[commands.Command]) -> None:
        call = self._call
        if call is None:
            return
        changed = False
        for command in wanted:
            match command:
                case commands.Send(plain, routes):
                    self._send(call, plain, routes)
                case commands.Burst(data, upto):
                    self._burst(call, content.Burst(call.terms.id, data, upto))
                case commands.Code(rung):
                    if call.sound is not None:
                        call.sound.code(rung)
                case commands.Keep(_, packets):
                    self._late.keep(call.contact, call.terms.id, packets)
                case commands.Doubt():
                    self._doubt()
                case commands.Say(step):
                    lines = [call.contact]
                    if call.machine.outgoing and not call.random:
                        lines = list(call.terms.lines)  # all of them ring
                    for line in lines:
                        self._answer(line, call.terms, step, call.random, call.nonce)
                case commands.Attach():
                    self._attach(call)
                case commands.Changed():
                    changed = True
                case commands.Over():
                    self._over(call)
        if changed:
            self._tell(CallChanged(self._view(call)))

    def _attach(self, call: Current) -> None:
        terms = call.terms
        key, kid = terms.key(call.side, call.random, call.nonce)
        call.sealer = Sealer(key, kid)
        key, kid = terms.key(call.other, call.random, call.nonce)
        call.opener = Opener(key, kid)
        self._sending = terms.caps(call.side).only("append")
        for home in terms.homes:
            self._follow(call, home)
            self._logs.pass_on(self._sending, home, b"", 0, "stream")
        self._open_direct(call)
        self._tick_from_now()

    # Without a relay.

    @staticmethod
    def _is_local(call: Current) -> bool:
        """Whether the local network is all there is."""
        only = call.direct is not None and call.machine.ways == (DIRECT,)
        return only and call.direct is not None and call.direct.local

    def _open_direct(self, call: Current) -> None:
        """A port for the frames of the call, if the contact is on the local network or both allow
        it."""
        if call.direct is not None or not (call.straight or self.here(call.contact)):
            return

        def opened(port: int) -> None:
            self.place(call.contact, call.terms.id, port)
            if call.straight:
                call.asking = asyncio.create_task(self._tell_places(call))

        base = call.terms.base(call.random)
        call.direct = Direct(base, call.side, self._desk.entropy, _now, self._frame)
        call.direct.open(opened)
        for address in call.places:
            call.direct.offer(address, local=True)

    async def _tell_places(self, call: Current) -> None:
        """To a contact who may know: where this machine is, as it sees itself and as relays do."""
        assert call.direct is not None
        found = await call.direct.places(call.terms.homes, self._clock)
        if self._call is call and call.machine.open and found:
            said = content.Places(call.terms.id, tuple(reflect.pack(one) for one in found))
            self._submit(lambda work: say(self._desk, work, call.contact, said))

    def _told(self, call: Current, said: content.Places) -> None:
        """Where the contact is; of no use unless both allowed it."""
        if call.direct is not None and call.straight:
            for place in said.places:
                if (address := reflect.unpack(place)) is not None:
                    call.direct.offer(address)

    def placed(self, contact: str, id: bytes, address: tuple[str, int] | None) -> None:
        """A contact on the local network takes frames of a call there; without a call, it has come
        to that network."""
        call = self._call
        if call is None or call.contact != contact:
            return
        if not id and call.machine.open:
            if call.direct is None:
                self._open_direct(call)
            elif call.direct.port:
                self.place(contact, call.terms.id, call.direct.port)
        elif id == call.terms.id and address is not None:
            call.places = [*call.places, address][-4:]
            if call.direct is not None:
                call.direct.offer(address, local=True)

    def _follow(self, call: Current, home: Home) -> None:
        if self._call is call:
            self._logs.follow(call.terms.caps(call.other).only("read"), home, 0, bare=True)

    def _send(self, call: Current, plain: bytes, routes: tuple[int, ...]) -> None:
        if call.sealer is None or self._sending is None:
            return
        frame = call.sealer.seal(plain)
        for number in routes:
            if number == DIRECT:
                if call.direct is not None:
                    call.direct.send(frame)
                continue
            home = call.terms.homes[number // 2]
            by: By = "stream" if number % 2 else "datagram"
            self._logs.pass_on(self._sending, home, frame, UNSENT, by)

    def _burst(self, call: Current, burst: content.Burst) -> None:
        self._submit(lambda work: say(self._desk, work, call.contact, burst))

    def _routes(self, call: Current) -> tuple[Route, ...]:
        """The live ways there are: each home's datagrams, its stream behind them. Small exchanges
        are none: they bring what is said in bursts."""
        found = []
        for place, home in enumerate(call.terms.homes):
            if not self._logs.is_up(home) or self._logs.path(home) == SMALL:
                continue
            link = self._logs.link(home)
            if link is not None and link.silent < MUTE + link.rtt:
                found.append(Route(2 * place, datagrams=True))
            found.append(Route(2 * place + 1))
        found.sort(key=lambda route: (not route.datagrams, route.number))
        if call.direct is not None and call.direct.up:
            found.insert(0, Route(DIRECT, datagrams=True))
        return tuple(found)

    def _frame(self, sealed: bytes) -> None:
        """A frame came, by whichever way."""
        call = self._call
        if call is None or call.opener is None:
            return
        with contextlib.suppress(FrameError):
            counter, plain = call.opener.open(sealed)
            self._do(call.machine.frame(counter, plain, _now()))

    def _on_event(self, event: LogEvent) -> None:
        call = self._call
        if call is None:
            return
        match event:
            case Live(_, _, _, body):
                self._frame(body)
            case Up(home):
                if call.machine.open and self._sending is not None:
                    # Ready for frames before there are any.
                    self._logs.pass_on(self._sending, home, b"", 0, "stream")
                self._do(call.machine.routes(self._routes(call), _now()))
            case Down():
                self._do(call.machine.routes(self._routes(call), _now()))
            case Refused(_, home, "attach") if call.machine.open:
                loop = asyncio.get_running_loop()
                loop.call_later(AGAIN, self._follow, call, home)

    def _tick_from_now(self) -> None:
        if self._ticking is not None and not self._ticking.done():
            self._ticking.cancel()
        self._ticking = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while self._call is not None:
            await asyncio.sleep(TICK if self._call.machine.open else RING_TICK)
            call = self._call
            if call is not None:
                if call.direct is not None:
                    call.direct.tick()
                if call.machine.open:
                    self._do(call.machine.routes(self._routes(call), _now()))
                self._do(call.machine.tick(_now()))
                self._mark(call)

    def _mark(self, call: Current) -> None:
        talked = _now() - call.machine.since if call.machine.since else 0
        if talked >= call.talked + MARK:
            call.talked = talked
            self._submit(lambda work: ringing.talked(work, call.terms.id, talked))

    def _answer(
        self, contact: str, terms: Terms, step: str, random: bytes = b"", nonce: bytes = b""
    ) -> None:
        said = content.Answer(terms.id, step)
        if step == "accept":
            said = content.Answer(terms.id, step, random, nonce, self.straight and terms.direct)
        self._submit(lambda work: say(self._desk, work, contact, said))

    def _over(self, call: Current) -> None:
        reason = call.machine.reason
        outcome = "talked" if call.machine.since and reason != "failed" else reason
        if outcome == "hung-up":
            outcome = "failed"
        duration = call.machine.until - call.machine.since if call.machine.since else 0
        how = ELSEWHERE if call.elsewhere else outcome
        self._note(call.contact, call.terms.id, how, duration, told(call.machine.story))
        self._close(call)

    def _close(self, call: Current) -> None:
        self._call = self._sending = None
        if call.sound is not None:
            call.sound.dismiss("the call is over")
        if call.asking is not None:
            call.asking.cancel()
        if call.direct is not None:
            call.direct.close()
        for home in call.terms.homes:
            self._logs.close(home)

    def _note(self, contact: str, id: bytes, outcome: str, duration: int, story: str = "") -> None:
        self._submit(lambda work: over(self._desk, work, contact, id, outcome, duration, story))

    def _view(self, call: Current) -> Call:
        one = call.machine
        # The machine's clock never jumps; people are shown the one on the wall.
        wall = self._clock() - _now()
        return Call(
            id=call.id,
            contact=call.terms.contact,
            outgoing=one.outgoing,
            state=one.state,
            reason=one.reason,
            since=one.since + wall if one.since else 0,
            muted=one.muted,
            their_muted=one.their_muted,
            line="double" if self._is_local(call) and one.line == "whole" else one.line,
            delay=one.delay,
            lost=one.lost,
            away=one.away + wall if one.away else 0,
            offline=one.offline,
        )


def _now() -> int:
    """Milliseconds of a clock that never jumps."""
    return time.monotonic_ns() // 1_000_000
