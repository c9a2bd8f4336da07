"""Peers on the lab's hosts: a sample; `holdfast lab run --all` measures them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.lab import peers, play, scenarios
from holdfast.lab.hosts import CannotPlay
from holdfast.lab.peers import base


@pytest.mark.timeout(120)
@pytest.mark.parametrize("peer", ["holdfast", "xmpp"])
async def test_text_voice_and_file_arrive_where_nobody_hinders_them(
    peer: str, tmp_path: Path
) -> None:
    columns = ("connect", "text", "voice", "file")
    async with peers.make(peer)(tmp_path) as stage:
        row = await play.play(
            stage, scenarios.find("open"), size=300_000, columns=columns, concluded=0
        )
    assert tuple(row.cells) == columns
    assert all(cell.came for cell in row.cells.values()), row


def test_what_is_missing_is_named_in_one_sentence() -> None:
    base.need({"sh": "dash"}, ["json"])
    with pytest.raises(CannotPlay, match="needs a-package, for example: apt-get install a-package"):
        base.need({"sh": "dash", "no-such-program": "a-package"})
    with pytest.raises(CannotPlay, match="pip install no_such_module"):
        base.need({}, ["no_such_module"])
