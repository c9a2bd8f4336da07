"""A call's sound as its interface has it: PCM to what the node is sent, what it sends to PCM.

Source: spec/node-api.md, "Sound of a call". PCM is 48 kHz mono in 16 bit, in frames of 20 ms.
"""

from __future__ import annotations

import contextlib
from typing import Final

import av
import msgspec
from msgspec import Struct

from holdfast.sound.opus import RATE, SAMPLE, BadSound, Decoder, Encoder, pcm_of
from holdfast.sound.tempo import Tempo

CONFIG: Final = 0
PLAY: Final = 3
CONCEAL: Final = 4
SILENCE: Final = 5
RAW: Final = 6
"""The first byte of what the node sends."""
FRAME: Final = RATE // 50
"""Samples of 20 ms."""
FRAME_BYTES: Final = FRAME * SAMPLE
THIN: Final = 8_000
"""Samples a second where the node codes itself."""
MOST_FRAMES: Final = 24


class Coding(Struct, frozen=True):
    """How to code, as the node says: bit/s (or samples a second, where it codes itself),
    milliseconds and bytes of a packet. `rung` goes before each packet."""

    rate: int
    frame: int
    bytes: int
    rung: int = 0
    codec: str = "opus"


class Mouth:
    """From the microphone. How to code changes between two packets, so that nothing is lost."""

    def __init__(self) -> None:
        self._coding = Coding(16_000, 20, 40)
        self._coming: Coding | None = None
        self._encoder = Encoder()
        self._down = resampler(THIN)
        self._frames: list[bytes] = []

    def code(self, said: bytes) -> None:
        """The node says how. Raises `BadSound`."""
        try:
            coding = msgspec.json.decode(said, type=Coding)
        except msgspec.MsgspecError:
            coding = None
        if coding is None or coding.frame % 20 or not 0 <= coding.rung < 256:
            raise BadSound("the node and this program are of different versions") from None
        self._coming = coding
        if not self._frames:
            self._take()

    def _take(self) -> None:
        if self._coming is not None and self._coming != self._coding:
            self._coding = self._coming
            if self._coding.codec == "opus":
                self._encoder = Encoder(self._coding.rate, self._coding.frame)
        self._coming = None

    def speak(self, pcm: bytes) -> bytes | None:
        """A frame; now and then a packet for the node."""
        self._frames.append(pcm)
        if len(self._frames) * 20 < self._coding.frame:
            return None
        whole = b"".join(self._frames)
        self._frames.clear()
        if self._coding.codec == "opus":
            packet = self._encoder.encode(whole)
        else:
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(whole) // SAMPLE)
            frame.planes[0].update(whole)
            frame.sample_rate = RATE
            packet = b"".join(map(pcm_of, self._down.resample(frame)))
            packet = packet.ljust(self._coding.bytes, b"\0")[: self._coding.bytes]
        packet = bytes((self._coding.rung,)) + packet
        self._take()
        return packet


class Ear:
    """To the loudspeaker."""

    def __init__(self) -> None:
        self.concealed = 0
        self.broken = 0
        """Packets that could not be decoded."""
        self._decoder = Decoder()
        self._tempo = Tempo()
        self._up = resampler(RATE)

    def hear(self, answer: bytes) -> bytes:
        """What an answer of the node sounds like; of something unknown, a frame of silence."""
        kind, rest = answer[0] if answer else SILENCE, answer[1:]
        if kind == CONCEAL:
            self.concealed += 1
            return self._decoder.conceal()
        if kind not in (PLAY, RAW):
            return bytes(FRAME_BYTES * max(1, min(MOST_FRAMES, rest[0] if rest else 1)))
        speed, frames = (rest[0], rest[1]) if len(rest) > 1 else (100, 1)
        size = FRAME_BYTES * max(1, min(MOST_FRAMES, frames))
        if kind == RAW:
            pcm = self._upsampled(rest[2:])
        else:
            try:
                pcm = self._decoder.decode(rest[2:])
            except BadSound:
                self.broken += 1
                pcm = self._decoder.conceal()
        return self._tempo.change(pcm[:size].ljust(size, b"\0"), max(50, min(200, speed)))

    def _upsampled(self, raw: bytes) -> bytes:
        if not raw or len(raw) % SAMPLE:
            self.broken += 1
            return b""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(raw) // SAMPLE)
        frame.planes[0].update(raw)
        frame.sample_rate = THIN
        with contextlib.suppress(av.FFmpegError, ValueError):
            return b"".join(map(pcm_of, self._up.resample(frame)))
        return b""


def frames_of(answer: bytes) -> int:
    """For how many frames that were wanted an answer stands."""
    place = {PLAY: 2, RAW: 2, SILENCE: 1}.get(answer[0] if answer else CONCEAL, 0)
    return max(1, answer[place]) if 0 < place < len(answer) else 1


def resampler(rate: int) -> av.AudioResampler:
    """Mono in 16 bit to this rate."""
    return av.AudioResampler(format="s16", layout="mono", rate=rate)
