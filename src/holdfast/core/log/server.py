"""A relay's side of one connection: frames in, commands out.

Frames are handled strictly in the order they came: behind a create, attach, trim or
drop that the store has not answered yet, later frames wait, in bounded space. Appends
do not wait for one another; `acks` says how far they are settled.

Whoever drives the machine carries out each command and reports back: `Find` with
`found`, `Make`, `Cut` and `Remove` with `done`, `Add` with `settled`. Source:
spec/log.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from msgspec import Struct

from holdfast.core import wire
from holdfast.core.log.limits import Bucket, Limits


@dataclass(frozen=True, slots=True)
class Found:
    """A log as the store knows it. Verifiers are SHA-256 of the role tokens."""

    key: int
    """The store's own name of the log."""
    append: bytes
    read: bytes
    owner: bytes
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not carried out: a code of `wire.Refused` and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame."""

    frame: wire.RelayFrame


@dataclass(frozen=True, slots=True)
class End:
    """Close the connection after what was sent so far."""

    reason: str


@dataclass(frozen=True, slots=True)
class Find:
    """Look the log up and answer with `found`."""

    log_id: bytes


@dataclass(frozen=True, slots=True)
class Make:
    """Make the log, or find it made with the same verifiers; answer with `done`."""

    frame: wire.Create


class Add(Struct, gc=False):  # made for every record, and so in a quarter of a dataclass's time
    """Store the record and answer with `settled`. `expires` in milliseconds."""

    handle: int
    n: int
    key: int
    expires: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Fan:
    """Hand a live frame to whoever follows now."""

    key: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Touch:
    """Somebody with a right to the log came: it is in use."""

    key: int


@dataclass(frozen=True, slots=True)
class Read:
    """Start a reader for the handle, in place of one that it had."""

    handle: int
    key: int
    since: int
    follow: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the handle's reader, if it has one."""

    handle: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Delete the log's records up to and including `upto`; answer with `done`."""

    key: int
    upto: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the log; answer with `done`."""

    key: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Give this connection to the relay at that address; no frame comes here any more."""

    address: str


@dataclass(frozen=True, slots=True)
class Join:
    """Join datagrams to a session: of two connections that said the same token, this is the one
    that `lends` its datagrams, or the one with the session."""

    token: bytes
    lends: bool


@dataclass(frozen=True, slots=True)
class Check:
    """See whether this admits who said it; answer with `checked`."""

    frame: wire.Admit | wire.Ask


class Entrance(Protocol):
    """Whether this connection may make logs."""

    @property
    def terms(self) -> wire.Terms | None:
        """What is said to who may not, or to all at once if tokens may be asked for."""

    def create(self) -> Refusal | None:
        """One log is to be made; None: it may, and is counted."""


class Open:
    """Everybody may."""

    terms: wire.Terms | None = None

    def create(self) -> Refusal | None:
        """See `Entrance.create`."""
        return None


Command = (
    Check | Join | Pass | Send | End | Find | Make | Touch | Add | Fan | Read | Stop | Cut | Remove
)

DENIED: Final = Refusal("denied", "no such log, or not with these capabilities")
UNKNOWN: Final = Refusal("unknown-handle", "this handle is not attached; attach it first")
CROWDED: Final = Refusal("later", "more is waiting for the disk than is healthy; try again soon")

ADMISSION: Final = Refusal("admission", "this relay does not let everybody make logs")
OPEN: Final = Open()

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE

_NOTHING: Final = Found(0, b"\0" * 32, b"\0" * 32, b"\0" * 32, 0, 0)
_NO_TOKEN: Final = b"\0" * 32

State = Literal["greeting", "open", "passing", "lending", "ended"]


@dataclass(frozen=True, slots=True)
class _Binding:
    key: int
    append: bool
    read: bool
    owner: bool


