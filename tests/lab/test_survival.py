"""Holdfast in documented ways of blocking, with parameters drawn afresh, on the lab's hosts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from holdfast.lab import documented, peers, play
from holdfast.lab.play import Row

COLUMNS = ("connect", "text", "voice", "call")


async def rows(seed: int, count: int, directory: Path) -> list[Row]:
    """That many, of those through which some path leads."""
    dice = Random(seed)
    passable = [one for one in documented.ALL if one.survives]
    found = []
    async with peers.make("holdfast")(directory) as stage:
        for _ in range(count):
            scenario = dice.choice(passable)
            row = await play.play(
                stage, scenario, scenario.draw(dice), seed=dice.getrandbits(32), columns=COLUMNS
            )
            found.append(row)
    return found


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """A text and a voice note arrive in all of them, and calls are heard in nine of ten."""
    found = asyncio.run(rows(seed, count, directory))
    for row in found:
        print(row, flush=True)
    for name in ("connect", "text", "voice"):
        lost = [row.id for row in found if not row.cells[name].came]
        assert not lost, f"{name}: {lost}"
    heard = sum(row.cells["call"].came for row in found)
    assert heard * 10 >= count * 9, f"{heard} of {count} calls"
    connects = sorted(row.cells["connect"].seconds for row in found)
    return {"calls": heard, "connects": connects}
