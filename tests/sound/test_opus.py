"""Opus packets: one length, whole again, and no packet that stops the decoder."""

from __future__ import annotations

import array
import math
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.sound import wav
from holdfast.sound.opus import RATE, BadSound, Decoder, Encoder
from holdfast.testing.listening import align, samples, stoi


def tone(frames: int, samples: int = 960) -> list[bytes]:
    wave = [int(9000 * math.sin(math.tau * 300 * n / RATE)) for n in range(frames * samples)]
    pcm = array.array("h", wave).tobytes()
    return [pcm[at : at + 2 * samples] for at in range(0, len(pcm), 2 * samples)]


@pytest.mark.parametrize(
    ("bitrate", "frame_ms", "size"),
    [(16_000, 20, 40), (24_000, 20, 60), (12_000, 40, 60), (8_000, 60, 60)],
)
def test_every_packet_has_the_same_length(bitrate: int, frame_ms: int, size: int) -> None:
    encoder = Encoder(bitrate, frame_ms)
    samples = encoder.samples
    noise = [secrets.token_bytes(2 * samples) for _ in range(5)]
    silence = [bytes(2 * samples)] * 5
    packets = [encoder.encode(pcm) for pcm in tone(5, samples) + silence + noise]
    assert {len(packet) for packet in packets} == {size} == {encoder.size}


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(BadSound, match="960 samples"):
        Encoder().encode(bytes(960))


def test_what_opus_cannot_do_is_said() -> None:
    with pytest.raises(BadSound, match="7 ms"):
        Encoder(16_000, 7)


def test_a_missing_packet_is_bridged_by_as_much_sound() -> None:
    encoder, decoder = Encoder(), Decoder()
    assert decoder.conceal() == bytes(1920)
    for packet in map(encoder.encode, tone(10)):
        assert len(decoder.decode(packet)) == 1920
    bridged = array.array("h", decoder.conceal())
    assert len(bridged) == 960
    assert max(bridged) > 3000  # the tone goes on
    for _ in range(20):
        assert len(decoder.conceal()) == 1920
    assert len(decoder.decode(encoder.encode(tone(1)[0]))) == 1920


@pytest.mark.parametrize("packet", [b"", b"x", bytes(10_000)])
def test_a_packet_of_no_length_opus_has_is_refused(packet: bytes) -> None:
    with pytest.raises(BadSound, match="2 to"):
        Decoder().decode(packet)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_garbage_does_not_stop_the_decoder(packets: list[bytes]) -> None:
    encoder, decoder = Encoder(), Decoder()
    for packet in packets:
        try:
            pcm = decoder.decode(packet)
        except BadSound:
            pcm = decoder.conceal()
        assert 0 < len(pcm) <= 2 * RATE * 120 // 1000
    assert len(decoder.decode(encoder.encode(bytes(1920)))) == 1920


def test_speech_stays_understood(clip: Path) -> None:
    encoder, decoder = Encoder(), Decoder()
    said = list(wav.read(clip, format="g722"))
    back = b"".join(decoder.decode(encoder.encode(pcm)) for pcm in said)
    spoken, heard = samples(b"".join(said)), samples(back)
    assert 0 <= align(spoken, heard) < RATE // 100  # the codec looks ahead 6.5 ms
    assert stoi(spoken, heard) >= 0.95


def test_speech_with_losses_bridged_is_better_than_with_holes(clip: Path) -> None:
    encoder, bridging, holed = Encoder(), Decoder(), Decoder()
    said = list(wav.read(clip, format="g722"))
    bridged = holes = b""
    for number, packet in enumerate(map(encoder.encode, said)):
        lost = number % 10 == 9
        bridged += bridging.conceal() if lost else bridging.decode(packet)
        holes += bytes(1920) if lost else holed.decode(packet)
    spoken = samples(b"".join(said))
    assert stoi(spoken, samples(bridged)) > stoi(spoken, samples(holes)) + 0.02
