"""What the call machine wants done, and what it says of itself, see `machine`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from holdfast.core.call.bursts import Spoken
from holdfast.core.call.rungs import Rung

State = Literal["calling", "ringing", "connecting", "talking", "ended"]
Reason = Literal["", "hung-up", "declined", "busy", "missed", "unanswered", "lost", "failed"]
Line = Literal["whole", "thin", "dotted", "pieces", "broken"]
Step = Literal["ringing", "accept", "decline", "busy", "end"]


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the other side, durably, over the messages' way."""

    step: Step


@dataclass(frozen=True, slots=True)
class Attach:
    """Both accepted: follow the call's logs and begin to send."""


@dataclass(frozen=True, slots=True)
class Send:
    """Seal this frame and pass it on by these routes, now or never."""

    plain: bytes
    routes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Burst:
    """Pass this on durably, over the messages' way. `upto`: the unit of theirs until which all
    has come, or is given up."""

    data: bytes
    upto: int


@dataclass(frozen=True, slots=True)
class Code:
    """From now on the microphone is coded so."""

    rung: Rung


@dataclass(frozen=True, slots=True)
class Keep:
    """This came too late to be part of the talk: it is kept beside it, as a note of `at`
    milliseconds of the call."""

    at: int
    packets: tuple[Spoken, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Nothing has arrived by any way: see whether connections still stand."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that people see is not what it was."""


@dataclass(frozen=True, slots=True)
class Over:
    """The call has ended: let go of everything."""


Command = Say | Attach | Send | Burst | Code | Keep | Doubt | Changed | Over
