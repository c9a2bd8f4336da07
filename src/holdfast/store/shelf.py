"""What the store holds in memory: logs in use, and every change since the last checkpoint.

One thread owns it. A verb says what is refused, changes what is here and adds an entry to
the batch that is being gathered; `replay` does the same with an entry that was found on the
disk. Older records are in the index, and are only counted here.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from holdfast.core import wire
from holdfast.core.log.server import DENIED, Refusal
from holdfast.store import entries
from holdfast.store.base import Quota
from holdfast.store.index import LAST_SEQ, SEQ_BITS, Changes, Lookup, Made, Place

DAY: Final = 86_400_000
ROW_COST: Final = 64
"""Bytes a record is counted beside its body: its entry's head, its place in the index."""
CACHED_LOGS: Final = 50_000
RECOUNT: Final = 1_000
"""Milliseconds between two counts of a log that is full."""
PRUNED: Final = 1_000
EVICTED: Final = 64


class Log:
    """A log in use. `records` and `bytes` may count what has expired."""

    __slots__ = (
        "bytes",
        "counted",
        "fresh",
        "key",
        "made",
        "next",
        "older",
        "recent",
        "records",
        "second",
        "trimmed",
        "used",
    )

    def __init__(self, key: int, made: Made, coming: int, used: int) -> None:
        self.key = key
        self.made = made
        self.next = coming
        self.used = used
        self.second = self.recent = 0
        """Records that came in the last second of which some came."""
        self.trimmed = 0
        """All up to here is deleted, whatever the index says."""
        self.records = 0
        self.bytes = 0
        self.counted = 0
        self.fresh: list[Place] = []
        """Where the newest records are; all others are in the index."""
        self.older = 0
        """The last record that only the index may know."""

    @property
    def older_end(self) -> int:
        """The first sequence number that is not to be looked for in the index."""
        return self.fresh[0][0] & LAST_SEQ if self.fresh else self.next

    def count_out(self, records: int, size: int) -> None:
        """So many records of so many bytes are gone."""
        self.records = max(0, self.records - records)
        self.bytes = max(0, self.bytes - size - records * ROW_COST)


