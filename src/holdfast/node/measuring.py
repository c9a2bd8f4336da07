"""Measures what the person chose to have measured: calls, and other services against a control.

Of calls it is how those of the last hour went; of a service, whether a page of the observatory's
list came that was fetched as a browser would, and a step of a rate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfast.core import report
from holdfast.core.call.grade import GOOD, grade
from holdfast.core.report import Result
from holdfast.drive.fetch import Look
from holdfast.node.database import rows
from holdfast.node.keeper import Work
from holdfast.node.schema import CallStory

HOUR_MS: Final = 3_600_000
LEAST: Final = 32 * 1024
"""Bytes below which a page tells of no rate."""
FASTER: Final = 10
"""A service is throttled if the control is so many times as fast, and the service slow."""
SLOW: Final = 1024
"""Kbit/s from which on nobody calls it slow."""
VERDICTS: Final[Mapping[str, str]] = {
    "dns": "dns-block", "connect": "address-block", "tls": "name-block", "mute": "name-block",
    "frozen": "freeze",
}  # fmt: skip

See = Callable[[str], Awaitable[Look]]


@dataclass(frozen=True)
class Heard:
    """One call of the last hour: whether it came about, and its grade, 0 if it was too short."""

    talked: bool
    grade: int = 0


def rate(look: Look) -> int:
    """Kbit/s by steps; 0 if too little came to tell."""
    if look.size < LEAST:
        return 0
    return report.coarse(look.size * 8 / 1000 / max(look.seconds, 0.001))


async def measure(
    see: See, pages: Mapping[str, str], control: str, services: Sequence[str]
) -> tuple[Result, ...]:
    """Results of the chosen services that have a page; none if the control does not answer
    either, since then it is this line."""
    wanted = [name for name in services if name in pages]
    beside = await see(control) if wanted and control else None
    if beside is not None and not answers(beside):
        return ()
    fast = rate(beside) if beside is not None else 0
    return tuple([judge(name, await see(pages[name]), fast) for name in wanted])


def answers(look: Look) -> bool:
    """Whether something came that the place itself said."""
    return not look.why and 0 < look.status < 500


def judge(name: str, look: Look, control: int) -> Result:
    """What a look at a service says."""
    verdict: Any = VERDICTS.get(look.why, "unknown")
    if answers(look):
        verdict = "clear"
        slow = rate(look)
        if slow and slow < SLOW and slow * FASTER <= control:
            verdict = "throttled"
    both = (rate(look), control) if rate(look) and control else (0, 0)
    return Result(report.service(name), verdict == "clear", verdict, *both)


def heard_lately(work: Work) -> list[Heard]:
    """How the calls of the last hour went, as far as that tells of the network."""
    found = rows(
        work.db,
        "SELECT outcome, story FROM call WHERE at > ? AND outcome IN ('talked', 'lost', 'failed')",
        work.now - HOUR_MS,
    )
    heard = []
    for outcome, text in found:
        story = msgspec.json.decode(text, type=CallStory) if text else CallStory()
        heard.append(
            Heard(outcome != "failed", grade([(s.way, s.delay, s.lost) for s in story.samples]))
        )
    return heard


def heard(calls: list[Heard]) -> tuple[bool, int]:
    """Whether most calls that tell of it went well, and the grade of the middle one."""
    grades = sorted(call.grade for call in calls if call.talked and call.grade)
    failed = sum(not call.talked for call in calls)
    bad = sum(each < GOOD for each in grades) + failed
    middle = grades[len(grades) // 2] if grades else 0
    return bad * 2 < max(1, len(grades) + failed), middle
