"""The encryption between two devices. Normative text: spec/seal.md."""

from typing import Final

VERSION: Final = 1
"""Of the specification and of every format in this package."""
