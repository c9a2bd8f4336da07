"""Start-up: how long until `make run` is ready, when everything is set up.

    python bench/startup.py [ROUNDS]

Runs tools/run.py as it is, in a folder of its own, and reads what it says; the first round
sets up and is not counted.
"""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def once(data: str) -> float:
    """Seconds from the command to an address that answers. Raises `RuntimeError`."""
    command = [sys.executable, str(ROOT / "tools" / "run.py"), "--no-browser"]
    command += ["--data", data, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"ready in ([0-9.]+) s", line):
                return float(found[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    raise RuntimeError("it did not start; what it said is above")


def figures(rounds: int = 5) -> list[tuple[str, str]]:
    """Name and value, with its unit."""
    with tempfile.TemporaryDirectory() as data:
        once(data)
        times = sorted(once(data) for _ in range(rounds))
    value = f"{statistics.median(times):.2f} s (worst of {rounds}: {times[-1]:.2f} s)"
    return [("make run, set up before: ready in", value)]


if __name__ == "__main__":
    for name, value in figures(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        print(f"{name} {value}")
