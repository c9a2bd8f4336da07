"""What the relay's connections share: the store, who follows which log, the turn's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast.core import wire
from holdfast.core.log.reader import CHUNK, Reader
from holdfast.core.log.server import Refusal
from holdfast.relay.limits import RelayLimits
from holdfast.relay.onward import Checked, Tunnel
from holdfast.store.base import Answer, Shared, Store

if TYPE_CHECKING:
    from holdfast.paths.base import Channel
    from holdfast.relay.admission import Admission
    from holdfast.relay.session import Connection


LIVE_AT_ONCE: Final = 1_000
LIVE_BYTES: Final = 256 * 1024
"""Live frames of a log in one turn; what is more is gone."""


class Hub:
    """Hands durable records and live frames to those who follow.

    `soon` runs a function at the end of the loop's turn (`call_soon`), `clock` gives
    milliseconds; other relays are reached through `proxy`, if there is one.
    """

    def __init__(
        self,
        store: Store,
        limits: RelayLimits,
        clock: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
        proxy: str | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.store = store
        self.limits = limits
        self.admission = admission
        self.clock = clock
        self._soon = soon
        self._checked = Checked(proxy)
        self._followers: dict[int, dict[Reader, Connection]] = {}
        self._connections: dict[Connection, int] = {}
        self._dirty: dict[Connection, None] = {}
        self._live: dict[int, list[bytes]] = {}
        self._live_room: dict[int, int] = {}
        self._beside: dict[bytes, Any] = {}
        self.offered: Callable[[bytes], None] = lambda _: None
        self.withdrawn: Callable[[bytes], None] = lambda _: None
        """Told of tokens of sessions that want datagrams, and no more: other processes may have
        them."""
        self._shared = store if isinstance(store, Shared) else None
        if self._shared is not None:
            self._shared.tells(self._publish, self._gone)

    def tunnel(self, channel: Channel, end: Callable[[str, str], None]) -> Tunnel:
        """A connection is to be passed on to another relay."""
        return Tunnel(channel, self._checked, self.limits.connection, self.clock, end)

    def crowded(self) -> bool:
        """See `Store.crowded`."""
        return self.store.crowded

    def joined(self, connection: Connection) -> None:
        """A connection began."""
        self._connections[connection] = self.clock()

    def left(self, connection: Connection) -> None:
        """A connection ended."""
        self._connections.pop(connection, None)
        self.left_beside(connection)
        self._dirty.pop(connection, None)

    def beside(self, connection: Any, token: bytes) -> None:
        """A connection names a token, in the place of one before: the other one that did, if it
        was there first, lends it its datagrams, or borrows them."""
        self.left_beside(connection)
        other = self._beside.pop(token, None)
        if other is None or other.lends == connection.lends:
            self._beside[token], connection.token = connection, token
            if not connection.lends:
                self.offered(token)
        elif connection.lends:
            other.borrow(connection)
        else:
            connection.borrow(other)

    def waits_beside(self, token: bytes) -> Connection | None:
        """The session that waits for datagrams under this token, which has them now."""
        found: Connection | None = self._beside.pop(token, None)
        return found

    def left_beside(self, connection: Any) -> None:
        """It waits for nobody any more."""
        waits = self._beside.get(connection.token)
        if waits is not None and waits is connection:
            del self._beside[connection.token]
            if not connection.lends:
                self.withdrawn(connection.token)

    def follow(self, key: int, connection: Connection, reader: Reader) -> None:
        """`reader` wants to know what comes to the log."""
        followers = self._followers.setdefault(key, {})
        if self._shared is not None and not followers:
            self._shared.follow(key)
        followers[reader] = connection

    def unfollow(self, key: int, reader: Reader) -> None:
        """`reader` does not want to know any more."""
        followers = self._followers.get(key)
        if followers is not None:
            followers.pop(reader, None)
            if not followers:
                del self._followers[key]
                if self._shared is not None:
                    self._shared.unfollow(key)

    def stored(self, key: int, seq: int, body: bytes) -> None:
        """A record that came here is durable."""
        if self._shared is not None:
            return
        followers = self._followers.get(key)
        if followers is not None:
            for reader, connection in followers.items():
                connection.published(reader, seq, body)

    def live(self, key: int, body: bytes) -> None:
        """A live frame passes."""
        if self._shared is None:
            self._publish(key, 0, body)
        else:
            self._shared.live(key, body)

    def _publish(self, key: int, seq: int, body: bytes) -> None:
        if not seq:
            self._pass(key, body)
            return
        for reader, connection in self._followers.get(key, {}).items():
            connection.published(reader, seq, body)

    def _pass(self, key: int, body: bytes) -> None:
        """Live frames of one turn go together, in the same bytes for all who follow."""
        if key not in self._followers:
            return
        if not self._live and not self._dirty:
            self._soon(self._flush)
        bodies = self._live.setdefault(key, [])
        room = self._live_room.get(key, LIVE_BYTES) - len(body)
        if room >= 0 and len(bodies) < LIVE_AT_ONCE:
            bodies.append(body)
            self._live_room[key] = room

    def _pass_on(self) -> None:
        live, self._live = self._live, {}
        self._live_room.clear()
        for key, bodies in live.items():
            parts = list(_parts(bodies))
            for reader, connection in list(self._followers.get(key, {}).items()):
                connection.passed(reader, bodies, parts)

    def drop(self, key: int, done: Answer) -> None:
        """Drop a log; who follows it learns that it is gone."""

        def dropped(refusal: Refusal | None) -> None:
            done(refusal)
            if refusal is None:
                self._gone(key)

        self.store.drop(key, dropped)

    def missed(self, key: int) -> None:
        """Something may have come to a log of which nobody told here: who follows it looks."""
        for reader, connection in list(self._followers.get(key, {}).items()):
            connection.missed(reader)

    def _gone(self, key: int) -> None:
        for reader, connection in list(self._followers.get(key, {}).items()):
            connection.log_gone(reader.handle)

    def dirty(self, connection: Connection) -> None:
        """The connection has something to send at the end of this turn."""
        if not self._dirty and not self._live:
            self._soon(self._flush)
        self._dirty[connection] = None

    def tick(self) -> None:
        """Once in a while: expiry, and connections that never said hello."""
        self.store.sweep()
        late = self.clock() - self.limits.greeting_seconds * 1000
        now, partial = self.clock(), 0
        for connection, since in list(self._connections.items()):
            connection.look(now)
            partial += connection.partial
            if connection.idle and since <= late:
                connection.end("rate", "no hello came in time")

        if partial > self.limits.partial_bytes:
            self._end_largest(partial)

    def _end_largest(self, partial: int) -> None:
        """Those that hold most of frames that are not whole: together they hold too much."""
        for connection in sorted(self._connections, key=lambda one: -one.partial):
            if partial <= self.limits.partial_bytes:
                break
            partial -= connection.partial
            connection.end("later", "too many frames come slowly at a time; try again later")

    def end(self, code: str, text: str) -> None:
        """End every connection with a reason."""
        for connection in list(self._connections):
            connection.end(code, text)

    def _flush(self) -> None:
        if self._live:
            self._pass_on()
        dirty, self._dirty = self._dirty, {}
        for connection in dirty:
            connection.flush()


def _parts(bodies: Sequence[bytes]) -> Iterator[bytes]:
    """Live frames as `wire.encode_live`, in parts that a frame has room for."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and size + len(body) > CHUNK:
            yield wire.encode_live(part)
            part, size = [], 0
        part.append(body)
        size += len(body) + 16
    yield wire.encode_live(part)
