"""What happens to a device while a scenario is played, when it is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from holdfast.lab.scenario import Change, Turn


class Conductor:
    """Does turns when they are due, in a thread of its own."""

    def __init__(self, turns: Sequence[Turn], do: Callable[[Change], None]) -> None:
        self._turns, self._do = turns, do
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more of them."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        for turn in self._turns:
            if self._over.wait(max(0.0, began + turn.at - time.monotonic())):
                return
            self._do(turn.what)
