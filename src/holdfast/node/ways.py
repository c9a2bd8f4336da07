"""How this node reaches relays: tries paths as the ladder says, goes back to better ones, and keeps
second ones ready."""

from __future__ import annotations

import asyncio
import functools
import secrets
import weakref
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.core.caps import Home
from holdfast.core.finding import Finding
from holdfast.core.ladder import HEAD_START, PATIENCE, Ladder
from holdfast.core.seen import HOP, PATHS, QUIC, SMALL, STREAMS, Control
from holdfast.node.lending import lend
from holdfast.node.standby import Standby
from holdfast.node.watched import Watched
from holdfast.paths import browser, hop, micro, quic, websocket
from holdfast.paths.base import MOVED, Attempt, Channel, Handler, Line, Unreachable

Path = Callable[[Home, Handler, Attempt], Awaitable[Channel]]
LINGER: Final = 5.0
"""Seconds that a path may still take when another one was quicker, before it counts as failed."""
AT_ONCE: Final = 2
"""Handshakes with one relay that are under way at a time, over all connections of a node."""
ANSWER: Final = 0.6
"""Seconds that a connection which is doubted has to answer."""
UDP_FIRST: Final = 1.5
"""Seconds for a connection over UDP in the place of a stream that fell silent in a call."""
SPARE: Final = 10.0
"""Seconds that a better connection waits to be used in the place of the one it replaces."""


@dataclass(frozen=True)
class _Try:
    """Under way: where to, by which path, since when."""

    place: str
    path: str
    began: float
    attempt: Attempt


_Trying = dict[asyncio.Task[Watched], _Try]


