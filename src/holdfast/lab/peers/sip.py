"""SIP in the lab: baresip calls baresip by its address, with Opus over RTP on UDP."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from holdfast.lab import voice
from holdfast.lab.hosts import CannotPlay, Host
from holdfast.lab.peers.base import Running, need, start
from holdfast.lab.play import Call, Stage
from holdfast.lab.town import ABROAD, Town

MODULES: Final = ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules")
CHANNELS: Final = 2
HEADER: Final = 44
"""Bytes of a WAV file before its sound."""
SPEECH_SECONDS: Final = 120.0
READY: Final = "baresip is ready"
STANDS: Final = "Call established"


def settings(host: Host, speech: Path, heard: Path) -> str:
    """baresip's: a file is spoken, what is heard goes into another."""
    modules = next((one for one in MODULES if Path(one).is_dir()), "")
    if not modules:
        raise CannotPlay("baresip's modules are not where Debian has them.")
    return f"""
sip_listen {host.address}:5060
audio_source aufile,{speech}
audio_player aubridge,nothing
audio_alert aubridge,nothing
audio_path {heard}
jitter_buffer_delay 5-10
rtp_ports 10000-20000
module_path {modules}
module opus.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
snd_path {heard}
opus_bitrate 24000
"""


class Person:
    """One baresip, for one call."""

    def __init__(self, host: Host, name: str, directory: Path, speech: Path) -> None:
        self._host = host
        self._home = directory / name
        self._heard = self._home / "heard"
        self._heard.mkdir(parents=True, exist_ok=True)
        for old in self._heard.iterdir():
            old.unlink()
        (self._home / "config").write_text(settings(host, speech, self._heard))
        account = (
            f"<sip:{name}@{host.address}>;regint=0;audio_codecs=opus/48000/2;answermode=auto\n"
        )
        (self._home / "accounts").write_text(account)
        (self._home / "contacts").write_text("")
        self._said = bytearray()
        self._running: Running | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, dial: str = "") -> None:
        """Wait for calls, or call that address."""
        command = ["baresip", "-f", str(self._home)]
        command += ["-e", f"d {dial}"] if dial else []
        self._running = await start(self._host, command)
        self._reading = asyncio.create_task(self._read(self._running))

    async def said(self, text: str) -> None:
        """Until it says that."""
        while text.encode() not in self._said:  # noqa: ASYNC110  a task fills it
            await asyncio.sleep(0.02)

    async def _read(self, program: Running) -> None:
        while piece := await program.read():
            self._said += piece

    async def stop(self) -> None:
        """Hang up, and end."""
        if self._running is not None:
            await self._running.end()
        if self._reading is not None:
            await self._reading

    def size(self) -> int:
        """Bytes of the file with what was heard."""
        return sum(one.stat().st_size for one in self._heard.glob("*-dec.wav"))

    def since(self, size: int) -> bytes:
        """What was heard since the file had that size."""
        pcm = b"".join(one.read_bytes() for one in self._heard.glob("*-dec.wav"))
        both = array("h", pcm[max(HEADER, size) :][: (len(pcm) - max(HEADER, size)) // 4 * 4])
        return both[::CHANNELS].tobytes()


class SipCall(Call):
    """Two that talk."""

    def __init__(self, *people: Person) -> None:
        self._people = people

    async def listen(self, seconds: float) -> list[bytes]:
        """See `Call`."""
        starts = [one.size() for one in self._people]
        await asyncio.sleep(seconds)
        return [one.since(size) for one, size in zip(self._people, starts, strict=True)]

    async def end(self) -> None:
        """See `Call`."""
        for one in self._people:
            await one.stop()


class Sip(Stage):
    """Anna, who has the censor, calls Boris. Both programs are started anew for each call."""

    peer = "sip"
    columns = ("call", "in call")

    def __init__(self, town: Town, directory: Path, speech: Path) -> None:
        super().__init__(town)
        self._town, self._directory, self._speech = town, directory, speech

    async def leave(self, *, forget: bool = True) -> None:
        """See `Stage`."""

    async def arrive(self) -> None:
        """See `Stage`."""

    async def connected(self) -> None:
        """See `Stage`. There is no server to connect to."""

    async def call(self) -> Call:
        """See `Stage`."""
        boris = Person(self._town.abroad, "boris", self._directory, self._speech)
        anna = Person(self._town.home, "anna", self._directory, self._speech)
        call = SipCall(anna, boris)
        try:
            await boris.start()
            await boris.said(READY)
            await anna.start(f"sip:boris@{ABROAD.address}")
            await anna.said(STANDS)
        except BaseException:
            await call.end()
            raise
        return call


@contextlib.asynccontextmanager
async def on_hosts(directory: Path) -> AsyncIterator[Sip]:
    """Raises `CannotPlay`."""
    need({"baresip": "baresip-core"})
    speech = directory / "speech.wav"
    voice.record(speech, SPEECH_SECONDS, CHANNELS)
    with Town({}, listed=[ABROAD.name]) as town:
        yield Sip(town, directory, speech)
