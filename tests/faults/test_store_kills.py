"""kill -9 on the relay's store, at random and at named points, life after life on one directory.

Each life is a process: it opens what the one before it left, says all that is there, then asks
for random operations and says what was answered, until it is killed. What a life finds must be
exactly what the first k operations of the one before leave, where k is at least what was answered
and at most what was asked for: nothing is lost, doubled, reordered or numbered twice.
"""

import contextlib
import json
import os
import random
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from test_store_crashes import NOW, Content, Op, Owner, step

from holdfast.core import wire
from holdfast.core.log.server import Refusal
from holdfast.store.files import OsFiles
from holdfast.testing import doomed

POINTS = tuple(
    f"holdfast.store.{name}:{when}"
    for name in (
        "embedded:Embedded._send",
        "embedded:Embedded._committed",
        "embedded:Embedded._keep",
        "files:OsFiles.create",
        "files:OsFiles.write",
        "files:OsFiles.sync",
        "files:OsFiles.cut",
        "files:OsFiles.remove",
        "index:Index.apply",
        "index:Index.expire",
        "index:Index.move",
        "keeper:Keeper.checkpoint",
        "keeper:Keeper._merge",
        "recovery:prepare",
        "recovery:tidy",
        "recovery:replay",
        "recovery:_replay",
        "shelf:Shelf.append",
        "shelf:Shelf.drop",
        "shelf:Shelf.freeze",
        "shelf:Shelf.make",
        "shelf:Shelf.trim",
    )
    for when in ("before", "after")
)
LONGEST = 0.06
"""Seconds that a life asks for operations before it is killed, if no point was reached."""
LIVES = 200
"""Kills on one directory before another is begun."""
PATIENCE = 60.0


class Life(Owner):
    """One process's. It never returns: it is killed."""

    def __init__(self, folder: Path, names: Sequence[bytes], out: int) -> None:
        super().__init__(folder)
        self._out = out
        self._keys: dict[bytes, int] = {}
        self._answered = 0
        logs = {}
        for name in names:
            if (log := self.find(name)) is not None:
                self._keys[name] = log.key
                found = [(seq, body[:16].hex(), len(body)) for seq, body in self.read(log.key)]
                logs[name.hex()] = [log.next, found]
        self.say("found", logs)

    def say(self, *line: Any) -> None:
        os.write(self._out, json.dumps(line).encode() + b"\n")

    def run(self, dice: random.Random) -> NoReturn:
        asked = 0
        while True:
            for _ in range(dice.randint(1, 8)):
                self._ask(asked, self._choose(dice))
                asked += 1
            if dice.random() < 0.5:
                self._posted.get(timeout=PATIENCE)()
                continue
            while self._answered < asked:
                self._posted.get(timeout=PATIENCE)()
            if dice.random() < 0.4:
                self._store.sweep()

    def _choose(self, dice: random.Random) -> Op:
        roll, known = dice.random(), sorted(self._keys)
        if not known or (roll < 0.05 and len(known) < 12):
            return Op("make", dice.randbytes(16))
        log = dice.choice(known)
        if roll < 0.12:
            return Op("trim", log, dice.randint(0, 400))
        if roll < 0.15 or (roll < 0.2 and len(known) >= 12):
            return Op("drop", log)
        return Op("append", log, 0, dice.randbytes(dice.choice((0, 20, 512, 1100, 5000, 60_000))))

    def _ask(self, number: int, op: Op) -> None:
        self.say("asked", op.what, op.log.hex(), op.value, op.body[:16].hex(), len(op.body))

        def done(refusal: Refusal | None, seq: int = 0) -> None:
            assert number == self._answered, "answers come in the order of the writes"
            self._answered += 1
            self.say("answered", refusal and refusal.code)

        match op.what:
            case "make":
                verifier = bytes(32)
                self._store.make(wire.Create(1, op.log, verifier, verifier, verifier, 0), done)
                self._keys[op.log] = self._store._shelf._names[op.log]
            case "append":
                self._store.append(self._keys[op.log], NOW + 10**9, op.body, done)
            case "trim":
                self._store.trim(self._keys[op.log], op.value, done)
            case "drop":
                self._store.drop(self._keys.pop(op.log), done)


