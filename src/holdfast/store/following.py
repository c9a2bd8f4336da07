"""Logs of a cluster that somebody here follows: what comes is told once, in order.

What is stored is heard where its stream republishes it, and says what came before it in its log. A
gap, another leader or a broken connection shows that something was missed, and that is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from holdfast.store.jet import Failed, Jet, Listening, Stored, Unanswered
from holdfast.store.streams import Streams, parts

CHECK_SECONDS: Final = 60
CHECKS_A_SECOND: Final = 100
"""Every followed log is looked at so often, in case the cluster's servers were parted."""

Read = Callable[[int, int], Awaitable[tuple[list[Stored], bool]]]
"""Of a log, what is stored after a number, and whether there is more."""


@dataclass(slots=True)
class _Followed:
    """A log that somebody here follows. `last` is the number of the newest record that was
    told or read, None before any was."""

    listening: Listening
    followers: int = 1
    last: int | None = None
    reading: bool = False
    again: bool = False


class Following:
    """`stored` reads, `run` makes a task of a coroutine."""

    def __init__(
        self,
        jet: Jet,
        streams: Streams,
        stored: Read,
        run: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._jet = jet
        self._streams = streams
        self._stored = stored
        self._run = run
        self._followed: dict[int, _Followed] = {}
        self.publish: Callable[[int, int, bytes], None] = lambda key, seq, body: None
        """Told of a record, or of a live frame under the number 0."""

    def begin(self) -> None:
        """Look after all that is followed, until the task is cancelled."""
        name = self._streams.name
        self._jet.listen(f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{name}-*", self._led)
        self._run(self._look_after())

    def follow(self, key: int) -> None:
        """Somebody wants to know what comes to a log."""
        followed = self._followed.get(key)
        if followed is not None:
            followed.followers += 1
            return
        name, life = parts(key)

        def came(message: Any) -> None:
            self._came(key, message)

        # Stored records (p) and live frames (l).
        self._followed[key] = _Followed(
            self._jet.listen(f"{self._streams.name}.*.{name}.{life}", came)
        )

    def unfollow(self, key: int) -> None:
        """Somebody does not want to know any more."""
        followed = self._followed.get(key)
        if followed is not None:
            followed.followers -= 1
            if not followed.followers:
                del self._followed[key]
                self._jet.unlisten(followed.listening)

    def has_read(self, key: int, newest: int) -> None:
        """A reader has everything up to here."""
        followed = self._followed.get(key)
        if followed is not None:
            followed.last = max(followed.last or 0, newest)

    def missed(self) -> None:
        """Something may have come that was not heard."""
        self._run(self._look(None))

    def _came(self, key: int, message: Any) -> None:
        kind = message.subject.split(".", 2)[1]
        if kind == "l":
            self.publish(key, 0, message.data)
            return
        followed = self._followed.get(key)
        if kind != "p" or followed is None:
            return
        seq = int(message.headers["Nats-Sequence"])
        before = int(message.headers["Nats-Last-Sequence"])
        if followed.reading:
            followed.again = True
        elif followed.last is not None and before > followed.last:
            self._catch_up(key, followed)
        else:
            followed.last = max(followed.last or 0, seq)
            self.publish(key, seq, message.data)

    def _catch_up(self, key: int, followed: _Followed) -> None:
        """Read what was missed, and tell of it."""
        if followed.last is None:
            return  # the first read is on its way
        if followed.reading:
            followed.again = True
            return
        followed.reading = True
        self._run(self._catching_up(key, followed))

    async def _catching_up(self, key: int, followed: _Followed) -> None:
        more = True
        while more and self._followed.get(key) is followed:
            followed.again = False
            try:
                found, more = await self._stored(key, followed.last or 0)
            except (Unanswered, Failed):
                await asyncio.sleep(1)
                continue
            for one in found:
                followed.last = one.seq
                self.publish(key, one.seq, one.body)
            more = more or followed.again
        followed.reading = False

    def _led(self, message: Any) -> None:
        stream = str(message.subject).rpartition(".")[2]
        self._run(self._look(stream))

    async def _look(self, stream: str | None, every: float = 0.001) -> None:
        """Look at every followed log, or those of a stream, for what was not told."""
        for key, followed in list(self._followed.items()):
            if stream in (None, self._streams.of(key)):
                self._catch_up(key, followed)
                await asyncio.sleep(every)

    async def _look_after(self) -> None:
        while True:
            every = max(1 / CHECKS_A_SECOND, CHECK_SECONDS / (len(self._followed) + 1))
            await asyncio.sleep(every)
            await self._look(None, every)
