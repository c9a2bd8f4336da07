"""Files on their way: chunks from spools to relays and from relays to spools.

On the loop's thread, over connections of their own, so that a message never waits behind
a file. What is durable is told to the keeper now and then; a crash costs the chunks since.
Memory: `AHEAD` chunks a file and home, and for each file that is sent 64 bytes a chunk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from holdfast.core.caps import Home
from holdfast.core.chat.fetching import Fetching, Run
from holdfast.core.seal import chunks
from holdfast.core.seal.chunks import PART, BadChunk
from holdfast.drive.logs import (
    Appended,
    CaughtUp,
    Down,
    LogEvent,
    Logs,
    Received,
    Refused,
    Up,
)
from holdfast.node import files, spool
from holdfast.node.desk import Desk
from holdfast.node.files import Stored
from holdfast.node.keeper import Work
from holdfast.node.schema import Event, FileMoved

AHEAD: Final = 32
"""Chunks given to a home and not acknowledged."""
KEEP_SECONDS: Final = 1.0
"""Between two times that progress is made durable."""
TELL_SECONDS: Final = 0.3
RATE_SECONDS: Final = 3.0
"""Over which a rate is measured."""
AGAIN_SECONDS: Final = 3.0
"""Before a home is asked again that did not have what was wanted."""
LONGEST: Final = 60.0
STALLED_SECONDS: Final = 20.0
NEAR: Final = 16
"""Chunks before the wanted ones that are read along rather than skipped by asking anew."""

_log = logging.getLogger(__name__)
Submit = Callable[[Callable[[Work], Any]], "asyncio.Future[Any] | None"]


class Moving(Protocol):
    """One file under way."""

    stored: Stored

    def event(self, event: LogEvent) -> None:
        """Something happened on its logs, or on a connection."""

    def keep(self) -> None:
        """Make progress durable, if there is any."""

    @property
    def done(self) -> int:
        """Bytes that have arrived."""

    def close(self) -> None:
        """Let go of the spool."""


class Transfers:
    """`submit` gives a job to the keeper; `desk` is for jobs only."""

    def __init__(
        self,
        desk: Desk,
        logs: Callable[[Callable[[LogEvent], None]], Logs],
        submit: Submit,
        tell: Callable[[Event], None],
    ) -> None:
        self.desk = desk
        self.logs = logs(self._on_event)
        self.submit = submit
        self._tell = tell
        self._moving: dict[str, Moving] = {}
        self._by_log: dict[bytes, Moving] = {}
        self._rates: dict[str, deque[tuple[float, int]]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._wanted: set[str] = set()

    def start(self) -> None:
        """Begin to keep and to tell progress."""
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Keep what came and let go of relays and spools."""
        if self._ticking is not None:
            self._ticking.cancel()
        for moving in self._moving.values():
            moving.keep()
            moving.close()
        self._moving.clear()
        await self.logs.stop()

    @property
    def homes(self) -> set[Home]:
        """The relays over which files go."""
        return {home for moving in self._moving.values() for home in moving.stored.homes}

    def path(self, id: str) -> Path:
        """Where a file's chunks are."""
        return self.desk.files / id

    def move(self, id: str) -> None:
        """Go on with a file from where the database has it."""
        self._wanted.add(id)
        found = self.submit(lambda work: files.load(work, id))
        if found is not None:
            found.add_done_callback(self._loaded)

    def _loaded(self, found: asyncio.Future[Stored | None]) -> None:
        if found.cancelled() or found.exception() is not None:
            return
        stored = found.result()
        if stored is None or stored.id in self._moving or stored.id not in self._wanted:
            return
        count = stored.keys.count
        if stored.mine and all(stored.upto.get(str(home)) == count for home in stored.homes):
            return
        try:
            moving: Moving = Sending(self, stored) if stored.mine else Getting(self, stored)
        except OSError as error:
            _log.error("a file cannot be moved: %s", error.strerror)
            return
        self._moving[stored.id] = moving
        self._rates[stored.id] = deque()
        for part in range(stored.keys.parts):
            self._by_log[stored.keys.caps(part).locator] = moving
        for home in stored.homes:
            self.logs.open(home)
            if self.logs.is_up(home):
                moving.event(Up(home))

    def halt(self, id: str, gone: bool) -> None:
        """Move it no further; with `gone`, delete what is here."""
        self._wanted.discard(id)
        moving = self._moving.pop(id, None)
        if moving is not None:
            moving.close()
            keys = moving.stored.keys
            for part in range(keys.parts):
                caps = keys.caps(part)
                self._by_log.pop(caps.locator, None)
                for home in moving.stored.homes:
                    self.logs.forget(caps, home)
            self._rates.pop(id, None)
            used = {str(home) for one in self._moving.values() for home in one.stored.homes}
            for home in moving.stored.homes:
                if str(home) not in used:
                    self.logs.close(home)
        if gone:
            spool.remove(self.path(id))

    def _on_event(self, event: LogEvent) -> None:
        if isinstance(event, Up | Down):
            for moving in list(self._moving.values()):
                if event.home in moving.stored.homes:
                    moving.event(event)
        else:
            found = self._by_log.get(event.locator)
            if found is not None:
                found.event(event)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        kept = loop.time()
        while True:
            await asyncio.sleep(TELL_SECONDS)
            now = loop.time()
            for id, moving in list(self._moving.items()):
                self._show(id, moving, now)
            if now - kept >= KEEP_SECONDS:
                kept = now
                for moving in list(self._moving.values()):
                    moving.keep()

    def _show(self, id: str, moving: Moving, now: float) -> None:
        past = self._rates[id]
        before = past[-1][1] if past else -1
        was_moving = bool(past) and past[0][1] != before
        past.append((now, moving.done))
        while now - past[0][0] > RATE_SECONDS:
            past.popleft()
        first = past[0]
        rate = int((moving.done - first[1]) / (now - first[0])) if now > first[0] else 0
        if before != moving.done or was_moving:
            stored = moving.stored
            self._tell(FileMoved(stored.contact, str(stored.message), moving.done, max(0, rate)))


