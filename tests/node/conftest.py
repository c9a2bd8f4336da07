"""What several tests here share is beside them: `living`, `chatters`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from node.living import world

__all__ = ["world"]
