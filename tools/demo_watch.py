"""Show a living observatory on this machine: `make demo-watch`, `make demo-watch SEED=3`.

A made-up country's last month, with three kinds of interference in it, is played in while one
looks; the page says that it is simulated. Nothing leaves the machine. Ctrl-C ends it.
HOLDFAST_NO_BROWSER=1 leaves opening the address to you.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import webbrowser

import setup

VAR = setup.ROOT / "var" / "demo-watch"
PORT = 7412


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=PORT)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the observatory ends, too
    shutil.rmtree(VAR, ignore_errors=True)
    VAR.mkdir(parents=True)
    command = [
        str(setup.PYTHON), "-m", "holdfast.cli", "watch", "--data", str(VAR), "--no-wait",
        "--listen", f"127.0.0.1:{asked.port}", "--simulate", str(asked.seed),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                return process.wait() or 1
            print(f"The observatory of a made-up country: {address}")
            print("Its last month is being played in, which the page shows. Ctrl-C ends it.")
            if "HOLDFAST_NO_BROWSER" not in os.environ:
                webbrowser.open(address)
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
