"""Opus (RFC 6716) packets of one length, from and to 48 kHz mono PCM.

At constant bit rate a packet's length says nothing about what is said. PCM is signed 16 bit
in this machine's byte order, two bytes a sample.
"""

from __future__ import annotations

import contextlib
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext

RATE: Final = 48_000
"""Samples a second, everywhere here."""
SAMPLE: Final = 2
"""Bytes of one."""
MOST: Final = 1275 * 6
"""Bytes of a packet; more is none."""
CONCEALED: Final = RATE // 50 * SAMPLE
"""Bytes of PCM that bridge a missing frame."""


class BadSound(Exception):
    """It cannot be coded or decoded; the sentence says what is wrong."""


class Encoder:
    """`bitrate` in bit/s; each packet has exactly `bitrate * frame_ms / 8000` bytes."""

    def __init__(self, bitrate: int = 16_000, frame_ms: int = 20) -> None:
        self.samples = RATE * frame_ms // 1000
        """Of one frame."""
        self.size = bitrate * frame_ms // 8000
        """Bytes of one packet."""
        self._at = 0
        self._codec = AudioCodecContext.create("libopus", "w")
        self._codec.sample_rate = RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = bitrate
        self._codec.options = {
            "vbr": "off",
            "application": "voip",
            "frame_duration": str(frame_ms),
        }
        try:
            self._codec.open()
        except (av.FFmpegError, ValueError):
            raise BadSound(f"Opus has no {frame_ms} ms frames at {bitrate} bit/s") from None

    def encode(self, pcm: bytes) -> bytes:
        """One frame. Raises `BadSound` unless it has exactly `samples`."""
        if len(pcm) != self.samples * SAMPLE:
            raise BadSound(f"a frame has {self.samples} samples, not {len(pcm) / SAMPLE:g}")
        packets = self._codec.encode(audio_frame(pcm, self._at))
        self._at += self.samples
        if len(packets) != 1 or packets[0].size != self.size:
            raise BadSound("the encoder did not keep to its bit rate")
        return bytes(packets[0])


class Decoder:
    """Packets in the order of speaking; keeps what the next one builds on."""

    def __init__(self) -> None:
        self._last = b""
        """A packet of one empty frame of 20 ms, of the kind that came last."""
        self._codec = AudioCodecContext.create("libopus", "r")
        self._codec.sample_rate = RATE
        self._codec.layout = "mono"

    def decode(self, packet: bytes) -> bytes:
        """The PCM of one packet. Raises `BadSound`; the next packet can be decoded anyway."""
        if not 2 <= len(packet) <= MOST:
            raise BadSound(f"an Opus packet has 2 to {MOST} bytes, not {len(packet)}")
        pcm = self._run(packet)
        self._last = bytes((twenty(packet[0]),))
        return pcm

    def conceal(self) -> bytes:
        """What bridges 20 missing milliseconds; silence before any packet.

        An empty frame is a lost one to libopus (RFC 6716, 3.2.1 and 4.4)."""
        pcm = b""
        with contextlib.suppress(BadSound):
            if self._last:
                pcm = self._run(self._last)
        return pcm[:CONCEALED].ljust(CONCEALED, b"\0")

    def _run(self, packet: bytes) -> bytes:
        try:
            frames = self._codec.decode(av.Packet(packet))
        except (av.FFmpegError, ValueError):
            raise BadSound("this is not an Opus packet") from None
        pcm = b"".join(map(pcm_of, frames))
        if not pcm:
            raise BadSound("this Opus packet holds no sound")
        return pcm


def twenty(toc: int) -> int:
    """The first byte of a packet of one frame of 20 ms, otherwise like this one (RFC 6716, 3.1)."""
    config = toc >> 3
    if config < 12:
        config = config & ~3 | 1
    else:
        config |= 1 if config < 16 else 3
    return config << 3 | toc & 4


def audio_frame(pcm: bytes, at: int) -> av.AudioFrame:
    """PCM as a frame for an encoder; `at` counts the samples before it."""
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // SAMPLE)
    frame.planes[0].update(pcm)
    frame.sample_rate = RATE
    frame.pts = at
    return frame


def pcm_of(frame: av.AudioFrame) -> bytes:
    """The samples of a mono frame in 16 bit."""
    return bytes(frame.planes[0])[: frame.samples * SAMPLE]
