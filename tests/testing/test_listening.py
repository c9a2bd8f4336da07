"""The score is one of what was heard, and the delay is the real one."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.sound import wav
from holdfast.testing.listening import LONG, RATE, align, delay_ms, samples, speech, stoi


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return samples(b"".join(wav.read(speech()[0], format="g722")))


def test_there_is_enough_speech() -> None:
    clips = speech()
    assert len(set(clips)) == 4
    for path in clips:
        assert len(list(wav.read(path, RATE // 10, "g722"))) >= LONG * 10


def test_no_speech_says_what_to_install() -> None:
    with pytest.raises(FileNotFoundError, match="apt-get install"):
        speech(10_000)


@pytest.mark.parametrize("lag", [0, 1, 4321, -977])
def test_the_lag_is_found(voice: np.ndarray, lag: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, len(voice) + abs(lag))
    start, skipped = max(0, lag), max(0, -lag)
    noise[start : start + len(voice) - skipped] += voice[skipped:] / 2
    assert align(voice, noise) == lag
    assert stoi(voice, noise) > 0.8


def test_the_same_is_understood_and_silence_or_noise_is_not(voice: np.ndarray) -> None:
    assert stoi(voice, voice) > 0.999
    assert stoi(voice, np.random.default_rng(1).normal(0, 0.1, len(voice))) < 0.4
    assert stoi(voice, np.zeros(100)) < 0.1


def test_half_of_it_is_not_the_whole(voice: np.ndarray) -> None:
    assert stoi(voice, voice[: len(voice) // 2]) < 0.7


def test_pauses_put_in_between_cost(voice: np.ndarray) -> None:
    middle = len(voice) // 2
    torn = np.concatenate([voice[:middle], np.zeros(RATE // 5), voice[middle:]])
    assert stoi(voice, torn) < 0.8


def test_the_delay_counts_both_clocks() -> None:
    assert delay_ms(RATE // 10, 5_000_000_000, 5_020_000_000) == pytest.approx(120)
    assert delay_ms(-480, 0, 90_000_000) == pytest.approx(80)
