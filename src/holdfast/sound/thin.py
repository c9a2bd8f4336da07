"""Codec2 at 1,200 bit/s in a process of its own, for a node whose page has no such codec, and
voice notes of what came too late for a call.

    python -m holdfast.sound.thin

A request is a byte (`ENCODE`: 320 samples at 8 kHz, signed 16 bit, to 6 bytes; `DECODE`: the
inverse, for any number of frames; `NOTE`: a burst, see `core.call.bursts`, to Ogg Opus), the
length of what follows in four bytes, and that. An answer is a length and the result; empty, if
there is none. Nothing that was received is decoded where the keys are.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import av
import numpy as np
import pycodec2

from holdfast.core.call import bursts
from holdfast.core.call.frames import BadFrame
from holdfast.core.call.rungs import CODEC2_FRAME, UNIT_MS
from holdfast.sound.coding import THIN, resampler
from holdfast.sound.opus import RATE, SAMPLE, BadSound, Decoder, audio_frame, pcm_of
from holdfast.sound.voice import BITRATE, FRAME, power, wave

ENCODE: Final = b"E"
DECODE: Final = b"D"
NOTE: Final = b"N"
SAMPLES: Final = 320
"""Of a frame of 40 ms."""
MOST: Final = 64 * 1024
UNIT_BYTES: Final = RATE * UNIT_MS // 1000 * SAMPLE


class Codec2:
    """One direction of one voice."""

    def __init__(self) -> None:
        self._codec = pycodec2.Codec2(1200)

    def encode(self, pcm: bytes) -> bytes:
        """320 samples, signed 16 bit, to six bytes. Raises `BadSound`."""
        if len(pcm) != SAMPLES * SAMPLE:
            raise BadSound(f"a frame of Codec2 has {SAMPLES} samples")
        return bytes(self._codec.encode(np.frombuffer(pcm, np.int16)))

    def decode(self, frames: bytes) -> bytes:
        """Frames of six bytes to samples."""
        out = b""
        for at in range(0, len(frames) - len(frames) % CODEC2_FRAME, CODEC2_FRAME):
            out += self._codec.decode(frames[at : at + CODEC2_FRAME]).astype(np.int16).tobytes()
        return out


def spoken(data: bytes) -> Iterator[bytes]:
    """What a burst sounds like at 48 kHz, in pieces; holes up to a second are silence. Raises
    `BadFrame`."""
    opus, codec2, up = Decoder(), Codec2(), resampler(RATE)
    due: int | None = None
    for one in bursts.decode(data):
        if due is not None and one.at > due:
            yield bytes(UNIT_BYTES * min(50, one.at - due))
        due = one.end
        size = UNIT_BYTES * one.rung.units
        pcm = b""
        if one.packet and one.rung.codec == "opus":
            try:
                pcm = opus.decode(one.packet)
            except BadSound:
                pcm = b""
        elif one.packet:
            raw = codec2.decode(one.packet)
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(raw) // SAMPLE)
            frame.planes[0].update(raw)
            frame.sample_rate = THIN
            pcm = b"".join(map(pcm_of, up.resample(frame)))
        yield pcm[:size].ljust(size, b"\0")


def note(data: bytes) -> bytes:
    """A line of JSON with length (ms) and wave, and the note as Ogg Opus. Raises `BadFrame`."""
    pcm = b"".join(spoken(data))
    size = FRAME * SAMPLE
    out, loudness = io.BytesIO(), []
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", RATE, options={"application": "voip"})
        stream.layout, stream.format, stream.bit_rate = "mono", "s16", BITRATE
        for number, at in enumerate(range(0, len(pcm), size)):
            piece = pcm[at : at + size].ljust(size, b"\0")
            container.mux(stream.encode(audio_frame(piece, number * FRAME)))
            loudness.append(power(piece))
        container.mux(stream.encode(None))
    told = {"duration": len(pcm) // SAMPLE * 1000 // RATE, "wave": wave(loudness)}
    return json.dumps(told).encode() + b"\n" + out.getvalue()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more requests."""
    there, back = Codec2(), Codec2()
    while len(head := requests.read(5)) == 5:
        size = int.from_bytes(head[1:], "big")
        if size > MOST:
            return
        data = requests.read(size)
        try:
            match head[:1]:
                case b"E":
                    result = there.encode(data)
                case b"D":
                    result = back.decode(data)
                case b"N":
                    result = note(data)
                case _:
                    result = b""
        except (BadSound, BadFrame, av.FFmpegError, ValueError):
            result = b""
        answers.write(len(result).to_bytes(4, "big") + result)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
