"""Faster or slower at the same pitch.

Whole periods of the voice are left out or repeated and the seams blended: time-domain, as WSOLA
(Verhelst and Roelands, ICASSP 1993). Small changes happen only where it is quiet. The page does
the same in `web/src/calls/tempo.ts`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SHORTEST: Final = 120
"""Samples of a period at 48 kHz: 2.5 ms."""
LONGEST: Final = 480
GENTLE: Final = 10
"""Within so many percent of 100 only what is quiet is changed."""
QUIET: Final = 0.0133
"""Root mean square, of 1, below which nobody is heard to speak."""
PAUSE: Final = 4
OWED: Final = 960
"""Samples that a small piece may leave to the next."""


class Tempo:
    """One stream of 48 kHz mono PCM in 16 bit."""

    def __init__(self) -> None:
        self._owed = 0.0
        """Samples to be left out; below zero, to be repeated."""

    def change(self, pcm: bytes, speed: int) -> bytes:
        """A piece at so many percent of its speed."""
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
        quiet = speed != 100 and float(np.sqrt(np.mean(samples**2))) < QUIET
        if speed == 100 or (abs(speed - 100) <= GENTLE and not quiet):
            self._owed = 0.0
            return pcm
        if quiet and speed > 100 + GENTLE:
            return _bytes(_pause(samples))
        share = 1 - 100 / speed
        if quiet:
            share = max(0.25, share * 1.5) if speed > 100 else -0.25
        most = max(OWED, len(samples))
        self._owed = max(-most, min(most, self._owed + len(samples) * share))
        out = self._shorter(samples) if self._owed > 0 else self._longer(samples)
        return _bytes(out)

    def _shorter(self, samples: NDArray[Any]) -> NDArray[Any]:
        parts, at = [], 0
        while len(samples) - at >= 2 * SHORTEST:
            lag = period(samples, at)
            if self._owed < lag:
                break
            parts.append(blend(samples[at : at + lag], samples[at + lag : at + 2 * lag]))
            at += 2 * lag
            self._owed -= lag
        return np.concatenate([*parts, samples[at:]])

    def _longer(self, samples: NDArray[Any]) -> NDArray[Any]:
        parts, at = [], 0
        while len(samples) - at >= 2 * SHORTEST:
            lag = period(samples, at)
            if -self._owed < lag:
                break
            parts.append(samples[at : at + lag])
            parts.append(blend(samples[at + lag : at + 2 * lag], samples[at : at + lag]))
            at += lag
            self._owed += lag
        return np.concatenate([*parts, samples[at:]])


def _bytes(samples: NDArray[Any]) -> bytes:
    return (samples * 32767).clip(-32768, 32767).astype(np.int16).tobytes()


def _pause(samples: NDArray[Any]) -> NDArray[Any]:
    """A quarter of it, where there is much to catch up with and nobody speaks: from its beginning
    into its end."""
    size = len(samples) // PAUSE
    return blend(samples[:size], samples[len(samples) - size :])


def blend(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """From the one to the other."""
    share = np.arange(len(one)) / len(one)
    return one * (1 - share) + other * share


def period(samples: NDArray[Any], at: int) -> int:
    """The lag at which what follows is most like what is there (normalised correlation)."""
    best, most = SHORTEST, -np.inf
    for lag in range(SHORTEST, min(LONGEST, (len(samples) - at) // 2) + 1, 2):
        one, other = samples[at : at + lag : 4], samples[at + lag : at + 2 * lag : 4]
        likeness = float(one @ other) / (float(one @ one) * float(other @ other) + 1e-18) ** 0.5
        if likeness > most:
            best, most = lag, likeness
    return best
