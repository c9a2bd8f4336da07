"""The last month of the whole country: complaints, what is usual, and what happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from holdfast.watch.charts import above
from holdfast.watch.engine import Engine, Moment
from holdfast.watch.story import Story
from holdfast.watch.words import KINDS, Words

DAY: Final = 86_400
DAYS: Final = 31
SPAN: Final = DAY
WIDTH, LEFT, RIGHT = 400, 54, 394
TOP, BOTTOM, LANE, BAR = 8, 108, 18, 15
LANES: Final = 5


def complaints(engine: Engine, now: int) -> list[Moment]:
    """Of all regions and functions, a day each."""
    first = (now - DAYS * DAY) // SPAN * SPAN
    found: dict[int, Moment] = {}
    for place in engine.regions.values():
        for hours in place.hours.values():
            for hour in hours:
                if hour.at >= first:
                    at = hour.at // SPAN * SPAN
                    sums = found.get(at)
                    if sums is None:
                        sums = found[at] = Moment(at)
                    sums.complaints += hour.complaints
                    sums.expected += hour.expected
    # What has just begun would look like a fall.
    return [found[at] for at in sorted(found) if at + SPAN <= now]


def lanes(shown: Sequence[Story], now: int) -> list[tuple[int, Story, int, int]]:
    """Row, story, begin and end of what touches the month; the earliest in the upper rows."""
    free: list[int] = []
    out = []
    for story in sorted(shown, key=lambda one: one.whole.started):
        whole = story.whole
        begin, end = max(whole.started, now - DAYS * DAY), whole.ended or now
        if end <= begin:
            continue
        room = end + DAY  # for a label
        row = next((n for n, until in enumerate(free) if until <= begin), len(free))
        if row >= LANES:
            continue
        if row == len(free):
            free.append(room)
        free[row] = room
        out.append((row, story, begin, end))
    return out


def draw(
    words: Words, points: Sequence[Moment], shown: Sequence[Story], root: str, now: int
) -> str:
    """Complaints with their band, and a bar for each story, numbered as in the list."""
    first, last = now - DAYS * DAY, now
    numbers = {story.events[0].id: number for number, story in enumerate(shown, 1)}
    rows = lanes(shown, now)
    height = BOTTOM + 22 + LANE * (1 + max((row for row, *_ in rows), default=-1))

    def x(at: float) -> float:
        return LEFT + (RIGHT - LEFT) * (min(max(at, first), last) - first) / (last - first)

    highs = [p.expected + 2 * math.sqrt(3 * p.expected) for p in points]
    top = above(max([8.0, *(p.complaints for p in points), *highs]))

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * max(0.0, value) / top

    said = words.say(
        "Complaints in the whole country over the last month, and what is usual",
        "Жалобы во всей стране за последний месяц и обычный уровень",
    )
    out = [
        (
            f'<svg class="chart wide" viewBox="0 0 {WIDTH} {height}" role="group"'
            f' aria-label="{escape(said)}">'
        )
    ]
    for _, story, begin, end in rows:
        bad = "slow" if story.events[0].kind == "throttling" else "bad"
        out.append(
            f'<rect class="m-{bad}" x="{x(begin):.0f}" y="{TOP}" height="{BOTTOM - TOP}"'
            f' width="{max(1.5, x(end) - x(begin)):.1f}"/>'
        )
    out += [
        f'<path class="c-grid" d="M{LEFT} {y(top * part):.0f}H{RIGHT}"/>'
        f'<text class="c-t" x="{LEFT - 4}" y="{y(top * part) + 3:.0f}"'
        f' text-anchor="end">{words.count(top * part)}</text>'
        for part in (0, 0.5, 1)
    ]
    if len(points) > 1:
        middle = [x(p.at + SPAN / 2) for p in points]
        upper = [f"{c:.0f} {y(h):.0f}" for c, h in zip(middle, highs, strict=True)]
        lower = [
            f"{c:.0f} {y(p.expected - 2 * math.sqrt(3 * p.expected)):.0f}"
            for c, p in zip(middle, points, strict=True)
        ]
        line = "L".join(
            f"{c:.0f} {y(p.complaints):.0f}" for c, p in zip(middle, points, strict=True)
        )
        out.append(f'<path class="c-band" d="M{"L".join(upper + lower[::-1])}Z"/>')
        out.append(f'<path class="c-now" d="M{line}"/>')
    latest = (last // DAY - 3) * DAY
    out += [
        f'<text class="c-t" x="{x(at):.0f}" y="{BOTTOM + 13}" text-anchor="middle">'
        f"{words.day(at)}</text>"
        for at in range(latest, first, -10 * DAY)
    ]
    for row, story, begin, end in rows:
        kind = story.events[0].kind
        bad = "slow" if kind == "throttling" else "bad"
        wide = max(14.0, x(end) - x(begin))
        left = min(x(begin), RIGHT - wide)
        level = BOTTOM + 18 + LANE * row
        number = numbers[story.events[0].id]
        name = KINDS[words.language][kind]
        out.append(
            f'<a href="{root}/event/{story.events[0].id}" aria-label="{number}: {escape(name)}">'
            f'<rect class="m-bar {bad}" x="{left:.0f}" y="{level}" width="{wide:.0f}"'
            f' height="{BAR}" rx="3"/><text class="m-n" x="{left + wide / 2:.0f}"'
            f' y="{level + BAR - 4}" text-anchor="middle">{number}</text></a>'
        )
    return "".join([*out, "</svg>"])
