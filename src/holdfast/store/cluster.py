"""The store of a fleet: logs in a NATS JetStream cluster, behind relays that hold nothing.

What a log is lies under its name in one stream; its records lie in one of several, by the name,
under a subject of their own. A record's number is its place in that stream: it rises and never
comes again, with gaps. There is no consumer for a log: what is stored is read in batches by
subject, and what comes later is heard where the stream republishes what it has stored. Each of
those says what came before it in its log, so that a gap shows and is read.

A front end may die at any time, and any other goes on in its place.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import msgspec
import nats

from holdfast.core import wire
from holdfast.core.log.server import CROWDED, DENIED, Found, Refusal
from holdfast.store.base import Answer, Appended, Quota, Records, StoreFailed
from holdfast.store.following import Following
from holdfast.store.jet import (
    NO_STREAM,
    SUBJECT_FULL,
    WRONG_LAST,
    Failed,
    Jet,
    Stored,
    Unanswered,
)
from holdfast.store.streams import Place, Streams, key_of, parts, split

READ_BYTES: Final = 128 * 1024
CONNECT_SECONDS: Final = 20
TOUCH_SECONDS: Final = 86_400
"""How exactly it is known when a log was last used."""
AGAIN_SECONDS: Final = 0.01
"""Before what another front end was quicker with is tried again."""
_FULL: Final = Refusal("full", "this log has all the records that it may have; trim it")
_NO_ROOM: Final = Refusal("full", "this relay has no room left; try another, or again later")
_CLOSED: Final = Refusal("closed", "this log took all the records it ever takes")


class _Made(msgspec.Struct, array_like=True, frozen=True):
    """A log, as the cluster keeps it. `life` tells one log from an earlier one of that name."""

    life: bytes
    append: bytes
    read: bytes
    owner: bytes
    limit: int
    took: int = 0


_MADE: Final = msgspec.msgpack.Decoder(_Made)
_LIMITED: Final = 1
"""The bit of a life that says that the log has a limit."""
_NONE: Final = _Made(bytes(8), bytes(32), bytes(32), bytes(32), 0)


class Cluster:
    """A `Store` in a NATS cluster, on the running loop's thread. Use `open`."""

    def __init__(
        self, place: Place, quota: Quota, clock: Callable[[], int], failed: Callable[[str], None]
    ) -> None:
        self._quota = quota
        self._clock = clock
        self._failed = failed
        self._jet = Jet(self._missed)
        self._streams = Streams(place, self._jet)
        self._name, self._registry = self._streams.name, self._streams.registry
        self._following = Following(self._jet, self._streams, self._stored, self._run)
        self._logs = 0
        self._stale: dict[int, tuple[_Made, Stored]] = {}
        """Logs that were found and not used for a day."""
        self._backlog = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone: Callable[[int], None] = lambda key: None

    @classmethod
    async def open(
        cls, place: Place, quota: Quota, clock: Callable[[], int], failed: Callable[[str], None]
    ) -> Cluster:
        """Connect, and make the streams if they are not there. Raises `StoreFailed`."""
        store = cls(place, quota, clock, failed)
        options = {"user_credentials": place.credentials} if place.credentials else {}
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await store._jet.open(place.servers, **options)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await store._jet.close()
            raise StoreFailed(
                f"no server of {', '.join(place.servers)} can be reached: {error}. Start the"
                " cluster first, with JetStream (nats-server -js)"
            ) from error
        try:
            await store._streams.make(quota)
            await store._count()
        except (Unanswered, Failed) as error:
            await store._jet.close()
            raise StoreFailed(
                f"the cluster does not take the streams that a relay needs: {error}. They need"
                f" {place.replicas} servers with JetStream, and as much room as the relay may use"
            ) from error
        store._jet.listen(f"{store._name}.d.*.*", store._dropped)
        store._following.begin()
        return store

    async def aclose(self) -> None:
        """Let go of the cluster; what was not acknowledged may or may not be stored."""
        for task in list(self._tasks):
            task.cancel()
        await self._jet.close()

    def close(self) -> None:
        """See `Store.close`; prefer `aclose`."""
        self._run(self.aclose())

    def tells(
        self, publish: Callable[[int, int, bytes], None], gone: Callable[[int], None]
    ) -> None:
        """Whom to tell of records and live frames (number 0) of followed logs, whoever put them
        there, and of logs that were dropped."""
        self._following.publish, self._gone = publish, gone

    @property
    def guarantee(self) -> str:
        """What an acknowledgement promises, in words."""
        return self._streams.guarantee

    @property
    def crowded(self) -> bool:
        """See `Store.crowded`."""
        return self._backlog > self._quota.backlog_bytes or not self._jet.connected

    def make(self, frame: wire.Create, done: Answer) -> None:
        """See `Store.make`."""
        self._run(self._make(frame, done))

    def find(self, name: bytes, found: Callable[[Found | Refusal | None], None]) -> None:
        """See `Store.find`."""
        self._run(self._find(name, found))

    def touch(self, key: int) -> None:
        """See `Store.touch`."""
        if (stale := self._stale.pop(key, None)) is not None:
            self._run(self._again(split(key)[0], *stale))

    def append(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """See `Store.append`."""
        if key & _LIMITED:
            self._run(self._append_limited(key, expires, body, done))
        else:
            self._put(key, expires, body, done)

    def read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """See `Store.read`."""
        self._run(self._read(key, since, done))

    def trim(self, key: int, upto: int, done: Answer) -> None:
        """See `Store.trim`."""
        self._run(self._trim(key, upto, done))

    def drop(self, key: int, done: Answer) -> None:
        """See `Store.drop`."""
        self._run(self._drop(key, done))

    def sweep(self) -> None:
        """See `Store.sweep`: the cluster forgets by itself; here the logs are counted."""
        self._stale.clear()
        self._run(self._count())

    # What only a store has that others write to as well.

    def follow(self, key: int) -> None:
        """Somebody wants to know what comes to a log."""
        self._following.follow(key)

    def unfollow(self, key: int) -> None:
        """Somebody does not want to know any more."""
        self._following.unfollow(key)

    def live(self, key: int, body: bytes) -> None:
        """Hand a live frame to whoever follows, here or elsewhere."""
        name, life = parts(key)
        self._jet.tell(f"{self._name}.l.{name}.{life}", body)

    # Making and finding.

    async def _make(self, frame: wire.Create, done: Answer) -> None:
        life = bytearray(secrets.token_bytes(8))
        life[-1] = life[-1] & ~_LIMITED | (_LIMITED if frame.limit else 0)
        made = _Made(bytes(life), frame.append, frame.read, frame.owner, frame.limit)
        try:
            if self._logs >= self._quota.logs:
                done(Refusal("full", f"this relay has all the {self._quota.logs} logs it takes"))
                return
            while True:
                try:
                    await self._write(frame.log_id, made, 0)
                except Failed as error:
                    if error.code not in WRONG_LAST:
                        raise
                else:
                    self._logs += 1
                    done(None)
                    return
                there, _ = await self._known(frame.log_id)
                if there is not None:
                    made = msgspec.structs.replace(made, life=there.life, took=there.took)
                    done(None if made == there else DENIED)
                    return
                await asyncio.sleep(AGAIN_SECONDS)
        except (Unanswered, Failed):
            done(CROWDED)

    async def _write(self, name: bytes, made: _Made, last: int) -> None:
        """Raises `Unanswered`, `Failed` with one of WRONG_LAST if somebody else wrote meanwhile."""
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(last),
            "Nats-TTL": f"{self._quota.idle_seconds}s",
        }
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(_seq: int, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        subject = f"{self._name}.m.{name.hex()}"
        self._jet.put(subject, msgspec.msgpack.encode(made), headers, answered)
        await future

    async def _known(self, name: bytes) -> tuple[_Made | None, Stored | None]:
        stored = await self._jet.get(self._registry, last_by_subj=f"{self._name}.m.{name.hex()}")
        return (None, None) if stored is None else (_MADE.decode(stored.body), stored)

    async def _find(self, name: bytes, found: Callable[[Found | Refusal | None], None]) -> None:
        try:
            made, stored = await self._known(name)
            # The same questions are asked about a log that is not there.
            key = key_of(name, (made or _NONE).life)
            stream, subject = self._streams.of(key), self._streams.subject(key)
            last, first, info = await asyncio.gather(
                self._jet.get(stream, last_by_subj=subject),
                self._jet.get(stream, seq=1, next_by_subj=subject),
                self._jet.ask(f"STREAM.INFO.{stream}", {}),
            )
        except (Unanswered, Failed):
            found(CROWDED)
            return
        if made is None or stored is None:
            found(None)
            return
        # Whoever has seen an emptied log's last record must not take it for a new log.
        coming = (last.seq if last else int(info["state"]["last_seq"])) + 1
        oldest = first.seq if first else coming
        age = self._clock() / 1000 - datetime.fromisoformat(stored.at).timestamp()
        if age > min(TOUCH_SECONDS, self._quota.idle_seconds / 4):
            self._stale[key] = made, stored
        found(Found(key, made.append, made.read, made.owner, oldest, coming))

    async def _again(self, name: bytes, made: _Made, stored: Stored) -> None:
        """Keep a log for another while."""
        try:
            await self._write(name, made, stored.seq)
        except (Unanswered, Failed):
            pass  # somebody else did, or the next one will

    # Records.

    def _put(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        self._backlog += len(body)
        seconds = max(1, (expires - self._clock()) // 1000)

        def answered(seq: int, error: Exception | None) -> None:
            self._backlog -= len(body)
            if error is None:
                done(None, seq)
            elif isinstance(error, Failed):
                done(_FULL if str(error) == SUBJECT_FULL else _NO_ROOM, 0)
            else:
                done(CROWDED, 0)

        self._jet.put(self._streams.subject(key), body, {"Nats-TTL": f"{seconds}s"}, answered)

    async def _append_limited(self, key: int, expires: int, body: bytes, done: Appended) -> None:
        """A place in the log is taken first: what fails behind that has used it up."""
        name, life = split(key)
        try:
            while True:
                made, stored = await self._known(name)
                if made is None or stored is None or made.life != life:
                    done(DENIED, 0)
                    return
                if made.took >= made.limit:
                    done(_CLOSED, 0)
                    return
                try:
                    await self._write(
                        name, msgspec.structs.replace(made, took=made.took + 1), stored.seq
                    )
                except Failed as error:
                    if error.code not in WRONG_LAST:
                        raise
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    break
        except (Unanswered, Failed):
            done(CROWDED, 0)
            return
        self._put(key, expires, body, done)

    async def _read(self, key: int, since: int, done: Callable[[Records, bool], None]) -> None:
        """Until the cluster answers: whoever reads waits anyhow."""
        await self._jet.settle()  # a subscription, if there is one, comes first
        while True:
            try:
                found, more = await self._stored(key, since)
            except (Unanswered, Failed) as error:
                if isinstance(error, Failed) and error.code != NO_STREAM:
                    raise
                await asyncio.sleep(1)
            else:
                break
        if not more:
            self._following.has_read(key, found[-1].seq if found else since)
        done([(one.seq, one.body) for one in found], more)

    async def _stored(self, key: int, since: int) -> tuple[list[Stored], bool]:
        """Records after `since`, and whether there are more."""
        stream, subject = self._streams.of(key), self._streams.subject(key)
        found = await self._jet.batch(stream, subject, since, READ_BYTES)
        after = found[-1].seq if found else since
        # A replica may be behind; the leader knows whether that is all.
        newer = await self._jet.get(stream, seq=after + 1, next_by_subj=subject)
        if newer is not None and not found:
            return [newer], True
        return found, newer is not None

    async def _trim(self, key: int, upto: int, done: Answer) -> None:
        try:
            await self._purge(key, upto + 1)
        except (Unanswered, Failed):
            done(CROWDED)
        else:
            done(None)

    async def _purge(self, key: int, before: int) -> None:
        """Delete records below `before`, or all with 0."""
        which = {"filter": self._streams.subject(key)} | ({"seq": before} if before else {})
        await self._jet.ask(f"STREAM.PURGE.{self._streams.of(key)}", which)

    async def _drop(self, key: int, done: Answer) -> None:
        name, life = split(key)
        try:
            while True:
                made, stored = await self._known(name)
                if made is None or stored is None or made.life != life:
                    break
                await self._jet.ask(
                    f"STREAM.MSG.DELETE.{self._registry}", {"seq": stored.seq, "no_erase": True}
                )
            await self._purge(key, 0)
        except (Unanswered, Failed):
            done(CROWDED)
            return
        self._jet.tell(f"{self._name}.d.{name.hex()}.{life.hex()}", b"")
        done(None)

    # What others did.

    def _dropped(self, message: Any) -> None:
        _, _, name, life = message.subject.split(".")
        self._gone(key_of(bytes.fromhex(name), bytes.fromhex(life)))

    def _missed(self) -> None:
        self._following.missed()

    async def _count(self) -> None:
        try:
            info = await self._jet.ask(f"STREAM.INFO.{self._registry}", {})
            self._logs = int(info["state"]["messages"])
        except (Unanswered, Failed):
            pass  # the number before that will do

    # Within.

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(f"the relay stops, since its cluster answered oddly: {error!r}")
