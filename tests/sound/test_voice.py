"""Voice notes are Ogg Opus of the right length, with how loud they are."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from holdfast.sound import voice, wav
from holdfast.sound.opus import BadSound
from holdfast.testing.listening import samples, stoi


@pytest.fixture
def spoken(clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "spoken.wav"
    with wav.Writer(path) as out:
        for pcm in wav.read(clip, format="g722"):
            out.write(pcm)
    return path


def test_a_voice_note_is_the_speech_again(spoken: Path, tmp_path: Path) -> None:
    note = voice.make(spoken)
    path = tmp_path / "note.ogg"
    path.write_bytes(note.data)
    with av.open(str(path)) as container:
        assert container.format.name == "ogg"
        assert container.streams.audio[0].codec_context.name == "opus"
    said, heard = b"".join(wav.read(spoken)), b"".join(wav.read(path))
    assert note.duration == len(said) // 96
    assert abs(len(heard) - len(said)) <= 1920
    assert len(note.data) < 4 * note.duration  # bytes: under 32 kbit/s
    assert stoi(samples(said), samples(heard)) >= 0.95
    assert len(note.wave) == 64
    assert max(note.wave) == 31
    assert min(note.wave) >= 0


def test_loudness_follows_the_sound() -> None:
    assert voice.wave([]) == []
    assert voice.wave([0.0] * 200) == [0] * 64
    assert voice.wave([100.0, 25.0, 0.0]) == [31, 16, 0]
    rising = voice.wave([float(n * n) for n in range(640)])
    assert rising == sorted(rising)
    assert rising[-1] == 31


def test_what_is_no_sound_is_no_voice_note(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(b"OggS" + bytes(100))
    with pytest.raises(BadSound):
        voice.make(path)


def test_over_an_hour_is_refused(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "LONGEST_S", 2)
    with pytest.raises(BadSound, match="at most an hour"):
        voice.make(spoken)
