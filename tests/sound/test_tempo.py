"""Faster and slower at the same pitch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sound.tempo import Tempo

RATE = 48_000


def voice(seconds: float, loud: float = 0.3) -> bytes:
    at = np.arange(int(seconds * RATE)) / RATE
    return (loud * np.sin(2 * np.pi * 150 * at) * 32767).astype(np.int16).tobytes()


def played(pcm: bytes, speed: int, size: int = 1920) -> bytes:
    tempo = Tempo()
    return b"".join(tempo.change(pcm[at : at + size], speed) for at in range(0, len(pcm), size))


@pytest.mark.parametrize("speed", [70, 115, 150])
@pytest.mark.parametrize("size", [1920, 5760])
def test_the_pitch_stays(speed: int, size: int) -> None:
    out = np.frombuffer(played(voice(2), speed, size), np.int16)
    assert len(out) == pytest.approx(2 * RATE * 100 / speed, rel=0.05)
    rising = np.count_nonzero((out[:-1] < 0) & (out[1:] >= 0))
    assert rising / (len(out) / RATE) == pytest.approx(150, rel=0.05)
    assert np.abs(np.diff(out.astype(int))).max() < 2_000  # no seam clicks


@pytest.mark.parametrize("speed", [90, 110])
def test_small_changes_wait_until_it_is_quiet(speed: int) -> None:
    assert played(voice(1), speed) == voice(1)
    assert (len(played(voice(1, 0.001), speed)) < len(voice(1))) is (speed > 100)


def test_pauses_are_hardly_kept_where_there_is_much_to_catch_up_with() -> None:
    assert len(played(voice(1, 0.001), 130)) == len(voice(1)) // 4


@given(st.binary(max_size=4000), st.integers(50, 200))
def test_any_samples_at_any_speed(data: bytes, speed: int) -> None:
    data = data[: len(data) & ~1]
    if data:
        assert len(Tempo().change(data, speed)) <= 2 * len(data)
