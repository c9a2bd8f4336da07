"""Which relays fall behind, told as short stories."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.node import health
from holdfast.node.health import FAULTS, LATE, STUCK, WINDOW, Health
from holdfast.testing.clock import Clock

A, B = "a:1", "b:1"


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock)
        self._rid = 0

    def trouble(self, home: str) -> str:
        return self.health.troubles().get(home, "")

    def send(self, *took: tuple[str, int]) -> None:
        """A record to both; each takes it so many milliseconds later."""
        self._rid += 1
        rid = self._rid.to_bytes(16, "big")
        for home in (A, B):
            self.health.sent(rid, home)
        passed = 0
        for home, after in sorted(took, key=lambda one: one[1]):
            self.clock.advance(after - passed)
            passed = after
            self.health.taken(rid, home)

    def come(self, *came: tuple[str, int]) -> None:
        """A record comes from these."""
        self._rid += 1
        passed = 0
        for home, after in sorted(came, key=lambda one: one[1]):
            self.clock.advance(after - passed)
            passed = after
            self.health.came(self._rid.to_bytes(16, "big"), home, {A, B} - {home})


def test_both_in_time_are_well() -> None:
    world = World()
    for _ in range(50):
        world.send((A, 10), (B, LATE - 1))
        world.come((A, 10), (B, LATE - 1))
    assert not world.health.troubles()


def test_who_is_late_again_and_again_is_slow_and_is_well_again_after_a_while() -> None:
    world = World()
    for number in range(FAULTS):
        assert not world.trouble(B), number
        world.send((A, 10), (B, LATE + 10))
    assert world.trouble(B) == "slow"
    assert world.health.troubles() == {B: "slow"}
    world.clock.advance(WINDOW)
    world.send((A, 10), (B, 20))
    assert not world.trouble(B)


def test_who_is_stuck_is_found_out_with_one_record() -> None:
    world = World()
    world.send((A, 10))
    world.clock.advance(LATE)
    assert not world.trouble(B)
    world.clock.advance(STUCK)
    assert world.trouble(B) == "slow"
    assert not world.trouble(A)


def test_where_nobody_takes_it_nobody_is_slow() -> None:
    world = World()
    for _ in range(10):
        world.send()
    world.clock.advance(10 * STUCK)
    assert not world.health.troubles()


def test_who_is_not_connected_is_not_slow() -> None:
    world = World()
    for _ in range(10):
        world.send((A, 10))
        world.health.left(B)
    world.clock.advance(2 * STUCK)
    assert not world.health.troubles()


def test_who_does_not_bring_what_others_bring_is_behind() -> None:
    world = World()
    for _ in range(FAULTS):
        world.come((A, 0))
        world.clock.advance(LATE)
    assert world.trouble(B) == "behind"


def test_a_record_that_comes_once_more_says_nothing_of_those_who_brought_it() -> None:
    world = World()
    for number in range(FAULTS):
        rid = number.to_bytes(16, "big")
        world.health.came(rid, A, [B])
        world.health.came(rid, B, [A])
        world.health.came(rid, "c:1", [A, B])
    world.clock.advance(2 * STUCK)
    assert not world.health.troubles()


def test_other_faults_count_at_once() -> None:
    world = World()
    for _ in range(FAULTS):
        world.health.fault(A, "strange")
    assert world.trouble(A) == "strange"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "taken", "came", "left", "trouble", "wait"]),
            st.binary(min_size=1, max_size=1),
            st.sampled_from([A, B, "c:1"]),
        )
    )
)
def test_what_is_watched_is_bounded(story: list[tuple[str, bytes, str]]) -> None:
    clock = Clock()
    world = Health(clock)
    for what, rid, home in story:
        match what:
            case "came":
                world.came(rid, home, [A, B])
            case "wait":
                clock.advance(rid[0] * 1_000)
            case "left":
                world.left(home)
            case "trouble":
                world.trouble(home)
            case _:
                getattr(world, what)(rid, home)
    clock.advance(2 * STUCK)
    world.troubles()
    assert all(not race.left or not race.since for race in world._races.values())
    for number in range(3 * health.UNDER_WAY):
        world.sent(number.to_bytes(16, "big"), A)
    assert len(world._races) <= health.UNDER_WAY
