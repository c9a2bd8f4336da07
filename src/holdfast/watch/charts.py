"""Timelines as SVG: one measure, the band of what is usual, one shaded event."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from holdfast.watch.engine import Moment, Place
from holdfast.watch.event import Event
from holdfast.watch.rollup import THOUSAND
from holdfast.watch.words import Words

WIDTH, HEIGHT = 400, 170
LEFT, RIGHT, TOP, BOTTOM = 42, 394, 20, 150
HALF_HOUR = 1800
DAY = 86_400
LABELS = (DAY // 2, DAY, 2 * DAY, 7 * DAY, 14 * DAY)
"""Seconds from one label to the next, of which there is room for four."""
LEAST = 0.5
"""Of a usual half hour's measurements, below which the last one says nothing yet."""
STYLE = (
    "<style>svg{background:#fffdf9;font:9px system-ui,sans-serif}.c-band{fill:#dde9e7}"
    ".c-ctl{stroke:#3c7a48;fill:none;stroke-dasharray:4 2}.c-now{stroke:#14505a;stroke-width:1.5;"
    "fill:none}.c-event{fill:#f8e0d8}.c-edge{stroke:#a83c26}.c-grid{stroke:#ddd4c5;"
    "stroke-width:.5}.c-t{fill:#5f584d}.c-tb{fill:#8a2c19;font-weight:600}.c-l{fill:#14505a;"
    "font-weight:600}.c-lc{fill:#27592f;font-weight:600}</style>"
)


def standalone(chart: str) -> str:
    """A chart as a file of its own."""
    return chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        ">", f">{STYLE}", 1
    )


