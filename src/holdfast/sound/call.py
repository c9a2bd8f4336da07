"""The sound of a call without devices: one file is spoken, what is heard goes into another.

A clock of this process stands in for the sound card. It ticks once a frame of 20 ms; the deadline
of each tick is the last one's plus a frame, so that it never drifts. At tick k of talking

- the frame of the recording for the moments [k, k+1) is written: what the node answered to the
  wish of tick k-1, or silence if it has not come, as a sound card with one frame in hand would
  have played it;
- the source's frame spoken in [k-1, k) is given to the encoder, as a microphone gives a frame
  when it is over; how many of them are a packet, the node says.

So the first sample of the source is spoken, and the first one of the recording played, at
`started`: from both recordings' times the delay from mouth to ear can be computed, framing,
coding and waiting included, and only the devices' own left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from holdfast.node.client import Client, Sound
from holdfast.node.rpc import ApiError
from holdfast.sound.coding import CONFIG, FRAME, FRAME_BYTES, Ear, Mouth, frames_of
from holdfast.sound.opus import RATE, SAMPLE

PERIOD: Final = FRAME / RATE
AHEAD: Final = 1
"""Frames asked for before they are played."""
AHEAD_LONG: Final = 3
"""The same, where an answer is many frames, and takes longer to make."""
AFTER: Final = 1.0
"""Seconds that are still listened to when everything was said."""
SKIPPED: Final = 2
"""Frames that may be late and are left out then; what is later is played, and all after it."""
AGAIN: Final = 0.3
"""Seconds between two attempts to have a connection again that broke."""
TRIES: Final = 30
STALL: Final = 50
"""Ticks made up for in a row before anything else has its turn."""


@dataclass
class Heard:
    """How the sound of a call went, in frames."""

    started: int = 0
    """When both recordings begin: nanoseconds since 1970; 0 if nobody talked."""
    frames: int = 0
    seconds: float = 0
    concealed: int = 0
    late: int = 0
    """Silent because the node had not answered in time: this machine was too slow."""
    broken: int = 0
    """Packets that could not be decoded."""
    broke: int = 0
    """How often the connection with the node did, and another one took its place."""


class Source:
    """What is spoken: PCM of any pieces, then silence."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = next(pieces, b"")  # whatever opening takes, it takes now
        self.over = not self._rest

    def take(self, samples: int) -> bytes:
        """The next samples. Raises `BadSound` if the file turns out to be broken."""
        size = samples * SAMPLE
        while len(self._rest) < size and not self.over:
            piece = next(self._pieces, b"")
            self._rest += piece
            self.over = not piece
        pcm, self._rest = self._rest[:size], self._rest[size:]
        return pcm.ljust(size, b"\0")