class Sending:
    """A file of mine on its way to all its homes."""

    def __init__(self, transfers: Transfers, stored: Stored) -> None:
        self.stored = stored
        self._transfers = transfers
        path = transfers.path(stored.id)
        self._tree = spool.load_tree(path)
        self._spool = spool.Spool(path, stored.keys)
        self._homes = {home: _Upload(home, stored) for home in stored.homes}
        self._closed = False

    @property
    def done(self) -> int:
        """Bytes that the furthest home has."""
        keys = self.stored.keys
        return min(keys.size, max(one.upto for one in self._homes.values()) * keys.chunk)

    def event(self, event: LogEvent) -> None:
        """Acknowledged, refused, connected."""
        upload = self._homes[event.home]
        match event:
            case Up():
                self._pump(upload)
            case Appended(_, _, rid) if rid in upload.out:
                upload.settle(rid)
                if upload.upto == self.stored.keys.count:
                    self.keep()
                else:
                    self._pump(upload)
            case Refused(_, _, "append", code, _, rid) if rid in upload.out and code != "full":
                # The log is gone or was never made: make it and append again, later.
                upload.out.pop(rid)
                upload.upto_again()
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._pump, upload)

    def _pump(self, upload: _Upload) -> None:
        if self._closed:
            return
        keys, logs = self.stored.keys, self._transfers.logs
        while len(upload.out) < AHEAD and upload.next < keys.count:
            index = upload.next
            part = index // PART
            caps = keys.caps(part)
            if part != upload.part:
                upload.part = part
                logs.create(caps, upload.home)
            try:
                sealed = self._spool.read(index)
            except OSError as error:
                _log.error("a file cannot be read: %s", error.strerror)
                return
            rid = keys.rid(index)
            upload.out[rid] = index
            upload.next += 1
            body = chunks.record(index, self._tree.proof(index), sealed)
            logs.append(caps.only("append"), upload.home, rid, body, self.stored.lifetime)

    def keep(self) -> None:
        """Tell the database how far each home is."""
        count = self.stored.keys.count
        for upload in self._homes.values():
            if upload.upto != upload.kept:
                upload.kept = upload.upto
                self._transfers.submit(self._told(str(upload.home), upload.upto))
        if all(upload.upto == count for upload in self._homes.values()):
            self._transfers.halt(self.stored.id, gone=False)

    def _told(self, home: str, upto: int) -> Callable[[Work], None]:
        desk, id, count = self._transfers.desk, self.stored.id, self.stored.keys.count
        return lambda work: files.sent(desk, work, id, home, upto, count)

    def close(self) -> None:
        """Let go of the spool."""
        self._closed = True
        self._spool.close()


class _Upload:
    """How far one home is."""

    def __init__(self, home: Home, stored: Stored) -> None:
        self.home = home
        self.upto = self.kept = self.next = stored.upto.get(str(home), 0)
        self.part = -1
        self.out: dict[bytes, int] = {}
        """Given to the home and not acknowledged, by record id."""
        self._ahead: set[int] = set()

    def settle(self, rid: bytes) -> None:
        """A chunk is durable there."""
        self._ahead.add(self.out.pop(rid))
        while self.upto in self._ahead:
            self._ahead.discard(self.upto)
            self.upto += 1

    def upto_again(self) -> None:
        """Begin anew behind what is certain."""
        self.part = -1
        self.next = self.upto