class Session:
    """One connection. `crowded` tells whether the store has more to do than is healthy."""

    __slots__ = (
        "_acked",
        "_bound",
        "_bytes",
        "_creates",
        "_crowded",
        "_early",
        "_entrance",
        "_held",
        "_held_bytes",
        "_last",
        "_limits",
        "_records",
        "_unsettled",
        "_unsettled_bytes",
        "_waiting",
        "_welcome",
        "state",
    )

    def __init__(
        self,
        welcome: wire.Welcome,
        limits: Limits | None = None,
        crowded: Callable[[], bool] = lambda: False,
        entrance: Entrance = OPEN,
    ) -> None:
        self.state: State = "greeting"
        self._welcome = welcome
        self._limits = limits = limits or Limits()
        self._crowded = crowded
        self._entrance = entrance
        self._bound: dict[int, _Binding] = {}
        self._waiting: wire.ClientFrame | None = None
        # Made when they are needed: most connections are idle, and an empty deque takes 624 bytes.
        self._held: deque[tuple[wire.ClientFrame, int]] | None = None
        self._held_bytes = 0
        self._creates = 0
        self._last = 0
        self._acked = 0
        self._unsettled: deque[tuple[int, int]] | None = None
        self._unsettled_bytes = 0
        self._early: set[int] | None = None
        """Settled, while one before them is not."""
        burst = limits.burst_seconds
        self._records = Bucket(limits.appends_per_second, limits.appends_per_second * burst)
        self._bytes = Bucket(limits.bytes_per_second, limits.bytes_per_second * burst)

    def open(self) -> list[Command]:
        """The relay speaks first."""
        return [Send(self._welcome)]

    def receive(self, data: bytes, now: int) -> list[Command]:
        """One frame from the node."""
        if self.state == "ended":
            return []
        try:
            frame = wire.decode_client(data)
        except wire.Malformed as error:
            return self.end("malformed", str(error))
        if self._waiting is not None:
            self._held_bytes += len(data)
            if self._held_bytes > self._limits.held_bytes:
                return self.end("rate", "too much was sent before earlier requests were answered")
            if self._held is None:
                self._held = deque()
            self._held.append((frame, len(data)))
            return []
        out: list[Command] = []
        self._handle(frame, now, out)
        return out

    def receive_live(self, data: bytes, now: int) -> list[Command]:
        """A datagram from the node: a live frame, or nothing."""
        out: list[Command] = []
        with contextlib.suppress(wire.Malformed):
            frame = wire.decode_client(data)
            if self.state == "open" and isinstance(frame, wire.Live):
                self._live(frame, now, out)
        return out

    def end(self, code: str, text: str) -> list[Command]:
        """End this connection with a stated reason."""
        if self.state == "ended":
            return []
        self.state = "ended"
        self._held = None
        return [Send(wire.Bye(code, text[:256])), End(code)]

    def found(self, log: Found | Refusal | None, now: int) -> list[Command]:
        """Answer to `Find`; None if the log is absent or expired, a refusal if nobody knows."""
        frame, self._waiting = self._waiting, None
        out: list[Command] = []
        if self.state == "open" and isinstance(frame, wire.Create):
            self._known(frame, log, out)
        elif self.state != "open" or not isinstance(frame, wire.Attach):
            pass
        elif isinstance(log, Refusal):
            out.append(_refused(frame.handle, log))
        else:
            binding = self._granted(frame, log)
            if binding is None or log is None:
                out.append(_refused(frame.handle, DENIED))
            else:
                self._bind(frame, log, binding, out)
        self._resume(now, out)
        return out

    def done(self, refusal: Refusal | None, now: int) -> list[Command]:
        """Answer to `Make`, `Cut` and `Remove`."""
        frame, self._waiting = self._waiting, None
        out: list[Command] = []
        if self.state == "open" and isinstance(frame, (wire.Create, wire.Trim, wire.Drop)):
            if refusal is not None:
                out.append(_refused(frame.handle, refusal))
            elif isinstance(frame, wire.Create):
                self._creates += 1
                out.append(Send(wire.Done(frame.handle, "create")))
            elif isinstance(frame, wire.Trim):
                out.append(Send(wire.Done(frame.handle, "trim")))
            else:
                self._bound.pop(frame.handle, None)
                out += [Stop(frame.handle), Send(wire.Done(frame.handle, "drop"))]
        self._resume(now, out)
        return out

    def checked(self, answer: Refusal | wire.Given | None, now: int) -> list[Command]:
        """Answer to `Check`; None: who said it is admitted."""
        frame, self._waiting = self._waiting, None
        out: list[Command] = []
        if self.state == "open" and isinstance(frame, (wire.Admit, wire.Ask)):
            if isinstance(answer, Refusal):
                out.append(_refused(0, answer))
            else:
                out.append(Send(answer or wire.Done(0, "admit")))
        self._resume(now, out)
        return out

    def settled(self, handle: int, n: int, refusal: Refusal | None) -> list[Command]:
        """Answer to `Add`: durable, or refused. Those of different logs come in any order."""
        unsettled = self._unsettled
        if not unsettled:
            raise AssertionError("nothing was to be settled")
        if unsettled[0][0] == n:
            self._unsettled_bytes -= unsettled.popleft()[1]
            while self._early and unsettled and unsettled[0][0] in self._early:
                first, size = unsettled.popleft()
                self._early.remove(first)
                self._unsettled_bytes -= size
        else:
            self._early = self._early or set()
            self._early.add(n)
        if refusal is None or self.state != "open":
            return []
        return [_refused(handle, refusal, n)]

    def ack(self) -> wire.Acked | None:
        """The cumulative acknowledgement, if it moved. Ask after a batch, not per record."""
        upto = self._unsettled[0][0] - 1 if self._unsettled else self._last
        if upto == self._acked or self.state != "open":
            return None
        self._acked = upto
        return wire.Acked(upto)

    def gone(self, handle: int) -> list[Command]:
        """Somebody dropped the log that this handle is attached to."""
        if self._bound.pop(handle, None) is None or self.state != "open":
            return []
        return [Stop(handle), _refused(handle, DENIED)]

    def _resume(self, now: int, out: list[Command]) -> None:
        while self._held and self._waiting is None and self.state == "open":
            frame, size = self._held.popleft()
            self._held_bytes -= size
            self._handle(frame, now, out)
        if not self._held:
            self._held = None

    def _handle(self, frame: wire.ClientFrame, now: int, out: list[Command]) -> None:
        if type(frame) is wire.Append and self.state == "open":
            self._append(frame, now, out)
        elif self.state == "lending":
            out += self.end("malformed", "this connection has datagrams alone")
        elif isinstance(frame, wire.Hello):
            self._hello(frame, out)
        elif isinstance(frame, wire.Onward) and self.state == "greeting":
            self.state = "passing"
            out.append(Pass(frame.address))
        elif isinstance(frame, wire.Beside):
            lends = self.state == "greeting"
            self.state = "lending" if lends else "open"
            out.append(Join(frame.token, lends))
        elif isinstance(frame, (wire.Onward, wire.Carry)):
            out += self.end("malformed", "this connection is not passed on")
        elif self.state == "greeting":
            out += self.end("malformed", "the first frame must be hello")
        elif isinstance(frame, wire.Live):
            self._live(frame, now, out)
        elif isinstance(frame, wire.Probe):
            if self._bytes.take(frame.size, now):
                out.append(Send(wire.Probed(bytes(frame.size))))
        elif not self._records.take(1, now):
            handle = 0 if isinstance(frame, (wire.Admit, wire.Ask)) else frame.handle
            out.append(_refused(handle, self._rate()))
        elif isinstance(frame, (wire.Admit, wire.Ask)):
            self._waiting = frame
            out.append(Check(frame))
        elif isinstance(frame, wire.Attach):
            if frame.handle not in self._bound and len(self._bound) >= self._limits.handles:
                text = f"a connection attaches at most {self._limits.handles} logs; detach some"
                out.append(_refused(frame.handle, Refusal("full", text)))
                return
            self._waiting = frame
            out.append(Find(frame.log_id))
        elif isinstance(frame, wire.Create):
            if self._creates >= self._limits.creates:
                text = f"a connection makes at most {self._limits.creates} logs"
                out.append(_refused(frame.handle, Refusal("rate", text)))
                return
            self._create(frame, out)
        elif isinstance(frame, wire.Detach):
            if self._bound.pop(frame.handle, None) is not None:
                out.append(Stop(frame.handle))
            out.append(Send(wire.Done(frame.handle, "detach")))
        elif isinstance(frame, (wire.Trim, wire.Drop)):
            binding = self._bound.get(frame.handle)
            if binding is None:
                out.append(_refused(frame.handle, UNKNOWN))
            elif not binding.owner:
                out.append(_refused(frame.handle, DENIED))
            else:
                self._waiting = frame
                if isinstance(frame, wire.Trim):
                    out.append(Cut(binding.key, frame.upto))
                else:
                    out.append(Remove(binding.key))

    def _create(self, frame: wire.Create, out: list[Command]) -> None:
        refusal = CROWDED if self._crowded() else self._entrance.create()
        if refusal is None:
            self._waiting = frame
            out.append(Make(frame))
        elif refusal.code == "admission":  # unless it is made already
            self._waiting = frame
            out.append(Find(frame.log_id))
        else:
            out.append(_refused(frame.handle, refusal))

    def _known(self, frame: wire.Create, log: Found | Refusal | None, out: list[Command]) -> None:
        """Whether a log that nobody is admitted to make is there."""
        if isinstance(log, Refusal):
            out.append(_refused(frame.handle, log))
        elif log is not None:
            self._waiting = frame
            out.append(Make(frame))
        else:
            if self._entrance.terms is not None:
                out.append(Send(self._entrance.terms))
            out.append(_refused(frame.handle, ADMISSION))

    def _hello(self, frame: wire.Hello, out: list[Command]) -> None:
        if self.state != "greeting":
            out += self.end("malformed", "hello comes once")
        elif frame.version != wire.VERSION:
            out += self.end("version", f"this relay speaks version {wire.VERSION}; update")
        else:
            self.state = "open"
            terms = self._entrance.terms
            if terms is not None and terms.gives:
                out.append(Send(terms))

    def _append(self, frame: wire.Append, now: int, out: list[Command]) -> None:
        if frame.n != self._last + 1:
            out += self.end("malformed", "appends are counted from 1 without gaps")
            return
        handle, n, body, limits = frame.handle, frame.n, frame.body, self._limits
        self._last = n
        binding, size = self._bound.get(handle), len(body)
        refusal = self._check(binding, size, now)
        if refusal is not None or binding is None:
            out.append(_refused(handle, refusal or UNKNOWN, n))
            return
        if self._unsettled is None:
            self._unsettled = deque()
        self._unsettled.append((n, size))
        self._unsettled_bytes += size
        lifetime, most = frame.lifetime, limits.max_lifetime
        expires = expiry(now, lifetime if lifetime < most else most)
        out.append(Add(handle, n, binding.key, expires, body))

    def _live(self, frame: wire.Live, now: int, out: list[Command]) -> None:
        binding = self._bound.get(frame.handle)
        size = len(frame.body)
        if binding is None or not binding.append or size > self._limits.max_body:
            return
        if self._records.take(1, now) and self._bytes.take(size, now):
            out.append(Fan(binding.key, frame.body))

    def _check(self, binding: _Binding | None, size: int, now: int) -> Refusal | None:
        limits = self._limits
        if binding is None:
            return UNKNOWN
        if not binding.append:
            return DENIED
        if size > limits.max_body:
            return Refusal("size", f"a record has at most {limits.max_body} bytes")
        if not (self._records.take(1, now) and self._bytes.take(size, now)):
            return self._rate()
        if self._unsettled_bytes + size > limits.unsettled_bytes or self._crowded():
            return CROWDED
        return None

    def _rate(self) -> Refusal:
        limits = self._limits
        return Refusal(
            "rate",
            f"at most {limits.appends_per_second} requests and {limits.bytes_per_second} bytes"
            " a second; wait a moment",
        )

    def _granted(self, frame: wire.Attach, log: Found | None) -> _Binding | None:
        """The roles whose tokens were given, or None if one of them is wrong.

        The work is the same for an absent log and for right and wrong tokens, so that
        nobody finds out which names exist.
        """
        known = log or _NOTHING
        right = True
        for token, verifier in (
            (frame.append, known.append),
            (frame.read, known.read),
            (frame.owner, known.owner),
        ):
            digest = hashlib.sha256(token or _NO_TOKEN).digest()
            right &= hmac.compare_digest(digest, verifier) | (token is None)
        append, read, owner = (t is not None for t in (frame.append, frame.read, frame.owner))
        if log is None or not right or not (append or read or owner):
            return None
        return _Binding(log.key, append, read, owner)

    def _bind(self, frame: wire.Attach, log: Found, binding: _Binding, out: list[Command]) -> None:
        out += [Stop(frame.handle), Touch(log.key)]
        self._bound[frame.handle] = binding
        out.append(Send(wire.Attached(frame.handle, log.first, log.next)))
        if frame.since is not None and binding.read:
            since = frame.since if frame.since < log.next else 0
            out.append(Read(frame.handle, log.key, since, frame.follow))


def expiry(now: int, lifetime: int) -> int:
    """When a record ends, in milliseconds: rounded up to the hour, under a day to the minute.

    Exact times would let whoever holds two relays' disks match records by them.
    """
    step = HOUR if lifetime >= 24 * 3600 else MINUTE
    return -(-(now + lifetime * 1000) // step) * step


def _refused(handle: int, refusal: Refusal, n: int = 0) -> Command:
    return Send(wire.Refused(handle, refusal.code, refusal.text, n))
