"""Whether a tenth of a region's credentials, in one hand, can raise a public alarm.

`python bench/watch/hostile.py [--trials N] [--seed N] [--share PERCENT] [--watches N] [--creep]`

Each trial is a region and a plan drawn from a seed, as tests/attacks/hostile.py says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from attacks.hostile import creep, trial

Row = tuple[str, str]


def hostile(
    trials: int = 300, seed: int = 1, share: float = 0.1, watches: int = 1, slowly: bool = False
) -> list[Row]:
    """Name and value."""
    raised = {}
    for number in range(seed, seed + trials):
        found = creep(number, share) if slowly else trial(number, share, watches)
        if found:
            raised[number] = found
    told = "; ".join(
        f"seed {number}: " + ", ".join(f"{e.kind} by {[f.code for f in e.reasons]}" for e in found)
        for number, found in list(raised.items())[:8]
    )
    where = "one observatory" if watches == 1 else f"{watches} observatories merged"
    what = "by ever slower measurements, " if slowly else ""
    return [(
        f"Public alarms that {share:.0%} hostile credentials raised, {what}{where}",
        f"{len(raised)} of {trials} regions{': ' if told else ''}{told}",
    )]  # fmt: skip


def figures() -> list[Row]:
    """What `make bench` prints."""
    return [*hostile(), *hostile(100, watches=2), *hostile(20, slowly=True)]


def main() -> None:
    """Print rows as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=10, metavar="PERCENT")
    parser.add_argument("--watches", type=int, default=1)
    parser.add_argument("--creep", action="store_true", help="ever slower measurements")
    asked = parser.parse_args()
    rows = hostile(asked.trials, asked.seed, asked.share / 100, asked.watches, asked.creep)
    for name, value in rows:
        print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
