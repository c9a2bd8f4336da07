"""Several observatories as one: each fetches the others' signed rollups and adds them to its own.

What another watch said is kept as it signed it, a folder a watch, and only what was counted; so a
replay adds up the same. A line counts once, under the key that the keeper gave, while its step is
waited for. What is not public of one's own, signs of life, is kept beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.core import report
from holdfast.watch.journal import DAY, STEP
from holdfast.watch.ledger import Ledger, append, unseal
from holdfast.watch.places import Places
from holdfast.watch.rollup import BadRollup, Rollup, Row, Sums

HOLD: Final = 120
"""Seconds for which the rollups of other watches are waited for."""
AHEAD: Final = 60
"""Seconds that another watch's clock may be ahead."""


@dataclass
class Peer:
    """Another watch. `url` is where its rollups are."""

    url: str
    key: bytes
    last: int = -1
    """Step that was counted last."""
    refused: int = 0
    refusal: str = ""
    """Why the last line was."""
    trouble: str = ""
    """Why it could not be asked."""
    mark: str = ""
    """Of the keys for tokens that it showed last (`core.issuance.fingerprint`)."""
    rows: dict[int, list[Row]] = field(default_factory=dict)
    """Of the steps that are waited for."""


class Peers:
    """All of them, and their folders under `folder`."""

    def __init__(self, folder: Path, peers: tuple[Peer, ...], places: Places, own: bytes) -> None:
        """Raises `BadRollup` for a key that is one's own or there twice."""
        keys = [peer.key for peer in peers]
        if own in keys or len(set(keys)) != len(keys):
            raise BadRollup("another observatory has a key of its own, and is named once")
        self.all = {peer.key: peer for peer in peers}
        self._places = places
        self._folder = folder
        for peer in peers:
            ledger = self._ledger(peer.key)
            ledger.mend()
            days = ledger.days()
            for one in ledger.read(days[-1] * DAY if days else 0):
                peer.last = one.at
                peer.rows[one.at] = known(one.rows, places)  # some may be waited for still

    def _ledger(self, key: bytes) -> Ledger:
        return Ledger(self._folder / key.hex())

    def receive(self, key: bytes, line: bytes, due: int, now: int) -> None:
        """Keep a line for the steps from `due` on. Raises `BadRollup` for what does not count."""
        peer = self.all[key]
        try:
            one = unseal(line, key)
            if one.at <= peer.last:
                raise BadRollup("this step was told before")
            if one.at < due:
                raise BadRollup("this step comes too late")
            if one.at + STEP > now + AHEAD:
                raise BadRollup("this step is not over")
        except BadRollup as error:
            peer.refused += 1
            peer.refusal = str(error)
            raise
        path = self._ledger(key).path(one.at // DAY)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        append(path, line + b"\n", sync=True)
        peer.last = one.at
        peer.rows[one.at] = known(one.rows, self._places)

    def complete(self, at: int) -> bool:
        """Whether nothing more can come for this step."""
        return all(peer.last >= at for peer in self.all.values())

    def take(self, at: int) -> list[list[Row]]:
        """What each said of this step, if it did."""
        told = [peer.rows.pop(at, None) for peer in self.all.values()]
        found = [rows for rows in told if rows is not None]
        for peer in self.all.values():
            for old in [each for each in peer.rows if each < at]:
                del peer.rows[old]
        return found


@dataclass(frozen=True)
class Step:
    """What the engine goes by."""

    at: int
    rows: list[Row]
    watches: int
    """That told of it."""


def step(at: int, own: list[Row], others: list[list[Row]]) -> Step:
    """One's own rows and those of others, added up."""
    if not others:
        return Step(at, own, 1)
    sums = Sums()
    for rows in (own, *others):
        sums.merge(rows)
    return Step(at, sums.rows(), 1 + len(others))


def known(rows: list[Row], places: Places) -> list[Row]:
    """Of another watch's rows those of regions, operators and services that are known here."""
    operators = {operator.code for operator in places.operators} | {"other", ""}
    functions = {*report.FUNCTIONS, *(report.SERVICE + name for name in places.services), ""}
    return [
        row
        for row in rows
        if row.source != "a"
        and places.region(row.region) is not None
        and row.operator in operators
        and row.function in functions
    ]


def folders(data: Path) -> list[Path]:
    """Of other watches, each named by its key."""
    return [path for path in sorted((data / "peers").glob("*")) if path.is_dir()]


def steps(data: Path, places: Places, since: int = 0, key: bytes | None = None) -> Iterator[Step]:
    """An observatory's past, from its folder, as its engine was given it. Raises `BadRollup`."""
    others = [_Ahead(Ledger(path).read(since, bytes.fromhex(path.name))) for path in folders(data)]
    for one in own(data, key, since):
        told = [known(rows, places) for each in others if (rows := each.at(one.at)) is not None]
        yield step(one.at, one.rows, told)


def own(data: Path, key: bytes | None = None, since: int = 0) -> Iterator[Rollup]:
    """What an observatory counted itself, what is not public with it. Raises `BadRollup`."""
    alive = _Ahead(Ledger(data / "alive").read(since, key))
    for one in Ledger(data / "ledger").read(since, key):
        yield Rollup(one.at, together(one.rows, alive.at(one.at) or []))


def together(rows: list[Row], private: list[Row]) -> list[Row]:
    """A step's rows and what is not public of it, in order; not what is told to others instead."""
    mine = [row for row in rows if row.source != "r"]
    return sorted([*mine, *private], key=lambda row: row.key)


class _Ahead:
    """Reads beside another ledger."""

    def __init__(self, rollups: Iterator[Rollup]) -> None:
        self._rollups = rollups
        self._next = next(rollups, None)

    def at(self, when: int) -> list[Row] | None:
        """The rows of this step, if there is one."""
        while self._next is not None and self._next.at < when:
            self._next = next(self._rollups, None)
        if self._next is None or self._next.at != when:
            return None
        return self._next.rows
