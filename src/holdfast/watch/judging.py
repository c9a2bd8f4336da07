"""When signals make an event, what kind it is, how sure, what is against it, when it is over."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from holdfast.core import report
from holdfast.watch.cells import Cell
from holdfast.watch.detect.counts import NOTICE, Counts
from holdfast.watch.detect.season import HOUR
from holdfast.watch.detect.shares import HALF
from holdfast.watch.event import ORDER, Event, Fact, Hurt, Kind
from holdfast.watch.journal import STEP
from holdfast.watch.reach import LEAST

if TYPE_CHECKING:
    from holdfast.watch.engine import Engine, Moment, Place

PUBLIC: Final = math.log(1e6)
"""Nats that all signals of one function together have to reach: a region has some 10^6 steps of
functions a year."""
SECOND: Final = math.log(100)
"""Nats of measurements that are a second signal."""
BESIDE: Final = 4.0
"""Nats of complaints that agree with measurements, or of silence."""
JOINS: Final = math.log(1e4)
"""Nats of measurements by which a function joins a public event: it has days in which to do so by
chance."""
NAMED: Final = math.log(1e3)
"""Nats of an operator's own measurements by which it is named beside others."""
AGREES: Final = 1.5
"""Nats of one operator's complaints that agree with those of the others."""
HUSHED: Final = 3.0
"""Nats of one operator's silence that agree with that of the others."""
LEAST_FAILED: Final = 5
SHARE: Final = 0.2
"""Of all measurements that a region usually sends in an hour: more has to fail or be missing."""
QUORUM: Final = 0.15
"""The same of a region's active credentials: half as many again as the tenth that is taken to be
hostile. Each has one measurement an hour, and one complaint for a function and day."""
CALM: Final = HOUR
"""Seconds that a function has to be well before it is said to be over."""
WELL: Final = 0.2
EVERYWHERE: Final = 0.6
"""Share of regions with the same trouble at which it may be the programs' own."""
YOUNG: Final = 7 * 24
"""Hours below which a baseline is young: complaints alone are then for editors."""
CHANCE: Final = 3.0
"""Deviations beyond what is usual that are taken to be chance."""
FEW: Final = 10


def month(at: int) -> int:
    """Months since 1970."""
    return report.window("alive", at)


@dataclass
class Finding:
    """What one function of a region looks like at the end of a step."""

    complained: float = 0.0
    complaining: list[str] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)
    """Operators whose complaints are beyond chance by themselves."""
    signed: float = 0.0
    """Complaints with a token beyond the usual, on the day that had most."""
    measured: float = 0.0
    failing: list[str] = field(default_factory=list)
    failed: int = 0
    seen: int = 0
    solid: bool = False
    """Whether more fails within an hour than hostile credentials can send."""
    since: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    hours: int = 0
    """Of the youngest baseline that counts."""

    @property
    def operators(self) -> list[str]:
        """That are affected."""
        return sorted({*self.loud, *self.failing})

    @property
    def together(self) -> float:
        """All evidence, in nats."""
        return self.complained + self.measured

    def agreed(self, threshold: float, quorum: float) -> bool:
        """Whether independent signals agree; see `engine`."""
        if self.together < threshold:
            return False
        if self.solid and self.measured >= SECOND and self.complained >= BESIDE:
            return True
        if self.solid and self.measured >= threshold and self.failed >= LEAST_FAILED:
            return True
        several = len(self.complaining) >= 2 and self.complained >= threshold
        return several and self.hours >= YOUNG and quorum > 0 and self.signed > quorum


