"""An event loop whose time is made: nothing waits, and the same program runs the same way again.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())            # an hour of sleeping takes no time

There are no sockets, no processes and no threads in it. When nothing is ready, the time is that
of the next timer at once; when there is no timer either, nothing can happen and `Stuck` is raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Stuck(RuntimeError):
    """Everything waits for something that nobody will do."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`time` is in seconds since the loop was made."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self

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
