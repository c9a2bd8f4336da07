"""Which way live frames take, and which one beside it.

A route that is silent rests, longer each time; one that is better than the one in use is tried with
a frame now and then, and used again when that has gone well for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

REST: Final = 4_000
MOST_REST: Final = 60_000
FORGIVEN: Final = 60_000
"""A route that was well for so long rests as briefly as at first."""
TRY_EVERY: Final = 500
PROVED: Final = 3_000
"""Milliseconds for which what is tried must have arrived before it is used again."""
SILENT: Final = 130
"""Milliseconds without an answer, beside the way there and back, after which a route is left."""
SUSPECT: Final = 60
"""The same, after which everything goes by two."""
ASK: Final = 100
"""Between two questions by a way that is silent, at first; twice that each time, up to"""
MOST_ASK: Final = 200
MOST_ASK_STREAM: Final = 1_600
"""by a stream, which sends what was lost again by itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way. `number` is its driver's; of several those before are better. `datagrams`: what is
    lost on it stays lost."""

    number: int
    datagrams: bool = False


@dataclass(slots=True)
class _State:
    rest: int = REST
    rests_until: int = 0
    waiting: int | None = None
    """When the first frame left that nothing is known of, since the last one that arrived."""
    progress: int = 0
    """When the last one was known to have arrived."""
    dead: bool = False
    """It was left because it was silent, and nothing has arrived by it since."""
    good_since: int = 0
    tried: int = -TRY_EVERY
    used: int = 0
    probed: int = 0
    every: int = ASK


@dataclass
class Routes:
    """`up`: those there are now, the best first."""

    up: tuple[Route, ...] = ()
    current: Route | None = None
    _states: dict[int, _State] = field(default_factory=dict)

    def _of(self, route: Route) -> _State:
        return self._states.setdefault(route.number, _State())

    def set(self, up: tuple[Route, ...], now: int) -> bool:
        """These are there now. Whether the one in use is another."""
        before = self.up
        self.up = up
        for route in up:
            if route not in before:
                self._of(route).waiting = None
                if not route.datagrams:  # another connection: what befell the last one is past
                    self._of(route).rests_until, self._of(route).dead = now, False
        if self.current in up:
            return False
        return self._choose(now)

    def _may(self, route: Route, now: int) -> bool:
        """Nothing speaks against it."""
        return self._of(route).rests_until <= now and not self._of(route).dead

    def _choose(self, now: int) -> bool:
        awake = [route for route in self.up if self._may(route, now)]
        best = (
            awake[0]
            if awake
            else min(self.up, key=lambda route: self._of(route).rests_until, default=None)
        )
        changed = best != self.current
        self.current = best
        if best is not None and changed:
            self._of(best).used = now
            self._of(best).waiting = None
        return changed

    def sent(self, route: Route, now: int) -> None:
        """A frame left by it."""
        state = self._of(route)
        if state.waiting is None:
            state.waiting = now

    def arrived(self, number: int, sent: int, oldest: int | None, now: int) -> None:
        """A frame that left by it alone at `sent` has arrived; `oldest`: when the first left after
        it of which nothing is known."""
        state = self._states.get(number)
        if state is not None and (state.waiting is None or sent >= state.waiting):
            state.waiting, state.progress, state.dead, state.every = oldest, now, False, ASK
            state.good_since = state.good_since or sent

    def silence(self, now: int) -> int:
        """For how long something is under way by the route in use and nothing has arrived."""
        if self.current is None:
            return 0
        state = self._of(self.current)
        return 0 if state.waiting is None else now - max(state.waiting, state.progress)

    def leave(self, now: int) -> bool:
        """The one in use is silent: it rests. Whether there is another that may answer."""
        assert self.current is not None
        if not any(self._may(one, now) for one in self.up if one != self.current):
            return False
        state = self._of(self.current)
        if now - state.used > FORGIVEN:
            state.rest = REST
        state.rests_until, state.good_since, state.dead = now + state.rest, 0, True
        state.rest = min(MOST_REST, state.rest * 2)
        return self._choose(now)

    def beside(self, now: int) -> Route | None:
        """Another one, to send everything by both, if there is one that may answer."""
        return next((one for one in self.up if one != self.current and self._may(one, now)), None)

    def begin(self, now: int) -> None:
        """From now on frames leave by the one in use in the rhythm of speech."""
        if self.current is not None:
            self._of(self.current).waiting, self._of(self.current).used = None, now

    def turn(self, now: int, due: bool = False) -> Route | None:
        """Where none answers: the one to ask next, each in its turn."""
        may = [
            one for one in self.up if not due or now - self._of(one).probed >= self._of(one).every
        ]
        found = min(may, key=lambda route: self._of(route).probed, default=None)
        if found is not None:
            self._of(found).probed = now
        return found

    def again(self) -> None:
        """The other side is heard again, by whichever connection: ask at once."""
        for state in self._states.values():
            state.every, state.probed = ASK, 0

    def ask(self, now: int) -> Route | None:
        """The one in use is silent: which is to be asked now, each less and less often; None: none
        yet."""
        route = self.turn(now, due=True)
        if route is not None:
            state = self._of(route)
            most = MOST_ASK if route.datagrams else MOST_ASK_STREAM
            state.every = min(most, 2 * state.every)
        return route

    def answers(self, number: int, patience: int, now: int) -> bool:
        """Something has arrived by this one. If the one in use was silent for longer than
        `patience`, it takes its place; whether it does."""
        found = next((route for route in self.up if route.number == number), None)
        if found is None or found == self.current or self.silence(now) <= patience:
            return False
        self.current = found
        self._of(found).rests_until, self._of(found).used = now, now
        return True

    def trial(self, now: int) -> Route | None:
        """A better one, to be tried with a frame now; or another one, so that it is known."""
        if self.current is None:
            return None
        place = self.up.index(self.current) if self.current in self.up else 0
        for route in self.up[:place]:
            state = self._of(route)
            if now >= state.rests_until and now - state.tried >= TRY_EVERY:
                state.tried = now
                if state.waiting is not None and now - state.waiting > 2 * TRY_EVERY:
                    state.good_since, state.waiting = 0, None
                return route
        return None

    def better(self, now: int) -> bool:
        """Go back to a better one that has proved itself. Whether there was one."""
        if self.current is None:
            return False
        for route in self.up[: self.up.index(self.current)]:
            state = self._of(route)
            if state.rests_until <= now and state.good_since and now - state.good_since >= PROVED:
                self.current = route
                state.used, state.waiting = now, None
                return True
        return False
