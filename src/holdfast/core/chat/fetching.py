"""Which chunks of a file to ask of which relay, while several give it at once.

Each home reads a run of missing chunks from one log, goes on into the next run where
nobody is, and when none is left takes half of what the slowest still has before it. The
plan holds no chunks; whoever follows it says what came. Source: spec/chat.md, "Files".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.core.seal.chunks import PART

RUN: Final = 256
"""Chunks that a home takes on at a time."""


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks `start` up to and without `end`, all in one log."""

    start: int
    end: int

    @property
    def part(self) -> int:
        """The log they are in."""
        return self.start // PART

    @property
    def since(self) -> int:
        """Where to read from: chunk k of a log is its record k + 1 or, repeated, later."""
        return self.start % PART


class Fetching:
    """What is missing of `count` chunks. `have`: a bit each, lowest first, from `dump`."""

    def __init__(self, count: int, have: bytes = b"") -> None:
        self.count = count
        size = -(-count // 8)
        self._have = bytearray(have[:size].ljust(size, b"\0"))
        if count % 8:
            self._have[-1] &= (1 << count % 8) - 1
        self.done = sum(byte.bit_count() for byte in self._have)
        self._runs: dict[str, Run] = {}
        self._first = 0

    def dump(self) -> bytes:
        """A bit for each chunk that is here."""
        return bytes(self._have)

    def has(self, index: int) -> bool:
        """Whether a chunk is here."""
        return bool(self._have[index >> 3] >> (index & 7) & 1)

    @property
    def whole(self) -> bool:
        """Whether all are here."""
        return self.done == self.count

    def got(self, index: int) -> bool:
        """A chunk came and was verified; false if it was here before."""
        if not 0 <= index < self.count or self.has(index):
            return False
        self._have[index >> 3] |= 1 << (index & 7)
        self.done += 1
        return True

    def run(self, home: str) -> Run | None:
        """What this home is at."""
        return self._runs.get(home)

    def release(self, home: str) -> None:
        """This home does not get on: others may take its run."""
        self._runs.pop(home, None)

    def step(self, home: str) -> Run | None:
        """The run this home is at if something of it is missing, else the next one; the same
        log goes on when it can. None: there is nothing for it to do."""
        run = self._runs.get(home)
        if run is not None and self._missing(run.start, run.end) is not None:
            return run
        self._runs.pop(home, None)
        found = None
        if run is not None and run.end % PART:
            found = self._free(run.end, run.end + 1)
        found = found or self._free(self._first_missing(), self.count) or self._half()
        if found is not None:
            self._runs[home] = found
        return found

    def _first_missing(self) -> int:
        while self._first < self.count and self.has(self._first):
            self._first += 1
        return self._first

    def _missing(self, start: int, end: int) -> int | None:
        return next((i for i in range(start, end) if not self.has(i)), None)

    def _free(self, start: int, stop: int) -> Run | None:
        """The first run that begins in [start, stop) and is in nobody's hands."""
        at = start
        while at < min(stop, self.count):
            taken = next((r for r in self._runs.values() if r.start <= at < r.end), None)
            if taken is not None:
                at = taken.end
            elif self.has(at):
                at += 1
            else:
                end = min(at + RUN, (at // PART + 1) * PART, self.count)
                ahead = [r.start for r in self._runs.values() if at < r.start < end]
                return Run(at, min([end, *ahead]))
        return None

    def _half(self) -> Run | None:
        """The later half of the longest rest of another home's run. A last chunk both get."""
        best: tuple[int, str, int] | None = None
        for home, run in self._runs.items():
            first = self._missing(run.start, run.end)
            if first is not None and (best is None or run.end - first > best[0]):
                best = (run.end - first, home, first)
        if best is None:
            return None
        length, home, first = best
        run = self._runs[home]
        middle = first + length // 2
        if middle > first:
            self._runs[home] = Run(run.start, middle)
        return Run(middle, run.end)