def find(pooled: Counts, cells: list[tuple[str, Cell]], enough: float) -> Finding:
    """One function of a region, from all complaints and its cells by operator. `enough`: failures
    of an hour."""
    found = Finding()
    starts: list[int] = []
    by_hour: dict[int, tuple[int, float]] = {}
    signed: dict[int, float] = {}
    failed_at: dict[str, float] = {}
    best = max((cell.complaints.evidence for _, cell in cells), default=0.0)
    if max(best, pooled.evidence) >= NOTICE:
        found.complained = max(best, pooled.evidence)
        found.hours = min(cell.season.hours for _, cell in cells)
    for operator, cell in cells:
        found.failed += cell.failed
        found.seen += cell.seen
        if found.complained and cell.complaints.evidence >= AGREES:
            found.complaining.append(operator)
            surge = cell.complaints
            share = _beyond(surge.seen, surge.expected) / surge.seen
            for day, count in cell.signed.items():
                signed[day] = signed.get(day, 0.0) + share * count
            starts.append(cell.complaints.since)
            if cell.complaints.evidence >= BESIDE and not cell.works:
                found.loud.append(operator)
        failing, since = cell.failing() if cell.failed else (0.0, 0)
        if failing >= 2:
            for hour, (failed, usual) in cell.failed_since(since).items():
                before = by_hour.get(hour, (0, 0.0))
                by_hour[hour] = before[0] + failed, before[1] + usual
            found.measured += failing
            failed_at[operator] = failing
            starts.append(since)
            for verdict, count in cell.verdicts.items():
                found.verdicts[verdict] = found.verdicts.get(verdict, 0) + count
    # Where it is sure at one operator, a few failures at another one are no reason to name it.
    found.failing = [o for o, nats in failed_at.items() if nats >= NAMED] or list(failed_at)
    found.signed = max(signed.values(), default=0.0)
    most = max((_beyond(failed, usual) for failed, usual in by_hour.values()), default=0.0)
    found.solid = most > (enough or found.seen * HALF)
    if starts:
        found.since = sorted(starts)[len(starts) // 2]
    return found


def _beyond(seen: float, usual: float) -> float:
    """By how many it is more, but for what may be chance."""
    return max(0.0, seen - usual - CHANCE * math.sqrt(usual))


def quorum(engine: Engine, place: Place) -> float:
    """Credentials of a region that are more than the hostile ones; 0 if no number is known."""
    active = max(place.alive.get(month(engine.now) - back, 0) for back in (0, 1))
    # Who is alive at another watch with fewer than it publishes is taken to be as many as that.
    return QUORUM * engine.watches * (active + LEAST * (engine.watches - 1))


def judge(engine: Engine, code: str, place: Place) -> Event | None:
    """The region's event if it changed in this step."""
    event = place.event
    hushed = place.quiet.evidence >= BESIDE
    if event is None and not place.hot and not hushed:
        return None
    credentials = quorum(engine, place)
    hourly = sum(voice.expected for voice in place.voices.values()) * HOUR / STEP
    enough = max(credentials, hourly * SHARE * engine.watches)
    findings = {
        function: find(place.pooled[function], cells, enough)
        for function, cells in place.by_function.items()
        if event is not None or function in place.hot
    }
    silent = _silent(place) if hushed else []
    changed = False
    if event is None:
        suspects = {f: found for f, found in findings.items() if found.together >= engine.public}
        if not suspects and not silent:
            return None
        event = place.event = _open(engine, code, place, suspects, silent)
        engine.events.append(event)
        for function, cells in place.by_function.items():
            if function not in findings:
                pooled = place.pooled[function]
                findings[function] = find(pooled, cells, enough)
        changed = True
    changed |= _spread(place, event, findings, silent, engine.now)
    _describe(engine, place, event, findings, silent)
    missing = _missing(place, silent, engine.now) > enough
    if not event.published and _agreed(
        engine, event, findings, silent if missing else [], credentials
    ):
        event.published = engine.now
        changed = True
    changed |= _calm(engine.now, place, event, findings, silent)
    return event if changed else None


def _silent(place: Place) -> list[str]:
    """Operators from which nothing is heard any more, if that is beyond chance."""
    if place.quiet.evidence >= PUBLIC:
        return sorted(o for o, v in place.voices.items() if v.silence.evidence >= HUSHED)
    return sorted(o for o, v in place.voices.items() if v.silence.evidence >= PUBLIC)


def _missing(place: Place, silent: list[str], now: int) -> float:
    """Reports that these operators' users did not send in an hour, of less than an hour all, but
    for what may be chance."""
    return sum(
        max(0.0, voice.expected - voice.seen - CHANCE * math.sqrt(voice.expected))
        / max(1.0, (now - voice.since) / HOUR)
        for voice in (place.voices[operator].silence for operator in silent)
    )


def _agreed(
    engine: Engine,
    event: Event,
    findings: dict[str, Finding],
    silent: list[str],
    quorum: float,
) -> bool:
    """`silent`: operators of which more is missing than hostile credentials can hold back."""
    if any(findings[f].agreed(engine.public, quorum) for f in event.functions if f in findings):
        return True
    complained = max((found.complained for found in findings.values()), default=0.0)
    return (len(silent) >= 2) or (bool(silent) and complained >= PUBLIC / 2)


def _open(
    engine: Engine, code: str, place: Place, suspects: dict[str, Finding], silent: list[str]
) -> Event:
    starts = [found.since for found in suspects.values()]
    starts += [place.voices[operator].silence.since for operator in silent]
    started = min(starts)
    stamp = time.strftime("%Y%m%d-%H%M", time.gmtime(started))
    place.calm = {}
    return Event(f"{stamp}-{code}", code, "outage", started, engine.now)


def _spread(
    place: Place, event: Event, findings: dict[str, Finding], silent: list[str], now: int
) -> bool:
    """Functions and operators that are affected by now."""
    changed = False
    hurt = {each.function: each for each in event.hurt}
    for function, found in findings.items():
        known = hurt.get(function)
        # What goes with an event needs less than what begins one.
        enough = found.together >= PUBLIC or (event.published > 0 and found.measured >= JOINS)
        if not enough:
            continue
        if known is None or known.until:
            hurt[function] = Hurt(function, found.since, 0, tuple(found.operators))
            changed = True
        else:
            known.operators = tuple(sorted({*known.operators, *found.operators}))
    if silent:
        since = min(place.voices[operator].silence.since for operator in silent)
        known = hurt.get("internet")
        if known is None or known.until:
            hurt["internet"] = Hurt("internet", since, 0, tuple(silent))
            changed = True
        else:
            known.operators = tuple(sorted({*known.operators, *silent}))
    order = {function: n for n, function in enumerate(report.FUNCTIONS)}
    event.hurt = tuple(
        sorted(hurt.values(), key=lambda each: (order.get(each.function, 99), each.function))
    )
    return changed


def _describe(
    engine: Engine,
    place: Place,
    event: Event,
    findings: dict[str, Finding],
    silent: list[str],
) -> None:
    going = [each for each in event.hurt if not each.until]
    complaints = expected = 0.0
    failed = measured = 0
    for each in event.hurt:
        for moment in _moments(place, each.function):
            if moment.at >= event.started and not (each.until and moment.at >= each.until):
                complaints += moment.complaints
                expected += moment.expected
                failed += moment.failed
                measured += moment.seen
    # Never less than was said before: charts forget, an event does not.
    event.complaints = max(event.complaints, int(complaints))
    event.expected = max(event.expected, round(expected, 1))
    event.failed, event.measured = max(event.failed, failed), max(event.measured, measured)
    current = [findings[each.function] for each in going if each.function in findings]
    measured_now = any(found.measured for found in current)
    strong = any(found.together >= PUBLIC for found in current)
    before = any(fact.code == "measured" for fact in event.reasons)
    if not silent and (not strong or (before and not measured_now)):
        return  # it ebbs away; what was said at its height stays
    now = {each.function: findings.get(each.function, Finding()) for each in going}
    operators = sorted({operator for each in going for operator in each.operators})
    event.operators = tuple(operators)
    measured_well = sorted(
        function
        for function, found in findings.items()
        if found.seen >= 3 and found.failed / found.seen < WELL and function not in now
    )
    # Where hardly anything is heard, the little that is says nothing of the rest.
    event.well = () if silent else tuple(sorted({*measured_well} - set(event.functions)))
    event.unaffected = tuple(
        operator
        for operator in sorted({o for _, o in place.cells})
        if operator not in operators
        and any(
            (cell := place.cells.get((function, operator))) is not None
            and cell.seen >= 2
            and cell.failed / cell.seen < WELL
            for function in now
        )
    )
    event.kind = _kind(place, event, now, silent)
    reasons = _reasons(event, place, now, silent)
    sources = {fact.code for fact in reasons}
    signals = len(sources & {"complaints", "measured", "silence"})
    wide = len(operators) >= 2 or event.failed >= FEW
    confidence = ORDER[0]
    if signals >= 2 or len(operators) >= 2:
        confidence = ORDER[1]
    if signals >= 2 and wide:
        confidence = ORDER[2]
    against = _against(engine, event, now)
    if any(fact.code in ("everywhere", "young") for fact in against):
        confidence = ORDER[max(0, ORDER.index(confidence) - 1)]
    event.confidence = confidence  # type: ignore[assignment]
    event.reasons, event.against = tuple(reasons), tuple(against)


def _kind(place: Place, event: Event, now: dict[str, Finding], silent: list[str]) -> Kind:
    if event.kind == "shutdown":
        return event.kind
    usual = [operator for operator, voice in place.voices.items() if voice.expected > 0.05]
    if silent and set(silent) >= set(usual):
        return "shutdown"
    verdicts: dict[str, int] = {}
    for found in now.values():
        for verdict, count in found.verdicts.items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    total = sum(verdicts.values())
    kinds: tuple[tuple[str, Kind], ...] = (
        ("throttled", "throttling"),
        ("freeze", "freezing"),
        ("allowlist", "allowlist"),
    )
    for verdict, kind in kinds:
        if verdicts.get(verdict, 0) > total / 2:
            return kind
    if event.kind in {kind for _, kind in kinds}:
        return event.kind  # as it ebbs away, little is seen of how
    if set(now) <= {"calls", "video"} and "calls" in now:
        return "call-blocking"
    return "outage"


def _reasons(event: Event, place: Place, now: dict[str, Finding], silent: list[str]) -> list[Fact]:
    facts = []
    if any(found.complained for found in now.values()):
        facts.append(Fact("complaints", seen=event.complaints, of=event.expected))
    if event.failed and any(found.measured for found in now.values()):
        facts.append(Fact("measured", seen=event.failed, of=event.measured))
    verdicts: dict[str, int] = {}
    for found in now.values():
        for verdict, count in found.verdicts.items():
            verdicts[verdict] = verdicts.get(verdict, 0) + count
    if verdicts:
        most = max(sorted(verdicts), key=lambda verdict: verdicts[verdict])
        if most not in ("unknown", "clear"):
            facts.append(Fact("verdict", names=(most,), seen=verdicts[most]))
    if len(event.operators) >= 2 or event.unaffected:
        facts.append(Fact("operators", names=event.operators, seen=len(event.unaffected)))
    if silent:
        missed = sum(place.voices[operator].silence.expected for operator in silent)
        heard = sum(place.voices[operator].silence.seen for operator in silent)
        facts.append(Fact("silence", names=tuple(silent), seen=int(heard), of=round(missed, 1)))
    if event.well:
        facts.append(Fact("well", names=event.well))
    return facts or list(event.reasons)


def _against(engine: Engine, event: Event, now: dict[str, Finding]) -> list[Fact]:
    facts = []
    if not event.measured:
        facts.append(Fact("unmeasured"))
    elif event.measured < FEW:
        facts.append(Fact("few", seen=event.measured))
    if len(event.operators) == 1:
        facts.append(Fact("one-operator", names=event.operators))
    young = [found.hours for found in now.values() if found.complained and found.hours < YOUNG]
    if young:
        facts.append(Fact("young", seen=min(young) // 24))
    others = sum(
        other.event is not None and set(other.event.functions) & set(now) != set()
        for other in engine.regions.values()
    )
    if len(engine.regions) >= 4 and others > EVERYWHERE * len(engine.regions):
        facts.append(Fact("everywhere", seen=others, of=len(engine.regions)))
    return facts


def _moments(place: Place, function: str) -> list[Moment]:
    return list(place.recent.get(function, ()))


def _bad(place: Place, function: str, found: Finding, silent: list[str]) -> bool:
    """Whether a function still looks affected."""
    if found.measured or (function == "internet" and silent):
        return True
    last = _moments(place, function)[-HOUR // STEP :]
    complaints = sum(moment.complaints for moment in last)
    expected = sum(moment.expected for moment in last)
    return complaints > 1.5 * expected + 3 * math.sqrt(expected + 0.5)


def _calm(
    now: int, place: Place, event: Event, findings: dict[str, Finding], silent: list[str]
) -> bool:
    changed = False
    for each in event.hurt:
        if each.until:
            continue
        found = findings.get(each.function, Finding())
        if _bad(place, each.function, found, silent):
            place.calm.pop(each.function, None)
            continue
        since = place.calm.setdefault(each.function, now - STEP)
        if now - since >= CALM:
            # It was over before the last hour's measurements said so.
            each.until = max(each.since + STEP, since - (CALM // 2 if found.seen else 0))
            changed = True
            for _, cell in place.by_function.get(each.function, ()):
                cell.complaints.clear()
            if each.function in place.pooled:
                place.pooled[each.function].clear()
    if all(each.until for each in event.hurt):
        event.ended = max((each.until for each in event.hurt), default=now)
        place.event = None
        for voice in place.voices.values():
            voice.silence.clear()
        place.quiet.clear()
        changed = True
    return changed