class Talk:
    """One call's sound, from when it was started or accepted to its end."""

    def __init__(
        self,
        sound: Sound,
        source: Source,
        sink: Callable[[bytes], object],
        again: Callable[[], Awaitable[Sound | None]],
    ) -> None:
        """`again` gives another connection when the one that there was broke; None: there is no
        call any more."""
        self.heard = Heard()
        self._again = again
        self._sound, self._source, self._sink = sound, source, sink
        self._answers: deque[tuple[float, bytes]] = deque(maxlen=64)
        """When each came, by the loop's clock, and what."""
        self._owed = 0
        self._pcm = b""
        """Decoded and not played."""
        self._missed = self._skip = 0
        """Frames in a row that were late; frames that are left out because of it."""
        self._long = False
        self._over = False
        self._mouth = Mouth()
        self._ear = Ear()

    async def run(self, talking: asyncio.Event, seconds: float = math.inf) -> Heard:
        """Until the call is over, or has talked for so long, or the source has been over for
        `AFTER`. `talking` is set when the call talks. Raises `BadSound`."""
        loop = asyncio.get_running_loop()
        receiving = asyncio.create_task(self._receive())
        try:
            deadline, quiet, ticks = loop.time(), 0.0, 0
            while not self._over and self.heard.seconds < seconds and quiet < AFTER:
                deadline += PERIOD
                ticks += 1
                wait = deadline - loop.time()
                if wait > 0 or ticks % STALL == 0:
                    await asyncio.sleep(max(0.0, wait))
                begins = talking.is_set() and not self.heard.started
                if begins:
                    late = loop.time() - deadline
                    self.heard = Heard(
                        broke=self.heard.broke, started=time.time_ns() - int(late * 1e9)
                    )
                    self._ear.concealed = self._ear.broken = 0
                pcm = self._play(deadline)
                if not self.heard.started:
                    continue
                if not begins:
                    packet = self._mouth.speak(self._source.take(FRAME))
                    if packet is not None:
                        self._sound.say(packet)
                    quiet = quiet + PERIOD if self._source.over else 0.0
                self._write(pcm)
            if receiving.done():
                receiving.result()
            return self.heard
        finally:
            receiving.cancel()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = await self._sound.heard()
                if message is None:
                    other = None if self._sound.over else await self._again()
                    if other is None:
                        return
                    # What was asked for is not answered any more, and is asked for anew.
                    self._sound, self._owed = other, 0
                    self.heard.broke += 1
                elif message[:1] == bytes((CONFIG,)):
                    self._mouth.code(message[1:])
                else:
                    frames = frames_of(message)
                    self._long = frames > 1
                    self._owed = max(0, self._owed - frames)
                    self._answers.append((loop.time(), message))
        finally:
            self._over = True

    def _play(self, deadline: float) -> bytes | None:
        """The frame that a sound card would begin to play now, None if it has not come; asks
        for what it needs next."""
        while len(self._pcm) < FRAME_BYTES and self._answers and self._answers[0][0] <= deadline:
            self._pcm += self._ear.hear(self._answers.popleft()[1])
        while self._skip and len(self._pcm) >= FRAME_BYTES:
            self._pcm = self._pcm[FRAME_BYTES:]  # its time has passed; what follows keeps its place
            self._skip -= 1
        pcm = None
        if len(self._pcm) >= FRAME_BYTES:
            pcm, self._pcm = self._pcm[:FRAME_BYTES], self._pcm[FRAME_BYTES:]
        # What was made shorter is no whole frame: then one more is needed.
        needed = ((AHEAD_LONG if self._long else AHEAD) + self._skip) * FRAME_BYTES
        needed += FRAME_BYTES if len(self._pcm) % FRAME_BYTES else 0
        coming = self._owed + sum(frames_of(answer) for _, answer in self._answers)
        while len(self._pcm) + coming * FRAME_BYTES < needed:
            coming += 1
            self._owed += 1
            self._sound.want()
        return pcm

    def _write(self, pcm: bytes | None) -> None:
        self._missed = self._missed + 1 if pcm is None else 0
        if self._missed:
            self._skip = self._missed if self._missed <= SKIPPED else 0
        self._sink(pcm or bytes(FRAME_BYTES))
        self.heard.late += pcm is None
        self.heard.frames += 1
        self.heard.seconds = self.heard.frames * PERIOD
        self.heard.concealed, self.heard.broken = self._ear.concealed, self._ear.broken


async def talk(
    client: Client,
    call: str,
    source: Iterator[bytes],
    sink: Callable[[bytes], object],
    talking: asyncio.Event,
    seconds: float = math.inf,
) -> Heard:
    """Be the sound of a call: see `Talk.run`. Raises `ApiError` if there is no such call, and
    `BadSound`."""
    spoken = Source(source)
    async with contextlib.AsyncExitStack() as open:

        async def connect() -> Sound:
            return await open.enter_async_context(client.sound(call))

        async def again() -> Sound | None:
            for _ in range(TRIES):
                with contextlib.suppress(ConnectionError):
                    try:
                        return await connect()
                    except ApiError:
                        return None
                await asyncio.sleep(AGAIN)
            return None

        return await Talk(await connect(), spoken, sink, again).run(talking, seconds)
