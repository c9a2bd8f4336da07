"""The survival matrix: what came of each scenario for each peer, on record and as a table.

A record is a line of JSON with one row. A run that is begun again with the same file goes on where
it was. Nothing is in the table that was not measured.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from holdfast.lab.peers import BOX, MINE
from holdfast.lab.play import COLUMNS, Cell, Row
from holdfast.lab.scenarios import Scenario

HEADINGS: Final = {
    "connect": "connects",
    "again": "again",
    "text": "text",
    "voice": "voice note",
    "file": "file",
    "in file": "file under way",
    "call": "call",
    "in call": "call under way",
}
"""In the order in which they are shown."""
FIGURES: Final = {
    "connect": "first connection in a new network",
    "again": "connection in a network that is known",
    "text": "a text, once connected",
}
FEWEST: Final = 5
"""Scenarios of which something can be said together."""
BEGIN: Final = "<!-- made by: holdfast lab run --all --readme -->"
LISTED: Final = "<!-- made by: holdfast lab list --page -->"
END: Final = "<!-- end -->"


def write(path: Path, row: Row, about: dict[str, Any]) -> None:
    """Add a row to the record, with when that was."""
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with path.open("a") as file:
        file.write(json.dumps({**about, **asdict(row), "ended": ended}) + "\n")


def read(path: Path, about: dict[str, Any]) -> list[Row]:
    """The rows that were measured under the same circumstances, the last of each. A line that
    was cut short, or is of another form, is left out."""
    found: dict[tuple[str, str], Row] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            if all(record.pop(name) == value for name, value in about.items()):
                record["cells"] = {name: Cell(**cell) for name, cell in record["cells"].items()}
                row = Row(**{name: record[name] for name in Row.__dataclass_fields__})
                found[row.peer, row.id] = row
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return list(found.values())


def tables(rows: Sequence[Row]) -> str:
    """In Markdown: Holdfast with its verdict and some figures, then the others."""
    mine = [row for row in rows if row.peer in (MINE, BOX)]
    others = [row for row in rows if row.peer not in (MINE, BOX)]
    parts = [_mine(mine), figures(mine)] if mine else []
    parts += [_others(others)] if others else []
    return "\n\n".join(part for part in parts if part)


def figures(rows: Sequence[Row]) -> str:
    """Of all scenarios together in which connecting was possible, in Markdown."""
    there = [row for row in rows if "connect" in row.cells and row.cells["connect"].came]
    if len(there) < FEWEST:
        return ""
    lines = ["| over these scenarios | half | 95 % | not at all |", "|---|---|---|---|"]
    for name, says in FIGURES.items():
        cells = [row.cells[name] for row in there if name in row.cells]
        times = sorted(cell.seconds for cell in cells if cell.came)
        if times:
            half, most = (times[math.ceil(len(times) * share) - 1] for share in (0.5, 0.95))
            lines.append(f"| {says} | {half:.1f} s | {most:.1f} s | {len(cells) - len(times)} |")
    under_way = [row.cells["in file"] for row in there if "in file" in row.cells]
    kept = sum(cell.kept for cell in under_way)
    if under_way:
        lines.append(
            f"| files under way of which nothing was lost | {kept} of {len(under_way)} | | |"
        )
    return "\n".join(lines)


def _mine(rows: Sequence[Row]) -> str:
    names = [name for name in HEADINGS if any(name in row.cells for row in rows)]
    lines = [
        _line(["scenario", *(HEADINGS[name] for name in names), "says"]),
        _rule(len(names) + 2),
    ]
    for row in rows:
        good = row.verdict in row.expected.split()
        verdict = row.verdict if good or not row.verdict else f"{row.verdict} ({row.expected})"
        lines.append(_line([row.id, *(cell(name, row) for name in names), verdict]))
    return "\n".join(lines)


def _others(rows: Sequence[Row]) -> str:
    """A line for each scenario, columns for each peer and what it has."""
    columns: list[tuple[str, str]] = []
    for row in rows:
        for name in HEADINGS:
            if name in row.cells and name not in ("connect", "again"):
                columns += [(row.peer, name)] if (row.peer, name) not in columns else []
    by = {(row.peer, row.id): row for row in rows}
    heads = [f"{peer}: {HEADINGS[name]}" for peer, name in columns]
    lines = [_line(["scenario", *heads]), _rule(len(columns) + 1)]
    for id in dict.fromkeys(row.id for row in rows):
        cells = [cell(name, by[peer, id]) if (peer, id) in by else "" for peer, name in columns]
        lines.append(_line([id, *cells]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(count: int) -> str:
    return "|" + "---|" * count


def cell(name: str, row: Row) -> str:
    """One wish in a few characters; empty if it was not measured."""
    found = row.cells.get(name)
    if found is None:
        return ""
    if name in ("call", "in call"):
        if found.came:
            return "yes" if name == "in call" else f"{found.seconds:.1f} s"
        return f"no ({found.heard:.2f})" if found.heard else "no"
    if found.came:
        return f"{found.seconds:.1f} s" + ("" if found.kept else ", anew")
    if 0 < found.share < 1:
        return f"{found.share:.0%} in {found.seconds:.0f} s"
    return "no"


def into(text: str, made: str, begin: str = BEGIN) -> str:
    """A page with what stands between the marks made anew. Raises ValueError without marks."""
    found = re.compile(re.escape(begin) + r"\n.*?" + re.escape(END), re.DOTALL)
    if not found.search(text):
        raise ValueError(f"there is no line {begin}, with {END} below it")
    return found.sub(lambda _: f"{begin}\n{made}\n{END}", text, count=1)


def scenarios(all: Sequence[Scenario]) -> str:
    """What can be played, in Markdown."""
    lines = [
        "| scenario | what happens | parameters | gets through | verdict |",
        "|---|---|---|---|---|",
    ]
    for one in all:
        spans = [f"{name} {low:g} to {high:g}" for name, (low, high) in one.ranges.items()]
        source = f" *{one.source}*" if one.source else ""
        alone = " Packet lab only." if one.needs_packets else ""
        through = ", ".join(one.survives) or "nothing"
        verdict = " or ".join(one.verdict.split())
        cells = (one.id, one.says + alone + source, "; ".join(spans), through, verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


assert set(HEADINGS) == set(COLUMNS)
