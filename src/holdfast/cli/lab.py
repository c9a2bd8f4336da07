"""`holdfast lab`: documented ways of blocking, and what gets through, on this machine alone."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
from pathlib import Path

from holdfast.cli.say import Exit, Trouble, show, tell


def scenarios(asked: argparse.Namespace) -> None:
    """What there is to be played."""
    from holdfast.lab.scenarios import ALL

    for one in ALL.values():
        about = {
            "id": one.id,
            "says": one.says,
            "source": one.source,
            "parameters": one.usual,
            "survives": list(one.survives),
            "verdict": one.verdict,
        }
        show(about, asked.json, f"{one.id:18} {one.says}")


def run(asked: argparse.Namespace) -> int:
    """Play scenarios with real programs; print the survival matrix."""
    from holdfast.lab import play
    from holdfast.lab.scenarios import ALL, find

    if not asked.all and not asked.scenario:
        raise Trouble("name scenarios, or --all; `holdfast lab list` shows them", Exit.USAGE)
    try:
        chosen = list(ALL.values()) if asked.all else [find(id) for id in asked.scenario]
    except KeyError as error:
        raise Trouble(str(error.args[0]), Exit.USAGE) from None
    if not 0 < asked.megabytes <= 1_000:
        raise Trouble("--megabytes takes a number above 0, at most 1000", Exit.USAGE)
    size = int(asked.megabytes * 1_000_000)

    async def all() -> list[play.Row]:
        rows = []
        with tempfile.TemporaryDirectory(prefix="holdfast-lab-") as place:
            async with play.stage(Path(place)) as made:
                for one in chosen:
                    row = await play.play(made, one, seed=asked.seed, size=size, say=tell)
                    if asked.json:
                        show(dataclasses.asdict(row), True, "")
                    rows.append(row)
        return rows

    rows = asyncio.run(all())
    if not asked.json:
        print(play.table(rows))
    return Exit.OK
