"""Real speech, and how well and how late it was heard.

The speech is that of Debian's asterisk-core-sounds-en-g722: recordings of a speaker, 16 kHz.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pystoi import stoi

SPEECH = Path("/usr/share/asterisk/sounds/en")
RATE = 16_000
"""Samples a second of everything here."""
Sound = NDArray[np.float64]


def clips(count: int, least: float = 8.0, most: float = 20.0) -> list[Sound]:
    """So many different recordings of `least` to `most` seconds, each whole."""
    assert SPEECH.is_dir(), "real speech is missing; `make test` installs it"
    found = sorted(
        (path.stat().st_size, path)
        for path in SPEECH.glob("*.g722")
        if least <= path.stat().st_size / 8_000 <= most and "monkeys" not in path.name
    )
    assert len(found) >= count, f"only {len(found)} recordings are of that length"
    return [read(path) for _, path in found[:count]]


def read(path: Path) -> Sound:
    """Any sound file at `RATE`, mono, between -1 and 1."""
    options = {"format": "g722"} if path.suffix == ".g722" else {}
    with av.open(str(path), **options) as file:  # type: ignore[call-overload]
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [one for frame in file.decode(audio=0) for one in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float64)


def write(path: Path, sound: Sound, rate: int = RATE) -> None:
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())


def joined(sounds: list[Sound], before: float, between: float) -> Sound:
    """Silence, the sounds with pauses, silence; times in seconds."""
    parts: list[Sound] = [np.zeros(int(before * RATE))]
    for sound in sounds:
        parts += [sound, np.zeros(int(between * RATE))]
    return np.concatenate(parts)


def lag(said: Sound, heard: Sound) -> int:
    """Where in `heard` the sound `said` begins, in samples: the best place for all of it."""
    size = 1 << (len(said) + len(heard)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    best = int(np.argmax(product))
    return best - size if best > size - len(said) else best


@dataclass(frozen=True)
class Heard:
    """How well a clip was understood (STOI, 0 to 1), and where it began, in seconds."""

    stoi: float
    at: float


def score(said: Sound, heard: Sound) -> Heard:
    """The whole clip after one alignment."""
    start = lag(said, heard)
    begin = max(0, start)
    piece = heard[begin : begin + len(said)]
    piece = np.pad(piece, (begin - start, 0))[: len(said)]
    piece = np.pad(piece, (0, len(said) - len(piece)))
    return Heard(float(stoi(said, piece, RATE)), start / RATE)
