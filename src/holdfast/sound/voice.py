"""A voice note from a sound file: Ogg Opus (RFC 7845), its length, how loud it is along it."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from holdfast.sound import wav
from holdfast.sound.opus import RATE, BadSound, audio_frame

BITRATE: Final = 24_000
FRAME: Final = RATE // 50
LONGEST_S: Final = 3600
POINTS: Final = 64
LOUDEST: Final = 31


@dataclass(frozen=True)
class VoiceNote:
    """What `send_file` wants of a voice note."""

    data: bytes
    """Ogg Opus."""
    duration: int
    """Milliseconds."""
    wave: list[int]
    """Up to 64 values, 0 to 31, relative to the loudest part."""


def make(path: Path) -> VoiceNote:
    """A voice note of a sound file. Raises `BadSound`, also if it is longer than an hour."""
    out = io.BytesIO()
    loudness = []
    with av.open(out, "w", format="ogg") as container:
        options = {"application": "voip", "vbr": "on"}
        stream = container.add_stream("libopus", RATE, options=options)
        stream.layout = "mono"
        stream.format = "s16"
        stream.bit_rate = BITRATE
        for number, pcm in enumerate(wav.read(path, FRAME)):
            if number * FRAME >= LONGEST_S * RATE:
                raise BadSound("a voice note is at most an hour long; send it as a file")
            container.mux(stream.encode(audio_frame(pcm, number * FRAME)))
            loudness.append(power(pcm))
        container.mux(stream.encode(None))
    return VoiceNote(out.getvalue(), len(loudness) * FRAME * 1000 // RATE, wave(loudness))


def power(pcm: bytes) -> float:
    """Mean square of a frame; every sixth sample says enough."""
    some = memoryview(pcm).cast("h")[::6]
    return sum(value * value for value in some) / max(1, len(some))


def wave(powers: list[float]) -> list[int]:
    """Powers of frames as at most 64 values of loudness, the loudest 31."""
    count = min(POINTS, len(powers))
    edges = [len(powers) * at // count for at in range(count + 1)] if count else [0]
    parts = [
        math.sqrt(sum(powers[low:high]) / (high - low)) for low, high in itertools.pairwise(edges)
    ]
    most = max(parts, default=0.0)
    return [round(LOUDEST * part / most) if most else 0 for part in parts]
