"""Five minutes of a cell in one row: what detectors, charts and other watches go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from holdfast.watch.journal import Entry, Text

THOUSAND: Final = 1000
Count = Annotated[int, Meta(ge=0, le=2**40)]


class Row(Struct, array_like=True, forbid_unknown_fields=True):
    """One cell's sums. Rows with the same key add up, in any order."""

    source: Annotated[str, Meta(pattern=r"^[cfmar]\Z")]
    """As in `Entry`; r: installations active last month, blurred, of one watch for others."""
    region: Text
    operator: Text
    function: Text
    seen: Count = 0
    failed: Count = 0
    """Of measurements; 0 for complaints, each of which is one that something failed."""
    verdicts: dict[Text, Count] = {}
    """Of failed measurements."""
    rate: Count = 0
    control: Count = 0
    rated: Count = 0
    """Measurements that have both rates, whose sums `rate` and `control` are, in kbit/s."""
    grade: Count = 0
    graded: Count = 0
    """Measurements that have a grade, whose sum `grade` is."""
    share: Count = 0
    """Sum of thousandths of the control's rate that each rated one reached, a thousand at most."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the sums are of."""
        return self.source, self.region, self.operator, self.function


class Rollup(Struct, array_like=True, forbid_unknown_fields=True):
    """All rows of five minutes, in the order of their keys."""

    at: Annotated[int, Meta(ge=0)]
    rows: list[Row]


class BadRollup(ValueError):
    """Not a rollup."""


_decoder = msgspec.json.Decoder(Rollup)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode(rollup: Rollup) -> bytes:
    """As JSON, always the same bytes for the same sums."""
    return _encoder.encode(rollup)


def decode(data: bytes) -> Rollup:
    """Parse what `encode` gave. Raises `BadRollup`."""
    try:
        rollup = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRollup(f"not a rollup: {type(error).__name__}") from None
    keys = [row.key for row in rollup.rows]
    if keys != sorted(set(keys)) or rollup.at % 300:
        raise BadRollup("not a rollup: rows out of order")
    return rollup


class Sums:
    """Rows of one span of time as they come in."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str, str], Row] = {}

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        key = (entry.source, entry.region, entry.operator, entry.function)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Row(*key, verdicts={})
        row.seen += 1
        if entry.source == "m":
            if not entry.ok:
                row.failed += 1
                row.verdicts[entry.verdict] = row.verdicts.get(entry.verdict, 0) + 1
            if entry.rate and entry.control:
                row.rate += entry.rate
                row.control += entry.control
                row.rated += 1
                row.share += min(THOUSAND, THOUSAND * entry.rate // entry.control)
            if entry.grade:
                row.grade += entry.grade
                row.graded += 1

    def merge(self, rows: Iterable[Row]) -> None:
        """Add rows of another watch, or of another time."""
        for other in rows:
            row = self._rows.get(other.key)
            if row is None:
                row = self._rows[other.key] = Row(*other.key, verdicts={})
            row.seen += other.seen
            row.failed += other.failed
            row.rate += other.rate
            row.control += other.control
            row.rated += other.rated
            row.grade += other.grade
            row.graded += other.graded
            row.share += other.share
            for verdict, count in other.verdicts.items():
                row.verdicts[verdict] = row.verdicts.get(verdict, 0) + count

    def rows(self) -> list[Row]:
        """In the order of their keys."""
        return [self._rows[key] for key in sorted(self._rows)]


def rollups(entries: Iterable[Entry]) -> dict[int, list[Row]]:
    """Rows by the second at which their five minutes began."""
    sums: dict[int, Sums] = {}
    for entry in entries:
        if entry.at not in sums:
            sums[entry.at] = Sums()
        sums[entry.at].add(entry)
    return {at: sums[at].rows() for at in sorted(sums)}
