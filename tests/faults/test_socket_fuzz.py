"""Anything at all on a relay's port: it goes on, without an error, and serves who is honest.

Strangers and nodes at once, at four depths: bytes without TLS, bytes in the place of a request,
bytes in the place of WebSocket frames, and frames of the log protocol that are whole, cut,
changed, repeated and out of order, some of which do something.
"""

import asyncio
import contextlib
import random
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.core import wire
from holdfast.core.caps import Caps, Home
from holdfast.testing.processes import Processes

sys.path.insert(0, str(Path(__file__).parent.parent / "attacks"))
from test_relay_exhaust import Raw, attach, create, is_served, masked, request, secured

AT_ONCE = 12
"""Connections."""
FRAMES = 60
"""Written on one, at most."""
BAD = ("Traceback", "Error", "exception", "Task ")
"""In what a relay writes to its standard error when something was not caught."""


def noise(dice: random.Random, most: int = 2_000) -> bytes:
    return dice.randbytes(dice.choice((0, 1, 2, 7, 40, 300, most)))


def changed(dice: random.Random, data: bytes) -> bytes:
    """A byte or a part of it is another one, or twice, or gone."""
    at, to = sorted(dice.randrange(len(data) + 1) for _ in "12")
    match dice.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:]
        case 3:
            return data[:at] + noise(dice, 20) + data[at:]
    flipped = bytearray(data)
    if flipped:
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
    return bytes(flipped)


class Speaker:
    """Makes frames that a relay may hear, of a few logs that it knows."""

    def __init__(self, home: Home, dice: random.Random) -> None:
        self._home, self._dice = home, dice
        self._logs = [Caps.make(dice.randbytes(128)) for _ in range(3)]
        self._n = 0

    def frame(self) -> wire.ClientFrame:
        dice, home = self._dice, self._home
        log, handle = dice.choice(self._logs), dice.choice((0, 1, 2, 3, 2**32 - 1))
        number = dice.choice((0, 1, self._n, 2**53 - 1))
        made: list[Callable[[], wire.ClientFrame]] = [
            lambda: wire.Hello(dice.choice((0, 1, 2))),
            lambda: create(home, log, handle),
            lambda: attach(home, log, handle, dice.choice((None, 0, number))),
            self._append,
            self._append,
            lambda: wire.Trim(handle, number),
            lambda: wire.Drop(handle),
            lambda: wire.Detach(handle),
            lambda: wire.Onward(dice.choice(("", str(home), "a" * 300))),
            lambda: wire.Probe(dice.randrange(wire.MAX_PROBE)),
            lambda: wire.Carry(noise(dice), b""),
            lambda: wire.Live(handle, noise(dice)),
            lambda: wire.Beside(dice.choice((bytes(16), dice.randbytes(16)))),
            lambda: wire.Admit(dice.choice(("work", "token")), dice.randbytes(8)),
            lambda: wire.Ask((dice.randbytes(259),)),
        ]
        return dice.choice(made)()

    def _append(self) -> wire.Append:
        dice = self._dice
        self._n += dice.choice((1, 1, 1, 1, 1, 1, 1, 0, 2))
        lifetime = dice.choice((1, 3_600, wire.MAX_LIFETIME))
        return wire.Append(dice.choice((1, 1, 2)), self._n, lifetime, noise(dice, 60_000))


async def plain(home: Home, dice: random.Random) -> None:
    reader, writer = await asyncio.open_connection(home.host, home.port)
    for _ in range(dice.randrange(4)):
        writer.write(noise(dice))
        await asyncio.sleep(0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)
    writer.transport.abort()


async def stranger(home: Home, dice: random.Random) -> None:
    raw = await secured(home, "127.0.0.1")
    whole = request(home, raw.engine)  # type: ignore[attr-defined]
    for _ in range(dice.randrange(1, 4)):
        raw.transport.write(dice.choice((noise(dice), changed(dice, whole), whole[:-2])))
        await asyncio.sleep(0.01)
    raw.transport.abort()


async def framed(home: Home, dice: random.Random) -> None:
    raw = await upgraded(home)
    for _ in range(dice.randrange(1, 10)):
        good = masked(wire.encode(wire.Hello(1)))
        raw.transport.write(dice.choice((noise(dice), changed(dice, good), good)))
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    raw.transport.abort()


async def node(home: Home, dice: random.Random) -> None:
    raw, speaker = await upgraded(home), Speaker(home, dice)
    if dice.random() < 0.9:
        raw.say(wire.Hello(1))
    for _ in range(dice.randrange(1, FRAMES)):
        if raw.closed.is_set():
            break
        data = wire.encode(speaker.frame())
        if dice.random() < 0.03:
            data = changed(dice, data)
        raw.transport.write(masked(data))
        if dice.random() < 0.2:
            await asyncio.sleep(dice.choice((0, 0.005)))
    if dice.random() < 0.5:
        await asyncio.sleep(0.05)
    raw.transport.abort()


async def upgraded(home: Home) -> Raw:
    raw = await secured(home, "127.0.0.1")
    raw.transport.write(request(home, raw.engine))  # type: ignore[attr-defined]
    return raw


KINDS: tuple[Any, ...] = (plain, stranger, framed, node, node, node)


async def play(seed: int, seconds: float, directory: Path) -> dict[str, int]:
    with Processes(directory) as programs:
        program = programs.relay()
        home = Home.parse(program.address)
        end, count = time.monotonic() + seconds, 0

        async def go_on(dice: random.Random) -> None:
            nonlocal count
            while time.monotonic() < end:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(60):
                        await dice.choice(KINDS)(home, dice)
                count += 1

        async def look() -> None:
            while time.monotonic() < end:
                assert await is_served(home), "an honest person is not served"
                await asyncio.sleep(1)

        await asyncio.gather(look(), *(go_on(random.Random(f"{seed}/{n}")) for n in range(AT_ONCE)))
        assert await is_served(home)
        assert program.running, "the relay has ended"
        assert program.stop() == 0, "the relay does not stop in good order"
        said = program.errors.read_text()
        assert not any(word in said for word in BAD), said[-3_000:]
    return {"connections": count}


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` seconds."""
    return asyncio.run(play(seed, count, directory))


def test_a_sample(tmp_path: Path) -> None:
    assert prove(secrets.randbits(20), 1, tmp_path)["connections"] > 5
