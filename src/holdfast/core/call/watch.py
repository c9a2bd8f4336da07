"""How the ways of a call fare: when one is left, when two are used, when it is spoken in bursts and
when live again. Source: spec/call.md.
"""

from __future__ import annotations

from typing import Final

from holdfast.core.call.commands import Changed, Command, Doubt, State
from holdfast.core.call.media import REPORT_MS, Media
from holdfast.core.call.routes import SILENT, SUSPECT
from holdfast.core.call.rungs import RUNGS
from holdfast.core.call.story import Why

ALONE_MS: Final = 60
"""Between two frames by the way in use alone, while everything goes by two."""
BURSTS_MS: Final = 2_400
"""After so long without a live way it is spoken in bursts."""
CROWDED_MS: Final = 2_500
"""So much later, while frames of the other side still come: the line is thin, not dead;"""
STILL_MS: Final = 800
"""which is so, as long as they are not further apart; and as much again, if they are late."""
EXHAUSTED_MS: Final = 10_000
"""After so long with a queue on the lowest rung."""
DOUBT_MS: Final = 350
"""After so long without an answer by any way, connections are doubted; again every so often:"""
DOUBT_EVERY_MS: Final = 2_000
MAKING_MS: Final = 4_000
"""So long the first live way may take to be made;"""
NOBODY_MS: Final = 4_500
"""So long the other side may take to be there before it is spoken in bursts."""


class Watched(Media):
    """What was silent, and what follows from it."""

    def __init__(self, state: State, now: int) -> None:
        super().__init__(state)
        self._doubted = now

    def _watch(self, now: int) -> list[Command]:
        """How the ways fare."""
        out = self._doubt(now)
        if self.bursts:
            return out + self._alive(now)
        out += self._save(now)
        route = self._routes.current
        if route is None:
            self._silent_since = self._silent_since or now
            if now - self._silent_since >= (BURSTS_MS if self._sender.heard_of else MAKING_MS):
                out += self._burst(now, Why("none", (now - self._silent_since,)))
            return out
        nothing = self._sender.silence(now)
        most = BURSTS_MS if self._sender.heard_of else NOBODY_MS
        if now - self._their_frame < STILL_MS:
            most += CROWDED_MS * (1 + self._receipts.crowded(now))
        if nothing >= self._patience(most) + self._slow:
            return out + self._burst(now, Why("all-silent", (nothing,)))
        if not self._sender.heard_of:
            return out
        silence = self._routes.silence(now)
        crowd = self._crowd(now)
        if silence > self._patience(SILENT) + crowd:
            if not self._silent_since:
                self._silent_since = now - silence
            if self._routes.leave(now):
                self._silent_since = 0
                self._moved(route, Why("silent", (silence,)), now)
                return out
        doubling = silence > self._patience(SUSPECT) + crowd
        if doubling and not self._doubling and self._routes.beside(now) is not None:
            self._double_until = now + 1_000
            self._doubling, self._doubled_at = True, now
            again = self._again(now)
            self.story.note("two-ways", Why("silent", (silence,)), now, again=again)
        elif self._doubling and not doubling and now >= self._double_until:
            self._doubling = False
        if self._doubling and not self._silent(now) and now - self._probed >= ALONE_MS:
            self._probed = now
            assert self._routes.current is not None
            out.append(self._send(None, self._routes.current, now))
        trial = self._routes.trial(now)
        if trial is not None:
            out.append(self._send(None, trial, now))
        if self._routes.better(now):
            self._moved(route, Why("proved"), now)
        since = self._choice.exhausted_since
        if since and now - since >= EXHAUSTED_MS:
            return [*out, *self._burst(now, Why("too-much"))]
        return out

    def _alive(self, now: int) -> list[Command]:
        """While it is spoken in bursts: is there a live way that holds?"""
        out: list[Command] = []
        some = self._arrived_at > self._burst_at
        every = REPORT_MS * (6 if self._gathering.thin and not some else 1)
        due = 2 * every + int(self._sender.trip) + SILENT
        answers = some and self._routes.current is not None and self._routes.silence(now) < due
        route = self._routes.current if answers else self._routes.turn(now)
        if route is not None and now - self._reported >= every:
            out.append(self._send(None, route, now))
        well = (
            answers
            and self._sender.heard_of
            and self._sender.silence(now) < due
            and now - self._their_frame < due + every
        )
        if self._gathering.live(well, now):
            out += self._flush(now)
            self.bursts = False
            self._routes.begin(now)
            self._begin_at(self._gathering.back_at, now)
            self._choice.why = Why("well", (self._gathering.live_ms // 1000,))
            self.story.note("live", self._choice.why, now)
            out += [*self._code(now), Changed()]
        return out

    def _doubt(self, now: int) -> list[Command]:
        """Where nothing arrives by any way, connections may stand in name alone."""
        nothing = self._sender.silence(now)
        sure = self._routes.up and nothing >= self._patience(DOUBT_MS) + self._slow
        return self._doubts(now) if sure else []

    def _doubts(self, now: int) -> list[Command]:
        if now - self._doubted < DOUBT_EVERY_MS:
            return []
        self._doubted = now
        return [Doubt()]

    @property
    def _slow(self) -> int:
        """By how much more answers may be late on thin rungs, in milliseconds."""
        return 3 * max(0, max(self.rung.ms, self._their_ms) - RUNGS[1].ms)
