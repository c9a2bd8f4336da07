"""How this node reaches relays: tries paths as the ladder says, and goes back to better ones."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.core.caps import Home
from holdfast.core.ladder import (
    HEAD_START,
    HOP,
    PATHS,
    PATIENCE,
    SMALL,
    STREAMS,
    Control,
    Finding,
    Ladder,
)
from holdfast.node.watched import Watched
from holdfast.paths import browser, hop, micro, websocket
from holdfast.paths.base import MOVED, Attempt, Channel, Handler, Unreachable

Path = Callable[[Home, Handler, Attempt], Awaitable[Channel]]
LINGER: Final = 5.0
"""Seconds that a path may still take when another one was quicker, before it counts as failed."""
SPARE: Final = 10.0
"""Seconds that a better connection waits to be used in the place of the one it replaces."""


@dataclass(frozen=True)
class _Try:
    path: str
    began: float
    attempt: Attempt


_Trying = dict[asyncio.Task[Watched], _Try]


def paths(proxy: str | None = None) -> dict[str, Path]:
    """All that lead to a relay itself, by name, directly or through a proxy."""
    return {
        "websocket": functools.partial(websocket.connect, proxy=proxy),
        "classic": functools.partial(websocket.connect, proxy=proxy, classic=True),
        "browser": functools.partial(browser.connect, proxy=proxy),
        SMALL: functools.partial(micro.connect, proxy=proxy),
    }


class Ways:
    """One for all connections of a node."""

    def __init__(self, all: dict[str, Path], clock: Callable[[], int]) -> None:
        self._all = all
        self._clock = clock
        self._wanted: Callable[[], None] = lambda: None
        self._hops: tuple[Home, ...] = ()
        self._behind: set[asyncio.Task[None]] = set()
        """What goes on when a connection stands."""
        self._spare: dict[str, Watched] = {}
        self._standing: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._attempts: set[asyncio.Task[Watched]] = set()
        self._moves = 0
        """How often what was under way became worthless."""
        self.ladder = Ladder(tuple(path for path in PATHS if path in all or path == HOP))

    def finding(self) -> Finding:
        """What is going on, see `core.ladder`."""
        return self.ladder.finding(self._clock())

    def control(self, kind: Control, ok: bool, bits: float) -> None:
        """What a look at a place that nobody blocks has shown."""
        self.ladder.control(kind, ok, bits, self._clock())

    def use_controls(self, wanted: Callable[[], None]) -> None:
        """Called when no path works, or what comes crawls."""
        self._wanted = wanted

    def use_hops(self, homes: Iterable[Home]) -> None:
        """Relays through which others are reached, the one to prefer first."""
        self._hops = tuple(homes)

    def move(self) -> None:
        """This machine is on another network, or slept: what stands is made anew."""
        self._moves += 1
        for task in list(self._attempts):
            task.cancel()
        for watched in list(self._standing):
            watched.close(MOVED)

    async def stop(self) -> None:
        """Try nothing more, and let go of what nobody uses."""
        behind = list(self._behind)
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)
        for spare in list(self._spare.values()):
            self._let_go(spare)

    async def connect(self, home: Home, handler: Handler) -> Channel:
        """A channel by the first path that works. Raises `Unreachable`: the first one's."""
        spare = self._spare.pop(home.label, None)
        if spare is not None and not spare.over:
            return spare.adopt(handler)
        while True:
            moves = self._moves
            try:
                return (await self._race(home, self._order(home))).adopt(handler)
            except OSError:
                if moves != self._moves:
                    continue
                self._wanted()
                raise

    def _order(self, home: Home) -> list[str]:
        """All paths there are to this relay, in the order in which to try them."""
        order = self.ladder.order(home.label, self._clock())
        return [path for path in order if path != HOP or self._hop(home) is not None]

    def _hop(self, home: Home) -> Home | None:
        """The relay through which to reach this one."""
        now = self._clock()
        others = [one for one in self._hops if one.pin != home.pin and one.label != home.label]
        return min(others, key=lambda one: self.ladder.resting(one.label, now), default=None)

    async def _race(self, home: Home, order: list[str]) -> Watched:
        trying: _Trying = {}
        first: BaseException | None = None
        loop = asyncio.get_running_loop()
        due = 0.0
        try:
            while order or trying:
                # What rests is tried only when nothing else is left, and then alone.
                fresh = bool(order) and not self.ladder.rests(home.label, order[0], self._clock())
                now = loop.time()
                if not trying or (fresh and len(trying) < 2 and now >= due):
                    one = _Try(order.pop(0), now, Attempt())
                    trying[self._start(one.path, home, one.attempt)] = one
                    due = now + HEAD_START / 1000
                    continue
                until = due
                if len(trying) == 2:
                    until = min(one.began for one in trying.values()) + PATIENCE / 1000
                wait = max(0, until - now) if fresh else None
                done, _ = await asyncio.wait(
                    trying, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                if not done and fresh and len(trying) == 2:
                    slow = min(trying, key=lambda task: trying[task].began)
                    self._give_up(slow, trying.pop(slow), home.label)
                    first = first or Unreachable("timeout", f"{home.label} did not answer in time")
                won = None
                for task in done:
                    path = trying[task].path
                    if task.cancelled():  # by `move`
                        order.clear()
                        del trying[task]
                    elif (error := task.exception()) is None and won is None:
                        del trying[task]
                        won = task.result()
                    elif error is not None:
                        del trying[task]
                        if path != HOP or not order:
                            first = first or error
                if won is not None:
                    self._watch_slower(trying, won)
                    return won
        finally:
            for task in trying:
                task.cancel()
                task.add_done_callback(_not_needed)
        raise first or Unreachable("connect", f"there is no way to {home.label}")

    def _give_up(self, task: asyncio.Task[Watched], one: _Try, place: str) -> None:
        """It hangs."""
        task.cancel()
        task.add_done_callback(_not_needed)
        self.ladder.failed(place, one.path, one.attempt.hangs, self._clock())

    def _start(self, path: str, home: Home, attempt: Attempt) -> asyncio.Task[Watched]:
        task = asyncio.create_task(self._try(path, home, attempt))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)
        return task

    async def _try(self, path: str, home: Home, attempt: Attempt) -> Watched:
        place = home.label
        climb = functools.partial(self._climb, home)
        watched = Watched(self.ladder, self._clock, place, path, climb, self._wanted)
        try:
            watched.channel = await (
                self._through(home, watched, attempt)
                if path == HOP
                else self._all[path](home, watched, attempt)
            )
        except Unreachable as error:
            self.ladder.failed(place, path, error.kind, self._clock())
            raise
        except OSError:
            self.ladder.failed(place, path, "connect", self._clock())
            raise
        watched.stands()
        self._standing.add(watched)
        return watched

    async def _through(self, home: Home, handler: Handler, attempt: Attempt) -> Channel:
        """By another relay. Small exchanges lead to none: they are too slow for two."""
        first = self._hop(home)
        attempt.hangs = "proxy"
        if first is None or all(
            self.ladder.rests(first.label, path, self._clock()) for path in STREAMS
        ):
            raise Unreachable("proxy", "no other relay is reached")

        async def reach(pipe: Handler) -> Channel:
            streams = [path for path in self._order(first) if path in STREAMS]
            try:
                channel = (await self._race(first, streams)).adopt(pipe, passing=True)
            except OSError as error:
                raise Unreachable("proxy", f"no other relay is reached: {error}") from None
            attempt.hangs = "timeout"
            return channel

        return await hop.connect(home, handler, reach)

    # Behind a connection that stands.

    def _watch_slower(self, trying: _Trying, won: Watched) -> None:
        """A better path that has not answered yet is given a while: whether it does tells a bad
        line from a block."""
        rank = self.ladder.paths.index
        for task, one in list(trying.items()):
            if rank(one.path) < rank(won.path):
                del trying[task]
                self._do_behind(self._let_end(task, one, won))

    async def _let_end(self, task: asyncio.Task[Watched], one: _Try, won: Watched) -> None:
        try:
            done, _ = await asyncio.wait([task], timeout=LINGER)
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(_not_needed)
            raise
        if not done:
            self._give_up(task, one, won.place)
        elif not task.cancelled() and task.exception() is None:
            self._replace(won, task.result())

    def _climb(self, home: Home, current: Watched) -> None:
        """A better path is tried, and used if it works; until then the current one is."""
        path = self.ladder.instead(home.label, current.path, self._clock())
        if path and (path != HOP or self._hop(home) is not None):
            self._do_behind(self._try_better(path, home, current))

    async def _try_better(self, path: str, home: Home, current: Watched) -> None:
        task = self._start(path, home, Attempt())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(_not_needed)
            raise
        if not task.cancelled() and task.exception() is None:
            self._replace(current, task.result())

    def _replace(self, current: Watched, better: Watched) -> None:
        if current.over or current.place in self._spare:
            better.close("the other way ended")
            return
        self._spare[current.place] = better
        asyncio.get_running_loop().call_later(SPARE, self._let_go, better)
        current.close(MOVED)

    def _let_go(self, spare: Watched) -> None:
        if self._spare.get(spare.place) is spare:
            del self._spare[spare.place]
            spare.close("nobody needs it")

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


def _not_needed(task: asyncio.Task[Watched]) -> None:
    """What came of it after all is let go."""
    if not task.cancelled() and task.exception() is None:
        task.result().close("another way was quicker")
