"""media-rce (WhatsApp CVE-2019-3568, CVE-2019-11932): the process that holds the keys never
decodes what it receives, and malformed media change nothing."""

from __future__ import annotations

import asyncio
import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.node.client import Client
from holdfast.sound import wav
from holdfast.sound.opus import BadSound, Decoder
from holdfast.testing.processes import Processes

DECODERS = ("libav", "libsw", "libopus", "libvpx", "libjpeg", "libpng", "libwebp", "PIL", "numpy")
PATIENCE = 30


def mapped(pid: int) -> list[str]:
    """Libraries of a process that decode media."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return [name for name in DECODERS if name in maps]


def media() -> list[tuple[str, str, bytes]]:
    """Whole and broken files of what a browser shows."""
    dice = random.Random(11)
    return [
        ("picture", "image/png", b"\x89PNG\r\n\x1a\n" + dice.randbytes(300)),
        ("picture", "image/jpeg", b"\xff\xd8\xff\xe0" + dice.randbytes(300)),
        ("picture", "image/gif", b"GIF89a" + b"\xff" * 300),
        ("picture", "image/webp", b"RIFF\xff\xff\xff\xffWEBPVP8L" + dice.randbytes(300)),
        ("voice", "audio/ogg", b"OggS" + dice.randbytes(300)),
        ("voice", "audio/ogg", b"OggS"),
    ]


async def receive(tmp_path: Path) -> list[str]:
    """A real node gets all of them; the decoders in its process then."""
    with Processes(tmp_path) as run:
        relay = run.relay("relay").address
        anna, boris = run.node("Anna", relay), run.node("Boris", relay)
        async with (
            Client.connect(anna.directory) as one,
            Client.connect(boris.directory) as other,
        ):
            made = await one.node.create_invitation()
            async with asyncio.timeout(PATIENCE):
                while (await one.node.invitations())[0].state != "open":
                    await asyncio.sleep(0.05)
                await other.node.accept_invitation(made.link)
                while not [c for c in await one.node.contacts() if c.state == "active"]:
                    await asyncio.sleep(0.05)
                for kind, kind_of, data in media():
                    upload = await one.upload(io.BytesIO(data), len(data))
                    await one.node.send_file("Boris", upload, "a", kind, kind_of)  # type: ignore[arg-type]
                got = 0
                while got < len(media()):
                    page = await other.node.messages("Anna")
                    got = sum(m.file is not None and m.file.state == "whole" for m in page.messages)
                    await asyncio.sleep(0.05)
            for message, (_, _, data) in zip(
                [m for m in page.messages if m.file], media(), strict=True
            ):
                kept = io.BytesIO()
                await other.download(message.id, kept)
                assert kept.getvalue() == data
        return mapped(boris.pid)


async def test_the_node_decodes_nothing(tmp_path: Path) -> None:
    assert await receive(tmp_path) == []


def test_twin_a_process_that_decodes_is_seen() -> None:
    code = "import av, os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        assert "libav" in mapped(int(program.stdout.readline()))
    finally:
        program.communicate()


@pytest.mark.parametrize("seed", range(3))
def test_broken_sound_is_an_error_where_it_is_decoded(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    decoder = Decoder()
    for _ in range(200):
        try:
            decoder.decode(dice.randbytes(dice.randrange(0, 120)))
        except BadSound:
            pass
    good = tmp_path / "good.wav"
    with wav.Writer(good) as out:
        out.write(dice.randbytes(96_000))
    data = good.read_bytes()
    broken = tmp_path / "broken.wav"
    for _ in range(60):
        changed = bytearray(data[: dice.randrange(1, len(data))])
        for _ in range(dice.randrange(1, 20)):
            changed[dice.randrange(min(len(changed), 60))] = dice.randrange(256)
        broken.write_bytes(bytes(changed))
        try:
            for frame in wav.read(broken):
                assert len(frame) == 1920
        except BadSound:
            pass
