"""For the tests of the store."""

import itertools
import sys
from pathlib import Path

import pytest

from holdfast.store import shelf

sys.path.insert(0, str(Path(__file__).parent))  # for `benches`


@pytest.fixture(autouse=True)
def keys_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first log's key is 1, the second's 2: easier to read than random ones."""
    monkeypatch.setattr(shelf, "draw_key", itertools.count(1).__next__)
