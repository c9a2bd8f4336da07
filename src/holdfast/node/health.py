"""Which relays fall behind the others, told by what passes: nothing is sent for it. Pure.

The same record goes to all homes of a log and comes from all of them, so each relay is measured
against the others. Who lags again and again is demoted: waited for no longer, and the last choice
for what is new, until it has kept up for a while. Everything goes on being written to it and read
from it. Times are milliseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

Trouble = Literal["", "slow", "behind", "refuses", "strange"]
"""slow: takes what others have taken long before. behind: brings late, or not at all, what others
bring. refuses: is full. strange: brings what nobody wrote."""
LATE: Final = 10_000
"""After which a relay is late with what another one did."""
STUCK: Final = 60_000
"""After which once is enough."""
FAULTS: Final = 3
"""So many within `WINDOW` demote."""
WINDOW: Final = 600_000
UNDER_WAY: Final = 2_000
"""Records that are known of at most, the oldest forgotten first."""


_PLAIN: Final[tuple[Trouble, ...]] = ("refuses", "strange")
"""Said rather than what else it may look like."""


@dataclass
class _Race:
    """One record, and the relays that have not dealt with it."""

    kind: Trouble
    left: set[str]
    since: int = 0
    """When the first of them did; 0: none yet."""
    late: set[str] = field(default_factory=set)


class Health:
    """Of all relays of a node, by address."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._races: dict[tuple[Trouble, bytes], _Race] = {}
        self._faults: dict[str, deque[tuple[int, Trouble]]] = {}

    # What happens.

    def sent(self, rid: bytes, home: str) -> None:
        """A record is on its way to a relay that is connected."""
        race = self._races.get(("slow", rid)) or self._begin("slow", rid, ())
        if not race.since:
            race.left.add(home)

    def taken(self, rid: bytes, home: str) -> None:
        """It has it."""
        self._done("slow", rid, home)

    def came(self, rid: bytes, home: str, others: Iterable[str]) -> None:
        """A record that is new came from a relay; it should from the others where it is read."""
        if ("behind", rid) not in self._races:
            self._begin("behind", rid, {home, *others})
        self._done("behind", rid, home)

    def fault(self, home: str, kind: Trouble) -> None:
        """Something that needs no comparing."""
        faults = self._faults.setdefault(home, deque(maxlen=4 * FAULTS))
        faults.append((self._clock(), kind))

    def left(self, home: str) -> None:
        """The connection is over: what it still had to do says nothing."""
        for race in self._races.values():
            race.left.discard(home)

    # What is concluded.

    def trouble(self, home: str) -> Trouble:
        """What the matter is with a relay, "" if nothing is."""
        now = self._clock()
        found = [kind for at, kind in self._faults.get(home, ()) if now - at < WINDOW]
        if len(found) < FAULTS:
            return ""
        return next((kind for kind in _PLAIN if kind in found), found[-1])

    def troubles(self) -> dict[str, Trouble]:
        """All relays with which something is the matter, and what."""
        self._look()
        return {home: kind for home in self._faults if (kind := self.trouble(home))}

    def _begin(self, kind: Trouble, rid: bytes, left: Iterable[str]) -> _Race:
        if len(self._races) >= UNDER_WAY:
            del self._races[next(iter(self._races))]
        race = self._races[kind, rid] = _Race(kind, set(left))
        return race

    def _done(self, kind: Trouble, rid: bytes, home: str) -> None:
        race = self._races.get((kind, rid))
        if race is None or home not in race.left:
            return
        self._judge(race, self._clock())
        race.left.discard(home)
        race.since = race.since or self._clock()

    def _judge(self, race: _Race, now: int) -> None:
        """Note who is late by now, and more so who is stuck."""
        for home in sorted(race.left):
            if race.since and now - race.since >= LATE and home not in race.late:
                race.late.add(home)
                self.fault(home, race.kind)
            if race.since and now - race.since >= STUCK:
                race.left.discard(home)
                for _ in range(FAULTS - 1):
                    self.fault(home, race.kind)

    def _look(self) -> None:
        now = self._clock()
        for race in self._races.values():
            if race.left:
                self._judge(race, now)
