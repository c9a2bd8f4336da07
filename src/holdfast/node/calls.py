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
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from holdfast.core.call import commands
from holdfast.core.call.frames import FRAME_MS, BadFrame
from holdfast.core.call.jitter import Nothing, Pulled
from holdfast.core.call.machine import Machine
from holdfast.core.call.pace import Pace
from holdfast.core.call.routes import Route
from holdfast.core.call.rungs import CODINGS
from holdfast.core.call.story import Story
from holdfast.core.caps import Caps, Home, hkdf
from holdfast.core.chat import content
from holdfast.core.ladder import SMALL
from holdfast.core.log.client import By
from holdfast.core.seal.frame import FrameError, Opener, Sealer, call_keys, sender_key
from holdfast.drive.logs import Down, Live, LogEvent, Logs, Refused, Up
from holdfast.node import messages
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.late import Late
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Call, CallChanged, CallMoment, CallSample, CallStory, Event
from holdfast.node.sound import SoundSession
from holdfast.node.thin import Thin

TICK: Final = FRAME_MS / 1000
RING_TICK: Final = 0.5
TOO_LATE: Final = 90_000
"""A ring older than this (ms, both clocks) is a missed call."""
AGAIN: Final = 1.0
"""Seconds before a log that is not there yet is asked for again."""
KEPT: Final = 7 * 86_400_000
"""How long a call is remembered, so that its ring is not taken for a new one."""
UNSENT: Final = 4096
"""Bytes that may wait in a connection: what comes after them would be stale."""
MUTE: Final = 0.18
"""Seconds without an answer after which datagrams are taken for dead."""
ONE_RECORD: Final = 1
"""The logs take live frames; a log that takes no records at all cannot be made."""

Submit = Callable[[Callable[[Work], Any]], "asyncio.Future[Any] | None"]


