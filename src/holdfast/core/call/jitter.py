"""A plain jitter buffer (to be replaced)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    data: bytes


@dataclass(frozen=True, slots=True)
class Conceal:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


Pulled = Packet | Conceal | Nothing


class Jitter:
    def __init__(self, frame_ms: int = 20, least: int = 1, most: int = 15) -> None:
        self._frames: dict[int, bytes] = {}
        self._next: int | None = None
        self.frame_ms = frame_ms
        self.lost = 0
        self._gap = 0

    @property
    def depth_ms(self) -> int:
        return len(self._frames) * self.frame_ms

    def put(self, at: int, packet: bytes, now: int) -> None:
        if self._next is not None and at < self._next:
            return
        self._frames[at] = packet
        while len(self._frames) > 6:
            del self._frames[min(self._frames)]
            self._next = min(self._frames)

    def pull(self, now: int) -> Pulled:
        if self._next is None:
            if not self._frames:
                return Nothing()
            self._next = min(self._frames)
        found = self._frames.pop(self._next, None)
        if found is None:
            self._gap += 1
            if self._frames:
                self._next = min(self._frames)
                return self.pull(now) if self._gap > 3 else Conceal()
            return Conceal() if self._gap < 5 else Nothing()
        self._gap = 0
        self._next += 1
        return Packet(found)
