"""Speaking in bursts: what is gathered for the next one, how it is coded, and whether a live way
has been well for long enough to go back to it. Source: spec/call.md, "Bursts".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.rungs import BURST, BURST_THIN, RUNGS

LIVE_MS: Final = 1_000
"""A live way must have been well for so long to be used again; twice that after each failure."""
MOST_LIVE_MS: Final = 60_000
THIN: Final = 5
"""The rung of live frames from which on text is taken to be slow as well."""
SOON_MS: Final = 20_000
"""A live way that fails so soon again was spoken on too high."""
BEHIND: Final = 400
"""Units that the other side may lack before bursts become thinner."""


class Gathering:
    """Of one side, over the whole call."""

    def __init__(self) -> None:
        self.rung = BURST
        self.back_at = 0
        """The rung to go back to."""
        self.live_ms = LIVE_MS
        self._spoken: list[Spoken] = []
        self._live_since = 0
        self._live_again = 0
        self._upto = 0
        """Until which unit the other side has what this one said, as far as bursts tell."""

    @property
    def thin(self) -> bool:
        """Text is slow."""
        return self.rung is BURST_THIN

    def begin(self, spoken: list[Spoken], at: int, index: int, now: int) -> None:
        """With all of which nothing is known; `at` is the unit to be said next, `index` the rung
        that it was spoken on."""
        if self._live_again and now - self._live_again < MOST_LIVE_MS:
            self.live_ms = min(MOST_LIVE_MS, self.live_ms * 2)
        soon = self._live_again and now - self._live_again < SOON_MS
        self.back_at = min(len(RUNGS) - 1, max(index, self.back_at) + 2 * bool(soon))
        self._live_since = 0
        self._spoken = spoken
        self.rung = BURST if index < THIN else BURST_THIN
        self._upto = max(self._upto, spoken[0].at if spoken else at)

    def add(self, spoken: list[Spoken]) -> bool:
        """This was said; whether it is enough for a burst."""
        self._spoken += spoken
        units = bursts.UNITS_THIN if self.thin else bursts.UNITS
        return bool(self._spoken) and self._spoken[-1].end - self._spoken[0].at >= units

    def take(self) -> list[bytes]:
        """Everything that was gathered, in as many bursts as it takes."""
        out: list[bytes] = []
        while self._spoken:
            part, units = [], 0
            while self._spoken and units + self._spoken[0].rung.units <= 3 * bursts.UNITS:
                one = self._spoken.pop(0)
                units += one.rung.units
                part.append(one)
            out.append(bursts.encode(part))
        return out

    def reached(self, upto: int, at: int) -> None:
        """The other side has everything up to this unit."""
        self._upto = max(self._upto, min(upto, at))

    def behind(self, at: int) -> int:
        """Units by which the other side is so far behind that bursts become thinner now; else 0."""
        behind = at - self._upto
        if self.thin or behind <= BEHIND:
            return 0
        self.rung = BURST_THIN
        return behind

    def live(self, well: bool, now: int) -> bool:
        """Whether it is time to speak live again; `well`: live ways answer now."""
        if not well:
            self._live_since = 0
        elif not self._live_since:
            self._live_since = now
        elif now - self._live_since >= self.live_ms:
            self._live_again = now
            return True
        return False
