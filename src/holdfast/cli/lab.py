"""`holdfast lab`: documented ways of blocking, and what gets through, on this machine alone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import shlex
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from holdfast.cli.say import Exit, Trouble, show, tell

if TYPE_CHECKING:
    from holdfast.lab.play import Row
    from holdfast.lab.scenarios import Parameters, Scenario

SERVER: Final = "server.test"
FOR_EVER: Final = 1e9


def scenarios(asked: argparse.Namespace) -> None:
    """What there is to be played."""
    from holdfast.lab import matrix
    from holdfast.lab.hosts import lacks
    from holdfast.lab.scenarios import ALL

    if asked.page:
        try:
            made = matrix.scenarios(list(ALL.values()))
            asked.page.write_text(matrix.into(asked.page.read_text(), made, matrix.LISTED))
        except (OSError, ValueError) as error:
            raise Trouble(f"{asked.page}: {error}", Exit.USAGE) from None
        return
    for one in ALL.values():
        about = {
            "id": one.id,
            "says": one.says,
            "source": one.source,
            "benign": one.benign,
            "parameters": one.usual,
            "ranges": one.ranges,
            "onsets": list(one.onsets),
            "survives": list(one.survives),
            "verdict": one.verdict,
            "needs_packets": one.needs_packets,
        }
        show(about, asked.json, f"{one.id:18} {one.says}")
    if why := lacks():
        tell(_in_user_space(why))


def _in_user_space(why: str) -> str:
    """What is played without hosts of one's own, in one sentence."""
    from holdfast.lab.scenarios import ALL

    without = ", ".join(one.id for one in ALL.values() if one.needs_packets)
    return (
        f"There is no packet lab here ({why.rstrip('.')}), so all is played in user space only, on"
        f" connections and datagrams, and these are not: {without}."
    )


def _chosen(id: str, asked: argparse.Namespace) -> tuple[Scenario, Parameters]:
    """A scenario or composition, and its parameters."""
    from holdfast.lab.scenarios import find

    try:
        one = find(id)
    except KeyError as error:
        raise Trouble(str(error.args[0]), Exit.USAGE) from None
    parameters = one.draw(Random(f"{id} {asked.seed}")) if asked.draw else {}
    for setting in asked.set:
        name, _, value = setting.partition("=")
        if name in one.usual or len(asked.scenario) == 1 or isinstance(asked.scenario, str):
            try:
                parameters[name] = float(value)
            except ValueError:
                raise Trouble(f"--set takes NAME=NUMBER, not {setting}", Exit.USAGE) from None
    if unknown := sorted(set(parameters) - set(one.usual)):
        raise Trouble(
            f"{id} has no parameter {unknown[0]}; it has: {', '.join(one.usual) or 'none'}",
            Exit.USAGE,
        )
    return one, parameters


def play(asked: argparse.Namespace) -> int:
    """Put any program into a scenario: on a host of the packet lab, or behind the box."""
    one, parameters = _chosen(asked.scenario, asked)
    staged = [f"{name}={value:.4g}" for name, value in (one.usual | parameters).items()]
    tell(f"{one.id}: {one.says} {' '.join(staged)}".strip())
    if asked.box:
        if one.needs_packets:
            raise Trouble(f"{one.id} needs a lab that sees packets")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_before_a_box(one, parameters, asked))
        return Exit.OK
    from holdfast.lab.hosts import CannotPlay

    try:
        return _on_a_host(one, parameters, asked)
    except CannotPlay as error:
        raise Trouble(f"{error} With --box it is played in user space.") from None


async def _before_a_box(one: Scenario, parameters: Parameters, asked: argparse.Namespace) -> None:
    from holdfast.lab.box import Box
    from holdfast.lab.scenarios import World

    places = {}
    for place in asked.place:
        name, _, real = place.partition("=")
        try:
            (host, port), (here, there) = name.rsplit(":", 1), real.rsplit(":", 1)
            places[host.lower(), int(port)] = here, int(there)
        except ValueError:
            raise Trouble(f"--place takes NAME:PORT=HOST:PORT, not {place}", Exit.USAGE) from None
    listed = tuple(host for host, _ in places) or ("server.test",)
    async with Box(places) as box:
        show({"proxy": box.url}, asked.json, box.url)
        await asyncio.sleep(asked.after)
        box.begin(one.stage(World(listed), asked.seed, **parameters))
        tell("It begins.")
        await asyncio.sleep(asked.lasts or FOR_EVER)
        box.calm()
        tell("It is over.")
        await asyncio.sleep(FOR_EVER)


