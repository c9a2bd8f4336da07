"""All figures in one table: `make bench`.

Each file beside this one measures one thing and has `figures()`, which gives rows of a name
and a value. The table, in Markdown, is what README shows; the rows are kept with date,
commit and machine in var/bench.jsonl. `--only NAME` runs one file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FILES = (
    "relay_appends",
    "relay.throughput",
    "relay.crowds",
    "relay.recovery",
    "relay.held",
    "relay.peers",
    "messages",
    "groups",
    "sealing",
    "history",
    "new_device",
    "file_copy",
    "paths",
    "startup",
    "watch.detectors",
    "watch.intake",
    "watch.hostile",
    "watch.page",
)


def machine() -> str:
    """In words: what one needs to know to compare."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, everything on one machine over loopback"
    )


def commit() -> str:
    """The commit, marked if something was changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=FILES)
    asked = parser.parse_args()
    sys.path.insert(0, str(HERE))
    day, at, where = time.strftime("%Y-%m-%d", time.gmtime()), commit(), machine()
    rows: list[tuple[str, str]] = []
    for name in asked.only or FILES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(name).figures()
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "bench.jsonl").open("a") as file:
        for name, value in rows:
            line = {"date": day, "commit": at, "machine": where, "name": name, "value": value}
            file.write(json.dumps(line) + "\n")
    print("\n| figure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print(f"\nMeasured {day} at commit {at}: {where}. Made by `make bench`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
