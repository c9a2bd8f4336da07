"""A network on which large packets vanish, in the packet lab: with a real relay and a real node."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_udp import WORLD, reaching, said, town

from holdfast.lab import scenarios


@pytest.mark.parametrize("size", [1_280, 1_480])
def test_what_is_too_large_is_sent_in_smaller_pieces_and_nobody_is_accused(
    tmp_path: Path, size: int
) -> None:
    with town(tmp_path / "relay") as (lab, address):
        lab.begin(scenarios.find("mtu-black-hole").stage(WORLD, size=size))
        with reaching(lab, address, 9) as node:
            first = said(node)
            assert first["by"] == "websocket" and first["seconds"] < 10, first
            found = said(node)
        assert found["verdict"] == "clear", found
        assert found["by"] == ["websocket"], found
