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
    good_since: int = 0
    tried: int = -TRY_EVERY
    used: int = 0
    probed: int = 0


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
                    self._of(route).rests_until = now
        if self.current in up:
            return False
        return self._choose(now)

    def _choose(self, now: int) -> bool:
        awake = [route for route in self.up if self._of(route).rests_until <= now]
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
            state.waiting, state.progress = oldest, now
            state.good_since = state.good_since or sent

    def silence(self, now: int) -> int:
        """For how long something is under way by the route in use and nothing has arrived."""
        if self.current is None:
            return 0
        state = self._of(self.current)
        return 0 if state.waiting is None else now - max(state.waiting, state.progress)

    def leave(self, now: int) -> bool:
        """The one in use is silent: it rests. Whether there is another that does not."""
        assert self.current is not None
        if all(self._of(one).rests_until > now for one in self.up if one != self.current):
            return False
        state = self._of(self.current)
        if now - state.used > FORGIVEN:
            state.rest = REST
        state.rests_until, state.good_since = now + state.rest, 0
        state.rest = min(MOST_REST, state.rest * 2)
        return self._choose(now)

    def beside(self, now: int) -> Route | None:
        """Another one, to send everything by both: one that does not rest, if possible."""
        others = [route for route in self.up if route != self.current]
        return min(others, key=lambda route: self._of(route).rests_until > now, default=None)

    def begin(self, now: int) -> None:
        """From now on frames leave by the one in use in the rhythm of speech."""
        if self.current is not None:
            self._of(self.current).waiting, self._of(self.current).used = None, now

    def turn(self, now: int) -> Route | None:
        """Where none answers: the one to ask next, each in its turn."""
        found = min(self.up, key=lambda route: self._of(route).probed, default=None)
        if found is not None:
            self._of(found).probed = now
        return found

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
