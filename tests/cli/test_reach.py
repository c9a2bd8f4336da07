"""Everything that the node offers can be reached from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import holdfast.cli
from holdfast.cli import own
from holdfast.core import finding
from holdfast.core.finding import SAYS
from holdfast.node.rpc import METHODS
from holdfast.node.schema import Fact, Network, Relay
from holdfast.paths.base import Kind


def test_every_call_of_the_node_has_a_command() -> None:
    folder = Path(holdfast.cli.__file__).parent
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.py")))
    called = set(re.findall(r"node\.(\w+)\(", text)) | set(re.findall(r'call\("(\w+)"', text))
    assert set(METHODS) == called & set(METHODS)


def test_there_are_words_for_every_verdict_and_every_trouble() -> None:
    troubles = get_args(get_type_hints(Relay)["trouble"])
    assert set(own.NETWORKS) == set(get_args(Network))
    assert set(own.TROUBLES) == set(troubles) - {""}


def test_every_fact_that_the_ladder_knows_can_be_told() -> None:
    told = set(get_args(get_type_hints(Fact)["what"]))
    assert told >= set(SAYS) | set(get_args(Kind))
    assert {str(finding.Fact("a.example:1", what, "classic", 64)) for what in told}
