"""Rules and scenarios by themselves; `test_scenarios` has them meet clients."""

from __future__ import annotations

from random import Random

import pytest
from fields import LISTED, OTHER, hello

from holdfast.core.seen import PATHS
from holdfast.lab import rules, scenarios
from holdfast.lab.rules import Act
from holdfast.lab.scenarios import ALL, World
from holdfast.paths import hello as hellos

WORLD = World((LISTED,), (OTHER,))


def play(id: str, **changed: float) -> list[rules.Rule]:
    return scenarios.find(id).at(WORLD, 1, **changed)


def test_a_call_is_known_by_its_rhythm() -> None:
    (rule,) = play("voip-streams", packets=40, size=250, seconds=2)
    call, page, typing = (rules.Flow(LISTED, 443, 0) for _ in range(3))
    acts = {
        "call": [rule.passes(call, 120, at / 50) for at in range(200)],
        "page": [rule.passes(page, 1_400, at / 50) for at in range(200)],
        "typing": [rule.passes(typing, 120, at / 2) for at in range(20)],
    }
    assert acts["call"][-1] is Act.DROP
    assert acts["call"][50] is Act.PASS
    assert set(acts["page"]) == set(acts["typing"]) == {Act.PASS}


def test_a_policed_line_and_a_bad_one_are_slow_but_pass() -> None:
    slow = play("throttle-sni", kilobits=140)[0]
    flow = rules.Flow(LISTED, 443, 0)
    flow.hello = hellos.read(hello(LISTED))
    assert slow.rate(flow) == 140_000
    assert slow.rate(rules.Flow(OTHER, 443, 0)) == 0
    for id in ("lossy-wifi", "bufferbloat"):
        (rough,) = play(id)
        assert rough.rate(flow) > 1_000_000
        assert 0 < rough.delay(flow, 0) < 2
        assert rough.opens(flow, 0) is rough.begins(flow, 0) is Act.PASS


@pytest.mark.parametrize("id", ALL)
def test_every_scenario_says_what_it_is_and_draws_from_its_ranges(id: str) -> None:
    one = scenarios.find(id)
    assert one.says.endswith(".")
    assert one.source or one.benign
    assert one.onsets
    assert set(one.survives) <= set(PATHS) | {"quic"}
    assert one.when(Random(3)) == one.when(Random(3))
    drawn = one.draw(Random(7))
    assert set(drawn) == set(one.usual)
    for name, value in drawn.items():
        low, high = one.ranges[name]
        assert low <= value <= high
    assert one.draw(Random(7)) == drawn
    one.at(WORLD, 1, **drawn)
    with pytest.raises(ValueError, match="no parameter"):
        one.at(WORLD, 1, nonsense=1)


def test_of_a_composition_what_is_wrong_is_to_be_said() -> None:
    said = {
        "tcp16-20+lossy-wifi": {"freeze"},
        "tcp16-20+ja4-list": {"freeze", "fingerprint"},
        "udp-sweep+sni-block": {"udp-block", "name-block"},
        "udp-sweep+bufferbloat": {"clear", "udp-block"},
        "open+bufferbloat": {"clear"},
        "sleep": {"clear", "offline", "unknown"},
    }
    for id, verdicts in said.items():
        assert set(scenarios.find(id).verdicts) == verdicts


def test_compositions_are_drawn_from_a_seed_and_play() -> None:
    drawn = [scenarios.drawn(Random(seed)) for seed in range(300)]
    again = [scenarios.drawn(Random(seed)) for seed in range(300)]
    assert [one.id for one in drawn] == [one.id for one in again]
    assert {part for one in drawn for part in one.id.split("+")} == set(ALL)
    for one in drawn:
        parameters = one.draw(Random(1))
        staging = one.stage(WORLD, 1, **parameters)
        assert [turn.at for turn in staging.turns] == sorted(turn.at for turn in staging.turns)
        assert sum(not ALL[part].benign for part in one.id.split("+")) <= 1
        assert set(scenarios.find(one.id).usual) == set(parameters)
    user_space = [scenarios.drawn(Random(seed), needs_packets=False) for seed in range(300)]
    assert not any(one.needs_packets for one in user_space)
