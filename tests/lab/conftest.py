"""For the tests of the lab."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `fields`
pytest.register_assert_rewrite("claims_of_blocking", "claims_of_bad_networks")
