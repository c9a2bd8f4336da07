"""Tests of nodes that are marked `prove` and are in no proof of their own."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """Run them so many times."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "prove", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(directory / "tests"), str(HERE / "node"), str(HERE / "attacks")]
    for _ in range(count):
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
    return {"runs": count}
