"""Timelines as SVG: one measure, the band of what is usual, one shaded event."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from holdfast.watch.engine import Moment
from holdfast.watch.event import Event
from holdfast.watch.words import Words

WIDTH, HEIGHT = 760, 262
LEFT, RIGHT, TOP, BOTTOM = 64, 750, 26, 236
LABEL = 160
HALF_HOUR = 1800


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
        last.failed += moment.failed
        last.seen += moment.seen
    return found


def timeline(
    words: Words,
    moments: Sequence[Moment],
    control: Sequence[Moment],
    event: Event,
    function: str,
    now: int,
) -> str:
    """Successful measurements in per cent where there are enough, else complaints. `control` is
    text, which is drawn beside."""
    points = grouped(moments, HALF_HOUR)
    if len(points) < 2:
        return ""
    measured = sum(point.seen > 0 for point in points) > len(points) / 2
    name = words.function(function)
    beside: list[float | None] = []
    if measured:
        values = [_share(p) for p in points]
        before = [v for p, v in zip(points, values, strict=True) if v is not None
                  and p.at + HALF_HOUR <= event.started] or [100.0]  # fmt: skip
        middle = sum(before) / len(before)
        spread = 2 * math.sqrt(sum((v - middle) ** 2 for v in before) / len(before))
        band = [(max(0.0, middle - spread), min(100.0, middle + spread))] * len(points)
        top, unit = 100.0, "%"
        said = words.say(f"{name}: attempts that succeed", f"{name}: удавшиеся попытки")
        by_time = {p.at: _share(p) for p in grouped(control, HALF_HOUR)}
        beside = [by_time.get(p.at) for p in points] if function != "text" else []
    else:
        values = [float(p.complaints) for p in points]
        band = [
            (max(0.0, p.expected - 2 * math.sqrt(p.expected)),
             p.expected + 2 * math.sqrt(p.expected))
            for p in points
        ]  # fmt: skip
        top = max(4.0, *(value or 0 for value in values), *(high for _, high in band))
        unit = ""
        said = words.say(f"{name}: complaints each half hour", f"{name}: жалобы за полчаса")
    return _draw(words, points, values, band, beside, top, unit, said, event, now)


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
    event: Event,
    now: int,
) -> str:
    first, last = points[0].at, points[-1].at + HALF_HOUR

    def x(at: float) -> int:
        return round(LEFT + (RIGHT - LEFT) * (min(max(at, first), last) - first) / (last - first))

    def y(value: float) -> int:
        return round(BOTTOM - (BOTTOM - TOP) * min(value, top) / top)

    out = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">'
    ]
    begin, end = x(event.started), x(event.ended or last)
    if event.started < last and (event.ended or last) > first:
        out.append(
            f'<rect class="c-event" x="{begin}" y="{TOP}" width="{max(2, end - begin)}"'
            f' height="{BOTTOM - TOP}"/>'
        )
    for part in (0, 0.5, 1):
        level = y(top * part)
        out.append(f'<path class="c-grid" d="M{LEFT} {level}H{RIGHT}"/>')
        out.append(
            f'<text class="c-t" x="{LEFT - 8}" y="{level + 4}" text-anchor="end">'
            f"{top * part:.0f}{unit}</text>"
        )
    for at in range(-(-first // 43_200) * 43_200, last - 14_400, 43_200):
        label = words.clock(at) if words.local(at).hour else words.day(at)
        out.append(f'<text class="c-t" x="{x(at)}" y="256" text-anchor="middle">{label}</text>')
    centre = [x(point.at + HALF_HOUR / 2) for point in points]
    upper = [f"{c} {y(high)}" for c, (_, high) in zip(centre, band, strict=True)]
    lower = [f"{c} {y(low)}" for c, (low, _) in zip(centre, band, strict=True)]
    out.append(f'<path class="c-band" d="M{"L".join(upper + lower[::-1])}Z"/>')
    if beside:
        out.append(f'<path class="c-ctl" d="{_path(centre, beside, y)}"/>')
    out.append(f'<path class="c-now" d="{_path(centre, values, y)}"/>')
    if first < event.started < last:
        side = "end" if begin > WIDTH / 2 else "start"
        step = -8 if side == "end" else 8
        since = words.say("since", "с")
        out.append(f'<path class="c-edge" d="M{begin} {TOP}V{BOTTOM}"/>')
        out.append(
            f'<text class="c-tb" x="{begin + step}" y="{LABEL}" text-anchor="{side}">{since}'
            f" {words.since(event.started, now)}</text>"
        )
    out.append("</svg>")
    return "".join(out)


def strip(event: Event | None, function: str, now: int, kind: str) -> str:
    """A day of one function as a bar: what part of it was affected."""
    width, first = 96, now - 86_400
    out = [
        '<svg viewBox="0 0 96 18" preserveAspectRatio="none" aria-hidden="true">',
        '<rect class="st-y" width="96" height="18"/>',
    ]
    for hurt in event.hurt if event else ():
        if hurt.function == function and (not hurt.until or hurt.until > first):
            begin = max(0.0, (hurt.since - first) / 86_400) * width
            end = ((hurt.until or now) - first) / 86_400 * width
            out.append(
                f'<rect class="st-{kind}" x="{begin:.0f}" width="{max(2, end - begin):.0f}"'
                ' height="18"/>'
            )
    return "".join([*out, "</svg>"])
