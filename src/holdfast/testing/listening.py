"""How well, and how late, speech was heard: for tests and benchmarks.

Sound is 48 kHz mono PCM in 16 bit, as in `holdfast.sound`, which this does not import. Needs
numpy, scipy and pystoi of the development group; speech is of the Debian package
asterisk-core-sounds-en-g722.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pystoi import stoi as _stoi
from scipy.signal import correlate

RATE: Final = 48_000
SPEECH: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
LONG: Final = 8.0
"""Seconds of a clip at least."""
G722_BYTES: Final = 8000
"""A second of G.722 at 64 kbit/s."""

Samples = NDArray[np.float64]


def speech(count: int = 4, seconds: float = LONG) -> list[Path]:
    """That many recordings of a voice, each at least so long: raw G.722, 16 kHz; those nearest
    above the length. Raises FileNotFoundError saying what to install."""
    sizes = sorted((path.stat().st_size, path) for path in SPEECH.glob("*.g722"))
    found = [path for size, path in sizes if size >= seconds * G722_BYTES][:count]
    if len(found) < count:
        raise FileNotFoundError(
            f"{count} recordings of speech are needed in {SPEECH}. Install them, for example:"
            " apt-get install asterisk-core-sounds-en-g722"
        )
    return found


def samples(pcm: bytes) -> Samples:
    """PCM as numbers from -1 to 1."""
    return np.frombuffer(pcm, dtype=np.int16).astype(np.float64) / 32768


def align(reference: Samples, heard: Samples) -> int:
    """By how many samples the reference comes later in what was heard; below 0: earlier.

    One lag for the whole clip: where the two are most alike (cross-correlation). What moves
    in between, moves against the score."""
    likeness: NDArray[Any] = correlate(heard, reference, mode="full", method="fft")
    return int(np.argmax(likeness)) - (len(reference) - 1)


def stoi(reference: Samples, heard: Samples, lag: int | None = None) -> float:
    """Short-time objective intelligibility of the whole reference (Taal et al., 2011), 0 to 1;
    what was not heard is silence."""
    lag = align(reference, heard) if lag is None else lag
    placed = np.zeros(len(reference))
    low, high = max(0, lag), min(len(heard), lag + len(reference))
    if low < high:
        placed[low - lag : high - lag] = heard[low:high]
    return float(_stoi(reference, placed, RATE))


def delay_ms(lag: int, spoken_at: int, heard_at: int) -> float:
    """From mouth to ear: `spoken_at` and `heard_at` are when the first sample of the reference
    was spoken and when the first sample of the recording was played, in nanoseconds of one
    clock; `lag` is `align`'s."""
    return lag * 1000 / RATE + (heard_at - spoken_at) / 1_000_000
