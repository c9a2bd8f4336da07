"""Second connections that stand ready, so that losing the first costs no handshake.

They are kept for relays over which something is under way that cannot wait, a call or a file. Each
goes by another path than the connection it stands behind, since what happens to that one would
happen to its like, and says hello at once, so that the relay keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from holdfast.core.caps import Home
from holdfast.node.watched import Watched

AFTER: Final = 5.0
"""Seconds before one is made, and between two looks whether it still stands."""
AGAIN: Final = 15.0
"""Seconds before another attempt, when there was no second way, or it did not last."""


class Standby:
    """`make` gives a second connection beside one that stands; None: there is no way, or nothing to
    stand behind."""

    def __init__(self, make: Callable[[Home], Awaitable[Watched | None]]) -> None:
        self._make = make
        self._keeping: dict[Home, asyncio.Task[None]] = {}
        self._ready: dict[str, Watched] = {}

    def use(self, homes: Iterable[Home]) -> None:
        """Stand ready for these relays, and for no others."""
        wanted = set(homes)
        for home in [home for home in self._keeping if home not in wanted]:
            self._keeping.pop(home).cancel()
            ready = self._ready.pop(home.label, None)
            if ready is not None:
                ready.close("nobody needs it")
        for home in wanted - set(self._keeping):
            self._keeping[home] = asyncio.create_task(self._keep(home))

    def ready(self, place: str) -> bool:
        """Whether one stands there."""
        found = self._ready.get(place)
        return found is not None and not found.over

    def take(
        self, place: str, right: Callable[[Watched], bool] = lambda one: True
    ) -> Watched | None:
        """The one that stands there, to be used, if it is right."""
        found = self._ready.get(place)
        if found is None or found.over or not right(found):
            return None
        return self._ready.pop(place)

    def __contains__(self, one: Watched) -> bool:
        return self._ready.get(one.place) is one

    async def stop(self) -> None:
        """Let go of all."""
        tasks = list(self._keeping.values())
        self.use(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, home: Home) -> None:
        while True:
            await asyncio.sleep(AFTER)
            while not self.ready(home.label):
                made = await self._make(home)
                if made is None or made.over:
                    await asyncio.sleep(AGAIN)
                else:
                    made.greet()
                    self._ready[home.label] = made
