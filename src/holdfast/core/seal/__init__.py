"""The encryption between two devices. Normative text: spec/seal.md."""

from collections.abc import Callable
from typing import Final

VERSION: Final = 1
"""Of the specification and of every format in this package."""

Entropy = Callable[[int], bytes]
"""Draws so many random bytes: `secrets.token_bytes`, or what a test passes in."""
