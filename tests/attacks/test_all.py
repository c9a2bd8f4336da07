"""Every break that spec/threats.md names has its test here, with a twin in which it succeeds."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
THREATS = HERE.parents[1] / "spec" / "threats.md"
ROW = re.compile(r"^\| ([a-z0-9-]+) \| .+ \|$", re.MULTILINE)
TWIN = re.compile(r"^\s*(?:async )?def test_\w*twin|twin", re.MULTILINE)


def named() -> list[str]:
    """What the table lists."""
    table = THREATS.read_text().partition("## Published breaks")[2]
    return [name for name in ROW.findall(table) if name != "name"]


@pytest.mark.parametrize("name", named())
def test_it_has_a_test_and_a_twin(name: str) -> None:
    source = (HERE / f"test_{name.replace('-', '_')}.py").read_text()
    assert re.search(r"^(?:async )?def test_", source, re.MULTILINE)
    assert TWIN.search(source), f"{name} has no twin"


def test_the_table_is_not_cut_short() -> None:
    assert len(named()) >= 35
