"""Everything that the node offers can be reached from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import holdfast.cli
from holdfast.node.rpc import METHODS


def test_every_call_of_the_node_has_a_command() -> None:
    folder = Path(holdfast.cli.__file__).parent
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.py")))
    called = set(re.findall(r"node\.(\w+)\(", text)) | set(re.findall(r'call\("(\w+)"', text))
    assert set(METHODS) == called & set(METHODS)
