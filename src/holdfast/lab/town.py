"""Where peers are compared: somebody at home behind a censor, somebody abroad, and servers.

    with Town(servers=("server.test",)) as town:
        town.begin(scenario.find("tcp16-20"))
        town.home.start([...])

Every host can look up the names of the others. What the censor lists are the servers of whoever is
measured: its `World`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast.lab.hosts import Host, Lab, Place
from holdfast.lab.prober import Prober
from holdfast.lab.scenarios import Parameters, Scenario, World

HOME: Final = Place("home.test", "198.51.100.10", watched=True)
ABROAD: Final = Place("abroad.test", "203.0.113.20")
SITES: Final = {
    "domestic": Place("domestic.test", "198.51.100.80"),
    "foreign": Place("foreign.test", "203.0.113.80"),
}
"""Places that nobody blocks by name; the first is on every list, and is the captive portal."""
NAMES: Final = Place("names.test", "192.0.2.53")
PROBER: Final = Place("prober.test", "192.0.2.99")
ASKED: Final = 5.0
"""Seconds in which a server answers an active probe."""


class Town:
    """`servers`: names and addresses of hosts beside those two. The censor lists `listed`, or all
    of them; `allowed` are on an allowlist too. Use as a context."""

    def __init__(
        self,
        servers: Mapping[str, str],
        listed: Sequence[str] = (),
        allowed: Sequence[str] = (),
        capture: Path | None = None,
    ) -> None:
        places = [
            HOME, ABROAD, NAMES, PROBER, *SITES.values(),
            *(Place(name, address) for name, address in servers.items()),
        ]  # fmt: skip
        self.lab = Lab(places, resolver=NAMES.address, capture=capture)
        self._prober = Prober(
            lambda host, port: self.lab.dial(PROBER.name, host, port, ASKED), self.lab.addresses
        )
        domestic = SITES["domestic"].name
        names, grounds = tuple(listed or servers), (domestic, *allowed)
        self.world = World(names, grounds, domestic, self.lab.addresses, self._prober.ask)
        self._closing = contextlib.ExitStack()

    @property
    def home(self) -> Host:
        """Behind the censor."""
        return self.lab[HOME.name]

    @property
    def abroad(self) -> Host:
        """Somewhere free."""
        return self.lab[ABROAD.name]

    def begin(
        self,
        scenario: Scenario,
        changed: Parameters | None = None,
        seed: int = 0,
        *,
        late: bool = False,
    ) -> None:
        """See `play.Ground`."""
        self.lab.begin(scenario.stage(self.world, seed, **(changed or {})))
        if late and scenario.on_handshakes:
            self.lab.middle.cut()

    def calm(self) -> None:
        """There is no censor."""
        self.lab.calm()

    def __enter__(self) -> Self:
        """Raises `CannotPlay`."""
        with contextlib.ExitStack() as closing:
            closing.enter_context(self.lab)
            closing.enter_context(self._prober)
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._closing.close()
