"""compress-oracle: a secret and an attacker's guess are compressed together, and the length tells
whether the guess was right.

Elsewhere: Threema's backups (2023); CRIME, BREACH. Here nothing is compressed before it is sealed,
so that a record's length follows from the content's length alone.
"""

import ast
import zlib
from pathlib import Path

import pytest

import holdfast
from holdfast.core.seal import padding, pairwise
from holdfast.testing.pairs import DAY, NOW, meet, seeded, settle

SECRET = b"the code of the door is 4711-0815-2342"
ROOT = Path(holdfast.__file__).parent
COMPRESSES = {"zlib", "gzip", "bz2", "lzma", "brotli", "zstandard", "zstd", "zipfile", "tarfile"}
KEEPS_NO_SECRETS = {"store", "watch", "lab"}
"""Parts that hold no key to anything that people write: what they compress or sum is public, or
sealed already."""


def told(guesses: list[bytes]) -> set[int]:
    """Lengths of records with a secret and a guess in each, just below the end of a size class."""
    anna, boris = meet("compress-oracle").pair
    settle(anna, boris, NOW + DAY)
    room = pairwise.SMALL_CONTENT
    found = set()
    for guess in guesses:
        filling = bytes(range(256))[: room - len(SECRET) - len(guess)]
        content = SECRET + guess + filling
        found.add(len(anna.seal(content, NOW, seeded("guess")).blob))
    return found


GUESSES = [
    SECRET,
    b"x9#Lq2~mZ0&vB7!tK4@wR6^yU1*oP3(aS5)dF8"[: len(SECRET)].ljust(len(SECRET), b"?"),
]


def test_a_length_tells_nothing_of_what_stands_beside_it() -> None:
    assert len(told(GUESSES)) == 1


def test_twin_compressed_before_it_is_sealed_the_guess_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seal = pairwise.Pairwise.seal
    monkeypatch.setattr(padding, "CLASSES", tuple(range(64, 65_537)))
    monkeypatch.setattr(
        pairwise.Pairwise, "seal", lambda self, data, *more: seal(self, zlib.compress(data), *more)
    )
    assert len(told(GUESSES)) > 1


def compressors(source: str) -> set[str]:
    """What a module imports that compresses."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & COMPRESSES


def test_whoever_holds_secrets_cannot_compress() -> None:
    for file in sorted(ROOT.rglob("*.py")):
        if file.relative_to(ROOT).parts[0] not in KEEPS_NO_SECRETS:
            assert not compressors(file.read_text()), file


def test_twin_an_import_would_be_seen() -> None:
    assert compressors("from zlib import compress\nimport gzip") == {"zlib", "gzip"}
