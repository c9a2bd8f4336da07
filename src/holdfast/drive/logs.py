"""A node's logs on all its relays: connections kept up, and what happens on them.

One client machine (`core.log.client`) per relay; this module gives it connections, the
clock and a timer. Nothing here is durable: who calls `append` keeps the record until
`Appended` comes, and repeats follow and append after a start of the program.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast.core import tokens, wire
from holdfast.core.caps import Caps, Home
from holdfast.core.log.admission import MOST_BITS, challenge, work
from holdfast.core.log.client import Client
from holdfast.core.log.events import (
    Appended,
    Asked,
    By,
    CaughtUp,
    Close,
    Created,
    Dropped,
    Event,
    Live,
    Pass,
    Received,
    Refused,
    Strange,
    Tokens,
)
from holdfast.paths.base import MOVED, Kind, Unreachable
from holdfast.paths.websocket import STALLED

if TYPE_CHECKING:
    from holdfast.paths.base import Channel, Handler, Link

__all__ = [
    "Appended",
    "CaughtUp",
    "Created",
    "Down",
    "Dropped",
    "Live",
    "LogEvent",
    "Logs",
    "Received",
    "Refused",
    "Strange",
    "Up",
]

FIRST_WAIT: Final = 500
"""Milliseconds before the second attempt; doubled for each one after it."""
LONGEST_WAIT: Final = 60_000
STEADY: Final = 10_000
"""A connection that lasted so long makes the next wait the first one again."""
MOST_TOKENS: Final = 8
"""That are asked for at a time, and kept."""
LIVE_UNSENT: Final = 64 * 1024
"""Live frames are not given to a connection that has more bytes unsent."""


@dataclass(frozen=True, slots=True)
class Up:
    """The relay is connected and its key was checked."""

    home: Home


@dataclass(frozen=True, slots=True)
class Down:
    """The relay is not connected; it is tried again by itself. `why` is for people, `kind`
    says how far it came, see `paths.base.Kind`."""

    home: Home
    why: str
    kind: Kind = "closed"


LogEvent = Event | Up | Down
Connect = Callable[["Home", "Handler"], Awaitable["Channel"]]
"""A path's way to connect: gives a channel whose relay's key was checked, or raises."""


class Logs:
    """All methods are called on the loop's thread and return at once; what comes of them
    is told to `on_event`, on the same thread. Every home that is mentioned is connected
    and kept connected until `close`."""

    def __init__(
        self,
        connect: Connect,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        on_event: Callable[[LogEvent], None],
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._entropy = entropy
        self._on_event = on_event
        self._lines: dict[Home, _Line] = {}
        self.purse = Purse(entropy)

    def open(self, home: Home) -> None:
        """Keep a connection to this relay."""
        self._line(home)

    def close(self, home: Home) -> None:
        """Let go of this relay, with everything that waits for it."""
        line = self._lines.pop(home, None)
        if line is not None:
            line.stop()

    async def stop(self) -> None:
        """Let go of all relays; returns when their connections are closed."""
        lines = list(self._lines.values())
        self._lines.clear()
        for line in lines:
            line.stop()
        await asyncio.gather(*(line.task for line in lines), return_exceptions=True)

    def retry(self) -> None:
        """Try every relay that is down now: the network changed, or the person asked."""
        for line in self._lines.values():
            line.hurry()

    def create(self, caps: Caps, home: Home, limit: int = 0) -> None:
        """Make the log; `limit` is the most records it ever takes, 0 for no such limit."""
        with self._line(home) as client:
            client.create(caps, limit)

    def is_up(self, home: Home) -> bool:
        """Whether this relay is connected."""
        line = self._lines.get(home)
        return line is not None and line.is_up

    def forget(self, caps: Caps, home: Home) -> None:
        """Nothing more of this log is wanted, appends that wait included."""
        line = self._lines.get(home)
        if line is not None:
            with line as client:
                client.forget(caps)

    def follow(self, caps: Caps, home: Home, since: int, bare: bool = False) -> None:
        """Deliver stored records after `since`, then all that come; across reconnections.
        `bare`: live frames are those of `pass_on`."""
        with self._line(home) as client:
            client.follow(caps, since, bare)

    def unfollow(self, caps: Caps, home: Home) -> None:
        """Deliver nothing more of this log."""
        with self._line(home) as client:
            client.unfollow(caps)

    def append(self, caps: Caps, home: Home, rid: bytes, body: bytes, lifetime: int) -> None:
        """Add a record that is kept `lifetime` seconds, again and again until the relay
        acknowledged it; with 0, pass a live frame on now or never."""
        line = self._line(home)
        with line as client:
            client.append(caps, rid, body, lifetime, room=line.has_room())

    def pass_on(
        self, caps: Caps, home: Home, frame: bytes, unsent: int, by: By = "datagram"
    ) -> bool:
        """A live frame without outer envelope, now or never; whether it went. It does not if
        more than `unsent` bytes wait in a stream that it is to take."""
        line = self._line(home)
        with line as client:
            room = line.has_room(unsent) or (by == "datagram" and line.link is not None)
            return client.pass_on(caps, frame, room=room, by=by)

    def path(self, home: Home) -> str:
        """The name of the path in use; empty if there is none, or it has none."""
        line = self._lines.get(home)
        return "" if line is None else line.path

    def link(self, home: Home) -> Link | None:
        """How datagrams fare to and from this relay; None: there are none now."""
        line = self._lines.get(home)
        return None if line is None else line.link

    def trim(self, caps: Caps, home: Home, upto: int) -> None:
        """Delete stored records up to and including `upto`."""
        with self._line(home) as client:
            client.trim(caps, upto)

    def drop(self, caps: Caps, home: Home) -> None:
        """Delete the log."""
        with self._line(home) as client:
            client.drop(caps)

    def _line(self, home: Home) -> _Line:
        line = self._lines.get(home)
        if line is None:
            line = _Line(
                home, self._connect, self._clock, self._entropy, self._on_event, self.purse
            )
            self._lines[home] = line
        return line


class Purse:
    """Tokens that relays gave, by which logs may be made there later, by another way too, without
    the relay knowing whom it gave them. In memory: what is lost is asked for again."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._tokens: dict[tuple[bytes, bytes], list[bytes]] = {}
        self._asked: dict[Home, list[tokens.Pending]] = {}

    def ask(self, home: Home, terms: wire.Terms) -> tuple[bytes, ...]:
        """Requests for as many tokens as are missing."""
        have = len(self._tokens.get((home.pin, terms.issuer), ()))
        count = min(terms.gives, MOST_TOKENS - have)
        try:
            verifier = tokens.Verifier(terms.issuer)
        except tokens.BadToken:
            return ()
        what = challenge(home.pin)
        self._asked[home] = [tokens.ask(verifier, what, self._entropy) for _ in range(count)]
        return tuple(each.request for each in self._asked[home])

    def keep(self, home: Home, answers: tuple[bytes, ...]) -> None:
        """What was given."""
        for each, answer in zip(self._asked.pop(home, ()), answers, strict=False):
            with contextlib.suppress(tokens.BadToken):
                token = each.finish(answer)
                self._tokens.setdefault((home.pin, each.issuer), []).append(token)

    def take(self, home: Home, issuer: bytes) -> bytes:
        """One to spend, or nothing."""
        found = self._tokens.get((home.pin, issuer))
        return found.pop() if found else b""


