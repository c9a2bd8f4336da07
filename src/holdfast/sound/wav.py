"""Sound files as frames for a call, and what was heard as a WAV file."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av

from holdfast.sound.opus import RATE, SAMPLE, BadSound, pcm_of

FORMATS: Final = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,amr,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,g722"
)
"""What is opened: containers that hold their sound themselves. Playlists are none: one could
make this program fetch addresses."""
LONGEST_S: Final = 4 * 3600
"""Seconds of sound taken from one file."""


def read(path: Path, samples: int = 960, format: str | None = None) -> Iterator[bytes]:
    """A sound file as PCM frames of 48 kHz mono, the last filled up with silence.

    `format` names FFmpeg's format for a raw file. Raises `BadSound` if it is not a sound file,
    holds nothing, or more than `LONGEST_S`."""
    size = samples * SAMPLE
    rest, total = b"", 0
    for pcm in _decoded(path, format):
        total += len(pcm)
        if total > LONGEST_S * RATE * SAMPLE:
            raise BadSound(f"{path.name} is longer than {LONGEST_S // 3600} hours; cut it first")
        rest += pcm
        whole = len(rest) - len(rest) % size
        for at in range(0, whole, size):
            yield rest[at : at + size]
        rest = rest[whole:]
    if rest:
        yield rest.ljust(size, b"\0")
    if not total:
        raise BadSound(f"there is no sound in {path.name}")


def _decoded(path: Path, format: str | None) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with (
            path.open("rb") as file,
            av.open(file, "r", format=format, options={"format_whitelist": FORMATS}) as container,
        ):
            if not container.streams.audio:
                raise BadSound(f"there is no sound in {path.name}")
            for frame in container.decode(container.streams.audio[0]):
                frame.pts = None  # gaps in a file's clock are not silence here
                yield from map(pcm_of, resampler.resample(frame))
            yield from map(pcm_of, resampler.resample(None))
    except OSError as error:
        if isinstance(error, av.FFmpegError):
            raise _not_sound(path) from None
        raise BadSound(f"cannot read {path}: {error.strerror}") from None
    except (av.FFmpegError, ValueError):
        raise _not_sound(path) from None


def _not_sound(path: Path) -> BadSound:
    return BadSound(f"{path.name} is not a sound file that can be read; try WAV, Ogg or MP3")


class Writer:
    """A WAV file of 48 kHz mono that grows; whole once the block is left.

    Raises OSError; never overwrites unless told so."""

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self._raw = path.open("wb" if overwrite else "xb")
        self._file = wave.open(self._raw, "wb")  # noqa: SIM115
        self._file.setnchannels(1)
        self._file.setsampwidth(SAMPLE)
        self._file.setframerate(RATE)

    def write(self, pcm: bytes) -> None:
        """Add samples."""
        self._file.writeframesraw(pcm)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        with self._raw:
            self._file.close()
