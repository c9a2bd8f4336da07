"""Where frames can go straight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.call.direct import GOOD_MS, HASTE_MS, MOST, OFTEN_MS, SELDOM_MS, Address, Checks
from holdfast.testing.entropy import seeded

BASE = b"b" * 32
ANNA, BORIS, ELSEWHERE = ("10.0.0.1", 1_000), ("10.0.0.2", 2_000), ("10.0.0.9", 9_000)


class World:
    """Two sides; `holes` are the directions in which packets pass, `seen` what a side's address
    looks like from outside."""

    def __init__(self) -> None:
        self.sides = {
            ANNA: Checks(BASE, "caller", seeded(str(1))),
            BORIS: Checks(BASE, "callee", seeded(str(2))),
        }
        self.passes = lambda near, far: True
        self.sent: list[tuple[Address, Address, bytes]] = []

    def carry(self, packets: list[tuple[Address, bytes]], near: Address, now: int) -> None:
        for far, data in packets:
            self.sent.append((near, far, data))
            if far in self.sides and self.passes(near, far):
                self.carry(self.sides[far].received(data, near, now), far, now)

    def run(self, start: int, end: int) -> None:
        for now in range(start, end, 20):
            for near, side in self.sides.items():
                self.carry(side.tick(now), near, now)


def test_each_finds_the_other_though_only_one_was_told() -> None:
    world = World()
    world.sides[ANNA].offer(BORIS, 0)
    world.run(0, 500)
    assert world.sides[ANNA].best(500) == BORIS
    assert world.sides[BORIS].best(500) == ANNA
    assert len({len(data) for _, _, data in world.sent if len(data) > 26}) <= 2  # counters grow


def test_a_way_in_one_direction_is_none() -> None:
    world = World()
    world.passes = lambda near, far: near == ANNA
    for side, other in ((ANNA, BORIS), (BORIS, ANNA)):
        world.sides[side].offer(other, 0)
    world.run(0, 1_000)
    assert world.sides[ANNA].best(1_000) is None
    assert world.sides[BORIS].best(1_000) is None


def test_a_way_that_goes_silent_is_none_and_comes_back() -> None:
    world = World()
    world.sides[ANNA].offer(BORIS, 0)
    world.run(0, 1_000)
    world.passes = lambda near, far: False
    world.run(1_000, 1_000 + GOOD_MS + 500)
    assert world.sides[ANNA].best(1_000 + GOOD_MS + 500) is None
    world.passes = lambda near, far: True
    start = 2 * HASTE_MS
    world.run(start, start + SELDOM_MS + 500)
    assert world.sides[ANNA].best(start + SELDOM_MS + 500) == BORIS


def test_nothing_that_was_overheard_leads_frames_elsewhere() -> None:
    world = World()
    world.sides[ANNA].offer(BORIS, 0)
    world.run(0, 1_000)
    for _, far, data in list(world.sent):
        if far == ANNA:
            assert world.sides[ANNA].received(data, ELSEWHERE, 1_000) == []
    other = Checks(b"x" * 32, "callee", seeded(str(5)))
    other.offer(ANNA, 0)
    for _, data in other.tick(1_000):
        assert world.sides[ANNA].received(data, ELSEWHERE, 1_000) == []
    mine = world.sides[ANNA].tick(2_000)
    assert all(world.sides[ANNA].received(data, BORIS, 2_000) == [] for _, data in mine)
    assert world.sides[ANNA].best(1_000) == BORIS


def test_few_addresses_are_asked_and_less_and_less() -> None:
    checks = Checks(BASE, "caller", seeded(str(1)))
    for number in range(100):
        checks.offer(("203.0.113.1", 1_000 + number), 0)
    first = sum(len(checks.tick(now)) for now in range(0, HASTE_MS, 20))
    after = sum(len(checks.tick(now)) for now in range(HASTE_MS + 20, 10 * HASTE_MS, 20))
    assert first <= MOST * (HASTE_MS // OFTEN_MS + 1)
    assert after <= MOST * (9 * HASTE_MS // SELDOM_MS + 1)


@given(st.binary(max_size=100))
def test_garbage_is_no_answer(data: bytes) -> None:
    checks = Checks(BASE, "caller", seeded(str(1)))
    assert checks.received(data, BORIS, 0) == []
    assert checks.best(0) is None
