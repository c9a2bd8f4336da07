"""The world as one small drawing: land, and the middle of each country by its ISO code.

`python -m holdfast.watch.atlas TOPOLOGY CODES OUT` makes it from world-atlas' countries (TopoJSON,
Natural Earth, public domain) when the web interface is built. No borders are drawn: nobody here is
to decide them. Projection: Equal Earth (Savric, Patterson, Jenny 2018).
"""

from __future__ import annotations

import importlib.resources
import itertools
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import MsgspecError, Struct
from msgspec import json as msgspec_json

WIDTH: Final = 800
HEIGHT: Final = 350
"""Without what lies south of 58 degrees."""
SOUTH: Final = -58.0
NORTH: Final = 84.0
NEAR: Final = 1.6
"""Units within which points of a coast are one."""
SMALL: Final = 6.0
"""Square units below which an island of several is left out."""
_A: Final = (1.340264, -0.081106, 0.000893, 0.003796)
_M: Final = math.sqrt(3) / 2

Point = tuple[float, float]


class Atlas(Struct, frozen=True):
    """Land as a path in units of the drawing; longitude and latitude of countries' middles."""

    land: str
    middles: dict[str, tuple[float, float]]


def _earth(lon: float, lat: float) -> Point:
    theta = math.asin(_M * math.sin(math.radians(lat)))
    square = theta * theta
    sixth = square**3
    x = math.radians(lon) * math.cos(theta)
    x /= _M * (_A[0] + 3 * _A[1] * square + sixth * (7 * _A[2] + 9 * _A[3] * square))
    return x, theta * (_A[0] + _A[1] * square + sixth * (_A[2] + _A[3] * square))


_SCALE: Final = WIDTH / 2 / _earth(180, 0)[0]
_TOP: Final = _earth(0, NORTH)[1]


def project(lon: float, lat: float) -> Point:
    """Where a place is in the drawing."""
    x, y = _earth(lon, lat)
    return WIDTH / 2 + x * _SCALE, (_TOP - y) * _SCALE


def rings(topology: Mapping[str, Any], arcs: Iterable[Any]) -> list[list[Point]]:
    """Longitudes and latitudes of each ring of a TopoJSON geometry's arcs, however nested."""
    first = next(iter(arcs), None)
    if isinstance(first, int):
        return [_ring(topology, list(arcs))]
    return [ring for each in arcs for ring in rings(topology, each)]


def _ring(topology: Mapping[str, Any], arcs: Sequence[int]) -> list[Point]:
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    out: list[Point] = []
    for number in arcs:
        x = y = 0
        points = []
        for step in topology["arcs"][number if number >= 0 else ~number]:
            x, y = x + step[0], y + step[1]
            points.append((x * kx + dx, y * ky + dy))
        out += points if number >= 0 else points[::-1]
    return out


def path(shapes: Iterable[Sequence[Point]]) -> str:
    """An SVG path of rings, in whole units, without what is too small to see."""
    drawn = []
    for ring in shapes:
        for piece in cut(ring) if max(lat for _, lat in ring) > SOUTH else ():
            points = [project(lon, max(lat, SOUTH)) for lon, lat in piece]
            drawn.append((_area(points), points))
    largest = max((area for area, _ in drawn), default=0.0)
    out = []
    for area, points in drawn:
        if area < SMALL and area < largest:
            continue
        kept = [points[0]]
        for point in points[1:]:
            if math.dist(point, kept[-1]) >= NEAR:
                kept.append(point)
        whole = [(round(x), round(y)) for x, y in kept]
        if len(whole) < 3:
            continue
        steps = itertools.pairwise(whole)
        moves = "".join(f"{b[0] - a[0]:+d}{b[1] - a[1]:+d}".lstrip("+") + " " for a, b in steps)
        out.append(f"M{whole[0][0]} {whole[0][1]}l{moves.strip()}z")
    return "".join(out)


def cut(ring: Sequence[Point]) -> list[list[Point]]:
    """The ring, in two where it crosses the 180th meridian (Sutherland and Hodgman 1974)."""
    lons = [ring[0][0]]
    for lon, _ in ring[1:]:
        lons.append(lon + 360 * round((lons[-1] - lon) / 360))
    out = []
    for shift in (-360, 0, 360):
        piece = [(lon + shift, lat) for lon, (_, lat) in zip(lons, ring, strict=True)]
        for side in (1, -1):
            piece = _clip(piece, side)
        if len(piece) > 2:
            out.append(piece)
    return out


def _clip(points: Sequence[Point], side: int) -> list[Point]:
    out: list[Point] = []
    for (x0, y0), (x1, y1) in zip(
        [points[-1], *points[:-1]] if points else [], points, strict=True
    ):
        inside, was = x1 * side <= 180, x0 * side <= 180
        if inside != was:
            edge = 180 * side
            out.append((edge, y0 + (y1 - y0) * (edge - x0) / (x1 - x0)))
        if inside:
            out.append((x1, y1))
    return out


def _area(points: Sequence[Point]) -> float:
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def make(topology: Mapping[str, Any], codes: Mapping[str, str]) -> Atlas:
    """From world-atlas' topology; `codes` are ISO 3166's two letters by its three digits."""
    objects = topology["objects"]
    land = [ring for one in objects["land"]["geometries"] for ring in rings(topology, one["arcs"])]
    middles = {
        codes[one["id"]]: middle(rings(topology, one["arcs"]))
        for one in objects["countries"]["geometries"]
        if one.get("id") in codes
    }
    return Atlas(path(land), dict(sorted(middles.items())))


def middle(shapes: Iterable[Sequence[Point]]) -> Point:
    """Of the largest ring: the mean of its bounds."""
    largest = max((piece for ring in shapes for piece in cut(ring)), key=_area)
    lons, lats = zip(*largest, strict=True)
    return round((min(lons) + max(lons)) / 2, 1), round((min(lats) + max(lats)) / 2, 1)


@cache
def load() -> Atlas | None:
    """What the build made: within the package, or in the checkout beside it."""
    packaged = Path(str(importlib.resources.files("holdfast") / "web"))
    beside = Path(__file__).resolve().parents[3] / "web" / "dist"
    try:
        data = ((packaged if packaged.is_dir() else beside) / "atlas.json").read_bytes()
        return msgspec_json.decode(data, type=Atlas)
    except (OSError, MsgspecError):
        return None


def main() -> None:
    """Build the drawing."""
    topology, codes, out = map(Path, sys.argv[1:4])
    known = {row[2]: row[0] for row in json.loads(codes.read_text("utf-8"))}
    made = make(json.loads(topology.read_text("utf-8")), known)
    out.write_bytes(msgspec_json.encode(made))


if __name__ == "__main__":
    main()
