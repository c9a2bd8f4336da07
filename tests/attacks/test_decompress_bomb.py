"""decompress-bomb: a small record that grows without bound when it is opened.

Elsewhere: Bridgefy, XMPP 2014. Holdfast compresses nothing, so a record can only ever
yield less than it weighs; that is the property, and no decompressor is within reach.
"""

import ast
import importlib.util
import zlib
from pathlib import Path

import pytest

from holdfast.core.seal import inner, padding
from holdfast.core.seal.inner import Inner
from holdfast.testing.pairs import NOW, deliver, meet, seeded

DRAW = seeded("decompress-bomb")
BOMB = zlib.compress(bytes(1 << 25), 9)
COMPRESSORS = {"zlib", "gzip", "bz2", "lzma", "zipfile", "tarfile", "brotli", "zstandard", "lz4"}


def grows() -> bool:
    """Whether 32 KB on the wire become more than they are."""
    anna, boris = meet("decompress-bomb").pair
    blob = boris.seal(BOMB, NOW, DRAW).blob
    (message,) = anna.open(blob, NOW).messages
    return len(message.content) > len(blob)


def test_a_record_never_yields_more_than_it_weighs() -> None:
    assert len(BOMB) < 33_000
    assert not grows()


def test_twin_with_compression_inside_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Inner.decode

    def inflate(data: bytes) -> Inner:
        found = decode(data)
        if found.content is None or found.seq == 1:
            return found
        fields = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return Inner(**{**fields, "content": zlib.decompress(found.content)})

    monkeypatch.setattr(inner.Inner, "decode", staticmethod(inflate))
    monkeypatch.setattr("holdfast.core.seal.pairwise.MAX_CONTENT", 1 << 30)
    assert grows()


def test_a_content_over_the_bound_is_refused_even_from_a_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from holdfast.core.seal import pairwise
    from holdfast.core.seal.hpke import Unopenable

    anna, boris = meet("decompress-bomb").pair
    monkeypatch.setattr(pairwise, "MAX_CONTENT", 62_000)
    blob = boris.seal(bytes(61_000), NOW, DRAW).blob
    monkeypatch.undo()
    with pytest.raises(Unopenable):
        anna.open(blob, NOW)


def test_no_length_inside_a_record_makes_room_before_it_is_checked() -> None:
    huge = b"\xff\xff\xff\xff" + bytes(508)
    with pytest.raises(ValueError, match="not padded"):
        padding.unpad(huge)


def test_core_imports_no_decompressor() -> None:
    spec = importlib.util.find_spec("holdfast.core")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not COMPRESSORS & {name.split(".")[0] for name in names}, file


def test_the_bomb_arrives_as_the_bytes_it_is() -> None:
    anna, boris = meet("decompress-bomb").pair
    assert deliver(boris, anna, BOMB).messages[0].content == BOMB