class Shelf:
    """Raises apsw.Error if the index cannot be read."""

    def __init__(
        self, lookup: Lookup, quota: Quota, clock: Callable[[], int], segment: int
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._quota = quota
        self._logs: dict[int, Log] = {}
        self._names: dict[bytes, int] = {}
        self._count = lookup.count()
        self.changes = Changes()
        self.frozen: Changes | None = None
        """Changes that a checkpoint is being made of."""
        self.segment = segment
        self.offset = 0
        self.parts: list[bytes] = []
        self.gathered = 0
        """Bytes of `parts`."""
        self.room = 0
        """Bytes that may still be stored."""
        self.durable = (segment, 0)
        """Segment and offset: what is before is on the disk."""
        self._second = 0
        """In which the batch that is being gathered was begun."""
        self.idle_before = -1
        """Logs last used by then are as good as gone."""

    # Verbs.

    def make(self, frame: wire.Create) -> Refusal | None:
        """See `Store.make`."""
        made = Made(frame.log_id, frame.append, frame.read, frame.owner, frame.limit)
        log = self._named(frame.log_id)
        if log is not None and log.used > self.idle_before:
            return None if log.made == made else DENIED
        if self._count >= self._quota.logs and log is None:
            return Refusal("full", "this relay keeps no more logs; use another one")
        if self.room <= 0:
            return _disk_full()
        if log is not None:
            self.drop(log.key)
        key, used = self._free_key(), _day(self._clock())
        body = made.name + made.append + made.read + made.owner
        self._write(entries.MAKE, key, made.most, used, body)
        self._make(key, made, used)
        return None

    def append(self, key: int, expires: int, body: bytes) -> tuple[Refusal | None, int]:
        """See `Store.append`."""
        log = self._logs.get(key) or self._load(key)
        if log is None or log.used <= self.idle_before:
            return DENIED, 0
        seq = log.next
        if (log.made.most and seq > log.made.most) or seq > LAST_SEQ:
            return Refusal("closed", "this log took all the records it ever takes"), 0
        size = len(body)
        cost = size + ROW_COST
        quota = self._quota
        if not self.parts:
            self._second = self._clock() // 1000
        if self._second != log.second:
            log.second, log.recent = self._second, 0
        elif log.recent >= quota.log_rate:
            return Refusal("rate", f"a log takes at most {quota.log_rate} records a second"), 0
        log.recent += 1
        if (
            log.records >= quota.log_records or log.bytes + cost > quota.log_bytes
        ) and not self._fits(log, cost):
            return Refusal(
                "full",
                f"this log is full: at most {quota.log_records} records and"
                f" {quota.log_bytes} bytes until its reader trims it",
            ), 0
        if cost > self.room:
            return _disk_full(), 0
        self.room -= cost
        at = self._write(entries.RECORD, key, seq, expires, body)
        place = ((key << SEQ_BITS) + seq, expires, self.segment, at, size)
        self._append(log, seq, place)
        return None, seq

    def trim(self, key: int, upto: int) -> Refusal | None:
        """See `Store.trim`."""
        log = self.get(key)
        if log is None:
            return DENIED
        upto = min(upto, log.next - 1)
        if upto > log.trimmed:
            self._write(entries.TRIM, key, upto, 0, b"")
            self._trim(log, upto)
        return None

    def drop(self, key: int) -> Refusal | None:
        """See `Store.drop`. A log that is gone already is dropped."""
        log = self.get(key)
        if log is not None:
            self._write(entries.DROP, key, 0, 0, b"")
            self._drop(log)
        return None

    def touch(self, key: int) -> None:
        """Note use, to the day: not a write for every attach."""
        log, used = self.get(key), _day(self._clock())
        if log is not None and self.idle_before < log.used < used:
            self._write(entries.TOUCH, key, 0, used, b"")
            self._use(log, used)

    def get(self, key: int) -> Log | None:
        """The log, out of the index if it is not here."""
        return self._logs.get(key) or self._load(key)

    def cached(self, name: bytes) -> Log | None:
        """The log of that name, if it is here."""
        key = self._names.get(name)
        return None if key is None else self._logs[key]

    def is_dropped(self, key: int) -> bool:
        """Whether the index may list a log that is gone."""
        return key in self.changes.dropped or (
            self.frozen is not None and key in self.frozen.dropped
        )

    # The segments.

    def take(self) -> list[bytes]:
        """The batch that was gathered."""
        parts, self.parts, self.gathered = self.parts, [], 0
        return parts

    def freeze(self, following: int) -> Changes:
        """Begin another segment. What is to be in the checkpoint of those that end here."""
        changes, self.changes = self.changes, Changes()
        if self.offset:
            changes.sizes[self.segment] = self.offset
        self.segment, self.offset = following, 0
        self.frozen = changes
        return changes

    def thaw(self) -> Iterator[None]:
        """The index knows what was frozen. In steps: forget it here."""
        changes, self.frozen = self.frozen, None
        assert changes is not None
        last = max(changes.sizes, default=0)
        for number, key in enumerate(changes.next):
            log = self._logs.get(key)
            if log is not None and log.fresh and log.fresh[0][2] <= last:
                cut = next((n for n, each in enumerate(log.fresh) if each[2] > last), None)
                log.older = log.fresh[-1 if cut is None else cut - 1][0] & LAST_SEQ
                log.fresh = [] if cut is None else log.fresh[cut:]
            if number % PRUNED == PRUNED - 1:
                yield
        for _ in range(len(self._logs) // EVICTED + 1):
            if len(self._logs) > CACHED_LOGS:
                self._evict()
                yield

    def replay(self, entry: entries.Entry, body: bytes, segment: int) -> None:
        """An entry that no checkpoint knows. Of records, `body` is not asked for."""
        kind, key, seq, time, at, size = entry
        if kind == entries.MAKE:
            if key not in self._logs:
                verifiers = body[16:48], body[48:80], body[80:112]
                self._make(key, Made(body[:16], *verifiers, seq), time)
            return
        log = self.get(key)
        if log is None:
            return
        if kind == entries.RECORD:
            self._append(log, seq, ((key << SEQ_BITS) + seq, time, segment, at, size))
        elif kind == entries.TRIM:
            self._trim(log, seq)
        elif kind == entries.DROP:
            self._drop(log)
        elif kind == entries.TOUCH:
            self._use(log, time)

    def close(self) -> None:
        """Let go of the index."""
        self._lookup.close()

    # Within.

    def _write(self, kind: int, key: int, seq: int, time: int, body: bytes) -> int:
        """Add an entry to the batch; where it will be in the segment."""
        head = entries.entry(kind, key, seq, time, body)
        parts = self.parts
        if not parts:
            self.offset += entries.BATCH.size
            self.gathered += entries.BATCH.size
        at = self.offset
        parts.append(head)
        size = entries.HEAD.size
        if body:
            parts.append(body)
            size += len(body)
        self.offset = at + size
        self.gathered += size
        return at

    def _evict(self) -> None:
        """Forget some logs that the index knows all about, those that came first."""
        for key in list(islice(self._logs, EVICTED)):
            log = self._logs.pop(key)
            if self._changed(key) or log.fresh:
                self._logs[key] = log
            else:
                del self._names[log.made.name]

    def _make(self, key: int, made: Made, used: int) -> None:
        if len(self._logs) >= CACHED_LOGS:
            self._evict()
        self._logs[key] = Log(key, made, 1, used)
        self._names[made.name] = key
        self._count += 1
        self.changes.made[key] = made
        self.changes.used[key] = used

    def _append(self, log: Log, seq: int, place: Place) -> None:
        log.next = self.changes.next[log.key] = seq + 1
        log.records += 1
        log.bytes += place[4] + ROW_COST
        log.fresh.append(place)
        self.changes.fresh.append(place)

    def _trim(self, log: Log, upto: int) -> None:
        if log.older > log.trimmed:
            before = min(upto + 1, log.older_end)
            log.count_out(*self._lookup.tally(log.key, log.trimmed, before))
        cut = bisect_left(log.fresh, ((log.key << SEQ_BITS) + upto + 1,))
        gone, log.fresh = log.fresh[:cut], log.fresh[cut:]
        log.count_out(len(gone), sum(place[4] for place in gone))
        log.trimmed = self.changes.trims[log.key] = upto

    def _drop(self, log: Log) -> None:
        del self._logs[log.key], self._names[log.made.name]
        self._count -= 1
        self.changes.dropped[log.key] = None

    def _use(self, log: Log, used: int) -> None:
        log.used = self.changes.used[log.key] = used

    def _load(self, key: int) -> Log | None:
        if self.is_dropped(key):
            return None
        found = self._lookup.load(key)
        if found is None:
            return None
        if len(self._logs) >= CACHED_LOGS:
            self._evict()
        log = self._logs[key] = Log(key, *found)
        self._names[log.made.name] = key
        self._tally(log)
        return log

    def _named(self, name: bytes) -> Log | None:
        log = self.cached(name)
        if log is None and (found := self._lookup.find(name)) is not None:
            log = self.get(found[0])
        return log

    def _tally(self, log: Log) -> None:
        count, size = self._lookup.tally(log.key, log.trimmed, log.older_end)
        log.older = log.older_end - 1 if count else 0
        log.records = count + len(log.fresh)
        log.bytes = size + sum(place[4] for place in log.fresh) + ROW_COST * log.records

    def _fits(self, log: Log, cost: int) -> bool:
        """Whether there is room once what has expired is not counted."""
        now = self._clock()
        if now < log.counted + RECOUNT:
            return False
        log.counted = now
        log.fresh = [place for place in log.fresh if place[1] > now]
        self._tally(log)
        quota = self._quota
        return log.records < quota.log_records and log.bytes + cost <= quota.log_bytes

    def _free_key(self) -> int:
        while (
            (key := draw_key()) in self._logs
            or self.is_dropped(key)
            or self._lookup.load(key) is not None
        ):
            pass
        return key

    def _changed(self, key: int) -> bool:
        return self.changes.mention(key) or (self.frozen is not None and self.frozen.mention(key))


def draw_key() -> int:
    """A random key: keys in the order of creation would match two relays' disks."""
    return secrets.randbelow((1 << 31) - 1) + 1


def _day(now: int) -> int:
    """The end of the day: exact times would let two relays' disks be matched."""
    return (now // DAY + 1) * DAY


def _disk_full() -> Refusal:
    return Refusal("full", "this relay's disk is as full as its operator allows; try later")
