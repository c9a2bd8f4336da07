"""How fast the archive takes reports, and how long questions take when it holds a billion.

`python bench/watch/archive.py [--rows N] [--folder DIR]`, with the group `archive` installed.

- *taking*: entries of a journal on the disk to rows of the table, in batches; wall clock of one
  process that has both cores.
- *checking*: "is it only me?" from five-minute rollups, and the same counted from raw rows; the
  median and the slowest of 40 cells, after the folder was opened anew. Rows are made by ClickHouse
  itself: 27 regions, three operators, six functions, 400 days.
- *memory*: the most that the process had.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.core.report import FUNCTIONS
from holdfast.watch.archive import DATABASE, Archive, Here
from holdfast.watch.journal import DAY, STEP, Entry, frame

Row = tuple[str, str]
REGIONS = [f"R{number:02}" for number in range(27)]
OPERATORS = ("veltel", "sayat", "orbis")
CELLS = len(REGIONS) * len(OPERATORS) * len(FUNCTIONS)
BEGINS = 20_000 * DAY
DAYS = 400
SEEN = 90
"""Days of which there are rollups: more than a question looks at."""
PART = 5_000_000
KEY = bytes(32)


def taking(count: int = 8_000_000) -> Iterator[Row]:
    """From the journal into the table."""
    draw = random.Random(1)
    made = [
        Entry(BEGINS, "c", draw.choice(REGIONS), draw.choice(OPERATORS), draw.choice(FUNCTIONS),
              spent=draw.randbytes(16), kind="calls", window=20_000)
        for _ in range(4096)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        data = Path(directory)
        (data / "journal").mkdir()
        with (data / "journal" / f"{BEGINS // DAY}.journal").open("wb") as file:
            for _ in range(count // len(made)):
                file.write(frame(made))
        tables = Here(data / "archive")
        archive = Archive(tables, KEY)
        began, used = time.monotonic(), time.process_time()
        added = archive.follow(data)
        took, used = time.monotonic() - began, time.process_time() - used
        tables.close()
    yield (
        "Reports from the journal into the archive, in batches",
        f"{added / took:,.0f} a second, {added / used:,.0f} a core-second",
    )


def cell(number: str) -> str:
    """Columns of a cell by its number, in SQL."""
    regions, operators, functions = (list(each) for each in (REGIONS, OPERATORS, FUNCTIONS))
    return (
        f"{regions}[1 + {number} % 27] as region, {operators}[1 + intDiv({number}, 27) % 3] as"
        f" operator, {functions}[1 + intDiv({number}, 81) % 6] as function"
    )


def fill(tables: Here, rows: int) -> None:
    """Make what is not there yet, in the order of time."""
    have = int(tables.ask(f"select count() from {DATABASE}.raw", "TSV"))
    while have < rows:
        part = min(PART, rows - have)
        number = f"(number + {have})"
        at = f"{BEGINS} + intDiv({number}, {max(1, rows // (DAYS * 288))}) * {STEP}"
        tables.ask(
            f"insert into {DATABASE}.raw select '{KEY.hex()}', {at},"
            f" ['c', 'f', 'm'][1 + number % 3], {cell(f'cityHash64({number})')},"
            " number % 7 > 0, '', 0, 0, 0, 0, 0"
            f" from numbers({part}) settings max_partitions_per_insert_block = 100"
        )
        have += part
        print(f"{have:,} raw rows", file=sys.stderr, flush=True)
    made = set(
        tables.ask(
            f"select distinct toUnixTimestamp(toStartOfDay(at)) from {DATABASE}.rollup", "TSV"
        ).split()
    )
    for day in range(DAYS - SEEN, DAYS):
        start = BEGINS + day * DAY
        if str(start).encode() in made:
            continue
        tables.ask(
            f"insert into {DATABASE}.rollup select '{KEY.hex()}',"
            f" {start} + intDiv(number, {2 * CELLS}) * {STEP} as at,"
            " ['c', 'm'][1 + number % 2] as source,"
            f" {cell('intDiv(number, 2)')}, 9, 1, map(), 0, 0, 0, 0, 0"
            f" from numbers({2 * CELLS * 288})"
        )


def checking(folder: Path, rows: int) -> Iterator[Row]:
    """Questions to a full archive."""
    tables = Here(folder)
    archive = Archive(tables, KEY)
    fill(tables, rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    raw, rolled = (
        int(tables.ask(f"select count() from {DATABASE}.{table}", "TSV"))
        for table in ("raw", "rollup")
    )
    size = int(
        tables.ask(
            f"select sum(bytes_on_disk) from system.parts where active and database = '{DATABASE}'",
            "TSV",
        )
    )
    draw = random.Random(2)
    now = BEGINS + (DAYS - 3) * DAY
    by_rollup, by_raw = [], []
    for _ in range(40):
        region, function = draw.choice(REGIONS), draw.choice(FUNCTIONS)
        at = now + draw.randrange(DAY)
        began = time.perf_counter()
        found = archive.check(region, function, at)
        by_rollup.append(time.perf_counter() - began)
        assert int(found["complaints"]) > 0, found
        hours = " or ".join(
            f"at between {at - 3600 - week * 604_800} and {at - week * 604_800}"
            for week in range(9)
        )
        began = time.perf_counter()
        answer = tables.ask(
            f"select countIf(at >= {at - 3600}), count() / 9 from {DATABASE}.raw where region ="
            f" '{region}' and function = '{function}' and source != 'm' and ({hours})",
            "TSV",
        )
        by_raw.append(time.perf_counter() - began)
        assert int(answer.split()[0]) > 0
    memory = max(memory, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    tables.close()
    for name, times in (("rollups", by_rollup), ("raw rows", by_raw)):
        yield (
            f"Is it only me? with {raw:,} raw rows and {rolled:,} rollups, from {name}: p50, worst",
            f"{statistics.median(times) * 1e3:.0f}, {max(times) * 1e3:.0f} ms",
        )
    yield "The same on the disk", f"{size / 1e9:.1f} GB"
    yield "Most memory of the process", f"{memory:.0f} MiB"


def main() -> None:
    """Print rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, help="kept, and gone on with")
    parser.add_argument("--only", choices=("taking", "checking"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        if asked.only != "checking":
            for name, value in taking():
                print(f"{name}: {value}", flush=True)
        if asked.only != "taking":
            for name, value in checking(asked.folder or Path(directory), asked.rows):
                print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
