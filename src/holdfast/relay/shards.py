"""One relay's logs, shared out to its processes.

Which process keeps a log follows from the log's id and a secret of the relay, so that nobody can
choose ids that all go to one. A connection may use logs of all processes: what it asks of another
one's log is passed on (`mesh`), and what comes to that log is told to every process where somebody
follows. If the other process is not there, what was asked is refused with `later`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from holdfast.core import wire
from holdfast.core.log.server import CROWDED, Found, Refusal
from holdfast.relay.mesh import Mesh, Reply
from holdfast.store.base import Answer, Appended, Records
from holdfast.store.embedded import Embedded

LATER: Final = Refusal("later", "a part of this relay is starting again; try again soon")

_Told = list[str] | None
"""A refusal, between processes."""


def shard_of(name: bytes, count: int, secret: bytes) -> int:
    """The number of the process that keeps this log."""
    digest = hashlib.blake2b(name, digest_size=8, key=secret).digest()
    return int.from_bytes(digest, "big") % count


class Shards:
    """A `Shared` store: `own` is this process's part of it, `owner` gives the
    number of the process that keeps a log. A log's key here is its key in its
    part, times the number of processes, plus the number of its own."""

    guarantee: Final = "on the disk of this machine"

    def __init__(self, own: Embedded, mesh: Mesh, owner: Callable[[bytes], int]) -> None:
        self._own = own
        self._mesh = mesh
        self._owner = owner
        self._count, self._number = mesh.count, mesh.number
        self._followed: dict[int, dict[int, None]] = defaultdict(dict)
        """Keys of logs of other processes, by process, that are followed here."""
        self._far: dict[int, dict[int, None]] = {}
        """Processes where somebody follows a log of this one, by its key in this part."""
        self._publish: Callable[[int, int, bytes], None] = lambda *_: None
        self._gone: Callable[[int], None] = lambda _: None
        self.missed: Callable[[int], None] = lambda _: None
        """Told of followed logs to which something may have come unheard."""
        mesh.joined.append(self._joined)
        mesh.left.append(self._left)
        for what in ("make", "find", "touch", "append", "read", "trim", "drop"):
            mesh.serve(what, getattr(self, f"_on_{what}"))
        for what in ("follow", "unfollow", "live", "told", "gone"):
            mesh.serve(what, getattr(self, f"_on_{what}"))

    @property
    def crowded(self) -> bool:
        """See `Store.crowded`."""
        return self._own.crowded or bool(self._mesh.behind)

    def make(self, frame: wire.Create, done: Answer) -> None:
        """See `Store.make`."""
        owner = self._owner(frame.log_id)
        if owner == self._number:
            self._own.make(frame, done)
        else:
            values = (frame.log_id, frame.append, frame.read, frame.owner, frame.limit)
            self._ask(owner, "make", values, done)

    def find(self, name: bytes, found: Callable[[Found | Refusal | None], None]) -> None:
        """See `Store.find`."""
        owner = self._owner(name)
        if owner == self._number:
            self._own.find(name, lambda log: found(self._named(log, owner)))
        else:
            self._mesh.ask(
                owner,
                "find",
                (name,),
                lambda log: found(self._named(log and Found(*log), owner)),
                lambda: found(LATER),
            )

    def touch(self, key: int) -> None:
        """See `Store.touch`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._own.touch(key)
        else:
            self._mesh.tell(owner, "touch", key)

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """See `Store.append`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._append(key, expires, body, done)
        else:
            self._mesh.ask(
                owner,
                "append",
                (key, expires, body),
                lambda told, seq: done(_refusal(told), seq),
                lambda: done(LATER, 0),
            )

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """See `Store.read`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._own.read(key, since, done)
        else:
            lost = partial(self._soon_again, key, owner, since, done)
            self._mesh.ask(owner, "read", (key, since), done, lost)

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """See `Store.trim`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._own.trim(key, upto, done)
        else:
            self._ask(owner, "trim", (key, upto), done)

    def drop(self, key: int, done: Answer) -> None:
        """See `Store.drop`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._drop(key, done)
        else:
            self._ask(owner, "drop", (key,), done)

    def sweep(self) -> None:
        """See `Store.sweep`."""
        self._own.sweep()

    def close(self) -> None:
        """See `Store.close`."""
        self._own.close()

    async def aclose(self) -> None:
        """See `Shared.aclose`."""
        await self._mesh.end()
        self._own.close()

    def tells(
        self, publish: Callable[[int, int, bytes], None], gone: Callable[[int], None]
    ) -> None:
        """See `Shared.tells`."""
        self._publish, self._gone = publish, gone

    def follow(self, key: int) -> None:
        """See `Shared.follow`."""
        key, owner = divmod(key, self._count)
        if owner != self._number:
            self._followed[owner][key] = None
            self._mesh.tell(owner, "follow", key)

    def unfollow(self, key: int) -> None:
        """See `Shared.unfollow`."""
        key, owner = divmod(key, self._count)
        if owner != self._number:
            self._followed[owner].pop(key, None)
            self._mesh.tell(owner, "unfollow", key)

    def live(self, key: int, body: bytes) -> None:
        """See `Shared.live`."""
        key, owner = divmod(key, self._count)
        if owner == self._number:
            self._tell(key, 0, body)
        else:
            self._mesh.tell(owner, "live", key, body)

    # Within.

    def _named(self, log: Found | None, owner: int) -> Found | None:
        if log is None:
            return None
        key = log.key * self._count + owner
        return Found(key, log.append, log.read, log.owner, log.first, log.next)

    def _ask(self, owner: int, what: str, values: tuple[Any, ...], done: Answer) -> None:
        self._mesh.ask(owner, what, values, lambda told: done(_refusal(told)), lambda: done(LATER))

    def _soon_again(
        self, key: int, owner: int, since: int, done: Callable[[Records, bool], None]
    ) -> None:
        """A reader waits until the process is there again: it misses nothing."""
        if owner in self._mesh.others:
            self.read(key * self._count + owner, since, done)
        else:
            self._mesh.later(lambda: self._soon_again(key, owner, since, done))

    def _append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        def stored(refusal: Refusal | None, seq: int) -> None:
            done(refusal, seq)
            if refusal is None:
                self._tell(key, seq, body)

        self._own.append(key, expires, body, stored)

    def _drop(self, key: int, done: Answer) -> None:
        def dropped(refusal: Refusal | None) -> None:
            done(refusal)
            if refusal is None:
                self._gone(key * self._count + self._number)
                for other in self._far.pop(key, {}):
                    self._mesh.tell(other, "gone", key)

        self._own.drop(key, dropped)

    def _tell(self, key: int, seq: int, body: bytes) -> None:
        """Those who follow a log of this process, here and elsewhere."""
        self._publish(key * self._count + self._number, seq, body)
        for other in self._far.get(key, ()):
            self._mesh.tell(other, "told", key, seq, body)

    def _joined(self, other: int) -> None:
        """Another process is there, perhaps again: nobody told of what came meanwhile."""
        for key in self._followed[other]:
            self._mesh.tell(other, "follow", key)
            self.missed(key * self._count + other)

    def _left(self, other: int) -> None:
        for key in [key for key, others in self._far.items() if other in others]:
            self._on_unfollow(other, _nobody, key)

    # From other processes.

    def _on_make(self, other: int, reply: Reply, *made: Any) -> None:
        self._own.make(wire.Create(0, *made), lambda refusal: reply(_told(refusal)))

    def _on_find(self, other: int, reply: Reply, name: bytes) -> None:
        def found(log: Found | None) -> None:
            reply(log and (log.key, log.append, log.read, log.owner, log.first, log.next))

        self._own.find(name, found)

    def _on_touch(self, other: int, reply: Reply, key: int) -> None:
        self._own.touch(key)

    def _on_append(self, other: int, reply: Reply, key: int, expires: int, body: bytes) -> None:
        if self._own.crowded:
            reply(_told(CROWDED), 0)
        else:
            self._append(key, expires, body, lambda refusal, seq: reply(_told(refusal), seq))

    def _on_read(self, other: int, reply: Reply, key: int, since: int) -> None:
        self._own.read(key, since, reply)

    def _on_trim(self, other: int, reply: Reply, key: int, upto: int) -> None:
        self._own.trim(key, upto, lambda refusal: reply(_told(refusal)))

    def _on_drop(self, other: int, reply: Reply, key: int) -> None:
        self._drop(key, lambda refusal: reply(_told(refusal)))

    def _on_follow(self, other: int, reply: Reply, key: int) -> None:
        if self._own.has(key):
            self._far.setdefault(key, {})[other] = None
        else:
            self._mesh.tell(other, "gone", key)

    def _on_unfollow(self, other: int, reply: Reply, key: int) -> None:
        others = self._far.get(key, {})
        others.pop(other, None)
        if not others:
            self._far.pop(key, None)

    def _on_live(self, other: int, reply: Reply, key: int, body: bytes) -> None:
        self._tell(key, 0, body)

    def _on_told(self, other: int, reply: Reply, key: int, seq: int, body: bytes) -> None:
        self._publish(key * self._count + other, seq, body)

    def _on_gone(self, other: int, reply: Reply, key: int) -> None:
        self._gone(key * self._count + other)


def _told(refusal: Refusal | None) -> _Told:
    return None if refusal is None else [refusal.code, refusal.text]


def _refusal(told: Sequence[str] | None) -> Refusal | None:
    return None if told is None else Refusal(*told)


def _nobody(*_: Any) -> None:
    """Asked for no reply."""
