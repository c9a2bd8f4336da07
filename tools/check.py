"""Check everything: `make test`; with --lint only what needs no running.

Every stage has a time limit of its own and its duration is printed. All stages run even if
one fails; the last line counts tests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import setup

COUNTS = re.compile(r"(\d+) (passed|failed|error|errors)\b")
PLACE = re.compile(r'(?:\burl = |registry = |"resolved": )"((?:https?|file):/*[^/"]*)')
PUBLIC = {"https://pypi.org", "https://files.pythonhosted.org", "https://registry.npmjs.org"}


@dataclass(frozen=True)
class Stage:
    """One program; `limit` is in seconds."""

    name: str
    command: Sequence[str | Path]
    limit: int
    env: dict[str, str] | None = None
    cwd: Path = setup.ROOT


def python_stages() -> list[Stage]:
    """What checks the Python without running it."""
    tools = setup.VENV / "bin"
    generate: list[str | Path] = [setup.PYTHON, "-m", "holdfast.node.generate", "--check"]
    return [
        Stage("public registries in locks", [setup.PYTHON, __file__, "--locks"], 30),
        Stage("ruff check", [tools / "ruff", "check", "-q"], 60),
        Stage("ruff format", [tools / "ruff", "format", "--check", "-q"], 60),
        Stage("mypy", [tools / "mypy", "--no-error-summary"], 300),
        Stage("import contracts", [tools / "lint-imports"], 120),
        Stage("generated code", generate, 60),
    ]


def web_stages() -> list[Stage]:
    """The scripts `check`, `lint` and `test` of web/package.json, those that there are."""
    manifest = setup.WEB / "package.json"
    if not manifest.exists():
        return []
    setup.web_modules()
    scripts = json.loads(manifest.read_text()).get("scripts", {})
    npm, env = setup.npm()
    return [
        Stage(f"web {name}", [*npm, "run", "--silent", name], 300, env, setup.WEB)
        for name in ("check", "lint", "test")
        if name in scripts
    ]


def run(stage: Stage) -> tuple[bool, list[str]]:
    """Run it, passing on what it says; what it said is returned too."""
    print(f"\n== {stage.name} (at most {stage.limit} s)", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in stage.command],
        cwd=stage.cwd,
        env=os.environ | (stage.env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(stage.limit, stop)
    timer.start()
    lines = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        good = process.wait() == 0
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
        process.stdout.close()
    how = "passed" if good else f"over its limit of {stage.limit} s" if late.is_set() else "FAILED"
    print(f"== {stage.name}: {how} in {time.monotonic() - began:.1f} s", flush=True)
    return good, lines


def foreign() -> list[str]:
    """Places in the lock files that are not public registries."""
    found: set[str] = set()
    for name in ("uv.lock", "web/package-lock.json"):
        path = setup.ROOT / name
        text = path.read_text() if path.exists() else ""
        found.update(f"{name}: {host}" for host in PLACE.findall(text) if host not in PUBLIC)
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check everything.")
    parser.add_argument("--lint", action="store_true", help="run no tests")
    parser.add_argument("--locks", action="store_true", help="only where locked packages are from")
    asked = parser.parse_args()
    if asked.locks:
        print("\n".join(foreign()) or "Only public registries.")
        return 1 if foreign() else 0
    began = time.monotonic()
    try:
        if asked.lint:
            setup.packages()
            stages = python_stages()
        else:
            setup.set_up(["archive"])
            setup.browser()
            setup.speech()
            setup.authority()
            setup.model_checker()
            setup.peers()
            setup.web_server()
            setup.oonidata()
            setup.lab()
            tests: list[str | Path] = [
                setup.PYTHON,
                "-m",
                "pytest",
                "-q",
                "-m",
                "not prove",
                "--color=no",
                # Most of it is waiting. A file's tests share what they have started.
                *("-n", "2", "--dist", "loadfile"),
                "--durations=15",
            ]
            stages = [*python_stages(), *web_stages(), Stage("pytest", tests, 1200)]
    except setup.CannotSetUp as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Set up in {time.monotonic() - began:.1f} s")
    counts = {"passed": 0, "failed": 0}
    failed = []
    for stage in stages:
        good, lines = run(stage)
        if not good:
            failed.append(stage.name)
        if stage.name == "pytest":
            summary = next((line for line in reversed(lines) if COUNTS.search(line)), "")
            for number, word in COUNTS.findall(summary):
                counts["passed" if word == "passed" else "failed"] += int(number)
    print(f"\nAll stages took {time.monotonic() - began:.0f} s. ", end="")
    print(f"Failed: {', '.join(failed)}." if failed else "Every stage passed.")
    if not asked.lint:
        print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
