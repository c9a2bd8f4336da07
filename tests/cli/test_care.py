"""`holdfast relay verify|compact|backup|drain`, beside a relay that runs and one that does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli import main
from holdfast.cli.say import Exit
from holdfast.testing.processes import Processes


@pytest.mark.timeout(180)
def test_a_relay_is_looked_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def care(what: str, data: Path, *more: str, code: Exit = Exit.OK) -> Any:
        assert main(["relay", what, "--data", str(data), *more, "--json"]) == code
        out = capsys.readouterr()
        return json.loads(out.out) if code == Exit.OK else out.err

    with Processes(tmp_path) as run:
        relay = run.relay()
        address = relay.address
        anna = run.node("Anna", address)
        assert main(["invite", "--home", str(anna.directory)]) == Exit.OK
        capsys.readouterr()
        data, copy = relay.directory, tmp_path / "copy"
        assert care("verify", data)["damaged"] == 0
        assert care("backup", data, "--to", str(copy)) == {"to": str(copy)}
        assert "nother relay is using" in care("compact", data, code=Exit.FAILED)
        assert care("drain", data) == {"running": False}
        assert relay.wait(20)  # it lets go of its directory, and then ends
        assert care("drain", data) == {"running": False}
        for place in (data, copy):
            assert set(care("compact", place)) == {"before", "after"}
            found = care("verify", place)
            assert found["logs"] > 0 == found["damaged"] == found["missing"]
        shutil.rmtree(data)
        copy.rename(data)
        relay.start()
        assert relay.address.rpartition("/")[2] == address.rpartition("/")[2]
    assert "goes with backup" in care("backup", data, code=Exit.USAGE)
    assert "--listen" in care("run", data, code=Exit.USAGE)
    assert "no relay's store" in care("verify", tmp_path, code=Exit.FAILED)
