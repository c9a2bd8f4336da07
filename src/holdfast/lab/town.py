"""Where peers are compared: somebody at home behind a censor, somebody abroad, and servers.

    with Town(servers=("server.test",)) as town:
        town.begin(scenario.find("tcp16-20"))
        town.home.start([...])

Every host knows the names of the others. What the censor lists are the servers of whoever is
measured: its `World`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from holdfast.lab.hosts import CannotPlay, Host, Lab, Place
from holdfast.lab.scenarios import Parameters, Scenario, World

HOME: Final = Place("home.test", "198.51.100.10", watched=True)
ABROAD: Final = Place("abroad.test", "203.0.113.20")
SITES: Final = {
    "domestic": Place("domestic.test", "198.51.100.80"),
    "foreign": Place("foreign.test", "203.0.113.80"),
}
"""Places that nobody blocks by name; the first is on every list."""


class Town:
    """`servers`: names and addresses of hosts beside those two. Use as a context."""

    def __init__(self, servers: Mapping[str, str], listed: Sequence[str] = ()) -> None:
        self.world = World(tuple(listed or servers), (SITES["domestic"].name,))
        self._places = [
            HOME, ABROAD, *SITES.values(),
            *(Place(name, address) for name, address in servers.items()),
        ]  # fmt: skip
        self.lab = Lab(self._places)

    @property
    def home(self) -> Host:
        """Behind the censor."""
        return self.lab[HOME.name]

    @property
    def abroad(self) -> Host:
        """Somewhere free."""
        return self.lab[ABROAD.name]

    def begin(self, scenario: Scenario, changed: Parameters | None = None, seed: int = 0) -> None:
        """The censor acts from now on. Raises `CannotPlay`."""
        if scenario.at(self.world, seed, **(changed or {})):
            raise CannotPlay(f"{scenario.id} is not played on packets yet")

    def calm(self) -> None:
        """There is no censor."""
        self.lab.rules = []

    def __enter__(self) -> Self:
        """Raises `CannotPlay`."""
        self.lab.__enter__()
        lines = ["127.0.0.1 localhost", *(f"{one.address} {one.name}" for one in self._places)]
        text = shlex.quote("\n".join(lines) + "\n")
        for host in self.lab.hosts:
            host.run(["sh", "-c", f"printf %s {text} > /etc/hosts"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.lab.__exit__(kind, error, where)
