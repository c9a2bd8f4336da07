"""An observatory's lives: killed at any time, its disk full at any time; what it acknowledged is
there once, is spent, and the past can be played again."""

import asyncio
import contextlib
import random
import resource
import sys
import time
import urllib.error

import pytest
from watches import Person

from holdfast.core.report import Alive, Complaint, Measurement, Result
from holdfast.watch.journal import Journal
from holdfast.watch.ledger import raw
from holdfast.watch.places import parse
from holdfast.watch.program import SAMPLE, key_of
from holdfast.watch.replay import replay

FAST = 60
"""Times that its clock is faster than ours, so that a step is five seconds."""
LIFE = f"""
import asyncio, sys, time
from pathlib import Path
from holdfast.watch.program import run
begun = float(sys.argv[2])
clock = lambda: int(begun + (time.time() - begun) * {FAST})
asyncio.run(run(Path(sys.argv[1]), ("127.0.0.1", 0), wait=False, clock=clock,
                say=lambda said: print(said, flush=True)))
"""
FUNCTIONS = ("text", "voice", "calls", "video", "media", "internet")
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Clock:
    """The observatory's."""

    def __init__(self, begun):
        self.begun = begun

    def __call__(self):
        return int(self.begun + (time.time() - self.begun) * FAST)


def reports(draw):
    """One of each kind that a credential has a token for, with that kind."""
    region, operator = draw.choice(("VEL", "NOR", "KAR")), draw.choice(("veltel", "sayat"))
    told = tuple(Result(name, draw.random() < 0.7) for name in FUNCTIONS)
    return {
        **{name: Complaint(region, operator, name) for name in FUNCTIONS},
        "measure": Measurement(region, operator, told),
        "alive": Alive(region),
    }


async def life(directory, clock, draw, counted, again):
    """Start, send until it is killed or its disk was full for a while; then kill it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIFE, directory, str(clock.begun), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    root = (await process.stdout.readline()).decode().strip().rstrip("/")
    assert root
    for one, token in again[-3:]:
        person = Person(root, clock)
        assert (await person.send((one, token)))[1]["counted"] == 0, "a token counted twice"
    full = draw.random() < 0.4

    async def send():
        while True:
            person, told = Person(root, clock), reports(draw)
            tokens = await person.tokens(*told)
            pairs = [(one, t) for one, t in zip(told.values(), tokens, strict=True) if t]
            for start in range(0, len(pairs), 3):
                _, answer = await person.send(*pairs[start : start + 3])
                refused = {each["index"] for each in answer["refused"]}
                good = [p for n, p in enumerate(pairs[start : start + 3]) if n not in refused]
                counted[0] += len(good)
                again.extend(good)

    async def squeeze():
        """Its files may not grow by more than some bytes: what is written is cut short."""
        await asyncio.sleep(draw.uniform(0.3, 0.8))
        sizes = [path.stat().st_size for path in (directory / "journal").glob("*.journal")]
        room = max(sizes, default=0) + draw.randrange(200)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        await asyncio.sleep(draw.uniform(0.2, 0.6))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, UNLIMITED)

    await Person(root, clock).tokens("text")  # the first time, keys are made
    senders = [asyncio.create_task(send()) for _ in range(3)]
    if full:
        await squeeze()
    await asyncio.sleep(draw.uniform(0.1, 1.5))
    process.kill()
    await process.wait()
    for sender in senders:
        with contextlib.suppress(urllib.error.URLError, OSError, ValueError, AssertionError,
                                 asyncio.CancelledError, EOFError):  # fmt: skip
            sender.cancel()
            await sender
    return full


async def lives(seed, count, directory):
    draw, clock = random.Random(seed), Clock(time.time())
    counted, full = [0], 0
    again: list[tuple[object, bytes]] = []
    for _ in range(count):
        full += await life(directory, clock, draw, counted, again)
    places, key = parse(SAMPLE.read_bytes()), raw(key_of(directory))
    journal = Journal(directory / "journal", lambda call: call())
    kept = [entry.spent for day in journal.days() for entry in journal.read(day) if entry.spent]
    journal.close()
    assert len(set(kept)) == len(kept), "something was counted twice"
    assert len(kept) >= counted[0] > 0, f"{counted[0]} acknowledged, {len(kept)} kept"
    found = replay(directory, places, key)
    assert found.same and not found.uncovered
    return {"acknowledged": counted[0], "kept": len(kept), "full": full, "steps": found.steps}


def prove(seed, count, directory):
    """So many lives."""
    print(asyncio.run(lives(seed, count, directory)), flush=True)


@pytest.mark.prove
@pytest.mark.timeout(200)
def test_lives(tmp_path):
    prove(1, 12, tmp_path)
