"""Events that are one story, and the world they are drawn on."""

import math

import pytest

from holdfast.watch import atlas
from holdfast.watch.event import Event, Hurt
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE
from holdfast.watch.story import stories
from holdfast.watch.words import Words

HOUR = 3600
NOON = 1_790_000_000 // 86_400 * 86_400 + 12 * HOUR


def event(region, hours=0, kind="call-blocking", ended=0, functions=("calls",), **more):
    started = NOON + hours * HOUR
    hurt = tuple(Hurt(name, started) for name in functions)
    return Event(f"20260921-1200-{region}", region, kind, started, started, ended=ended, hurt=hurt,
                 **more)  # fmt: skip


def test_the_same_in_several_regions_is_one_story():
    found = stories(
        [
            event("VEL", operators=("veltel", "sayat"), complaints=9, well=("text",)),
            event("KAR", 1, operators=("veltel", "sayat"), complaints=20, well=("text", "media")),
            event("OLM", 2, operators=("veltel", "sayat", "orbis"), well=("text",)),
            event("WES", 0, "shutdown", NOON + 9 * HOUR, ("text", "calls")),
            event("NOR", 9),
        ]
    )
    assert [story.regions for story in found] == [("NOR",), ("KAR", "OLM", "VEL"), ("WES",)]
    whole = found[1].whole
    assert whole.region == "KAR" and whole.complaints == 29 and whole.started == NOON
    assert whole.operators == ("sayat", "veltel") and whole.well == ("text",)
    assert not found[2].going and found[1].going


@pytest.mark.parametrize(
    ("codes", "en", "ru"),
    [
        (["VEL"], "in Velin", "в Велине"),
        (["VEL", "KAR"], "in Velin and Karsk", "в Велине и Карске"),
        (["VEL", "KAR", "OLM"], "in Velin, Karsk and Olmet", "в Велине, Карске и Ольмете"),
        (["VEL", "KAR", "OLM", "NOR"], "in 4\u00a0regions", "в 4\u00a0регионах"),
    ],
)
def test_where_is_said_plainly(codes, en, ru):
    places = parse(SAMPLE.read_bytes())
    assert Words("en", places).within_all(codes) == en
    assert Words("ru", places).within_all(codes) == ru


def test_a_headline_of_several_regions():
    places = parse(SAMPLE.read_bytes())
    operators = {"operators": ("sayat", "veltel"), "unaffected": ("orbis",), "well": ("text",)}
    (story,) = stories([event("VEL", **operators), event("KAR", **operators)])
    said = Words("en", places).headline(story.whole, NOON + HOUR, story.regions)
    assert said == (
        "Calls are blocked in Karsk and Velin on two operators since 12:00. Text is unaffected."
    )


SQUARE = {
    "transform": {"scale": [1, 1], "translate": [-180, -90]},
    "arcs": [
        [[170, 90], [20, 0], [0, 20], [-20, 0], [0, -20]],
        [[345, 90], [30, 0], [0, 20], [-30, 0], [0, -20]],
    ],
    "objects": {
        "land": {"geometries": [{"arcs": [[[0]], [[1]]]}]},
        "countries": {"geometries": [{"id": "001", "arcs": [[0]]}, {"id": "002", "arcs": [[~1]]}]},
    },
}


def test_a_drawing_of_land_is_cut_at_the_180th_meridian():
    made = atlas.make(SQUARE, {"001": "AA", "002": "BB"})
    assert made.land.count("M") == 3 and made.land.count("z") == 3
    assert made.middles["AA"] == (0, 10)
    assert abs(made.middles["BB"][0]) > 165


def test_places_are_projected():
    assert atlas.project(0, 0)[0] == atlas.WIDTH / 2
    assert atlas.project(-180, 0)[0] == pytest.approx(0)
    assert atlas.project(0, atlas.NORTH)[1] == pytest.approx(0)
    assert atlas.project(0, atlas.SOUTH)[1] == pytest.approx(atlas.HEIGHT, abs=1)
    east, west = atlas.project(30, 50), atlas.project(-30, 50)
    assert math.isclose(east[0] + west[0], atlas.WIDTH) and east[1] == west[1]


def test_the_world_that_was_built_is_small_and_whole():
    drawn = atlas.load()
    assert drawn is not None, "the web interface is not built; `make setup` builds it"
    assert 5_000 < len(drawn.land) < 20_000 and len(drawn.middles) > 150
    assert {"UG", "IR", "RU", "NL", "GE"} <= set(drawn.middles)
