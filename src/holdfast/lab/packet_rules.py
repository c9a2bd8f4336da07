"""What a censor does to packets, as rules. Pure: times come in. See `scenarios` for which report
each plays, and `streams` for the rules that see connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.lab.packets import Packet
from holdfast.lab.rules import Act


@dataclass(frozen=True, slots=True)
class Decision:
    """Of several rules the hardest act counts, delays add up, and all answers are sent."""

    act: Act = Act.PASS
    delay: float = 0
    """Seconds."""
    answers: tuple[bytes, ...] = ()
    """Forged packets."""


PASSED: Final = Decision()
DROPPED: Final = Decision(Act.DROP)


class PacketRule:
    """Lets everything pass."""

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        """A packet; `out`: from the watched host, else to it."""
        return PASSED
