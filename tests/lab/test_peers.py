"""Peers on the lab's hosts: a sample; `holdfast lab run --all` measures them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.lab import peers, play, scenarios
from holdfast.lab.hosts import CannotPlay
from holdfast.lab.peers import base
from holdfast.lab.play import Patience


@pytest.mark.timeout(120)
async def test_everything_arrives_without_udp_also_what_was_under_way(tmp_path: Path) -> None:
    columns = ("connect", "text", "voice", "file", "in file")
    async with peers.make("holdfast")(tmp_path) as stage:
        row = await play.play(
            stage, scenarios.find("udp-sweep"), size=3_000_000, columns=columns, concluded=0
        )
    assert tuple(row.cells) == columns
    assert all(cell.came and cell.kept for cell in row.cells.values()), row


@pytest.mark.timeout(120)
async def test_a_peers_things_arrive_where_nobody_hinders_them_only(tmp_path: Path) -> None:
    columns = ("connect", "text", "voice", "file")
    passes = scenarios.find("open")
    async with peers.make("xmpp")(tmp_path) as stage:
        blocked = await play.play(
            stage, scenarios.find("shutdown"), columns=columns[:2], concluded=0,
            patience=Patience(connect=2),
        )  # fmt: skip
        row = await play.play(stage, passes, size=300_000, columns=columns, concluded=0)
    assert not any(cell.came for cell in blocked.cells.values()), blocked
    assert tuple(row.cells) == columns
    assert all(cell.came for cell in row.cells.values()), row


def test_what_is_missing_is_named_in_one_sentence() -> None:
    base.need({"sh": "dash"}, ["json"])
    with pytest.raises(CannotPlay, match="needs a-package, for example: apt-get install a-package"):
        base.need({"sh": "dash", "no-such-program": "a-package"})
    with pytest.raises(CannotPlay, match="pip install no_such_module"):
        base.need({}, ["no_such_module"])
