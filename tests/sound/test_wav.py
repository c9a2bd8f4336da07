"""Sound files: whatever holds sound is read, nothing else, and never more than asked."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.sound import wav
from holdfast.sound.opus import RATE, BadSound


def stereo(path: Path, seconds: float, rate: int = 44_100) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes((1, 9)) * int(2 * seconds * rate))
    return path


def test_another_rate_and_two_channels_become_frames(tmp_path: Path) -> None:
    frames = list(wav.read(stereo(tmp_path / "a.wav", 1.01)))
    assert {len(frame) for frame in frames} == {1920}
    assert len(frames) == 51
    assert frames[-1].endswith(b"\0" * 500)  # filled up


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.wav"
    said = [bytes((number, 0)) * 960 for number in range(1, 9)]
    with wav.Writer(path) as out:
        for pcm in said:
            out.write(pcm)
    assert list(wav.read(path)) == said
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        assert file.getnframes() == 8 * 960


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "c.wav"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        wav.Writer(path)
    assert path.read_text() == "mine"
    with wav.Writer(path, overwrite=True):
        pass
    assert path.read_bytes()[:4] == b"RIFF"


def test_what_is_no_sound_is_said(tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("Not a sound. " * 100)
    with pytest.raises(BadSound, match=r"text\.wav is not a sound file"):
        list(wav.read(path))
    with pytest.raises(BadSound, match="cannot read"):
        list(wav.read(tmp_path / "missing.wav"))
    with pytest.raises(BadSound, match="no sound in"):
        list(wav.read(stereo(tmp_path / "empty.wav", 0)))


def test_a_file_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wav, "LONGEST_S", 1)
    frames = wav.read(stereo(tmp_path / "long.wav", 5))
    with pytest.raises(BadSound, match="longer than"):
        list(frames)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
    ],
)
def test_a_playlist_fetches_nothing(tmp_path: Path, text: str) -> None:
    target = stereo(tmp_path / "secret.wav", 1)
    path = tmp_path / "list.wav"
    path.write_text(text.format(target))
    with pytest.raises(BadSound):
        list(wav.read(path))


@given(st.binary(max_size=2000), st.integers(0, 2000))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_garbage_is_an_error_not_a_crash(tmp_path: Path, garbage: bytes, at: int) -> None:
    whole = stereo(tmp_path / "good.wav", 0.1).read_bytes()
    path = tmp_path / "bad.wav"
    for data in (garbage, whole[:at] + garbage + whole[at + len(garbage) :]):
        path.write_bytes(data)
        try:
            assert all(len(frame) == 1920 for frame in wav.read(path))
        except BadSound as error:
            assert "bad.wav" in str(error)
