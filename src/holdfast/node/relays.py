"""How the relays are doing, and when the internet was off.

Pure memory, fed by the engine. Off means that none of this node's own relays could be
reached; a time of more than a minute is told in the conversations that it held up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from holdfast import __version__
from holdfast.core.caps import Home
from holdfast.core.finding import Finding
from holdfast.node import devices, homes, linking
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.health import Trouble
from holdfast.node.keeper import Work
from holdfast.node.schema import Line, Relay, Status
from holdfast.paths.base import Kind

ANSWERED: Final = frozenset({"refused", "tls", "pin", "upgrade"})
"""Kinds of failure in which somebody answered at the relay's address."""
SHAPES: Final[dict[str, Line]] = {"freeze": "dotted", "throttled": "thin"}
"""The path line's shape while relays are reached, by what the network does."""
AWAY: Final = 600_000
"""Milliseconds after which a relay that is not reached is done without."""
OFF: Final = 60_000
"""Milliseconds without any own relay that are worth a word."""


@dataclass
class _Known:
    home: Home
    state: Literal["connecting", "connected", "waiting"]
    since: int
    why: str = ""
    kind: Kind | Literal[""] = ""

    @property
    def answered(self) -> bool:
        """Its machine answered, so the way there is open."""
        return self.kind in ANSWERED


class Relays:
    """By address."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.finding: Callable[[], Finding] = lambda: Finding("unknown")
        """What is known of the network."""
        self.troubles: dict[str, Trouble] = {}
        """Which fall behind others, and how."""
        self.simulator = False
        """Whether a pretended censor stands before them."""
        self.near: list[str] = []
        """Contacts that are on the same local network."""
        self.finds = False
        """Whether they can be looked for."""
        self._known: dict[str, _Known] = {}
        self._mine: frozenset[str] = frozenset()
        self._off_since: int | None = None
        self._last: tuple[int, int] | None = None
        self._held: dict[str, tuple[int, int]] = {}
        """Relays that came back, with the time that the internet was off before."""
        self._caught: set[tuple[bytes, str]] = set()

    def use(self, mine: frozenset[str], used: dict[str, Home]) -> list[Home]:
        """Which are mine, and which are used at all; those that no longer are."""
        self._mine = mine
        for address, home in used.items():
            if address not in self._known:
                self._known[address] = _Known(home, "connecting", self._clock())
        gone = [address for address in self._known if address not in used]
        return [self._known.pop(address).home for address in gone]

    def up(self, home: Home) -> None:
        """A connection is there."""
        now, address = self._clock(), str(home)
        before = self._known.get(address)
        self._known[address] = _Known(home, "connected", now)
        if address in self._mine and self._off_since is not None:
            self._last = (self._off_since, now)
            self._off_since = None
        off = self._last if self._last and self._last[1] - self._last[0] >= OFF else None
        if off and before and before.state != "connected" and before.since <= off[1]:
            self._held[address] = off

    def down(self, home: Home, why: str, kind: Kind = "connect") -> None:
        """A connection was lost, or an attempt failed."""
        now, address = self._clock(), str(home)
        before = self._known.get(address)
        since = before.since if before is not None and before.state != "connected" else now
        self._known[address] = _Known(home, "waiting", since, why, kind)
        self._held.pop(address, None)
        self._caught = {place for place in self._caught if place[1] != address}
        if address in self._mine and kind in ANSWERED:
            self._off_since = None  # somebody answered there: the internet is not off
        elif address in self._mine and self._off_since is None and not self.online:
            self._off_since = now

    def caught_up(self, locator: bytes, home: Home) -> None:
        """All that this home had kept of the log was read."""
        self._caught.add((locator, str(home)))

    def reading(self, locator: bytes, homes: Iterable[str]) -> set[str]:
        """Homes that have been read to the end, and bring what is new."""
        return {home for home in homes if (locator, home) in self._caught}

    def all_caught_up(self, locator: bytes, homes: Iterable[str]) -> bool:
        """Whether that is so at every home that can be reached, and keeps up with others."""
        return all(
            (locator, home) in self._caught
            for home in homes
            if (known := self._known.get(home)) is not None
            and known.state == "connected"
            and home not in self.troubles
        )

    def outage(self, locator: bytes, home: Home) -> tuple[int, int] | None:
        """The time off that held up what comes from this home now, if one did."""
        if (locator, str(home)) in self._caught:
            return None
        return self._held.get(str(home))

    @property
    def reached(self) -> frozenset[str]:
        """Those that are connected."""
        known = self._known.items()
        return frozenset(address for address, one in known if one.state == "connected")

    @property
    def _away(self) -> frozenset[str]:
        now, known = self._clock(), self._known.items()
        return frozenset(
            address
            for address, one in known
            if one.state != "connected" and now - one.since >= AWAY
        )

    @property
    def lost(self) -> frozenset[str]:
        """Those that have been away for long, while others are reached: it is not the internet."""
        return self._away if self.reached else frozenset()

    @property
    def alone(self) -> bool:
        """Whether all have been away for long."""
        return bool(self._known) and len(self._away) == len(self._known)

    @property
    def online(self) -> bool:
        """Whether an own relay is connected."""
        return any(
            known.state == "connected"
            for address, known in list(self._known.items())
            if address in self._mine
        )

    def status(self, desk: Desk, work: Work) -> Status:
        """What works now."""
        mine = [known for address, known in list(self._known.items()) if address in self._mine]
        if not mine:
            verdict: Literal["clear", "connecting", "offline", "relay-away", "no-relay"] = (
                "no-relay"
            )
        elif self.online:
            verdict = "clear"
        elif any(known.state == "connecting" for known in mine):
            verdict = "connecting"
        elif any(known.answered for known in mine):
            verdict = "relay-away"
        else:
            verdict = "offline"
        network = self.finding().verdict
        listed = homes.listed(work)
        (waiting,) = row(work.db, "SELECT count(*) FROM message WHERE state = 'waiting'")
        return Status(
            version=__version__,
            phase="linking" if linking.is_new(desk, work) else "ready",
            unlinked=desk.get(work, devices.UNLINKED) is not None,
            name=str(desk.get(work, "name")),
            line=self._line(network, verdict == "clear"),
            verdict=verdict,
            network=network,
            simulator=self.simulator,
            near=list(self.near),
            finds=self.finds,
            relays=[*self._used(listed), *self._idle(listed)],
            waiting=waiting,
            echo=desk.echo and row(work.db, "SELECT 1 FROM contact WHERE echo = 1") is None,
        )

    def _line(self, network: str, clear: bool) -> Line:
        if clear:
            return SHAPES.get(network, "whole")
        return "double" if self.near else "broken"

    def _used(self, listed: homes.Listed) -> list[Relay]:
        return [
            Relay(
                id=known.home.id,
                label=known.home.label,
                state=known.state,
                why=known.why,
                failure=known.kind,
                since=known.since,
                mine=address in self._mine,
                contacts=listed[address][2] if address in listed else [],
                off=address in listed and listed[address][1],
                trouble=self.troubles.get(address, ""),
            )
            for address, known in list(self._known.items())
        ]

    def _idle(self, listed: homes.Listed) -> list[Relay]:
        """Those that nothing is on."""
        return [
            Relay(
                id=home.id,
                label=home.label,
                state="idle",
                since=0,
                mine=False,
                contacts=names,
                off=off,
            )
            for address, (home, off, names) in listed.items()
            if address not in self._known
        ]
