"""A real call of many minutes whose network changes every ten seconds."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

import psutil  # type: ignore[import-untyped]

from holdfast.lab import voice
from holdfast.lab.peers import holdfast
from holdfast.lab.peers.holdfast import Boxed
from holdfast.lab.rules import Freeze, Police, Rough, Rule
from holdfast.lab.scenario import Staging

EVERY = 10.0
CALM = 60.0
"""Seconds without a censor at the end, after which all must be as it was."""
MOST_DELAY = 400
GROWTH = 24
"""MiB that a node may have more at the end than after the first minute."""


def worlds(dice: Random) -> list[list[Rule]]:
    """What a network can be for ten seconds."""
    line = Rough(0.03, 0.01, 0, 0, 0, dice)
    return [
        [line],
        [line],
        [line, Police((), 48_000)],
        [line, Police((), 24_000)],
        [line, Freeze(16_000, 25, 1.0, dice)],
        [Rough(0.1, 0.1, 0.4, 0.02, 0, dice)],
        [Rough(0.0, 0.0, 5.0, 0.01, 0, dice)],
    ]


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """Of so many minutes. Speech is heard at the end as at the beginning, no later, on the first
    rung; neither node has grown."""
    return asyncio.run(_prove(seed, count, directory))


async def _prove(seed: int, minutes: int, directory: Path) -> dict[str, object]:
    dice = Random(seed)
    async with holdfast.boxed(directory, minutes * 60 + 120) as stage:
        ground = stage.ground
        assert isinstance(ground, Boxed)
        call = await stage.call()
        programs = [psutil.Process(person.program.pid) for person in stage.people]
        ends = time.monotonic() + minutes * 60
        sizes: list[list[int]] = []
        good = 0
        while time.monotonic() < ends - CALM:
            ground.play(Staging(dice.choice(worlds(dice))))
            heard = await call.listen(EVERY)
            good += any(voice.understood(one[-3 * voice.SECOND :]) >= voice.ENOUGH for one in heard)
            sizes.append([one.memory_info().rss // 2**20 for one in programs])
        ground.calm()
        await asyncio.sleep(CALM - EVERY)
        states = [one for person in stage.people for one in await person.client.node.calls()]
        heard = await call.listen(EVERY)
        scores = [round(voice.understood(one[-3 * voice.SECOND :]), 2) for one in heard]
        await call.end()
        told = await stage.story()
    assert [one.state for one in states] == ["talking"] * 2
    assert {one.line for one in states} == {"whole"}, states
    assert max(one.delay for one in states) <= MOST_DELAY, states
    assert min(scores) >= voice.ENOUGH, scores
    first, last = sizes[min(5, len(sizes) - 1)], sizes[-1]
    grown = [after - before for before, after in zip(first, last, strict=True)]
    assert max(grown) <= GROWTH, sizes
    assert len(told.samples) <= 1_200
    return {
        "worlds": len(sizes),
        "understood in": good,
        "at the end": scores,
        "delay": [one.delay for one in states],
        "grown": grown,
        "decisions": len(told.moments),
    }