class Getting:
    """A file of theirs on its way here, from all homes at once."""

    def __init__(self, transfers: Transfers, stored: Stored) -> None:
        self.stored = stored
        self._transfers = transfers
        self._plan = Fetching(stored.keys.count, stored.have)
        self._kept = self._plan.done
        self._spool = spool.Spool(transfers.path(stored.id), stored.keys)
        self._homes = {home: _Download(home) for home in stored.homes}
        self._keeping = False
        self._closed = False

    @property
    def done(self) -> int:
        """Bytes that are here."""
        keys = self.stored.keys
        return min(keys.size, self._plan.done * keys.chunk)

    def event(self, event: LogEvent) -> None:
        """Chunks, and what relays do not have."""
        if self._closed:
            return
        home = self._homes[event.home]
        match event:
            case Up():
                self._ask(home)
            case Down():
                self._let_go(home)
            case Received(_, _, seq, _, body):
                self._chunk(home, seq, body)
            case CaughtUp():
                home.wait = AGAIN_SECONDS
                run = self._plan.run(str(home.home))
                if home.since and run is not None and self._plan.step(str(home.home)) == run:
                    # Something of it stands elsewhere in this log, or is not there yet.
                    self._later(home, lambda: self._follow(home, run, 0))
            case Refused(_, _, "attach"):
                home.attached = None
                self._plan.release(str(home.home))
                self._later(home, lambda: self._ask(home))

    def _later(self, home: _Download, act: Callable[[], None]) -> None:
        if home.timer is not None:
            home.timer.cancel()
        home.timer = asyncio.get_running_loop().call_later(home.wait, act)
        home.wait = min(home.wait * 2, LONGEST)

    def _ask(self, home: _Download) -> None:
        """Give a home its next run, on the log it is at if that goes on there."""
        if self._closed:
            return
        before = self._plan.run(str(home.home))
        run = self._plan.step(str(home.home))
        if run is None:
            self._let_go(home)
            return
        goes_on = (
            home.attached == run.part
            and before is not None
            and run.start in (before.start, before.end)
        )
        if not goes_on:
            self._follow(home, run, run.since)

    def _follow(self, home: _Download, run: Run, since: int) -> None:
        if self._closed or self._plan.run(str(home.home)) != run:
            return
        self._unfollow(home)
        home.attached, home.since = run.part, since
        caps = self.stored.keys.caps(run.part).only("read")
        self._transfers.logs.follow(caps, home.home, since)

    def _unfollow(self, home: _Download) -> None:
        if home.attached is not None:
            caps = self.stored.keys.caps(home.attached).only("read")
            self._transfers.logs.unfollow(caps, home.home)
            home.attached = None

    def _let_go(self, home: _Download) -> None:
        self._plan.release(str(home.home))
        self._unfollow(home)
        if home.timer is not None:
            home.timer.cancel()

    def _chunk(self, home: _Download, seq: int, body: bytes) -> None:
        try:
            index, sealed = chunks.read_record(self.stored.keys, self.stored.root, body)
        except BadChunk:
            return
        if not self._plan.has(index):
            try:
                self._spool.write(index, sealed)
            except OSError as error:
                _log.error("a chunk was not taken by the disk: %s", error.strerror)
                self._let_go(home)
                self._later(home, lambda: self._ask(home))
                return
            home.idle, home.wait = 0, AGAIN_SECONDS
            self._plan.got(index)
            if self._plan.whole:
                self.keep()
                return
        run = self._plan.run(str(home.home))
        if run is not None and index < run.start - NEAR:
            # Chunks stand twice in this log, so it is longer: what is wanted is at least as
            # far behind this one as their numbers are apart.
            self._follow(home, run, seq + run.start - index - 1)
        elif run is None or index >= run.end - 1:
            self._ask(home)

    def _look_at(self, home: _Download) -> None:
        """A home that gives nothing though it should: perhaps a chunk stands elsewhere."""
        run = self._plan.run(str(home.home))
        home.idle += 1
        if run is not None and home.idle * KEEP_SECONDS > STALLED_SECONDS:
            home.idle = 0
            self._follow(home, run, 0)

    def keep(self) -> None:
        """Put what came on the disk, then say so to the database."""
        for home in self._homes.values():
            self._look_at(home)
        if self._closed or self._keeping or self._plan.done == self._kept:
            return
        self._keeping = True
        have, done = self._plan.dump(), self._plan.done
        task = asyncio.get_running_loop().run_in_executor(None, self._spool.sync)
        task.add_done_callback(lambda synced: self._synced(synced, have, done))

    def _synced(self, synced: asyncio.Future[None], have: bytes, done: int) -> None:
        self._keeping = False
        if self._closed:
            self._spool.close()
            return
        if (error := synced.exception()) is not None:
            _log.error("chunks were not taken by the disk: %s", type(error).__name__)
            return
        self._kept = done
        id, desk = self.stored.id, self._transfers.desk
        if done < self.stored.keys.count:
            self._transfers.submit(lambda work: files.came(work, id, have, done))
            if self._plan.whole:
                self.keep()
            return
        self._transfers.submit(lambda work: files.whole(desk, work, id))
        self._transfers.halt(id, gone=False)

    def close(self) -> None:
        """Let go of the spool."""
        self._closed = True
        for home in self._homes.values():
            self._let_go(home)
        if not self._keeping:
            self._spool.close()


class _Download:
    """What one home is asked for."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.attached: int | None = None
        self.since = 0
        self.idle = 0
        self.wait = AGAIN_SECONDS
        self.timer: asyncio.TimerHandle | None = None