def live(folder: Path, names: Sequence[bytes], seed: int, point: str | None, out: int) -> NoReturn:
    """A child's whole life."""
    try:
        if point is not None:
            doomed.install(point)
        Life(folder, names, out).run(random.Random(seed))
    except BaseException as error:
        os.write(out, json.dumps(["failed", repr(error)]).encode() + b"\n")
    os._exit(3)


def until_killed(
    folder: Path, names: Sequence[bytes], seed: int, point: str | None, seconds: float
) -> tuple[list[list[Any]], bool]:
    """What a life said, and whether it died at its point."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        live(folder, names, seed, point, theirs)
    os.close(theirs)
    said, until, killed = b"", time.monotonic() + PATIENCE, False
    try:
        while True:
            left = max(0.0, until - time.monotonic())
            if not killed and not select.select([ours], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                killed = True
            data = os.read(ours, 1 << 16)
            if not data:
                break
            if not said and point is None:
                until = time.monotonic() + seconds
            elif not said:
                until = time.monotonic() + LONGEST * 4
            said += data
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ours)
    lines = [json.loads(line) for line in said.split(b"\n")[:-1]]
    assert not any(line[0] == "failed" for line in lines), lines[-1]
    return lines, point is not None and not killed


def digested(logs: dict[str, Any]) -> Content:
    """As `contents` says it."""
    return {
        bytes.fromhex(name): (coming, tuple((seq, (head, size)) for seq, head, size in records))
        for name, (coming, records) in logs.items()
    }


class Directory:
    """One store's directory, through its lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: list[Content] = [{}]
        """What may be there: after what was answered, up to after what was asked."""
        self.operations = 0

    def life(self, seed: int, point: str | None, seconds: float) -> bool:
        """Whether it died at the point. Raises AssertionError if a promise was broken."""
        names = sorted({name for state in self._states for name in state})
        lines, at_point = until_killed(self._folder, names, seed, point, seconds)
        if not lines:
            return at_point  # it died before it had found anything
        found = digested(lines[0][1])
        assert found in self._states, (
            f"seed {seed}, point {point}: what is there is not what any number of operations"
            f" between the answered and the asked ones leaves: {found} is none of {self._states}"
        )
        asked = [
            (Op(what, bytes.fromhex(log), value), (head, size))
            for kind, *rest in lines[1:]
            if kind == "asked"
            for what, log, value, head, size in (rest,)
        ]
        refused = [line[1] for line in lines[1:] if line[0] == "answered"]
        assert not any(refused), f"seed {seed}: refused: {refused}"
        self._states = after(found, asked)[len(refused) :]
        self.operations += len(refused)
        return at_point


def after(found: Content, asked: Sequence[tuple[Op, Any]]) -> list[Content]:
    """What is there after the first k operations, for every k."""
    logs = dict(found)
    states = [dict(logs)]
    for op, body in asked:
        step(logs, op, body)
        states.append(dict(logs))
    return states


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` kills."""
    at_points = operations = 0
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        if number % LIVES == 0:
            place = Directory(directory / f"{number}")
        point = None
        if dice.random() < 0.6:
            point = f"{dice.choice(POINTS)}:{dice.choice((1, 1, 2, 3, 5, 9, 17))}"
        at_points += place.life(dice.getrandbits(32), point, dice.uniform(0, LONGEST))
        if number % LIVES == LIVES - 1 or number == count - 1:
            place.life(0, None, 0)
            operations += place.operations
    assert operations > count, "there was nothing to lose"
    return {"kills": count, "at named points": at_points, "operations": operations}


def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 25, tmp_path)["kills"] == 25


def test_a_store_that_answers_before_it_writes_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: dict[int, list[bytes]] = {}
    write, close = OsFiles.write, OsFiles.close

    def lazy(self: OsFiles, descriptor: int, parts: Sequence[bytes]) -> None:
        before, late[descriptor] = late.get(descriptor), list(parts)
        if before is not None:
            write(self, descriptor, before)

    def at_last(self: OsFiles, descriptor: int) -> None:
        if descriptor in late:
            write(self, descriptor, late.pop(descriptor))
        close(self, descriptor)

    monkeypatch.setattr(OsFiles, "close", at_last)
    monkeypatch.setattr(OsFiles, "write", lazy)
    with pytest.raises(AssertionError, match="is none of"):
        prove(1, 60, tmp_path)
