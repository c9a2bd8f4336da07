"""Real speech."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.listening import speech


@pytest.fixture(params=range(4))
def clip(request: pytest.FixtureRequest) -> Path:
    return speech()[request.param]
