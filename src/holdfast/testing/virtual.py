"""An event loop whose time is made: nothing waits, and the same program runs the same way again.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())            # an hour of sleeping takes no time

There are no sockets, no processes and no threads in it. When nothing is ready, the time is that
of the next timer at once; when there is no timer either, nothing can happen and `Stuck` is raised.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVarTuple

_Ts = TypeVarTuple("_Ts")


class Stuck(RuntimeError):
    """Everything waits for something that nobody will do."""


class _Timer(asyncio.TimerHandle):
    """Those of one time are called in the order in which they were set."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: _Timer) -> bool:  # type: ignore[override]
        return (self.when(), self.number) < (other.when(), other.number)


class VirtualLoop(asyncio.BaseEventLoop):
    """`time` is in seconds since the loop was made."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self
        self._timers = 0

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop, in order; see `_Timer`."""
        timer = _Timer(when, callback, args, self, context)
        timer.number = self._timers = self._timers + 1
        timer._scheduled = True  # type: ignore[attr-defined]
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        return timer

    def time(self) -> float:
        """Now."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass, as a selector without files would."""
        if timeout is None:
            raise Stuck("everything waits, and there is no timer")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is one thread."""


class Slow:
    """Does what it is given one after the other, each a while later, as a disk does. `wait` draws
    seconds."""

    def __init__(self, wait: Callable[[], float]) -> None:
        self._wait = wait
        self._until = 0.0
        self._queue: deque[Callable[[], object]] = deque()

    def __call__(self, work: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        self._until = max(self._until, loop.time() + self._wait())
        self._queue.append(work)
        # Timers of one time come in any order: each takes what is next.
        loop.call_at(self._until, self._next)

    def _next(self) -> None:
        self._queue.popleft()()
