"""The path without a network: order, back-pressure, delay, cuts."""

import asyncio

import pytest

from holdfast.core.caps import Home
from holdfast.testing.memory import LOW, MemoryChannel, MemoryPath, pair
from holdfast.testing.pairs import home


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.drained = 0
        self.closed: list[str] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def on_live(self, frame: bytes) -> None:
        pass

    def on_drained(self) -> None:
        self.drained += 1

    def on_closed(self, reason: str) -> None:
        self.closed.append(reason)


def ends() -> tuple[MemoryChannel, Ear, MemoryChannel, Ear]:
    left, right = pair()
    left.handler, right.handler = hears_left, hears_right = Ear(), Ear()
    return left, hears_left, right, hears_right


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_frames_arrive_in_order_and_later() -> None:
    left, _, _, ear = ends()
    for frame in (b"a", b"b", b"c"):
        left.send(frame)
    assert not ear.frames and left.buffered == 3
    await turns()
    assert ear.frames == [b"a", b"b", b"c"] and left.buffered == 0


async def test_a_slow_reader_and_its_draining() -> None:
    left, told, right, ear = ends()
    right.pause()
    left.send(bytes(LOW + 1))
    await turns()
    assert not ear.frames and left.buffered == LOW + 1
    right.resume()
    await turns()
    assert len(ear.frames) == 1 and told.drained == 1


async def test_delay_is_counted_in_turns() -> None:
    left, _, _, ear = ends()
    left.delay = 10
    left.send(b"late")
    await turns(10)
    assert not ear.frames
    await turns(3)
    assert ear.frames == [b"late"]


async def test_a_close_comes_after_what_was_sent() -> None:
    left, told, right, ear = ends()
    left.send(b"last")
    left.close("enough")
    left.send(b"too late")
    await turns()
    assert ear.frames == [b"last"] and told.closed == ["enough"] and len(ear.closed) == 1
    right.send(b"nobody")
    await turns()
    assert not told.frames


async def test_a_cut_loses_what_was_on_its_way() -> None:
    left, told, _, ear = ends()
    left.cut_after(2)
    for frame in (b"a", b"b", b"c"):
        left.send(frame)
    await turns()
    assert ear.frames == [b"a", b"b"]
    assert len(told.closed) == len(ear.closed) == 1 and left.buffered == 0


async def test_nobody_answers_at_an_unknown_address() -> None:
    place: Home = home()
    with pytest.raises(OSError, match=place.label):
        await MemoryPath().connect(place, Ear())