@dataclass
class Terms:
    """What both sides know of a call once it was offered."""

    id: bytes
    secret: bytes = field(repr=False)
    homes: tuple[Home, ...]
    random: bytes = field(repr=False)
    """The caller's."""
    nonce: bytes
    """The caller's."""
    devices: tuple[bytes, bytes]
    """Caller's and callee's."""
    conversation: bytes

    def caps(self, side: str) -> Caps:
        """The log that this side, "caller" or "callee", sends on."""
        return Caps.make(hkdf(self.secret, "call/log/1", side.encode(), length=128))

    def key(self, side: str, random: bytes, nonce: bytes) -> tuple[bytes, int]:
        """The SFrame base key and key id of a side. `random` and `nonce` are the callee's."""
        base = call_keys(self.random, random, self.id, self.devices, self.conversation)
        join, device = (
            (self.nonce, self.devices[0]) if side == "caller" else (nonce, self.devices[1])
        )
        return sender_key(base, 0, device, join), int.from_bytes(join[:2], "big")


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
    ) -> None:
        self._desk = desk
        self._logs = logs(self._on_event)
        self._submit = submit
        self._tell = tell
        self._clock = clock
        self._call: Current | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._thin = Thin()
        self._late = Late(desk, submit, self._thin)
        self._sending: Caps | None = None

    async def stop(self) -> None:
        """The node ends, and the call with it."""
        if self._call is not None:
            self._do(self._call.machine.hang_up(_now()))
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
            self._call.sound.close("another window has the sound of this call now")
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

    def heard(self, contact: str, said: content.Ring | content.Answer | content.Burst) -> None:
        """Something about a call came, and was committed."""
        if isinstance(said, content.Ring):
            self._rung(contact, said)
            return
        call = self._call
        if isinstance(said, content.Burst):
            if call is not None and (call.contact, call.terms.id) == (contact, said.call):
                with contextlib.suppress(BadFrame):
                    self._do(call.machine.burst(said.data, said.upto, _now()))
            else:
                self._late.came(contact, said.call, said.data)
            return
        if call is None or call.contact != contact or call.terms.id != said.call:
            return
        if said.step == "accept":
            if len(said.random) != 32 or len(said.nonce) != 16 or call.random:
                return
            call.random, call.nonce = said.random, said.nonce
        self._do(call.machine.heard(said.step, _now()))

    def _rung(self, contact: str, said: content.Ring) -> None:
        found = self._submit(lambda work: rung(self._desk, work, contact, said))
        if found is not None:
            found.add_done_callback(lambda found: self._rings(contact, found))

    def _rings(self, contact: str, found: asyncio.Future[Terms | None]) -> None:
        if found.cancelled() or found.exception() is not None:
            return
        terms = found.result()
        if terms is None:
            return
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
                case commands.Say(step):
                    self._answer(call.contact, call.terms, step, call.random, call.nonce)
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
        self._tick_from_now()

    def _follow(self, call: Current, home: Home) -> None:
        if self._call is call:
            self._logs.follow(call.terms.caps(call.other).only("read"), home, 0, bare=True)

    def _send(self, call: Current, plain: bytes, routes: tuple[int, ...]) -> None:
        if call.sealer is None or self._sending is None:
            return
        frame = call.sealer.seal(plain)
        for number in routes:
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
        return tuple(sorted(found, key=lambda route: (not route.datagrams, route.number)))

    def _on_event(self, event: LogEvent) -> None:
        call = self._call
        if call is None:
            return
        match event:
            case Live(_, _, _, body):
                if call.opener is None:
                    return
                try:
                    counter, plain = call.opener.open(body)
                except FrameError:
                    return
                self._do(call.machine.frame(counter, plain, _now()))
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
                if call.machine.open:
                    self._do(call.machine.routes(self._routes(call), _now()))
                self._do(call.machine.tick(_now()))

    def _answer(
        self, contact: str, terms: Terms, step: str, random: bytes = b"", nonce: bytes = b""
    ) -> None:
        said = content.Answer(terms.id, step)
        if step == "accept":
            said = content.Answer(terms.id, step, random, nonce)
        self._submit(lambda work: say(self._desk, work, contact, said))

    def _over(self, call: Current) -> None:
        reason = call.machine.reason
        outcome = "talked" if call.machine.since and reason != "failed" else reason
        if outcome == "hung-up":
            outcome = "failed"
        duration = call.machine.until - call.machine.since if call.machine.since else 0
        self._note(call.contact, call.terms.id, outcome, duration, told(call.machine.story))
        self._close(call)

    def _close(self, call: Current) -> None:
        self._call = self._sending = None
        if call.sound is not None:
            call.sound.close("the call is over")
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
            contact=call.contact,
            outgoing=one.outgoing,
            state=one.state,
            reason=one.reason,
            since=one.since + wall if one.since else 0,
            muted=one.muted,
            their_muted=one.their_muted,
            line=one.line,
            delay=one.delay,
            lost=one.lost,
            away=one.away + wall if one.away else 0,
            offline=one.offline,
        )


def _now() -> int:
    """Milliseconds of a clock that never jumps."""
    return time.monotonic_ns() // 1_000_000


# Jobs.


def ring(desk: Desk, work: Work, cid: str) -> Terms:
    """Offer a call to a contact. Raises `ApiError`."""
    state, outbox = row(work.db, "SELECT state, outbox FROM contact WHERE id = ?", cid)
    messages.may_write(state)
    if state != "active":
        raise ApiError("not-allowed", "they have not answered the invitation yet; ring them then")
    homes = desk.homes(work)[: content.MAX_HOMES]
    if not homes:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    session = desk.session(work, cid)
    terms = Terms(
        desk.entropy(16),
        desk.entropy(32),
        homes,
        desk.entropy(32),
        desk.entropy(16),
        (session.me.device, session.peer.device),
        unpack_inbox(outbox).caps.conv_id,
    )
    addresses = tuple(str(home) for home in homes)
    work.db.execute(
        "INSERT INTO call (id, contact, mine, at, secret, homes) VALUES (?, ?, 1, ?, ?, ?)",
        (terms.id, cid, work.now, terms.secret, " ".join(addresses)),
    )
    said = content.Ring(terms.id, work.now, terms.random, terms.nonce, terms.secret, addresses)
    desk.say(work, cid, said)
    return terms


