"""Scenarios played with real programs: a sample; `holdfast lab run --all` plays them all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.lab import matrix, play, scenarios
from holdfast.lab.peers import holdfast
from holdfast.lab.play import Patience, Row

LISTED = {"listed": 2.0, "reset": 0.0}


@pytest.mark.timeout(240)
async def test_what_gets_through_a_freeze_listed_fingerprints_and_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "HOPELESS", 1.0)

    async def played(id: str, *columns: str) -> Row:
        patience = Patience(connect=5) if id == "shutdown" else Patience(voice=90)
        changed = LISTED if id == "ja4-list" else None
        one = scenarios.find(id)
        async with holdfast.boxed(tmp_path / id) as made:
            return await play.play(made, one, changed, columns=columns, patience=patience)

    # Side by side: most of it is waiting.
    found = await asyncio.gather(
        played("ja4-list", "connect", "text"),
        played("tcp16-20", "connect", "text", "voice"),
        played("shutdown", "connect", "text", "voice"),
    )
    rows = dict(zip(("ja4-list", "tcp16-20", "shutdown"), found, strict=True))
    for id in ("ja4-list", "tcp16-20"):
        assert all(cell.came for cell in rows[id].cells.values()), rows[id]
        assert rows[id].verdict == rows[id].expected, rows[id]
    assert not any(cell.came for cell in rows["shutdown"].cells.values())
    lines = matrix.tables(list(rows.values())).splitlines()
    assert lines[0].startswith("| scenario | connects | text |")
    assert "| no | no | no |" in lines[-1]