class _Line:
    """One relay: the machine, its connection and its timers. As a context manager it
    carries out what the machine was told to do inside."""

    def __init__(
        self,
        home: Home,
        connect: Connect,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        on_event: Callable[[LogEvent], None],
        purse: Purse,
    ) -> None:
        self._home = home
        self._purse = purse
        self._working: asyncio.Task[None] | None = None
        self._connect = connect
        self._clock = clock
        self._entropy = entropy
        self._on_event = on_event
        self._client = Client(home, entropy)
        self._channel: Channel | None = None
        self._stopped = False
        self._flushing = False
        self._lost = asyncio.Event()
        self._why = ""
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = asyncio.Event()
        self.task = asyncio.create_task(self._keep())

    def stop(self) -> None:
        """Close the connection and make no other."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self.task.cancel()

    def hurry(self) -> None:
        """If the relay is down, make the next attempt at once."""
        if self._channel is None:
            self._hurried.set()

    @property
    def is_up(self) -> bool:
        """Whether the relay is connected."""
        return self._channel is not None

    def has_room(self, unsent: int = LIVE_UNSENT) -> bool:
        """Whether a live frame would leave soon."""
        return self._channel is not None and self._channel.buffered < unsent

    @property
    def path(self) -> str:
        """The name of the path in use, if it has one."""
        return str(getattr(self._channel, "path", ""))

    @property
    def link(self) -> Link | None:
        """How its datagrams fare, if it has any."""
        return None if self._channel is None else self._channel.link

    def __enter__(self) -> Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._flush()

    # From the channel.

    def on_frame(self, frame: bytes) -> None:
        """One whole frame came."""
        if not self._stopped:
            self._client.receive(frame, self._clock())
            self._flush()

    def on_live(self, frame: bytes) -> None:
        """A datagram came."""
        if not self._stopped:
            self._client.receive_live(frame)
            self._flush()

    def on_drained(self) -> None:
        """The channel has little left to send; the machine's window keeps it short anyway."""

    def on_closed(self, reason: str) -> None:
        """The connection is gone."""
        self._why = self._why or reason
        self._lost.set()

    async def _keep(self) -> None:
        wait = FIRST_WAIT
        try:
            while True:
                self._lost.clear()
                self._why = ""
                began = self._clock()
                try:
                    self._channel = await self._connect(self._home, self)
                except OSError as error:
                    kind: Kind = error.kind if isinstance(error, Unreachable) else "connect"
                    self._tell(Down(self._home, str(error) or type(error).__name__, kind))
                else:
                    began = self._clock()
                    self._client.connected(began)
                    self._tell(Up(self._home))
                    self._flush()
                    await self._lost.wait()
                    self._channel = None
                    self._client.disconnected()
                    self._tell(Down(self._home, self._why or "the connection was closed"))
                    if self._clock() - began >= STEADY:
                        wait = FIRST_WAIT
                if self._why == MOVED:
                    continue
                if self._why != STALLED or wait > FIRST_WAIT:  # after a silence it is late already
                    await self._pause(wait)
                wait = min(wait * 2, LONGEST_WAIT)
        finally:
            if self._channel is not None:
                self._channel.close("")

    async def _pause(self, wait: int) -> None:
        """Half of the wait and a random part of the rest: nodes do not return in step."""
        share = int.from_bytes(self._entropy(2), "big") / 65_535
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait / 2000 * (1 + share)):
                await self._hurried.wait()
        self._hurried.clear()

    def _flush(self) -> None:
        if self._flushing:
            return  # an event's receiver asked for something: the loop below sees it
        self._flushing = True
        try:
            while out := self._client.take():
                for item in out:
                    if isinstance(item, bytes):
                        if self._channel is not None:
                            self._channel.send(item)
                    elif isinstance(item, Pass):
                        self._pass_on(item)
                    elif isinstance(item, Asked):
                        self._seek_admission(item.terms)
                    elif isinstance(item, Tokens):
                        self._purse.keep(item.home, item.answers)
                    elif isinstance(item, Close):
                        self._why = self._why or item.reason
                        if self._channel is not None:
                            self._channel.close("")
                    else:
                        self._tell(item)
        finally:
            self._flushing = False
        self._set_timer()

    def _seek_admission(self, terms: wire.Terms) -> None:
        """Pay with a token, or work for it; and ask for tokens where they are given."""
        if terms.gives:
            requests = self._purse.ask(self._home, terms)
            if requests:
                self._client.ask(requests)
        elif token := self._purse.take(self._home, terms.issuer):
            self._client.admit("token", token)
        elif 0 < terms.bits <= MOST_BITS and self._working is None:
            self._working = asyncio.create_task(self._work(terms, self._channel))

    async def _work(self, terms: wire.Terms, channel: Channel | None) -> None:
        try:
            found = await asyncio.to_thread(
                work, terms.nonce, terms.bits, lambda: self._channel is channel
            )
        finally:
            self._working = None
        if found is not None and self._channel is channel and not self._stopped:
            with self as client:
                client.admit("work", found)

    def _pass_on(self, item: Pass) -> None:
        channel = self._channel
        if channel is None:
            return
        link = channel.link
        if item.by != "stream":
            channel.send_live(item.frame)
        if item.by == "stream" or (item.by == "safe" and link is not None and not link.answers):
            channel.send(item.frame)

    def _tell(self, event: LogEvent) -> None:
        if not self._stopped:
            self._on_event(event)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._client.due()
        if due is not None and not self._stopped:
            delay = max(0, due - self._clock()) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._client.tick(self._clock())
        self._flush()
