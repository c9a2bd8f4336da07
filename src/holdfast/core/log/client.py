"""A node's side of its connection to one relay, across reconnections.

Say what is wanted (`create`, `follow`, `append`, `trim`, `drop`) at any time, tell it when
the connection is up, down, or brought a frame, and after each of these take what is to be
sent and what happened. What was not acknowledged is asked for again on the next connection:
appends with the very same bytes, so that the reader recognises them. Source: spec/log.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from holdfast.core import wire
from holdfast.core.caps import NONCE, BadRecord, Caps, Envelope, Home
from holdfast.core.log.events import (
    Appended,
    Asked,
    By,
    CaughtUp,
    Close,
    Created,
    Dropped,
    Live,
    Output,
    Pass,
    Received,
    Refused,
    Strange,
    Tokens,
    What,
)
from holdfast.core.log.wanted import Append, Flight, Log

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Appended bytes that wait for one relay; beyond, appends are refused with `later`."""
MAX_LOGS: Final = 4_096
RETRY_MS: Final = {"rate": 1_000, "later": 2_000, "full": 60_000, "admission": 600_000}
"""Refusals that time may heal: the request is made again after so long."""


class Client:
    """`entropy` gives random bytes; `home` is the relay whose pin names its logs."""

    def __init__(self, home: Home, entropy: Callable[[int], bytes]) -> None:
        self.home = home
        self._entropy = entropy
        self._logs: dict[bytes, Log] = {}
        self._by_handle: dict[int, Log] = {}
        self._up = False
        self._handle = 0
        self._order = 0
        self._seeking = False
        """An answer to `Asked` is on its way."""
        self._flight = Flight()
        self._queued_bytes = 0
        self._now = 0
        self._out: list[Output] = []

    def take(self) -> list[Output]:
        """What is to be sent and what happened since the last call, in order."""
        out, self._out = self._out, []
        return out

    # Wishes.

    def create(self, caps: Caps, limit: int = 0) -> None:
        """Make the log; needs all roles. `limit`: the most records it ever takes, or 0."""
        log = self._log(caps, "create")
        if log is not None:
            log.create = limit
            if self._up:
                self._ask_create(log)
                if log.wanted:
                    self._attach(log)

    def follow(self, caps: Caps, since: int, bare: bool = False) -> None:
        """Deliver stored records after `since`, then what comes. Needs the read role. `bare`:
        live frames come without the outer envelope, see `pass_on`."""
        log = self._log(caps, "attach")
        if log is not None and not log.following:
            log.bare = bare
            log.following, log.cursor = True, since
            if self._up:
                self._attach(log)

    def unfollow(self, caps: Caps) -> None:
        """Deliver nothing more of this log."""
        log = self._logs.get(caps.locator)
        if log is not None and log.following:
            log.following = False
            if log.wanted and self._up:
                self._attach(log)
            elif not log.wanted:
                self._forget(log)

    def forget(self, caps: Caps) -> None:
        """Nothing more of this log is wanted, appends that wait included."""
        log = self._logs.get(caps.locator)
        if log is not None:
            for append in self._withdraw(log):
                self._settle(log, append)
            self._forget(log)

    def append(self, caps: Caps, rid: bytes, body: bytes, lifetime: int, room: bool = True) -> None:
        """Add a record that is kept `lifetime` seconds; 0 is live: sent now or never.

        `room` is whether the connection has little unsent; live frames need it.
        """
        log = self._log(caps, "append", rid)
        if log is None or rid in log.queued:
            return
        if len(body) > wire.MAX_BODY - (NONCE + len(rid) + 16):
            self._refused(log, "append", "size", "the record is larger than a relay takes", rid)
            return
        if self._up and log.state == "detached" and not log.paused_until:
            self._attach(log)
        if lifetime == 0 and not (room and log.state == "attached"):
            return
        if lifetime and self._queued_bytes + len(body) > QUEUE_BYTES:
            text = "too much is waiting for this relay; append again when some was acknowledged"
            self._refused(log, "append", "later", text, rid)
            return
        stored = log.envelope.seal(rid, body, self._entropy(NONCE))
        if lifetime == 0:
            self._out.append(Pass(wire.encode(wire.Live(log.handle, stored))))
            return
        log.queued.add(rid)
        self._order += 1
        log.unsent.append(Append(rid, stored, lifetime, self._order))
        self._queued_bytes += len(stored)
        if self._up:
            if log.state == "detached" and not log.paused_until:
                self._attach(log)
            self._pump(log)

    def pass_on(self, caps: Caps, frame: bytes, room: bool = True, by: By = "datagram") -> bool:
        """A live frame that is sealed already and changes with every one, as a call's are:
        it goes without the outer envelope, now or never. Whether it went."""
        log = self._log(caps, "append")
        if log is None or not self._up:
            return False
        if log.state == "detached" and not log.paused_until:
            self._attach(log)
        if log.state != "attached" or not room:
            return False
        self._out.append(Pass(wire.encode(wire.Live(log.handle, frame)), by))
        return True

    def trim(self, caps: Caps, upto: int) -> None:
        """Delete records up to and including `upto`. Needs the owner role."""
        log = self._log(caps, "trim")
        if log is not None and upto > log.trim:
            log.trim = upto
            self._go_on(log)

    def drop(self, caps: Caps) -> None:
        """Delete the log. Needs the owner role. A log that is gone already is dropped."""
        log = self._log(caps, "drop")
        if log is not None and not log.drop:
            log.drop = True
            self._go_on(log)

    def admit(self, kind: Literal["work", "token"], proof: bytes) -> None:
        """What `Asked` asks for."""
        if self._up:
            self._send(wire.Admit(kind, proof))

    def ask(self, requests: tuple[bytes, ...]) -> None:
        """Ask for tokens, if the home gives some."""
        if self._up:
            self._send(wire.Ask(requests))

    # The connection.

    def connected(self, now: int) -> None:
        """A connection to the relay is up, its key checked: ask for everything again."""
        self._up, self._now = True, now
        self._flight.start()
        self._send(wire.Hello(wire.VERSION))
        for log in list(self._logs.values()):
            self._begin(log)

    def disconnected(self) -> None:
        """The connection is gone. What was in flight will be sent again."""
        self._up = self._seeking = False
        self._flight.land()
        self._by_handle.clear()
        for log in list(self._logs.values()):
            log.connection_lost()
            if not log.wanted and log.create is None:
                del self._logs[log.caps.locator]

    def due(self) -> int | None:
        """When `tick` is to be called, or None."""
        paused = (log.paused_until for log in self._logs.values() if log.paused_until)
        return min(paused, default=None)

    def tick(self, now: int) -> None:
        """Time has passed: refusals that time may heal are tried again."""
        self._now = now
        for log in list(self._logs.values()):
            if log.paused_until and log.paused_until <= now:
                log.paused_until = 0
                if self._up:
                    self._begin(log)

    def receive_live(self, data: bytes) -> None:
        """A datagram from the relay; what is none of a log's live frames is nothing."""
        try:
            frame = wire.decode_relay(data)
        except wire.Malformed:
            return
        if not isinstance(frame, wire.Records):
            return
        log = self._by_handle.get(frame.handle)
        for seq, body in frame.records:
            if log is not None and not seq:
                self._record(log, 0, body)

    def receive(self, data: bytes, now: int) -> None:
        """One frame from the relay."""
        self._now = now
        try:
            frame = wire.decode_relay(data)
        except wire.Malformed as error:
            self._out.append(Close(f"the relay sent what is not a frame: {error}"))
            return
        match frame:
            case wire.Acked(upto):
                self._acked(upto)
            case wire.Bye(_, text):
                self._out.append(Close(f"the relay ended the connection: {text}"))
            case wire.Refused(n=n) if n:
                self._append_refused(frame)
            case wire.Terms(gives=gives):
                if gives or not self._seeking:
                    self._seeking = self._seeking or not gives
                    self._out.append(Asked(self.home, frame))
            case wire.Given(answers):
                self._out.append(Tokens(self.home, answers))
            case wire.Done(what="admit"):
                self._admitted()
            case wire.Refused(handle=0, n=0):
                self._seeking = False
            case wire.Welcome() | wire.Took() | wire.Carry() | wire.Probed():
                pass
            case _:
                log = self._by_handle.get(frame.handle)
                if log is not None:
                    self._of_log(log, frame)

    # Inside.

    def _log(self, caps: Caps, what: What, rid: bytes | None = None) -> Log | None:
        """The log, with the roles it had and those that `caps` adds."""
        log = self._logs.get(caps.locator)
        if log is None:
            log = Log(caps, Envelope(caps.locator, self.home.pin))
            if len(self._logs) >= MAX_LOGS:
                text = f"a node uses at most {MAX_LOGS} logs of one relay"
                self._refused(log, what, "later", text, rid)
                return None
            self._logs[caps.locator] = log
            return log
        if log.may(caps) and log.state != "detached":
            self._attach(log)
        return log

    def _forget(self, log: Log) -> None:
        if self._logs.get(log.caps.locator) is log:
            del self._logs[log.caps.locator]
        if self._up and log.handle:
            self._send(wire.Detach(log.handle))
            self._by_handle.pop(log.handle, None)

    def _begin(self, log: Log) -> None:
        if log.create is not None:
            self._ask_create(log)
        if log.wanted and log.state == "detached":
            self._attach(log)
        self._go_on(log)

    def _go_on(self, log: Log) -> None:
        """Send what the log wants and has not asked for on this connection."""
        if not self._up or log.paused_until:
            return
        if log.state == "detached":
            self._attach(log)
        if log.drop and "drop" not in log.asked:
            self._ask(log, "drop", wire.Drop(log.handle))
        elif log.trim > log.trim_sent and "trim" not in log.asked:
            log.trim_sent = log.trim
            self._ask(log, "trim", wire.Trim(log.handle, log.trim))
        self._pump(log)

    def _ask(self, log: Log, what: str, frame: wire.ClientFrame) -> None:
        log.asked.append(what)
        self._send(frame)

    def _number(self, log: Log) -> None:
        if not log.handle:
            self._handle += 1
            log.handle = self._handle
            self._by_handle[log.handle] = log

    def _ask_create(self, log: Log) -> None:
        self._number(log)
        self._ask(log, "create", log.to_create(self.home.pin))

    def _attach(self, log: Log) -> None:
        self._number(log)
        log.state = "attaching"
        self._ask(log, "attach", log.to_attach(self.home.pin))

    def _pump(self, log: Log) -> None:
        """Send appends while the window has room; the relay holds those that come early."""
        if log.state == "detached" or log.paused_until:
            return
        while log.unsent and self._flight.room:
            append = log.unsent.popleft()
            n = self._flight.add(log, append)
            self._send(wire.Append(log.handle, n, append.lifetime, append.stored))

    def _acked(self, upto: int) -> None:
        for log, append in self._flight.take_until(upto):
            self._settle(log, append)
            self._out.append(Appended(log.caps.locator, self.home, append.rid))
        self._pump_all()

    def _append_refused(self, frame: wire.Refused) -> None:
        sent = self._flight.take(frame.n)
        if sent is None:
            return
        log, append = sent
        if frame.code in RETRY_MS:
            log.put_back(append)
            if not log.paused_until and frame.code == "full":
                self._refused(log, "append", frame.code, frame.text, append.rid)
            self._pause(log, frame.code)
        elif log.state != "attached" and frame.code == "unknown-handle":
            log.put_back(append)
        else:
            self._settle(log, append)
            self._refused(log, "append", frame.code, frame.text, append.rid)
        self._pump_all()

    def _settle(self, log: Log, append: Append) -> None:
        log.queued.discard(append.rid)
        self._queued_bytes -= len(append.stored)

    def _pump_all(self) -> None:
        if self._flight.drained:
            for log in self._logs.values():
                if log.unsent:
                    self._pump(log)

    def _pause(self, log: Log, code: str) -> None:
        log.paused_until = self._now + RETRY_MS[code]

    def _admitted(self) -> None:
        """Logs may be made now."""
        self._seeking = False
        for log in list(self._logs.values()):
            if log.create is not None and log.paused_until:
                log.paused_until = 0
                self._begin(log)

    def _of_log(self, log: Log, frame: wire.RelayFrame) -> None:
        match frame:
            case wire.Attached(next=coming):
                self._answered(log, "attach")
                if log.cursor >= coming:
                    log.cursor = 0
                if "attach" not in log.asked:
                    log.state = "attached"
                self._go_on(log)
            case wire.Records(records=records):
                for seq, stored in records:
                    self._record(log, seq, stored)
            case wire.Done(what="read"):
                if log.following:
                    self._out.append(CaughtUp(log.caps.locator, self.home))
            case wire.Done(what=what):
                self._answered(log, what)
                self._done(log, what)
            case wire.Refused(code=code, text=text):
                self._request_refused(log, code, text)

    def _answered(self, log: Log, what: str) -> None:
        if what in log.asked:
            log.asked.remove(what)

    def _record(self, log: Log, seq: int, stored: bytes) -> None:
        if not log.following or (seq and seq <= log.cursor):
            return
        if seq and log.state != "attached":
            return  # of an attach before the one that is asked for, which brings it again
        log.cursor = max(log.cursor, seq)
        if log.bare and not seq:
            self._out.append(Live(log.caps.locator, self.home, b"", stored))
            return
        try:
            rid, body = log.envelope.open(stored)
        except BadRecord:
            if seq:
                self._out.append(Strange(log.caps.locator, self.home))
            return
        locator, home = log.caps.locator, self.home
        self._out.append(
            Received(locator, home, seq, rid, body) if seq else Live(locator, home, rid, body)
        )

    def _done(self, log: Log, what: str) -> None:
        if what == "create":
            log.create = None
            self._out.append(Created(log.caps.locator, self.home))
        elif what == "trim":
            if log.trim <= log.trim_sent:
                log.trim = log.trim_sent = 0
            self._go_on(log)
        elif what == "drop":
            self._dropped(log)

    def _request_refused(self, log: Log, code: str, text: str) -> None:
        what = log.asked.popleft() if log.asked else "attach"
        if code in RETRY_MS:
            if code == "admission":
                self._refused(log, "create", code, text)
            if what == "attach":
                log.state = "detached"
            elif what == "trim":
                log.trim_sent = 0
            self._pause(log, code)
        elif what == "create":
            log.create = None
            self._refused(log, "create", code, text)
        elif what == "trim":
            log.trim = log.trim_sent = 0
            self._refused(log, "trim", code, text)
        elif log.drop:
            self._dropped(log)
        elif what == "attach" and log.create is not None:
            log.state = "detached"  # the create before it is asked for again, and this with it
        elif what == "attach" and "attach" not in log.asked:
            log.state, log.following, log.trim = "detached", False, 0
            self._refused(log, "attach", code, text)
            self._fail(log, code, text)

    def _dropped(self, log: Log) -> None:
        self._fail(log, "denied", "the log was dropped")
        self._forget(log)
        self._out.append(Dropped(log.caps.locator, self.home))

    def _fail(self, log: Log, code: str, text: str) -> None:
        """Nothing can be appended: every record that waits is refused."""
        for append in self._withdraw(log):
            self._settle(log, append)
            self._refused(log, "append", code, text, append.rid)

    def _withdraw(self, log: Log) -> list[Append]:
        """All appends that are not settled, taken out of flight and queue."""
        found = [*self._flight.take_of(log), *log.unsent]
        log.unsent.clear()
        return found

    def _refused(
        self, log: Log, what: What, code: str, text: str, rid: bytes | None = None
    ) -> None:
        self._out.append(Refused(log.caps.locator, self.home, what, code, text, rid))

    def _send(self, frame: wire.ClientFrame) -> None:
        self._out.append(wire.encode(frame))
