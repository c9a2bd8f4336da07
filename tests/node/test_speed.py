"""Speed: what is late is measured, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.core import wire
from holdfast.core.seen import SLOW
from holdfast.node import speed
from holdfast.node.speed import AGAIN, EVERY, LARGE, PROBES, Speed
from holdfast.paths import base

pytestmark = pytest.mark.time("made")

ANSWER = wire.encode(wire.Probed(bytes(speed.PROBE)))
PIECE = bytes(16 * 1024)
LATE = len(PIECE) * 8_000 // SLOW + 1
"""Milliseconds of a piece on a line that is a little too slow."""


class Line:
    """A connection on which the test says what comes."""

    def __init__(self) -> None:
        self.now = 1
        self.sent: list[bytes] = []
        self.received = 0
        self.rates: list[float] = []
        self.waiting = 0
        self.held = asyncio.Event()
        self.shared = base.Line()
        self.speed = Speed(
            lambda: self.now,
            self.sent.append,
            lambda: self.received,
            lambda: self.waiting,
            self.rates.append,
            self.held.set,
            self.shared,
        )

    def comes(self, frame: bytes, after: int) -> bool:
        self.now += after
        self.received += len(frame)
        return self.speed.came(frame)


async def test_large_frames_far_apart_are_a_reason_to_ask_once_in_a_while() -> None:
    line = Line()
    for after in (0, 1, LATE - 2):
        assert not line.comes(PIECE, after)
    assert not line.sent
    line.comes(PIECE, LATE)
    assert len(line.sent) == PROBES
    assert not line.comes(PIECE, LATE)
    assert [line.comes(ANSWER, 1_000) for _ in range(PROBES)] == [True] * PROBES
    assert line.rates == [pytest.approx(len(ANSWER) * 8, rel=0.01)]
    line.comes(PIECE, LATE)
    assert len(line.sent) == PROBES
    line.comes(PIECE, EVERY)
    line.comes(PIECE, LATE)
    assert len(line.sent) == 2 * PROBES


async def test_so_is_a_large_frame_long_after_it_was_asked_for_but_not_one_that_nobody_asked_for(
) -> None:  # fmt: skip
    line = Line()
    line.comes(PIECE, 10 * LATE)
    line.speed.sent(bytes(100))
    line.comes(b"small", 10 * LATE)
    line.comes(PIECE, 100 * len(PIECE))  # from somebody who wrote much later
    assert not line.sent
    line.speed.sent(bytes(100))
    line.comes(PIECE, LATE)
    assert len(line.sent) == PROBES


async def test_what_was_slow_once_is_measured_again_soon_and_then_seldom() -> None:
    line = Line()
    for times in (1, 2, 2):
        line.speed.measure()
        assert len(line.sent) == times * PROBES
        for _ in range(PROBES):
            line.comes(ANSWER, 1_000)
        line.now += AGAIN


async def test_answers_that_come_together_tell_how_long_they_took_at_most() -> None:
    line = Line()
    for late in (3_000, 100):
        line.speed.measure()
        line.now += late
        line.received += PROBES * len(ANSWER)
        for _ in range(PROBES):
            line.speed.came(ANSWER)
        line.now += EVERY
    # That they stood still on their way for some seconds is no rate.
    assert line.rates == [PROBES * len(ANSWER) * 8_000 / 100]


async def test_what_was_fast_is_measured_again_soon_if_that_is_doubted() -> None:
    line = Line()
    for times, again in ((1, False), (1, False), (2, True), (2, False)):
        line.speed.measure(again=again)
        assert len(line.sent) == times * PROBES
        while len(line.rates) < times:
            line.comes(ANSWER, 10)
        line.now += AGAIN


async def test_a_calls_frames_tell_nothing() -> None:
    line = Line()
    for _ in range(100):
        line.speed.sent(bytes(100))
        line.comes(bytes(LARGE - 1), 10 * LATE)
    assert not line.sent


async def test_what_leaves_slowly_is_a_reason_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "HELD", 0.05)
    line = Line()
    line.waiting = 100_000
    line.speed.sent(bytes(100_000))
    line.waiting = 90_000  # as much as a line that is not slow takes
    await asyncio.sleep(0.07)
    assert not line.sent
    line.waiting = 89_900
    await asyncio.sleep(0.05)
    assert len(line.sent) == PROBES
    idle = Line()
    idle.waiting = 100_000
    idle.speed.sent(bytes(100_000))
    idle.waiting = 0
    await asyncio.sleep(0.07)
    assert not idle.sent
    idle.waiting = 10
    idle.speed.sent(bytes(10))
    idle.speed.over()
    await asyncio.sleep(0.07)
    assert not idle.sent


async def test_what_is_acknowledged_slowly_left_slowly_whatever_the_system_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "HELD", 0.02)
    line = Line()
    line.speed.sent(wire.encode(wire.Append(1, 1, 60, bytes(speed.PILED // 2))))
    await asyncio.sleep(0.1)
    assert not line.sent
    line.speed.sent(wire.encode(wire.Append(1, 2, 60, bytes(speed.PILED // 2))))
    async with asyncio.timeout(60):
        await line.held.wait()
    assert line.shared.waiting > speed.PILED
    line.comes(wire.encode(wire.Acked(1))[:2] + b"nothing of the kind", 1)
    line.comes(wire.encode(wire.Acked(1)), 1)
    assert speed.PILED > line.shared.waiting > 0
    line.comes(wire.encode(wire.Acked(2)), 1)
    line.held.clear()
    await asyncio.sleep(0.1)
    assert not line.held.is_set()
    line.speed.over()
    assert not line.shared.waiting


async def test_so_is_a_large_frame_that_is_long_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "UNFINISHED", 0.02)
    line = Line()
    line.received = 5 * LARGE
    line.speed.sent(bytes(100))
    line.comes(b"all of it", 10)
    await asyncio.sleep(0.05)
    assert not line.sent
    line.speed.sent(bytes(100))
    line.received += LARGE
    await asyncio.sleep(0.05)
    assert len(line.sent) == PROBES
    line.speed.over()


async def test_so_is_one_that_follows_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "UNFINISHED", 0.02)
    line = Line()
    line.comes(PIECE, 10)
    await asyncio.sleep(0.05)
    line.comes(PIECE, 10)
    line.received += LARGE - 1
    await asyncio.sleep(0.1)
    assert not line.sent
    line.received += 1
    async with asyncio.timeout(10):
        while not line.sent:
            await asyncio.sleep(0.01)
    assert len(line.sent) == PROBES
    line.speed.over()


async def test_answers_that_do_not_come_in_time_tell_by_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "LOOKS", (0.02, 0.05))
    line = Line()
    line.speed.measure()
    line.received += LARGE - 1  # of an unfinished frame
    await asyncio.sleep(0.035)
    assert line.rates == []
    line.received += 10_000
    line.now += 15_000
    await asyncio.sleep(0.05)
    assert line.rates == [pytest.approx((LARGE + 9_999) * 8 / 15)]


async def test_of_a_line_on_which_nothing_comes_no_rate_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "LOOKS", (0.005, 0.01))
    line = Line()
    line.speed.measure()
    await asyncio.sleep(0.05)
    line.now += EVERY
    line.speed.measure()
    assert line.rates == []
    assert len(line.sent) == 2 * PROBES
