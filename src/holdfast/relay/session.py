"""One connection at the relay: joins channel, session machine, readers and store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.core import wire
from holdfast.core.log import server
from holdfast.core.log.reader import Reader
from holdfast.store.base import Records

if TYPE_CHECKING:
    from holdfast.paths.base import Channel
    from holdfast.relay.hub import Hub
    from holdfast.relay.onward import Tunnel

UNTAKEN: Final = 4
"""Times as much as makes a reader slow, and who asks on without reading is gone."""
DOUBTED: Final = 500
"""Milliseconds for which a node's doubt about datagrams lasts."""
_LIVE: Final = wire.encode(wire.Live(0, b""))[:2]
"""How the frame begins."""


class Beside(Protocol):
    """One of two connections, of which one lends its datagrams to the other: a `Connection` of
    this process, or what stands for one of another process."""

    lends: bool
    channel: Any

    def lent(self, to: Any) -> None:
        """Its datagrams are that one's."""

    def on_live(self, data: bytes) -> None:
        """A datagram came."""

    def alone(self) -> None:
        """The other one is gone."""

    def end(self, code: str, text: str) -> None:
        """It is not used any more."""


class Connection:
    """Carries out what the session machine commands, and reports back to it.

    Frames that answer a batch are sent at the end of the loop's turn (`flush`), so that a
    batch of appends costs one acknowledgement and a batch of records one frame.
    """

    __slots__ = (
        "__weakref__",
        "_channel",
        "_doubted",
        "_entrance",
        "_fetching",
        "_frame_bytes",
        "_frames",
        "_gathered",
        "_hub",
        "_left",
        "_most",
        "_other",
        "_partial_since",
        "_peer",
        "_readers",
        "_ready",
        "_seen_bytes",
        "_slow",
        "_store",
        "_tunnel",
        "_unsent",
        "channel",
        "closed",
        "lends",
        "partial",
        "session",
        "token",
    )

    def __init__(
        self,
        hub: Hub,
        channel: Channel,
        welcome: wire.Welcome,
        left: Callable[[str], object] = lambda _: None,
        peer: str = "",
        path: bytes = b"",
    ) -> None:
        self._hub = hub
        self._store = hub.store
        self._most = hub.limits.unsent_bytes
        self._left = left
        self.channel = self._channel = channel
        self._peer = peer
        self._tunnel: Tunnel | None = None
        limits = hub.limits.connection
        admission = hub.admission
        self._entrance = None if admission is None else admission.entrance(path, peer)
        entrance = self._entrance or server.OPEN
        self.session = server.Session(welcome, limits, hub.crowded, entrance)
        self._readers: dict[int, tuple[int, Reader]] = {}
        self._ready: dict[int, Reader] = {}
        self._slow: dict[int, Reader] = {}
        self._fetching = False
        self._unsent = 0
        """Bytes that the channel may have unsent: what it had when it was asked last, and all that
        it was given since."""
        self._gathered = 0
        """Bytes of records that go to it at the end of this turn."""
        self.token = b""
        self.lends = False
        """Its datagrams are for another connection."""
        self._other: Beside | None = None
        """That one, or the one that lends."""
        self._doubted = 0
        """When the node last chose the stream for what could have been a datagram."""
        self._frames = self._frame_bytes = self._seen_bytes = 0
        """Since the last look, and of all that came as of it."""
        self.partial = 0
        """Bytes that came since the last whole frame, as of the last look; about."""
        self._partial_since = hub.clock()
        self.closed = False
        hub.joined(self)
        self._carry_out(self.session.open())

    # From the channel.

    def on_frame(self, data: bytes) -> None:
        """One whole frame came."""
        self._frames += 1
        self._frame_bytes += len(data)
        if self._other is not None and data.startswith(_LIVE) and len(data) <= wire.MAX_LIVE:
            self.doubt()
        if self._tunnel is not None:
            self._tunnel.on_frame(data)
            return
        hub = self._hub
        commands = self.session.receive(data, hub.clock())
        if len(commands) == 1 and type(commands[0]) is server.Add:
            self._add(commands[0])  # nothing to say before it is settled
        else:
            self._carry_out(commands)
            hub.dirty(self)

    def on_live(self, data: bytes) -> None:
        """A datagram came."""
        if self.lends and self._other is not None:
            self._other.on_live(data)
        elif self._tunnel is None:
            self._carry_out(self.session.receive_live(data, self._hub.clock()))

    def on_drained(self) -> None:
        """The channel has little left to send: slow readers go on."""
        if self._tunnel is not None:
            self._tunnel.on_drained()
        self._unsent = self._channel.buffered
        self._read_on()

    def on_closed(self, reason: str) -> None:
        """The connection is gone."""
        self.session.state = "ended"
        self._leave()

    # From the hub.

    def published(self, reader: Reader, seq: int, body: bytes) -> None:
        """A log that `reader` follows has a new durable record."""
        room = self._unsent + self._gathered < self._most or self._room
        self._gathered += len(body)
        reader.published(seq, body, room)
        if reader.state == "waiting" or self._ready.get(reader.handle) is not reader:
            self._moved(reader)

    def passed(self, reader: Reader, bodies: Sequence[bytes], encoded: Sequence[bytes]) -> None:
        """Live frames passed in a log that `reader` follows; `encoded` is all of them."""
        if not reader.follows or self.closed:
            return
        channel = self._channel if self._other is None else self._other.channel
        if channel.link is not None:
            left = [body for body in bodies if not self._sent_live(reader, body)]
            encoded = [wire.encode_live(left)] if left else ()
        if encoded and self._room:
            for part in encoded:
                frame = wire.records_of(reader.handle, part)
                self._channel.send(frame)
                self._unsent += len(frame)

    def missed(self, reader: Reader) -> None:
        """Something may have come that was not told."""
        reader.missed()
        self._moved(reader)

    def log_gone(self, handle: int) -> None:
        """A log that this connection follows was dropped."""
        self._carry_out(self.session.gone(handle))

    def end(self, code: str, text: str) -> None:
        """Say why, and close."""
        self._carry_out(self.session.end(code, text))

    @property
    def idle(self) -> bool:
        """Whether it has not begun to be of use."""
        return self.session.state == "greeting" or (self.lends and self._other is None)

    def look(self, now: int) -> None:
        """Now and then: how much of a frame is here, and for how long."""
        if self._channel.link is not None:
            return  # most of what comes are datagrams; QUIC bounds the rest by itself
        limits, came = self._hub.limits, self._channel.received
        new = came - self._seen_bytes
        if self._frames:
            # What carries frames takes some bytes too.
            self.partial = max(0, new - new // 16 - self._frame_bytes - 64 * self._frames)
            self._frames = self._frame_bytes = 0
        else:
            self.partial += new
        self._seen_bytes = came
        if self.partial <= limits.frame_bytes:
            self._partial_since = now
        elif now - self._partial_since > limits.frame_seconds * 1000:
            self.end("rate", f"a frame did not come whole within {limits.frame_seconds} seconds")

    def borrow(self, lender: Beside) -> None:
        """Live frames may come and go as that connection's datagrams."""
        if self._other is not None:
            self._other.end("later", "other datagrams took their place")
        self._other = lender
        lender.lent(self)

    def lent(self, to: Beside) -> None:
        """Its datagrams are that one's."""
        self._other = to
        self._send(wire.Done(0, "beside"))

    def alone(self) -> None:
        """The other one is gone."""
        self._other = None
        if self.lends:
            self.end("later", "the session is over")

    def doubt(self) -> None:
        """Datagrams may not arrive."""
        self._doubted = self._hub.clock()

    def flush(self) -> None:
        """Send acknowledgements and records that gathered in this turn."""
        if self.closed:
            return
        ack = self.session.ack()
        if ack is not None:
            self._send(ack)
        if self._ready:
            ready, self._ready = self._ready, {}
            for reader in ready.values():
                for frame in reader.flush():
                    self._send(frame)
        self._gathered = 0
        if self._slow:
            self._read_on()

    def _sent_live(self, reader: Reader, body: bytes) -> bool:
        """Whether a live frame went as a datagram and need not go by the stream: it goes by both
        while datagrams are unanswered for longer than they should be, or the node doubts them."""
        channel = self._channel if self._other is None else self._other.channel
        link = channel.link
        if link is None or not reader.follows:
            return False
        frame = wire.encode(wire.Records(reader.handle, ((0, body),)))
        if len(frame) > wire.MAX_LIVE:
            return False
        channel.send_live(frame)
        return link.answers and self._hub.clock() - self._doubted > DOUBTED

    @property
    def _room(self) -> bool:
        most = self._most
        if self._unsent + self._gathered >= most:
            self._unsent = self._channel.buffered
        return self._unsent + self._gathered < most

    def _send(self, frame: wire.RelayFrame) -> None:
        if self.closed:
            return
        data = wire.encode(frame)
        self._channel.send(data)
        self._unsent += len(data)
        if self._unsent > UNTAKEN * self._most:
            self._unsent = self._channel.buffered
            if self._unsent > UNTAKEN * self._most:
                self._channel.close("the other side does not take its answers")
                self._leave()

    def _carry_out(self, commands: list[server.Command]) -> None:
        hub = self._hub
        for command in commands:
            match command:
                case server.Add():
                    self._add(command)
                case server.Send(frame):
                    self._send(frame)
                case server.Fan(key, body):
                    hub.live(key, body)
                case server.Find(log_id):
                    hub.store.find(log_id, self._found)
                case server.Check(frame) if self._entrance is not None:
                    self._entrance.check(frame, self._checked)
                case server.Check():
                    self._checked(server.ADMISSION)
                case server.Make(create):
                    hub.store.make(create, self._done)
                case server.Cut(key, upto):
                    hub.store.trim(key, upto, self._done)
                case server.Remove(key):
                    hub.drop(key, self._done)
                case server.Touch(key):
                    hub.store.touch(key)
                case server.Read(handle, key, since, follow):
                    self._start(handle, key, Reader(handle, since, follow), follow)
                case server.Stop(handle):
                    self._stop(handle)
                case server.Join(token, lends):
                    self.lends = lends
                    self._hub.beside(self, token)
                case server.Pass(address):
                    self._tunnel = hub.tunnel(self._channel, self.end)
                    self._tunnel.open(address, self._peer)
                case server.End(reason):
                    self._channel.close(reason)
                    self._leave()

    def _add(self, add: server.Add) -> None:
        self._store.append(add.key, add.expires, add.body, partial(self._stored, add))

    def _stored(self, add: server.Add, refusal: server.Refusal | None, seq: int) -> None:
        hub = self._hub
        if refusal is None:
            hub.stored(add.key, seq, add.body)
        for command in self.session.settled(add.handle, add.n, refusal):
            self._carry_out([command])
        hub.dirty(self)

    def _found(self, log: server.Found | server.Refusal | None) -> None:
        self._carry_out(self.session.found(log, self._hub.clock()))
        self._hub.dirty(self)

    def _checked(self, answer: server.Refusal | wire.Given | None) -> None:
        self._carry_out(self.session.checked(answer, self._hub.clock()))
        self._hub.dirty(self)

    def _done(self, refusal: server.Refusal | None) -> None:
        self._carry_out(self.session.done(refusal, self._hub.clock()))
        self._hub.dirty(self)

    # Readers.

    def _start(self, handle: int, key: int, reader: Reader, follow: bool) -> None:
        self._stop(handle)
        self._readers[handle] = (key, reader)
        if follow:
            self._hub.follow(key, self, reader)
        self._moved(reader)

    def _stop(self, handle: int) -> None:
        entry = self._readers.pop(handle, None)
        if entry is not None:
            key, reader = entry
            reader.stop()
            self._slow.pop(handle, None)
            self._hub.unfollow(key, reader)

    def _moved(self, reader: Reader) -> None:
        self._ready[reader.handle] = reader
        if reader.state == "waiting":
            self._slow.setdefault(reader.handle, reader)
            self._read_on()
        self._hub.dirty(self)

    def _read_on(self) -> None:
        """One fetch at a time for the whole connection, each reader in its turn."""
        while self._slow and not self._fetching and self._room:
            reader = self._slow.pop(next(iter(self._slow)))
            if not self._slow:
                self._slow = {}  # an emptied dict keeps its table
            fetch = reader.go_on(True)
            if fetch is not None:
                self._fetching = True
                key = self._readers[reader.handle][0]
                self._hub.store.read(key, fetch.since, partial(self._fetched, reader))

    def _fetched(self, reader: Reader, records: Records, more: bool) -> None:
        self._fetching = False
        reader.fetched(records, more)
        if not self.closed:
            self._moved(reader)

    def _leave(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._tunnel is not None:
            self._tunnel.close()
        for handle in list(self._readers):
            self._stop(handle)
        other, self._other = self._other, None
        if other is not None:
            other.alone()
        self._hub.left(self)
        self._left(self._peer)
