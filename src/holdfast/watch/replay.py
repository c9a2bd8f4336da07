"""The past once more: do the journal and the ledger give the same events again?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from holdfast.watch import merging
from holdfast.watch.engine import Engine
from holdfast.watch.event import Event, encode
from holdfast.watch.journal import Journal
from holdfast.watch.ledger import merge
from holdfast.watch.places import Places
from holdfast.watch.rollup import rollups


@dataclass(frozen=True)
class Replayed:
    """Events of a replay, and how it compares with what was said at the time."""

    events: tuple[Event, ...]
    steps: int
    same: bool
    """Each change of an event came out as it was logged, to the byte."""
    uncovered: int
    """Steps whose rows in the ledger are not what the journal's entries add up to."""


def replay(data: Path, places: Places, key: bytes, simulated: bool = False) -> Replayed:
    """Play an observatory's folder again. Raises `BadRollup`, `JournalError`."""
    engine, changes, steps = Engine(places), [], 0
    journal = Journal(data / "journal", lambda call: call())
    entries = (entry for day in journal.days() for entry in journal.read(day))
    admitted = rollups(entries)
    journal.close()
    uncovered = 0
    for one in merging.steps(data, places, key=key):
        steps += 1
        changes += [encode(event) for event in engine.tick(one.at, one.rows, one.watches)]
    for own in merging.own(data, key):
        rows = admitted.get(own.at, [])
        if not any(row.share for row in own.rows):  # written before there were shares
            rows = [replace(row, share=0) for row in rows]
        uncovered += not simulated and own.rows != rows
    log = data / "events"
    logged = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return Replayed(tuple(engine.events), steps, changes == logged, uncovered)


def merged(places: Places, folders: list[tuple[Path, bytes]]) -> tuple[Event, ...]:
    """Events that several observatories see together: their signed rollups, added up."""
    engine = Engine(places)
    for one in merge(merging.own(folder, key) for folder, key in folders):
        engine.tick(one.at, one.rows, len(folders))
    return tuple(engine.events)
