"""A censor with switches, between one node and the relays of the same machine, for trying out."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Final, Self

from holdfast.core.caps import Home
from holdfast.lab import datagrams, rules
from holdfast.lab.box import Box
from holdfast.lab.rules import Rule

SWITCHES: Final[dict[str, Callable[[], Rule]]] = {
    "udp": datagrams.Sweep,
    "calls": lambda: rules.Rhythm(40, 250, 2),
    "freeze": lambda: rules.Freeze(16_000, 25, 1, Random(1)),
    "throttle": lambda: rules.Police((), 32_000),
    "listed": lambda: rules.AllowList(()),
    "cut": rules.Dark,
}
"""UDP is blocked; calls are; connections freeze after 16 KB; 32 kbit/s for all; only listed sites,
of which the relay is none; the internet is cut."""


class Switchboard:
    """Use as an async context. Raises ValueError for a relay that is not on this machine."""

    def __init__(self, relays: Sequence[Home]) -> None:
        if not relays or not all(_is_here(home.host) for home in relays):
            raise ValueError("the simulator is for relays on this machine alone")
        places = {(home.host, home.port): (home.host, home.port) for home in relays}
        self._box = Box(places)
        self._on: dict[str, Rule] = {}

    @property
    def url(self) -> str:
        """The proxy that the node is to use."""
        return self._box.url

    @property
    def switches(self) -> dict[str, bool]:
        """All there are, and whether they are on."""
        return {name: name in self._on for name in SWITCHES}

    def turn(self, switch: str, on: bool) -> None:
        """Raises KeyError for a switch that does not exist."""
        if on:
            self._on.setdefault(switch, SWITCHES[switch]())
        elif self._on.pop(switch, None) is not None and switch != "udp":
            self._box.cut()  # what was held would hang for long yet; of UDP nothing is
        self._box.rules = list(self._on.values())

    async def __aenter__(self) -> Self:
        await self._box.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self._box.__aexit__(kind, error, where)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
