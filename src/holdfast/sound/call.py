"""The sound of a call without devices: one file is spoken, what is heard goes into another.

A clock of this process stands in for the sound card. It ticks once a frame; the deadline of
each tick is the last one's plus a frame, so that it never drifts. At tick k of talking

- the frame of the recording for the moments [k, k+1) is written: what the node answered to the
  wish of tick k-1, or silence if it has not come, as a sound card with one frame in hand would
  have played it;
- the source's frame spoken in [k-1, k) is sent, as a microphone gives a frame when it is over.

So the first sample of the source is spoken, and the first one of the recording played, at
`started`: from both recordings' times the delay from mouth to ear can be computed, framing,
coding and waiting included, and only the devices' own left out.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from holdfast.node.client import Client, Sound
from holdfast.sound.opus import RATE, SAMPLE, BadSound, Decoder, Encoder

CONFIG: Final = 0
PLAY: Final = 3
CONCEAL: Final = 4
"""The first byte of what the node sends, see spec/node-api.md; another asks for silence."""
AHEAD: Final = 1
"""Frames asked for before they are played."""
AFTER: Final = 1.0
"""Seconds that are still listened to when everything was said."""
STALL: Final = 50
"""Ticks made up for in a row before anything else has its turn."""


class Coding(Struct, frozen=True):
    """How to code, as the node says: bit/s, milliseconds and bytes of a packet."""

    rate: int
    frame: int
    bytes: int


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

    def __init__(self, sound: Sound, source: Source, sink: Callable[[bytes], object]) -> None:
        self.heard = Heard()
        self._sound, self._source, self._sink = sound, source, sink
        self._answers: deque[tuple[float, bytes]] = deque(maxlen=16)
        """When each came, by the loop's clock, and what."""
        self._owed = 0
        self._written = 0
        """Samples."""
        self._over = False
        self._coding: Coding | None = None
        self._encoder = Encoder()
        self._decoder = Decoder()

    async def run(self, talking: asyncio.Event, seconds: float = math.inf) -> Heard:
        """Until the call is over, or has talked for so long, or the source has been over for
        `AFTER`. `talking` is set when the call talks. Raises `BadSound`."""
        loop = asyncio.get_running_loop()
        receiving = asyncio.create_task(self._receive())
        try:
            deadline, quiet, ticks = loop.time(), 0.0, 0
            while not self._over and self.heard.seconds < seconds and quiet < AFTER:
                period = self._encoder.samples / RATE
                deadline += period
                ticks += 1
                wait = deadline - loop.time()
                if wait > 0 or ticks % STALL == 0:
                    await asyncio.sleep(max(0.0, wait))
                begins = talking.is_set() and not self.heard.started
                if begins:
                    late = loop.time() - deadline
                    self.heard = Heard(started=time.time_ns() - int(late * 1e9))
                pcm = self._play(deadline)
                if not self.heard.started:
                    continue
                if not begins:
                    self._sound.say(self._encoder.encode(self._source.take(self._encoder.samples)))
                    quiet = quiet + period if self._source.over else 0.0
                self._write(pcm)
            if receiving.done():
                receiving.result()
            return self.heard
        finally:
            receiving.cancel()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (message := await self._sound.heard()) is not None:
                if message[:1] == bytes((CONFIG,)):
                    self._code(message[1:])
                else:
                    self._owed -= 1
                    self._answers.append((loop.time(), message))
        finally:
            self._over = True

    def _code(self, said: bytes) -> None:
        try:
            coding = msgspec.json.decode(said, type=Coding)
        except msgspec.MsgspecError:
            raise BadSound("the node and this program are of different versions") from None
        if coding != self._coding:
            self._coding = coding
            self._encoder = Encoder(coding.rate, coding.frame)
            self._decoder = Decoder(coding.frame)

    def _play(self, deadline: float) -> bytes | None:
        """The frame that a sound card would begin to play now, None if it has not come; asks
        for the next."""
        pcm = None
        if self._answers and self._answers[0][0] <= deadline:
            pcm = self._decoded(self._answers.popleft()[1])
        if self._owed + len(self._answers) < AHEAD:
            self._owed += 1
            self._sound.want()
        return pcm

    def _write(self, pcm: bytes | None) -> None:
        size = self._encoder.samples * SAMPLE
        self._sink((pcm or b"")[:size].ljust(size, b"\0"))
        self._written += self._encoder.samples
        self.heard.late += pcm is None
        self.heard.frames += 1
        self.heard.seconds = self._written / RATE

    def _decoded(self, answer: bytes) -> bytes:
        if answer[:1] == bytes((PLAY,)):
            try:
                return self._decoder.decode(answer[1:])
            except BadSound:
                self.heard.broken += 1
                return self._decoder.conceal()
        if answer[:1] == bytes((CONCEAL,)):
            self.heard.concealed += 1
            return self._decoder.conceal()
        return b""


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
    async with client.sound(call) as sound:
        return await Talk(sound, spoken, sink).run(talking, seconds)
