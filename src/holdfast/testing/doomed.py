"""Runs `holdfast` in a process that dies at a named point, or writes down what it seals.

    python -m holdfast.testing.doomed --kill-at POINT --trace FILE -- relay --data DIR ...

A point is `MODULE:NAME:before:N` or `MODULE:NAME:after:N`: at the N-th call of that function
or method the process kills itself as `kill -9` does, before it or right after it. The
points are put in from here, by wrapping the function, so the programs know nothing of it.

`--first FILE` runs a Python file before the program: how a test switches a defence off to
see that the attack then succeeds.

A trace has a line for everything that a node seals and for everything it hands to its
connections, as hashes; `reused` reads traces and says what was used twice.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib
import inspect
import json
import os
import runpy
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, cast

from holdfast.core.seal.olm import Ciphertext, Session
from holdfast.core.seal.pairwise import Outgoing, Pairwise
from holdfast.drive.logs import Logs

Line = dict[str, Any]


def die() -> NoReturn:
    """End this process as a power cut or `kill -9` would: nothing is run any more."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
    raise AssertionError("unreachable")


def install(point: str) -> None:
    """Make the named point deadly. Raises ValueError for a point that does not exist."""
    try:
        module, name, when, count = point.split(":")
        *path, last = name.split(".")
        owner = functools.reduce(getattr, path, cast(Any, importlib.import_module(module)))
        real = inspect.getattr_static(owner, last)
        left = int(count)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(f"no such point: {point} ({error})") from error
    if when not in ("before", "after") or left < 1 or not inspect.isfunction(real):
        raise ValueError(f"a point is MODULE:NAME:before|after:N of a plain function: {point}")

    def reached(now: str) -> None:
        nonlocal left
        if now == when:
            left -= 1
            if left == 0:
                die()

    setattr(owner, last, _wrapped(real, reached))


def _wrapped(real: Callable[..., Any], reached: Callable[[str], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def later(*args: Any, **named: Any) -> Any:
            reached("before")
            result = await real(*args, **named)
            reached("after")
            return result

        return later

    @functools.wraps(real)
    def at_once(*args: Any, **named: Any) -> Any:
        reached("before")
        result = real(*args, **named)
        reached("after")
        return result

    return at_once


def trace(write: Callable[[Line], object]) -> Callable[[], None]:
    """Tell `write`, from now on, what is sealed and what is handed to connections, before
    it is; the result ends that."""
    places: list[str] = []
    encrypt, append = Session.encrypt, Logs.append

    def encrypting(self: Session, plaintext: bytes) -> Ciphertext:
        made = encrypt(self, plaintext)
        places.append(place(made))
        return made

    def sealing(real: Callable[..., Outgoing]) -> Callable[..., Outgoing]:
        @functools.wraps(real)
        def seal(self: Pairwise, *args: Any) -> Outgoing:
            places.clear()
            made = real(self, *args)
            write(
                {
                    "sealed": _hash(made.blob),
                    "who": who(self),
                    "seq": made.seq,
                    "place": places[-1],
                    "ack": self.received,
                }
            )
            return made

        return seal

    def appending(self: Logs, caps: Any, home: Any, rid: bytes, body: bytes, lifetime: int) -> None:
        write({"handed": _hash(body), "rid": _hash(rid), "live": lifetime == 0})
        append(self, caps, home, rid, body, lifetime)

    before = [
        (Session, "encrypt", encrypt, encrypting),
        (Logs, "append", append, appending),
        (Pairwise, "seal", Pairwise.seal, sealing(Pairwise.seal)),
        (Pairwise, "control", Pairwise.control, sealing(Pairwise.control)),
    ]
    for owner, name, _, new in before:
        setattr(owner, name, new)

    def end() -> None:
        for owner, name, old, _ in before:
            setattr(owner, name, old)

    return end


def trace_to(path: Path) -> None:
    """Write the trace to a file, a line at a time, until the process ends."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    trace(lambda line: os.write(file, json.dumps(line).encode() + b"\n"))


def who(pairwise: Pairwise) -> str:
    """A name for one end of one session, that gives nothing away."""
    return _hash(pairwise.me.device + pairwise.session_id)


def place(message: Ciphertext) -> str:
    """A name for the ratchet key and index of a message."""
    key, index = message.place
    return f"{_hash(key)}/{index}"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def read_trace(path: Path) -> list[Line]:
    """The lines of a trace, without one that was being written when the process died."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def reused(lines: Iterable[Line]) -> list[str]:
    """What left the node in two different forms: one sequence number, one key and index of
    a ratchet, or one record id. Empty is good. What was sealed and never left may differ."""
    lines = list(lines)
    left = {line["handed"] for line in lines if "handed" in line}
    used: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        if line.get("sealed") in left:
            used[f"sequence number {line['seq']} of {line['who']}"].add(line["sealed"])
            used[f"ratchet key and index {line['place']}"].add(line["sealed"])
        elif "handed" in line and not line["live"]:
            used[f"record id {line['rid']}"].add(line["handed"])
    return [name for name, forms in sorted(used.items()) if len(forms) > 1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run holdfast until a named point.")
    parser.add_argument("--kill-at", action="append", default=[], metavar="POINT")
    parser.add_argument("--trace", type=Path, metavar="FILE")
    parser.add_argument("--first", type=Path, metavar="FILE", help="run this Python file first")
    parser.add_argument("holdfast", nargs=argparse.REMAINDER, help="-- and its arguments")
    asked = parser.parse_args()
    if asked.first is not None:
        runpy.run_path(str(asked.first))
    for point in asked.kill_at:
        install(point)
    if asked.trace is not None:
        trace_to(asked.trace)
    sys.argv = ["holdfast", *asked.holdfast[asked.holdfast[:1] == ["--"] :]]
    # By its name: the command line is above everything that is here.
    return int(importlib.import_module("holdfast.cli").main() or 0)


if __name__ == "__main__":
    sys.exit(main())