def above(value: float) -> float:
    """The next round number: 1, 2, 4, 6 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return next(n * power for n in (1, 2, 4, 6, 8, 10) if n * power >= value)


def grouped(moments: Sequence[Moment], seconds: int) -> list[Moment]:
    """Sums over longer spans."""
    found: list[Moment] = []
    for moment in moments:
        at = moment.at // seconds * seconds
        if not found or found[-1].at != at:
            found.append(Moment(at))
        last = found[-1]
        last.complaints += moment.complaints
        last.expected += moment.expected
        last.add(moment)
    return found


def around(recent: Sequence[Moment], hours: Sequence[Moment], event: Event) -> Sequence[Moment]:
    """Two days around an event: fine ones if they are still there, else hours."""
    if recent and recent[0].at <= event.started:
        return recent
    first, last = event.started - DAY, (event.ended or event.started) + DAY
    return [moment for moment in hours if first <= moment.at <= last]


def timeline(
    words: Words,
    moments: Sequence[Moment],
    control: Sequence[Moment],
    event: Event,
    function: str,
    now: int,
) -> str:
    """Successful measurements in per cent, if there are enough of them. `control` is text, which is
    drawn beside."""
    points = grouped(moments, HALF_HOUR)
    counts = sorted(point.seen for point in points)
    usual = counts[len(counts) // 2] if counts else 0
    while points and points[-1].seen < LEAST * usual:
        points.pop()
    if len(points) < 2 or sum(point.seen > 0 for point in points) <= len(points) / 2:
        return ""
    name = words.function(function)
    values = [_share(p) for p in points]
    before = [v for p, v in zip(points, values, strict=True) if v is not None
              and p.at + HALF_HOUR <= event.started]  # fmt: skip
    band = _band(before, len(points))
    said = words.say(f"{name}: attempts that succeed", f"{name}: удавшиеся попытки")
    by_time = {p.at: _share(p) for p in grouped(control, HALF_HOUR)}
    beside = [by_time.get(p.at) for p in points] if function != "text" else []
    return _draw(words, points, values, band, beside, 100.0, "%", said, event, now)


def complaints(
    words: Words, moments: Sequence[Moment], event: Event | None, function: str, now: int
) -> str:
    """Complaints each half hour, with the band of what is usual."""
    points = grouped(moments, HALF_HOUR)
    if points and points[-1].at + HALF_HOUR > now:
        points.pop()
    if len(points) < 2:
        return ""
    values: list[float | None] = [float(p.complaints) for p in points]
    band = [
        (max(0.0, p.expected - 2 * math.sqrt(p.expected)), p.expected + 2 * math.sqrt(p.expected))
        for p in points
    ]
    top = above(max(4.0, *(value or 0 for value in values), *(high for _, high in band)))
    said = words.say("Complaints each half hour", "Жалобы за полчаса")
    if function:
        said = f"{words.function(function)}: {said.lower()}"
    return _draw(words, points, values, band, [], top, "", said, event, now)


def slowed(words: Words, place: Place, event: Event, now: int) -> str:
    """`rates` of the first affected function of which there are any."""
    drawn = (rates(words, place.measured(each), event, each, now) for each in event.functions)
    return next(filter(None, drawn), "")


def rates(words: Words, hours: Sequence[Moment], event: Event, function: str, now: int) -> str:
    """What was reached of the control's throughput, in per cent, where that was measured: half
    hours of two days, or days of what has lasted longer."""
    long = (event.ended or now) - event.started > 3 * DAY
    span = DAY if long else HALF_HOUR
    first, last = event.started - (10 * DAY if long else DAY), (event.ended or now) + DAY
    points = grouped([one for one in hours if first <= one.at <= last and one.rated], span)
    if len(points) < 4:
        return ""
    values: list[float | None] = [100 * p.share / p.rated / THOUSAND for p in points]
    before = [v for p, v in zip(points, values, strict=True) if v and p.at + span <= event.started]
    band = _band([value for value in before if value is not None], len(points))
    name = words.function(function)
    said = words.say(
        f"{name}: of the control’s throughput", f"{name}: доля от скорости контрольного адреса"
    )
    return _draw(words, points, values, band, [], 100.0, "%", said, event, now, span)


def _band(before: Sequence[float], count: int) -> list[tuple[float, float]]:
    """Two deviations about the mean of what was before, of 0 to 100."""
    before = before or [100.0]
    middle = sum(before) / len(before)
    spread = 2 * math.sqrt(sum((v - middle) ** 2 for v in before) / len(before))
    return [(max(0.0, middle - spread), min(100.0, middle + spread))] * count


def _share(moment: Moment) -> float | None:
    return 100 * (1 - moment.failed / moment.seen) if moment.seen else None


def _path(centre: Sequence[int], values: Sequence[float | None], y: Callable[[float], int]) -> str:
    runs: list[list[str]] = [[]]
    for c, value in zip(centre, values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{c} {y(value)}")
    return "".join("M" + "L".join(run) for run in runs if len(run) > 1)


def _draw(
    words: Words,
    points: Sequence[Moment],
    values: Sequence[float | None],
    band: Sequence[tuple[float, float]],
    beside: Sequence[float | None],
    top: float,
    unit: str,
    said: str,
    event: Event | None,
    now: int,
    span: int = HALF_HOUR,
) -> str:
    first, last = points[0].at, points[-1].at + span

    def x(at: float) -> int:
        return round(LEFT + (RIGHT - LEFT) * (min(max(at, first), last) - first) / (last - first))

    def y(value: float) -> int:
        return round(BOTTOM - (BOTTOM - TOP) * min(value, top) / top)

    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    out = [
        f'{head} aria-label="{escape(said)}">',
        f'<text class="c-t" x="{LEFT}" y="12">{escape(said)}</text>',
    ]
    if event is not None and event.started < last and (event.ended or last) > first:
        begin, end = x(event.started), x(event.ended or last)
        out.append(
            f'<rect class="c-event" x="{begin}" y="{TOP}" width="{max(2, end - begin)}"'
            f' height="{BOTTOM - TOP}"/>'
        )
    for part in (0, 0.5, 1):
        level = y(top * part)
        out.append(
            f'<path class="c-grid" d="M{LEFT} {level}H{RIGHT}"/>'
            f'<text class="c-t" x="{LEFT - 5}" y="{level + 3}" text-anchor="end">'
            f"{top * part:.0f}{unit}</text>"
        )
    every = next(one for one in LABELS if last - first <= 4.5 * one or one == LABELS[-1])
    for at in range(-(-first // every) * every, last - every // 3, every):
        label = words.clock(at) if words.local(at).hour else words.day(at)
        out.append(
            f'<text class="c-t" x="{x(at)}" y="{BOTTOM + 13}" text-anchor="middle">{label}</text>'
        )
    centre = [x(point.at + span / 2) for point in points]
    upper = [f"{c} {y(high)}" for c, (_, high) in zip(centre, band, strict=True)]
    lower = [f"{c} {y(low)}" for c, (low, _) in zip(centre, band, strict=True)]
    out.append(f'<path class="c-band" d="M{"L".join(upper + lower[::-1])}Z"/>')
    if beside:
        out.append(f'<path class="c-ctl" d="{_path(centre, beside, y)}"/>')
    out.append(f'<path class="c-now" d="{_path(centre, values, y)}"/>')
    if event is not None and first < event.started < last:
        begin = x(event.started)
        side = "end" if begin > WIDTH / 2 else "start"
        step = -4 if side == "end" else 4
        since = words.say("since", "с")
        out.append(
            f'<path class="c-edge" d="M{begin} {TOP}V{BOTTOM}"/>'
            f'<text class="c-tb" x="{begin + step}" y="{(TOP + BOTTOM) // 2 + 12}"'
            f' text-anchor="{side}">{since} {words.since(event.started, now)}</text>'
        )
    out.append("</svg>")
    return "".join(out)


def bar(share: float) -> str:
    """A number as a part of the largest one."""
    return (
        '<svg viewBox="0 0 96 18" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c-band" width="{96 * share:.1f}" height="18"/></svg>'
    )


def strip(spans: Sequence[tuple[int, int, str]], now: int, length: int) -> str:
    """The last `length` seconds of one function as a bar: from when to when it was affected, and
    by what kind of event."""
    width, first = 96, now - length
    out = [
        (
            '<svg viewBox="0 0 96 18" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="st-y" width="96" height="18"/>'
        )
    ]
    for since, until, kind in spans:
        if until > first:
            begin = max(0.0, (since - first) / length) * width
            end = min(1.0, (until - first) / length) * width
            bad = "slow" if kind == "throttling" else "bad"
            out.append(
                f'<rect class="st-{bad}" x="{begin:.1f}" width="{max(2.0, end - begin):.1f}"'
                ' height="18"/>'
            )
    return "".join([*out, "</svg>"])
