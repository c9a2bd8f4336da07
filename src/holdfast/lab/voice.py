"""What is said in the lab's calls, and whether it is understood: the same measure for everybody.

Sound is 48 kHz mono PCM in 16 bit. Recorded speech is said again and again, without pauses, so that
any few seconds of what is heard can be found in it and compared (STOI, see `testing.listening`).
"""

from __future__ import annotations

import functools
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.sound import wav
from holdfast.sound.opus import RATE, SAMPLE

SECONDS: Final = 3.0
"""Of what is heard at the end that must be understood."""
SECOND: Final = RATE * SAMPLE
"""Bytes."""
ENOUGH: Final = 0.6
"""STOI from which speech is heard; noise, and other speech, are at 0.4."""
QUIET: Final = 100
"""Samples below which nothing is heard at all, of 32,767."""
APART: Final = RATE // 2
"""Samples by which a second may be elsewhere than the whole would have it."""
PIECE: Final = RATE // 50 * SAMPLE


@functools.cache
def speech() -> bytes:
    """All that is said. Raises FileNotFoundError saying what to install."""
    from holdfast.testing import listening

    said = b"".join(b"".join(wav.read(clip, format="g722")) for clip in listening.speech(4))
    return said[: len(said) // PIECE * PIECE]


def spoken() -> Iterator[bytes]:
    """It, in pieces, for ever."""
    said = speech()
    while True:
        for at in range(0, len(said), PIECE):
            yield said[at : at + PIECE]


def record(path: Path, seconds: float, channels: int = 1) -> None:
    """It, as a WAV file that is so long."""
    pieces = spoken()
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(SAMPLE)
        out.setframerate(RATE)
        for _ in range(round(seconds * 50)):
            out.writeframesraw(beside(next(pieces), channels))


def beside(pcm: bytes, channels: int) -> bytes:
    """The same sound on several channels."""
    one = array("h", pcm)
    all = array("h", bytes(len(pcm) * channels))
    for channel in range(channels):
        all[channel::channels] = one
    return all.tobytes()


def understood(heard: bytes) -> float:
    """How well a few seconds of what was said are understood: STOI, 0 to 1, the mean of each
    second's. Each is looked for by itself, since all peers make what they play longer or shorter
    to catch up with what was late, which does not hinder understanding."""
    from holdfast.testing import listening

    heard = heard[: len(heard) // SAMPLE * SAMPLE]
    if len(heard) < RATE * SAMPLE or max(array("h", heard)) < QUIET:
        return 0.0
    whole = listening.samples(heard)
    said = listening.samples(speech() + speech()[: len(heard)])
    at = listening.align(whole, said)
    scores = []
    for start in range(0, len(whole) - RATE + 1, RATE):
        piece = whole[start : start + RATE]
        first = min(max(0, at + start - APART), len(said) - RATE)
        near = said[first : first + RATE + 2 * APART]
        found = min(max(0, listening.align(piece, near)), len(near) - RATE)
        loud = float(abs(piece).max()) * 32_767 >= QUIET
        scores.append(listening.stoi(near[found : found + RATE], piece, 0) if loud else 0.0)
    return sum(scores) / len(scores)