def _on_a_host(one: Scenario, parameters: Parameters, asked: argparse.Namespace) -> int:
    from holdfast.lab.hosts import end
    from holdfast.lab.town import Town

    with Town({SERVER: "203.0.113.10"}, capture=asked.capture) as town:
        over = threading.Event()

        def conduct() -> None:
            if not over.wait(asked.after):
                town.begin(one, parameters, asked.seed)
            if asked.lasts and not over.wait(asked.lasts):
                town.calm()

        served = town.lab[SERVER].start(shlex.split(asked.at_server)) if asked.at_server else None
        conductor = threading.Thread(target=conduct)
        if not asked.after:
            town.begin(one, parameters, asked.seed)
        program = town.home.start(shlex.split(asked.at_home) or [os.environ.get("SHELL", "sh")])
        if asked.after or asked.lasts:
            conductor.start()
        try:
            code = program.wait()
        except KeyboardInterrupt:
            code = end(program)
        finally:
            over.set()
            if conductor.ident is not None:
                conductor.join()
            if served is not None:
                end(served)
        counts = ", ".join(f"{count} {what}" for what, count in town.lab.middle.counts.items())
        tell(f"Packets: {counts or 'none'}.")
    return code


def run(asked: argparse.Namespace) -> int:
    """Play scenarios with real programs; print the survival matrix."""
    from holdfast.lab import matrix
    from holdfast.lab.hosts import CannotPlay, lacks
    from holdfast.lab.peers import BOX, PEERS
    from holdfast.lab.play import COLUMNS
    from holdfast.lab.scenarios import ALL, drawn

    if not asked.all and not asked.scenario and not asked.random:
        raise Trouble("name scenarios, or --all; `holdfast lab list` shows them", Exit.USAGE)
    ids = list(ALL) if asked.all else asked.scenario
    dice = Random(asked.seed)
    ids += [drawn(dice, needs_packets=not lacks()).id for _ in range(asked.random)]
    chosen = [_chosen(id, asked) for id in ids]
    if not 0 < asked.megabytes <= 1_000:
        raise Trouble("--megabytes takes a number above 0, at most 1000", Exit.USAGE)
    peers = asked.peer or ([one for one in PEERS if one != BOX] if asked.all else [BOX])
    if asked.all and not asked.peer and (why := lacks()):
        tell(_in_user_space(why))
        peers = [BOX]
    if unknown := sorted(set(peers) - set(PEERS)):
        raise Trouble(f"no peer {unknown[0]}; there are: {', '.join(PEERS)}", Exit.USAGE)
    if asked.readme and not asked.readme.is_file():
        raise Trouble(f"there is no file {asked.readme}", Exit.USAGE)
    about: dict[str, object] = {"megabytes": asked.megabytes, "seed": asked.seed}
    if asked.column:
        about["columns"] = asked.column
        if unknown := sorted(set(asked.column) - set(COLUMNS)):
            raise Trouble(f"no column {unknown[0]}; there are: {', '.join(COLUMNS)}", Exit.USAGE)
    if asked.draw or asked.set:
        about |= {"draw": asked.draw, "set": sorted(asked.set)}
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
            if left := [one for one in chosen if one[0].id not in done]:
                asyncio.run(_play(peer, left, asked, keep))
    except (CannotPlay, FileNotFoundError) as error:
        raise Trouble(str(error)) from None
    except KeyboardInterrupt:
        if asked.record:
            tell(f"Stopped. The same command goes on from what is in {asked.record}.")
        raise
    order, by = list(ALL), list(PEERS)
    rows.sort(key=lambda row: (by.index(row.peer), order.index(row.id.split("+")[0])))
    if asked.readme:
        try:
            asked.readme.write_text(matrix.into(asked.readme.read_text(), matrix.tables(rows)))
        except ValueError as error:
            raise Trouble(f"{asked.readme}: {error}", Exit.USAGE) from None
    if not asked.json:
        print(matrix.tables(rows))
    return Exit.OK


async def _play(
    peer: str,
    left: Sequence[tuple[Scenario, Parameters]],
    asked: argparse.Namespace,
    keep: Callable[[Row], object],
) -> None:
    """One peer in all these scenarios, one after the other."""
    from holdfast.lab import peers, play
    from holdfast.lab.hosts import CannotPlay

    size = int(asked.megabytes * 1_000_000)
    columns = tuple(asked.column or play.COLUMNS)
    with tempfile.TemporaryDirectory(prefix="holdfast-lab-") as place:
        async with peers.make(peer)(Path(place)) as stage:
            for number, (one, parameters) in enumerate(left, 1):
                tell(f"{peer}: {one.id} ({number} of {len(left)})")
                try:
                    row = await play.play(
                        stage,
                        one,
                        parameters,
                        seed=asked.seed,
                        size=size,
                        columns=columns,
                        say=tell,
                    )
                    keep(row)
                except (CannotPlay, play.Failed) as error:
                    tell(f"{peer}: {one.id} is left out: {error}")
