"""Where: the world with marks on it, and the regions as a grid of tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Final

from holdfast.watch import atlas
from holdfast.watch.event import Event
from holdfast.watch.places import Places
from holdfast.watch.station import Station
from holdfast.watch.words import KINDS, STATES, Words, region_name, tile_state

LINES: Final = {
    "ok": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="4"/><path d="M6 7h32"'
    ' stroke-width="4"/>',
    "slow": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="4"/><path d="M6 7h32"'
    ' stroke-width="1.5"/>',
    "bad": '<circle cx="6" cy="7" r="4"/><circle cx="38" cy="7" r="3.2" fill="none"'
    ' stroke-width="1.6"/><path d="M6 7h9" stroke-width="4" stroke-linecap="round"/>',
}
WORST: Final = ("none", "ok", "slow", "bad")
NEAR: Final = 45.0
"""Units of the world's drawing within which marks become one."""


def symbols() -> str:
    """The signs, once a page."""
    made = "".join(
        f'<symbol id="l-{name}" viewBox="0 0 44 14">{shape}</symbol>'
        for name, shape in LINES.items()
    )
    return f'<svg width="0" height="0" class="sr" aria-hidden="true">{made}</svg>'


def line(state: str) -> str:
    """The sign of the line between two ends."""
    return f'<svg viewBox="0 0 44 14" aria-hidden="true"><use href="#l-{state}"/></svg>'


@dataclass
class Mark:
    """Regions that lie so close that they are one mark on the world."""

    x: float
    y: float
    codes: list[str]
    state: str


def state_of(station: Station, code: str, going: dict[str, Event]) -> str:
    """none, ok, slow or bad."""
    if not station.engine.regions[code].cells:
        return "none"
    return tile_state(going.get(code))


def ongoing(station: Station) -> dict[str, Event]:
    """What goes on, by region."""
    return {event.region: event for event in station.going()[::-1]}


def marks(station: Station) -> list[Mark]:
    """By place; a region without coordinates is in the middle of its country."""
    drawn, found = atlas.load(), list[Mark]()
    going = ongoing(station)
    for region in station.places.regions:
        if region.lat is not None and region.lon is not None:
            at = (region.lon, region.lat)
        elif drawn is not None and station.places.country in drawn.middles:
            at = drawn.middles[station.places.country]
        else:
            continue
        x, y = atlas.project(*at)
        state = state_of(station, region.code, going)
        for mark in found:
            if math.dist((x, y), (mark.x, mark.y)) < NEAR:
                count = len(mark.codes)
                mark.x, mark.y = (
                    (mark.x * count + x) / (count + 1),
                    (mark.y * count + y) / (count + 1),
                )
                mark.codes.append(region.code)
                mark.state = max(mark.state, state, key=WORST.index)
                break
        else:
            found.append(Mark(x, y, [region.code], state))
    return found


def world(station: Station, words: Words) -> str:
    """The world with its marks; nothing if the build drew none or nothing has a place."""
    found = marks(station)
    if atlas.load() is None or not found:
        return ""
    places, say = station.places, words.say
    going = ongoing(station)
    bad = sum(code in going for mark in found for code in mark.codes)
    country = say(places.en, places.ru)
    total = len(places.regions)
    said = (
        say(
            f"{country} on the world map: something is wrong in {bad} of {total} regions.",
            f"{country} на карте мира: нарушения в {bad} из {total} регионов.",
        )
        if bad
        else say(f"{country} on the world map.", f"{country} на карте мира.")
    )
    drawn = "".join(
        f'<circle class="w-{mark.state}" cx="{mark.x:.0f}" cy="{mark.y:.0f}"'
        f' r="{9 + 3 * math.sqrt(len(mark.codes)):.0f}"/>'
        for mark in found
    )
    first = min(found, key=lambda mark: mark.y)
    label = (
        f'<text x="{sum(m.x for m in found) / len(found):.0f}" y="{first.y - 34:.0f}"'
        f' text-anchor="middle">{escape(country)}</text>'
    )
    return (
        f'<div class="world"><img src="/world.svg" alt="" width="{atlas.WIDTH}"'
        f' height="{atlas.HEIGHT}"><svg viewBox="0 0 {atlas.WIDTH} {atlas.HEIGHT}" role="img"'
        f' aria-label="{escape(said)}">{drawn}{label}</svg></div>'
    )


def drawing() -> bytes | None:
    """/world.svg: land alone, for light and for dark."""
    drawn = atlas.load()
    if drawn is None:
        return None
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {atlas.WIDTH} {atlas.HEIGHT}">'
        "<style>path{fill:#ddd4c5}@media(prefers-color-scheme:dark){path{fill:#46413a}}</style>"
        f'<path d="{drawn.land}"/></svg>'
    ).encode()


def tiles(station: Station, words: Words, root: str, here: str = "") -> str:
    """The regions as a grid, with what the signs mean."""
    going = ongoing(station)
    out = []
    seen = set()
    for number, region in enumerate(station.places.regions):
        event = going.get(region.code)
        state = state_of(station, region.code, going)
        seen.add(state)
        said = STATES[words.language][state]
        if event is not None:
            said = KINDS[words.language][event.kind].lower()
        name = escape(region_name(region, words.language))
        sign = line(state) if state != "none" else ""
        current = ' aria-current="true"' if region.code == here else ""
        out.append(
            f'<a class="tile t{number} {state}{" here" if current else ""}"{current}'
            f' href="{root}/region/{region.code}" title="{name}: {escape(said)}">'
            f'{escape(region.code)}{sign}<span class="sr">{name}: {escape(said)}</span></a>'
        )
    keys = "".join(
        f'<span class="k-{state}">{line(state) if state != "none" else "<i></i>"}'
        f"{STATES[words.language][state]}</span>"
        for state in ("ok", "slow", "bad", "none")
        if state != "none" or "none" in seen
    )
    return f'<div class="tiles">{"".join(out)}</div><div class="key">{keys}</div>'


def grid(places: Places) -> str:
    """The places of the tiles, for the style sheet."""
    columns = max(region.column for region in places.regions)
    rules = [f".tiles{{grid-template-columns:repeat({columns},1fr)}}"]
    for number, region in enumerate(places.regions):
        rules.append(f".t{number}{{grid-area:{region.row}/{region.column}}}")
    return "".join(rules)
