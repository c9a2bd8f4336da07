"""One timer that looks at every connection, and what a look does."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from picows import WSMsgType

from holdfast.paths import pulse, websocket


class Member:
    def __init__(self, delays: list[int]) -> None:
        self.slot: set[pulse.Member] | None = None
        self.delays = delays
        self.looks: list[int] = []
        self.now = 0

    def look(self) -> int:
        self.looks.append(self.now)
        return self.delays.pop(0) if self.delays else 0


@given(st.lists(st.lists(st.integers(1, pulse.SLOTS - 1), min_size=1, max_size=6), max_size=8))
def test_everybody_is_looked_at_when_it_is_time(delays: list[list[int]]) -> None:
    wheel = pulse.Wheel()
    members = [Member(list(one[1:])) for one in delays]
    for member, one in zip(members, delays, strict=True):
        wheel.add(member, one[0])
    for now in range(1, 6 * pulse.SLOTS):
        for member in members:
            member.now = now
        wheel.turn()
    for member, one in zip(members, delays, strict=True):
        assert member.looks == [sum(one[: at + 1]) for at in range(len(one))]
    assert wheel.empty


def test_one_that_ends_another_in_the_same_second() -> None:
    wheel = pulse.Wheel()
    one, other = Member([]), Member([])

    def end() -> int:
        pulse.forget(other)
        pulse.forget(one)
        return 0

    one.look = other.look = end  # type: ignore[method-assign]
    wheel.add(one, 3)
    wheel.add(other, 3)
    for _ in range(3):
        wheel.turn()
    assert wheel.empty
    pulse.forget(one)


class Wire:
    """What a `Socket` asks of picows."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.underlying_transport: Any = SimpleNamespace()

    def send_ping(self) -> None:
        self.said.append("ping")

    def disconnect(self, graceful: bool = True) -> None:
        self.said.append("closed" if graceful else "cut")


def socket() -> tuple[websocket.Socket, Wire]:
    found, wire = websocket.Socket(), Wire()
    found._transport = wire  # type: ignore[assignment]
    return found, wire


def hear(one: websocket.Socket, wire: Wire) -> None:
    """It answers."""
    pong = SimpleNamespace(msg_type=WSMsgType.PONG, fin=1, rsv1=0, rsv2=0, rsv3=0)
    one.on_ws_frame(wire, pong)  # type: ignore[arg-type]


def test_who_answers_when_asked_is_kept_and_asked_every_24_seconds() -> None:
    one, wire = socket()
    at, pinged = 0, []
    for _ in range(20):
        at += one.look() or 100_000
        if wire.said:
            assert wire.said == ["ping"]
            pinged.append(at)
            wire.said.clear()
            hear(one, wire)
    assert {later - earlier for earlier, later in itertools.pairwise(pinged)} == {24}


def test_who_does_not_answer_is_cut_off_after_20_seconds() -> None:
    one, wire = socket()
    hear(one, wire)
    assert one.look() == 12
    assert (one.look(), wire.said) == (12, ["ping"])
    assert (one.look(), wire.said) == (8, ["ping"])
    assert (one.look(), wire.said) == (0, ["ping", "cut"])
    one, wire = socket()
    one.look()
    one.look()
    hear(one, wire)  # late, and still there
    assert (one.look(), wire.said) == (12, ["ping"])
