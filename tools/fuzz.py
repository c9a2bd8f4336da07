"""Fuzz the decoders that strangers reach, watching coverage: `make fuzz`.

Each target of tests/fuzz/test_targets.py gets `--seconds` of libFuzzer through Atheris
(https://github.com/google/atheris). What it finds interesting is kept in var/fuzz/NAME and
gone on from next time; an input that breaks a target is written beside it and printed, and
the exit code is 1. Run it in an environment that has the dependency group `fuzz`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ROOT / "tests" / "fuzz" / "test_targets.py"
CORPUS = ROOT / "var" / "fuzz"
MAX_LENGTH = 8192


def load() -> ModuleType:
    """The file of targets as a module, whatever directory this runs in."""
    spec = importlib.util.spec_from_file_location("fuzz_targets", TARGETS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def fuzz_one(name: str, seconds: int, seed: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["holdfast"]):
        module = load()
    target = module.TARGETS[name]
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LENGTH}",
        f"-seed={seed}",
        f"-artifact_prefix={CORPUS}/{name}-",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="this target; may repeat")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("Atheris is not installed here; run `make fuzz`, which installs it.", file=sys.stderr)
        return 2
    if asked.here:
        fuzz_one(asked.only[0], asked.seconds, asked.seed)
        return 0
    known = list(load().TARGETS)
    names = asked.only or known
    if unknown := sorted(set(names) - set(known)):
        print(f"No target {unknown[0]}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    broken = []
    for name in names:
        command = [sys.executable, __file__, "--here", "--only", name]
        command += ["--seconds", str(asked.seconds), "--seed", str(asked.seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        runs = [line.split()[-1] for line in text.splitlines() if "number_of_executed" in line]
        print(f"{name:16} {runs[-1] if runs else '?':>10} runs, ", end="")
        print("nothing found" if done.returncode == 0 else "BROKEN", flush=True)
        if done.returncode != 0:
            print(text[-4000:])
            broken.append(name)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
