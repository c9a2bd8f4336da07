"""Scenarios played with real programs: a sample; `holdfast lab run --all` plays them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.lab import matrix, play, scenarios
from holdfast.lab.peers import holdfast
from holdfast.lab.play import Patience, Row


@pytest.mark.timeout(240)
async def test_a_browsers_hello_gets_through_where_ours_are_listed(tmp_path: Path) -> None:
    async with holdfast.boxed(tmp_path) as made:
        listed = {"listed": 2.0, "reset": 0.0}
        row = await play.play(made, scenarios.find("ja4-list"), listed, columns=("connect", "text"))
    assert all(cell.came for cell in row.cells.values()), row
    assert row.verdict == "fingerprint"
    assert any("by browser: works" in fact for fact in row.evidence)


@pytest.mark.timeout(240)
async def test_what_gets_through_a_freeze_a_listed_fingerprint_and_nothing(tmp_path: Path) -> None:
    rows: dict[str, Row] = {}
    columns = ("connect", "text", "voice")
    async with holdfast.boxed(tmp_path) as made:
        for id in ("ja4-list", "tcp16-20", "shutdown"):
            patience = Patience(connect=15) if id == "shutdown" else None
            one = scenarios.find(id)
            rows[id] = await play.play(made, one, columns=columns, patience=patience)
    for id in ("ja4-list", "tcp16-20"):
        assert all(cell.came for cell in rows[id].cells.values()), rows[id]
        assert rows[id].verdict == rows[id].expected, rows[id]
    assert not any(cell.came for cell in rows["shutdown"].cells.values())
    lines = matrix.tables(list(rows.values())).splitlines()
    assert lines[0].startswith("| scenario | connects | text |")
    assert "| no | no | no |" in lines[-1]
