"""What is understood of what was said: the measure by which calls survive."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path
from random import Random

from holdfast.lab import voice
from holdfast.sound.opus import RATE, SAMPLE

SIZE = round(voice.SECONDS * RATE) * SAMPLE


def piece(at: int = RATE * 10) -> bytes:
    return voice.speech()[at * SAMPLE :][:SIZE]


def test_speech_is_found_wherever_it_was_said() -> None:
    whole = voice.speech()
    assert voice.understood(piece()) > 0.99
    wrapped = whole[-SIZE // 2 :] + whole[: SIZE // 2]
    assert voice.understood(wrapped) > 0.99


def test_what_is_made_longer_to_catch_up_is_understood_all_the_same() -> None:
    second = RATE * SAMPLE
    said = piece()
    late = said[:second] + said[second - second // 10 : 2 * second] + said[2 * second :]
    assert voice.understood(late[:SIZE]) > 0.8


def test_silence_noise_and_half_of_it_are_not_speech_heard() -> None:
    dice = Random(1)
    noise = array("h", (round(dice.gauss(0, 2_000)) for _ in range(SIZE // SAMPLE))).tobytes()
    assert voice.understood(bytes(SIZE)) == 0
    assert voice.understood(b"") == 0
    assert voice.understood(noise) < voice.ENOUGH
    assert voice.understood(piece()[: SIZE // 2].ljust(SIZE, b"\0")) < voice.ENOUGH


def test_what_is_spoken_goes_on_and_into_a_file(tmp_path: Path) -> None:
    pieces = voice.spoken()
    count = len(voice.speech()) // voice.PIECE
    first = next(pieces)
    for _ in range(count - 1):
        next(pieces)
    assert next(pieces) == first
    voice.record(tmp_path / "two.wav", 1, channels=2)
    with wave.open(str(tmp_path / "two.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, RATE, RATE)
        both = array("h", file.readframes(RATE))
    assert both[::2] == both[1::2] == array("h", voice.speech()[: RATE * SAMPLE])
