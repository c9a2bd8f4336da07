"""`holdfast relay status`, over a real relay."""

import json
import re
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.cli.say import Exit
from holdfast.testing.processes import Processes


def test_a_relay_says_how_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "relay")
    with Processes(tmp_path) as run:
        relay = run.relay("relay")
        assert main(["relay", "status", "--data", data, "--json"]) == Exit.OK
        found = json.loads(capsys.readouterr().out)
        assert found["running"] and found["holdfast_connections"] == 0
        assert main(["relay", "status", "--data", data]) == Exit.OK
        said = capsys.readouterr().out
        assert "Nodes: " in said and re.search("Certificate: 39[67] days left", said)
        assert found["numbers"] in said and found["health"] in said
        relay.stop()
    assert main(["relay", "status", "--data", data]) == Exit.NOT_RUNNING


def test_what_is_no_relay_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "status", "--data", str(tmp_path)]) == Exit.NOT_RUNNING
    assert "holdfast relay" in capsys.readouterr().err