def rung(desk: Desk, work: Work, cid: str, said: content.Ring) -> Terms | None:
    """A contact rings: the terms, or None if it rang before, or too long ago."""
    found = row(work.db, "SELECT state, inbox FROM contact WHERE id = ?", cid)
    if found is None or found[0] != "active":
        return None
    if row(work.db, "SELECT 1 FROM call WHERE id = ?", said.call):
        return None
    work.db.execute("DELETE FROM call WHERE at < ? AND outcome <> ''", (work.now - KEPT,))
    work.db.execute(
        "INSERT INTO call (id, contact, mine, at) VALUES (?, ?, 0, ?)", (said.call, cid, said.at)
    )
    try:
        homes = tuple(Home.parse(text) for text in said.homes)
    except ValueError:
        homes = ()
    if not homes or abs(work.now - said.at) > TOO_LATE:
        over(desk, work, cid, said.call, "missed", 0)
        return None
    session = desk.session(work, cid)
    return Terms(
        said.call,
        said.secret,
        homes,
        said.random,
        said.nonce,
        (session.peer.device, session.me.device),
        unpack_inbox(found[1]).caps.conv_id,
    )


def say(desk: Desk, work: Work, cid: str, said: content.Answer | content.Burst) -> None:
    """A step of a call, to a contact that can still be written to."""
    found = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if found is not None and found[0] == "active":
        desk.say(work, cid, said)


def told(story: Story) -> str:
    """How a call went, to be kept."""
    if not story.samples:
        return ""
    kept = CallStory(
        samples=[
            CallSample(at=one.at, rung=one.rung, way=one.way, delay=one.delay, lost=one.lost)
            for one in story.samples
        ],
        moments=[CallMoment(at=one.at, what=one.what, why=one.why) for one in story.entries],
    )
    return msgspec.json.encode(kept).decode()


def story(work: Work, message: str) -> CallStory:
    """How the call went of which this is the entry. Raises `ApiError`."""
    found = row(
        work.db,
        "SELECT c.story FROM message m LEFT JOIN call c ON c.id = m.mid AND c.contact = m.contact"
        " WHERE m.id = ? AND m.kind = 'call'",
        messages.number(message),
    )
    if found is None:
        raise ApiError("not-found", "there is no such call")
    return msgspec.json.decode(found[0], type=CallStory) if found[0] else CallStory()


def over(
    desk: Desk, work: Work, cid: str, id: bytes, outcome: str, duration: int, story: str = ""
) -> None:
    """A call has ended: an entry in the conversation; its logs go."""
    found = row(
        work.db, "SELECT mine, at, secret, homes FROM call WHERE id = ? AND outcome = ''", id
    )
    if found is None or row(work.db, "SELECT 1 FROM contact WHERE id = ?", cid) is None:
        return
    mine, at, secret, homes = found
    work.db.execute(
        "UPDATE call SET outcome = ?, secret = x'', story = ? WHERE id = ?", (outcome, story, id)
    )
    if mine:
        for address in homes.split():
            for side in (b"caller", b"callee"):
                caps = Caps.make(hkdf(secret, "call/log/1", side, length=128))
                desk.drop(work, caps, Home.parse(address))
    seen = int(bool(mine) or outcome != "missed")
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, note, text, at, received, count,"
        " state, seen) VALUES (?, 0, ?, ?, 'call', ?, '', ?, ?, ?, 'received', ?)",
        (cid, mine, id, outcome, min(at, work.now), work.now, duration, seen),
    )
    message = work.db.last_insert_rowid()
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    desk.touch_message(work, message)
    desk.touch_contact(work, cid)


def resume(desk: Desk, work: Work) -> None:
    """A call does not outlive the node: those that were going on have ended."""
    for id, cid, mine, talked in rows(
        work.db, "SELECT id, contact, mine, talked FROM call WHERE outcome = ''"
    ):
        outcome = "lost" if talked else "failed" if mine else "missed"
        say(desk, work, cid, content.Answer(id, "end"))
        over(desk, work, cid, id, outcome, 0)
