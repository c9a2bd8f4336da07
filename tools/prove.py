"""The long proofs: `make prove`.

A proof is a function `prove(seed, count, directory)` in a file of tests, which raises
AssertionError when a promise is broken. It is run here in chunks, each with a seed of its
own; after each a line is added to var/prove/NAME.jsonl with the commit, seed, count,
duration and result. Stop with Ctrl-C whenever you like: the next run goes on behind the
chunks that this commit has passed.

    make prove                                     all that is missing
    python tools/prove.py --only kills --count 50  a part of one
    python tools/prove.py --list                   what there is
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "var" / "prove"


@dataclass(frozen=True)
class Proof:
    """`count` in all, `chunk` at a time; `what` is what is counted."""

    file: str
    count: int
    chunk: int
    what: str
    says: str
    function: str = "prove"
    judge: str = ""
    """Of a proof by numbers: what looks at the figures of all chunks together."""


PROOFS = {
    "schedules": Proof(
        "tests/simulation/test_simulation.py",
        100_000,
        250,
        "schedules",
        "whatever people, relays and the network do: nothing lost, doubled, misattributed or read",
    ),
    "survival": Proof(
        "tests/lab/test_survival.py",
        60,
        10,
        "networks",
        "text, voice notes and calls pass in documented ways of blocking, parameters drawn afresh",
    ),
    "nats": Proof(
        "tests/lab/test_direct.py",
        10,
        5,
        "calls",
        "where NATs let nothing straight through, calls go by relays, and no other way",
    ),
    "store-crashes": Proof(
        "tests/faults/test_store_crashes.py",
        20_000,
        1_000,
        "crash states",
        "what the relay's store answered survives a power cut",
    ),
    "store-kills": Proof(
        "tests/faults/test_store_kills.py",
        20_000,
        1_000,
        "kills",
        "what the relay's store answered survives kill -9 at random and at named points",
    ),
    "node-crashes": Proof(
        "tests/faults/test_node_crashes.py",
        6_000,
        600,
        "crash states",
        "what a node's API answered survives a power cut, and nothing is sealed twice",
    ),
    "kills": Proof(
        "tests/faults/test_kills.py",
        1_000,
        50,
        "kill rounds",
        "kill -9 under traffic loses, doubles and reorders nothing, and reuses no ratchet",
    ),
    "groups": Proof(
        "tests/faults/test_groups.py",
        1_000,
        20,
        "kills",
        "kill -9 while a group talks loses, doubles and misplaces nothing for anybody",
    ),
    "channels": Proof(
        "tests/faults/test_channels.py",
        300,
        20,
        "kills",
        "kill -9 while a channel is written loses, doubles and forks no post",
    ),
    "fleet": Proof(
        "tests/faults/test_fleet.py",
        300,
        15,
        "kills",
        "front ends and servers of a fleet are killed under traffic: nothing is lost or doubled",
    ),
    "moves": Proof(
        "tests/faults/test_moves.py",
        300,
        30,
        "kill rounds",
        "kill -9 while inboxes move between relays loses, doubles and reorders nothing",
    ),
    "devices": Proof(
        "tests/node/test_devices.py",
        3_000,
        60,
        "texts",
        "two people's four devices go off and come again: each has every text, once",
    ),
    "marked": Proof(
        "tests/marked.py",
        1,
        1,
        "runs",
        "what several devices of people do, in the tests that `make test` leaves out",
    ),
    "linking": Proof(
        "tests/faults/test_linking.py",
        160,
        16,
        "linkings",
        "kill -9 of either device as one is linked gives nothing by half, and it goes on or anew",
    ),
    "big-file": Proof(
        "tests/faults/test_big_file.py",
        5_000,
        1_000,
        "megabytes",
        "a large file survives kill -9 of everyone and a home lost for good, in bounded memory",
    ),
    "relay-exhaust": Proof(
        "tests/attacks/test_relay_exhaust.py",
        1_000,
        1_000,
        "slow connections",
        "with slow connections and full logs honest records come at most twice as late",
    ),
    "socket-fuzz": Proof(
        "tests/faults/test_socket_fuzz.py",
        3_600,
        300,
        "seconds",
        "whatever comes to its port, a relay goes on without an error that nobody caught",
    ),
    "restart": Proof(
        "bench/relay/held.py",
        10_000,
        10_000,
        "connections",
        "a relay's processes are replaced under connections: all come back, nothing kept is gone",
    ),
    "active-probe": Proof(
        "tests/attacks/test_active_probe.py",
        2_000,
        250,
        "probes of a kind",
        "a relay answers strangers as its folder alone, or the nginx behind it, answers them",
    ),
    "call-worlds": Proof(
        "tests/core/call/test_machine.py",
        600,
        60,
        "simulated minutes",
        "a call whose network changes every ten seconds comes back from everything",
    ),
    "call-soak": Proof(
        "tests/lab/test_call_soak.py",
        20,
        20,
        "minutes",
        "a real call whose network changes every ten seconds is at its end as at its beginning",
    ),
    "call-shape": Proof(
        "tests/attacks/test_vbr_speech.py",
        480,
        240,
        "seconds",
        "a classifier of sizes and times does not tell speech from silence",
    ),
    "call-quality": Proof(
        "tests/e2e/test_call_quality.py",
        2,
        1,
        "calls",
        "between two Chromiums speech is understood, within 120 ms, while a page is busy",
    ),
    "watch-lives": Proof(
        "tests/watch/test_lives.py",
        200,
        50,
        "lives",
        "an observatory is killed, its disk full: what it acknowledged is there, once, and replays",
    ),
    "observed": Proof(
        "tests/lab/test_observed.py",
        10,
        10,
        "nodes",
        "calls are blocked for a region, its nodes and people say so, and the evidence holds",
    ),
    "headless-quality": Proof(
        "tests/e2e/test_headless_call.py",
        2,
        1,
        "calls",
        "between two command lines speech is understood, within 120 ms",
    ),
    "flat": Proof(
        "tests/faults/test_flat.py",
        200,
        200,
        "calls",
        "memory and threads stay flat over calls and 25 messages for each",
    ),
    "udp": Proof(
        "tests/lab/test_udp.py",
        12,
        12,
        "nodes",
        "where UDP is dropped everything goes by TCP, and what was under way goes on",
    ),
    "lab-claims": Proof(
        "tests/lab/test_scenarios.py",
        72,
        24,
        "claims",
        "in both labs each scenario does what it documents, and no more",
    ),
    "verdicts": Proof(
        "tests/lab/test_verdicts.py",
        384,
        48,
        "blocked networks",
        "a node says what is done to it, in every scenario, freshly drawn, and in two at once",
        judge="judge",
    ),
    "benign-verdicts": Proof(
        "tests/lab/test_verdicts.py",
        500,
        50,
        "networks that nobody blocks",
        "on a network that is merely bad a node accuses nobody",
        "prove_benign",
        "judge_benign",
    ),
    "two-relays": Proof(
        "tests/faults/test_two_relays.py",
        20,
        5,
        "seizures",
        "two relays' disks and the wire hold nothing readable and nothing that matches",
    ),
}


def commit() -> str:
    """The commit that is proved, with a mark of what was changed since."""

    def git(*args: str) -> bytes:
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, check=True).stdout

    try:
        name = git("rev-parse", "--short=12", "HEAD").decode().strip()
        changed = git("diff", "HEAD", "--", "src", "tests")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+{hashlib.sha256(changed).hexdigest()[:8]}" if changed else name


def load(proof: Proof) -> ModuleType:
    """Its file, by path."""
    path = ROOT / proof.file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    # Tests import what is beside them, and what all share.
    sys.path[:0] = [str(path.parent), str(ROOT / "tests")]
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def lines(name: str) -> list[dict[str, Any]]:
    """What was recorded; a line that a crash cut short is left out."""
    found = []
    path = RECORDS / f"{name}.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def run(name: str, seed: int, count: int, at: str) -> bool:
    """Run what is missing of one proof; whether all of it has passed."""
    proof = PROOFS[name]
    passed = {
        record["seed"]: record["figures"]
        for record in lines(name)
        if record["commit"] == at and record["result"] == "passed"
        if record["count"] == proof.chunk and at != "unknown"
    }
    module = load(proof)
    prove: Callable[[int, int, Path], dict[str, Any]] = getattr(module, proof.function)
    all: list[dict[str, Any]] = []
    for start in range(0, count, proof.chunk):
        chunk_seed = seed * 1_000_000 + start // proof.chunk
        number = min(proof.chunk, count - start)
        if chunk_seed in passed:
            all.append(passed[chunk_seed])
            continue
        began = time.monotonic()
        result, error, figures = "passed", "", {}
        with tempfile.TemporaryDirectory(prefix="holdfast-prove-") as directory:
            try:
                figures = prove(chunk_seed, number, Path(directory))
            except Exception:  # noqa: BLE001  a proof that cannot run has not passed either
                result, error = "failed", traceback.format_exc()
        record = {
            "proof": name,
            "commit": at,
            "seed": chunk_seed,
            "count": number,
            "seconds": round(time.monotonic() - began, 1),
            "result": result,
            "figures": figures,
            "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        if error:
            record["error"] = error
        RECORDS.mkdir(parents=True, exist_ok=True)
        with (RECORDS / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(
            f"  {name}: {start + number:,} of {count:,} {proof.what}, {result}"
            f" in {record['seconds']} s (seed {chunk_seed})",
            flush=True,
        )
        if error:
            print(error, file=sys.stderr)
            return False
        all.append(figures)
    return not proof.judge or judged(name, getattr(module, proof.judge), all)


def judged(
    name: str, judge: Callable[[list[dict[str, Any]]], str], all: list[dict[str, Any]]
) -> bool:
    """Whether the figures together keep the promise."""
    try:
        print(f"  {name}: {judge(all)}", flush=True)
    except AssertionError as error:
        print(f"  {name}: {error}", file=sys.stderr)
        return False
    return True


def summary(names: list[str], at: str) -> None:
    """What this commit has passed so far."""
    print(f"\nAt commit {at}:")
    for name in names:
        mine = [record for record in lines(name) if record["commit"] == at]
        passed = {r["seed"]: r["count"] for r in mine if r["result"] == "passed"}
        failed = [record for record in mine if record["result"] == "failed"]
        seconds = sum(record["seconds"] for record in mine)
        print(
            f"  {name}: {sum(passed.values()):,} {PROOFS[name].what} passed in"
            f" {seconds:,.0f} s, {len(failed)} chunks failed: {PROOFS[name].says}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="this proof; may repeat")
    parser.add_argument("--count", type=int, help="how many in all, instead of the usual")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="name the proofs")
    asked = parser.parse_args()
    if asked.list:
        for name, proof in PROOFS.items():
            print(f"{name:16} {proof.count:>7,} {proof.what:14} {proof.says}")
        return 0
    names = asked.only or list(PROOFS)
    if unknown := sorted(set(names) - set(PROOFS)):
        print(f"No proof {unknown[0]}; there are: {', '.join(PROOFS)}", file=sys.stderr)
        return 2
    at = commit()
    good = True
    try:
        for name in names:
            print(f"{name}: {PROOFS[name].says}", flush=True)
            good &= run(name, asked.seed, asked.count or PROOFS[name].count, at)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        summary(names, at)
        return 130
    summary(names, at)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