def paths(proxy: str | None = None) -> dict[str, Path]:
    """All that lead to a relay itself, by name, directly or through a proxy."""
    all: dict[str, Path] = {
        "websocket": functools.partial(websocket.connect, proxy=proxy),
        "classic": functools.partial(websocket.connect, proxy=proxy, classic=True),
        "browser": functools.partial(browser.connect, proxy=proxy),
        SMALL: functools.partial(micro.connect, proxy=proxy),
    }
    if proxy is None or proxy.startswith("socks5"):  # others bring streams alone
        all[QUIC] = functools.partial(quic.connect, proxy=proxy)
    return all


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
        self._standing: weakref.WeakKeyDictionary[Watched, Home] = weakref.WeakKeyDictionary()
        self._one = asyncio.Lock()
        self._doubted: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._live: weakref.WeakSet[Watched] = weakref.WeakSet()
        """Over which something goes that is worth nothing later: replaced before others."""
        self._line = Line()
        self._attempts: _Trying = {}
        """All that is under way."""
        self._standby = Standby(self._second)
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

    def lend(self, home: Home, channel: Channel) -> None:
        """Have datagrams beside this channel of `connect`, as long as it stands: something goes
        over it that is worth nothing later."""
        if isinstance(channel, Watched):
            self._live.add(channel)
        if QUIC in self._all and isinstance(channel, Watched):
            work = lend(
                channel, home, self._all[QUIC], self.ladder, self._clock, secrets.token_bytes
            )
            self._do_behind(work)

    def stand_by(self, homes: Iterable[Home]) -> None:
        """Have second connections to these relays ready, and to no others."""
        self._standby.use(homes)

    def doubt(self) -> None:
        """Somebody who talks hears nothing any more: each connection is asked whether it stands,
        and one that does not answer is replaced as soon as another does."""
        first = sorted(self._standing.items(), key=lambda one: one[0] not in self._live)
        for watched, home in first:
            used = not (watched.over or watched.passes or watched in self._standby)
            if used and watched.path != SMALL and watched not in self._doubted:
                self._doubted.add(watched)
                self._do_behind(self._ask(watched, home))

    async def _ask(self, watched: Watched, home: Home) -> None:
        try:
            if await watched.answers(ANSWER):
                return
            second = self._standby.take(home.label)
            if second is not None and not await second.answers(ANSWER):
                second.close(websocket.STALLED)
                second = None
            async with self._one:  # handshakes would fill a thin line
                if second is None and (await watched.answers(ANSWER) or watched.over):
                    return
                second = second or await self._instead(watched.path, home)
            if watched.silent:
                self._replace(watched, second, websocket.STALLED)
            else:
                second.close("nobody needs it")
        except OSError:
            self._wanted()
        finally:
            self._doubted.discard(watched)

    async def _instead(self, path: str, home: Home) -> Watched:
        """A connection in the place of one by this path, which fell silent: if that was a stream,
        rather over UDP, since another stream may be frozen in a moment as well."""
        rests = self.ladder.rests(home.label, QUIC, self._clock())
        if path in (HOP, *STREAMS) and QUIC in self._all and not rests:
            try:
                async with asyncio.timeout(UDP_FIRST):
                    return await self._race(home, (QUIC,))
            except (TimeoutError, Unreachable):
                pass  # as anywhere where UDP is blocked
        return await self._race(home, self.ladder.paths)

    def move(self) -> None:
        """This machine is on another network, or slept: what stands is made anew."""
        self._moves += 1
        self.ladder.moved(self._clock())
        for task in list(self._attempts):
            task.cancel()
        for watched in list(self._standing):
            if isinstance(watched.channel, quic.Opening):
                watched.channel.move()
            else:
                watched.close(MOVED)

    async def stop(self) -> None:
        """Try nothing more, and let go of what nobody uses."""
        await self._standby.stop()
        under_way: list[asyncio.Task[Any]] = [*self._behind, *self._attempts]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for spare in list(self._spare.values()):
            self._let_go(spare)

    async def connect(self, home: Home, handler: Handler) -> Channel:
        """A channel by the first path that works. Raises `Unreachable`: the first one's."""
        spare = self._spare.pop(home.label, None)
        if spare is None or spare.over:
            spare = self._standby.take(home.label)
        if spare is not None:
            return spare.adopt(handler)
        while True:
            moves = self._moves
            try:
                return (await self._race(home, self.ladder.paths)).adopt(handler)
            except OSError:
                if moves != self._moves:
                    continue
                self._wanted()
                raise

    def _order(self, home: Home) -> list[str]:
        """All paths there are to this relay, in the order in which to try them."""
        order = self.ladder.order(home.label, self._clock())
        return [path for path in order if path != HOP or self._hop(home) is not None]

    def _hop(self, home: Home, avoid: Collection[str] = ()) -> Home | None:
        """The relay through which to reach this one; rather none that is avoided, by label."""
        now = self._clock()
        others = [one for one in self._hops if one.pin != home.pin and one.label != home.label]
        key = lambda one: (self.ladder.resting(one.label, now), one.label in avoid)  # noqa: E731
        return min(others, key=key, default=None)

    async def _race(self, home: Home, paths: Sequence[str]) -> Watched:
        """The first of these paths that works, as the ladder orders them."""
        trying: _Trying = {}
        left = set(paths)
        first: BaseException | None = None
        loop = asyncio.get_running_loop()
        due, moves = 0.0, self._moves
        try:
            while (order := [path for path in self._order(home) if path in left]) or trying:
                # What rests is tried only when nothing else is left, and then alone.
                fresh = bool(order) and not self.ladder.rests(home.label, order[0], self._clock())
                now = loop.time()
                under_way = self._handshakes(home.label) if order else {}
                others = set(under_way) - set(trying)
                room = order[:1] == [HOP] or len(under_way) < AT_ONCE
                if room and (not trying or (fresh and len(trying) < 2 and now >= due)):
                    task, one = self._start(self._next(home.label, order, now), home)
                    left.discard(one.path)
                    trying[task] = one
                    due = now + HEAD_START / 1000
                    continue
                wait = None
                if fresh and len(trying) == 2:
                    wait = min(one.began for one in trying.values()) + PATIENCE / 1000 - now
                elif fresh and room:
                    wait = due - now
                done, _ = await asyncio.wait(
                    {*trying, *others},
                    timeout=wait and max(0, wait),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done and fresh and len(trying) == 2:
                    slow = min(trying, key=lambda task: trying[task].began)
                    self._give_up(slow, trying.pop(slow))
                    first = first or Unreachable("timeout", f"{home.label} did not answer in time")
                won = None
                for task in done & set(trying):
                    path = trying[task].path
                    if task.cancelled():  # by `move`
                        left.clear()
                        del trying[task]
                    elif (error := task.exception()) is None and won is None:
                        del trying[task]
                        won = task.result()
                    elif error is not None:
                        del trying[task]
                        if path != HOP or not left:
                            first = first or error
                if won is not None:
                    self._watch_slower(trying, won)
                    return won
        finally:
            for task, one in trying.items():
                if loop.time() - one.began >= HEAD_START / 1000 and moves == self._moves:
                    self._give_up(task, one)
                else:
                    task.cancel()
                    task.add_done_callback(_not_needed)
        raise first or Unreachable("connect", f"there is no way to {home.label}")

    def _next(self, place: str, order: list[str], now: float) -> str:
        """What to try, rather not what somebody else tries there already. Where nothing answers to
        TCP at all, or to what is said behind a handshake, or not where it always did, or two kinds
        of streams are cut, UDP may pass."""
        if order[0] == HOP:
            return HOP
        under_way = list(self._handshakes(place).values())
        # Half of it: somebody else's may have begun a moment later than one's own.
        hang = [one for one in under_way if now - one.began >= HEAD_START / 2000]
        hang = [one for one in hang if one.path in STREAMS]
        silent = any(
            one.attempt.hangs in ("connect", "timeout") or self.ladder.knows(place, one.path)
            for one in hang
        )
        if QUIC in order and (silent or len(hang) + self.ladder.cut(place, self._clock()) > 1):
            return QUIC
        tried = {one.path for one in under_way}
        return next((path for path in order if path not in tried), order[0])

    def _give_up(self, task: asyncio.Task[Watched], one: _Try) -> None:
        """It hangs."""
        task.cancel()
        task.add_done_callback(_not_needed)
        if not task.done():
            self.ladder.failed(one.place, one.path, one.attempt.hangs, self._clock())

    def _start(
        self, path: str, home: Home, second: bool = False
    ) -> tuple[asyncio.Task[Watched], _Try]:
        one = _Try(home.label, path, asyncio.get_running_loop().time(), Attempt(self._line))
        task = asyncio.create_task(self._try(path, home, one.attempt, second))
        self._attempts[task] = one
        task.add_done_callback(lambda task: self._attempts.pop(task, None))
        return task, one

    def _handshakes(self, place: str) -> _Trying:
        """With this relay directly, under way."""
        return {
            task: one
            for task, one in self._attempts.items()
            if one.place == place and one.path != HOP
        }

    def _stand(self, place: str) -> list[str]:
        """The paths of the connections there that are in use."""
        return [
            one.path
            for one in self._standing
            if one.place == place and not one.over and one not in self._standby
        ]

    async def _try(self, path: str, home: Home, attempt: Attempt, second: bool = False) -> Watched:
        place = home.label
        climb = functools.partial(self._climb, home)
        watched = Watched(
            self.ladder,
            self._clock,
            place,
            path,
            climb,
            self._wanted,
            self._standby.ready,
            self._line,
        )
        try:
            watched.channel = await (
                self._through(home, watched, attempt, second)
                if path == HOP
                else self._all[path](home, watched, attempt)
            )
        except Unreachable as error:
            self.ladder.failed(place, path, error.kind, self._clock())
            raise
        except OSError:
            self.ladder.failed(place, path, "connect", self._clock())
            raise
        watched.stands(second)
        self._standing[watched] = home
        return watched

    async def _through(
        self, home: Home, handler: Handler, attempt: Attempt, second: bool
    ) -> Channel:
        """By another relay. Small exchanges lead to none: they are too slow for two."""
        under: Watched | None = None
        between = {one.place for one in self._standing if one.passes}
        first = self._hop(home, between if second else ())
        attempt.hangs = "proxy"
        if first is None or all(
            self.ladder.rests(first.label, path, self._clock()) for path in STREAMS
        ):
            raise Unreachable("proxy", "no other relay is reached")

        async def reach(pipe: Handler) -> Channel:
            nonlocal under
            streams = [path for path in self.ladder.paths if path in STREAMS]
            others = [path for path in streams if path not in self._stand(first.label)]
            try:
                race = self._race(first, (others or streams) if second else streams)
                under = await race
                channel = under.adopt(pipe, passing=True)
            except OSError as error:
                if self.ladder.cut(first.label, self._clock()) > 1:
                    self._wanted()
                raise Unreachable("proxy", f"no other relay is reached: {error}") from None
            attempt.hangs = "timeout"
            return channel

        channel = await hop.connect(home, handler, reach, self._line)
        if isinstance(handler, Watched):
            handler.under = under
        return channel

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
            self._give_up(task, one)
        elif not task.cancelled() and task.exception() is None:
            self._replace(won, task.result())

    async def _second(self, home: Home) -> Watched | None:
        """A connection by another path than that in use, if this is a moment for it."""
        used = set(self._stand(home.label))
        if not used or SMALL in used or self._handshakes(home.label):
            return None
        order = [path for path in self._order(home) if path != SMALL]
        rank = [path for path in order if (path == HOP) == (HOP in used)]
        rank.sort(key=lambda path: path in used)
        now = self._clock()
        path = next((path for path in rank if not self.ladder.rests(home.label, path, now)), None)
        if path is None:
            return None
        return await _made(self._start(path, home, second=True)[0])

    def _climb(self, home: Home, current: Watched) -> None:
        """A better path is tried, and used if it works; until then the current one is."""
        if current.passes or current.replaced or current in self._standby:
            return  # neither what leads elsewhere is cut, nor what stands ready
        if len(self._handshakes(home.label)) >= AT_ONCE:
            return
        rank, now = self.ladder.paths.index, self._clock()
        if second := self._standby.take(
            home.label,
            lambda one: (
                rank(one.path) < rank(current.path)
                and not self.ladder.rests(home.label, one.path, now)
            ),
        ):
            self._replace(current, second)
            return
        path = self.ladder.instead(home.label, current.path, self._clock())
        if path and (path != HOP or self._hop(home) is not None):
            self._do_behind(self._try_better(path, home, current))

    async def _try_better(self, path: str, home: Home, current: Watched) -> None:
        better = await _made(self._start(path, home)[0])
        if better is not None:
            self._replace(current, better)

    def _replace(self, current: Watched, better: Watched, why: str = MOVED) -> None:
        if current.over or current.place in self._spare:
            better.close("the other way ended")
            return
        self._spare[current.place] = better
        asyncio.get_running_loop().call_later(SPARE, self._let_go, better)
        current.replaced = True
        if current.under is not None and why != MOVED:
            current.under.close(why)
        if self.ladder.rests(current.place, current.path, self._clock()):
            current.leave(why)  # much may be on its way, slowly
        else:
            current.close(why)

    def _let_go(self, spare: Watched) -> None:
        if self._spare.get(spare.place) is spare:
            del self._spare[spare.place]
            spare.close("nobody needs it")

    def _do_behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


async def _made(task: asyncio.Task[Watched]) -> Watched | None:
    """What becomes of it; given up with who waits."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        task.add_done_callback(_not_needed)
        raise
    return None if task.cancelled() or task.exception() is not None else task.result()


def _not_needed(task: asyncio.Task[Watched]) -> None:
    """What came of it after all is let go."""
    if not task.cancelled() and task.exception() is None:
        task.result().close("another way was quicker")
