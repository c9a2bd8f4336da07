"""No decoder of the core is without a target: a new one has to be named here or fuzzed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import holdfast

CORE = Path(holdfast.__file__).parent / "core"
DECODES = re.compile(r"^(decode|parse|read|open|unpack|receive|feed)(_|$)")
TAKES = {"data", "blob", "record", "text", "body", "frame", "packet", "line", "plain", "sealed"}
REACHED = {
    "bursts": "call-said: every burst of a call goes through it",
    "outer": "record: the first thing that opens one",
    "waiting": "record: what the outer key gives",
}
"""Modules whose decoders a target of another name runs, and which."""


def decoders(source: str) -> Iterator[str]:
    """Functions that by name and argument read what somebody else wrote."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.FunctionDef)
            and DECODES.match(node.name)
            and TAKES & {arg.arg for arg in node.args.args}
        ):
            yield node.name


def without_a_target(modules: dict[str, str], targets: str) -> list[str]:
    """Modules with a decoder that no target names."""
    return [
        name
        for name, source in modules.items()
        if any(decoders(source)) and name not in REACHED
        if not re.search(rf"\b{name}\b", targets)
    ]


def targets() -> str:
    return "".join(
        file.read_text()
        for file in Path(__file__).parent.glob("*.py")
        if file.name != Path(__file__).name
    )


def test_every_decoder_has_a_target() -> None:
    modules = {file.stem: file.read_text() for file in sorted(CORE.rglob("*.py"))}
    assert sum(any(decoders(source)) for source in modules.values()) > 15
    assert without_a_target(modules, targets()) == []


def test_twin_a_new_decoder_without_one_is_found() -> None:
    new = {"parcel": "def decode(data: bytes) -> int:\n    return data[0]\n"}
    assert without_a_target(new, targets()) == ["parcel"]
