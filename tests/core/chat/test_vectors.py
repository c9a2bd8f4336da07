"""The vectors of contents and of what devices tell each other: made again, and read as arrays."""

import importlib.util
import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.core.chat import content, sync

HERE = Path(__file__).parents[3] / "spec" / "vectors"
KEPT = json.loads((HERE / "chat.json").read_text())
FAMILIES: list[tuple[str, Any]] = [("contents", content), ("devices", sync)]


def plain(value: Any) -> Any:
    """What a reader of MessagePack alone sees, as JSON has it."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


def test_they_are_what_the_code_makes() -> None:
    spec = importlib.util.spec_from_file_location("chat_vectors", HERE / "chat.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.vectors() == KEPT


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_every_kind_is_there_and_read_as_it_stands(name: str, family: Any) -> None:
    kinds = {kind.__struct_config__.tag for kind in typing.get_args(family.Known)}
    assert {each["kind"] for each in KEPT[name]} == kinds
    for each in KEPT[name]:
        data = bytes.fromhex(each["bytes"])
        kind, *elements = msgspec.msgpack.decode(data)
        assert (kind, plain(elements)) == (each["kind"], each["elements"])
        assert family.encode(family.decode(data)) == data


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_what_a_newer_version_adds_is_ignored(name: str, family: Any) -> None:
    for each in KEPT[name]:
        data = bytes.fromhex(each["bytes"])
        longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(data), "more"])
        assert family.decode(longer) == family.decode(data)


def test_typing() -> None:
    frame = content.decode_typing(bytes.fromhex(KEPT["typing"]["bytes"]))
    assert (frame.at, frame.typing) == (KEPT["typing"]["at"], KEPT["typing"]["typing"])
