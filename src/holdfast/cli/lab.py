"""`holdfast lab`: documented ways of blocking, and what gets through, on this machine alone."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.say import Exit, Trouble, show, tell

if TYPE_CHECKING:
    from holdfast.lab.play import Row
    from holdfast.lab.scenarios import Scenario


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
    from holdfast.lab import matrix
    from holdfast.lab.hosts import CannotPlay
    from holdfast.lab.peers import BOX, PEERS
    from holdfast.lab.scenarios import ALL, find

    if not asked.all and not asked.scenario:
        raise Trouble("name scenarios, or --all; `holdfast lab list` shows them", Exit.USAGE)
    try:
        chosen = list(ALL.values()) if asked.all else [find(id) for id in asked.scenario]
    except KeyError as error:
        raise Trouble(str(error.args[0]), Exit.USAGE) from None
    if not 0 < asked.megabytes <= 1_000:
        raise Trouble("--megabytes takes a number above 0, at most 1000", Exit.USAGE)
    peers = asked.peer or ([one for one in PEERS if one != BOX] if asked.all else [BOX])
    if unknown := sorted(set(peers) - set(PEERS)):
        raise Trouble(f"no peer {unknown[0]}; there are: {', '.join(PEERS)}", Exit.USAGE)
    if asked.readme and not asked.readme.is_file():
        raise Trouble(f"there is no file {asked.readme}", Exit.USAGE)
    about = {"megabytes": asked.megabytes, "seed": asked.seed}
    rows = matrix.read(asked.record, about) if asked.record else []

    def keep(row: Row) -> None:
        rows.append(row)
        if asked.record:
            matrix.write(asked.record, row, about)
        if asked.json:
            show(dataclasses.asdict(row), True, "")

    try:
        for peer in peers:
            done = {row.id for row in rows if row.peer == peer}
            if left := [one for one in chosen if one.id not in done]:
                asyncio.run(_play(peer, left, asked, keep))
    except (CannotPlay, FileNotFoundError) as error:
        raise Trouble(str(error)) from None
    except KeyboardInterrupt:
        if asked.record:
            tell(f"Stopped. The same command goes on from what is in {asked.record}.")
        raise
    order = list(ALL)
    rows.sort(key=lambda row: (peers.index(row.peer), order.index(row.id.split("+")[0])))
    if asked.readme:
        try:
            asked.readme.write_text(matrix.into(asked.readme.read_text(), matrix.tables(rows)))
        except ValueError as error:
            raise Trouble(f"{asked.readme}: {error}", Exit.USAGE) from None
    if not asked.json:
        print(matrix.tables(rows))
    return Exit.OK


async def _play(
    peer: str, left: Sequence[Scenario], asked: argparse.Namespace, keep: Callable[[Row], object]
) -> None:
    """One peer in all these scenarios, one after the other."""
    from holdfast.lab import peers, play
    from holdfast.lab.hosts import CannotPlay

    size = int(asked.megabytes * 1_000_000)
    with tempfile.TemporaryDirectory(prefix="holdfast-lab-") as place:
        async with peers.make(peer)(Path(place)) as stage:
            for number, one in enumerate(left, 1):
                tell(f"{peer}: {one.id} ({number} of {len(left)})")
                try:
                    keep(await play.play(stage, one, seed=asked.seed, size=size, say=tell))
                except (CannotPlay, play.Failed) as error:
                    tell(f"{peer}: {one.id} is left out: {error}")
