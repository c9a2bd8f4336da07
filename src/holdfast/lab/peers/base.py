"""What peers share: programs on the lab's hosts, certificates, and what must be installed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from holdfast.lab.hosts import CannotPlay, Host
from holdfast.relay import certificate

READY_SECONDS: Final = 30.0
END_SECONDS: Final = 5.0
LONGEST: Final = 1024 * 1024
"""Bytes of a line that a program says."""


def need(programs: Mapping[str, str], modules: Sequence[str] = ()) -> None:
    """Debian packages by the program that is wanted of each, and Python's modules. Raises
    `CannotPlay` saying what to install."""
    wanted = sorted({package for name, package in programs.items() if shutil.which(name) is None})
    if wanted:
        raise CannotPlay(
            f"This peer needs {', '.join(wanted)}, for example: apt-get install {' '.join(wanted)}."
        )
    lacking = [name for name in modules if importlib.util.find_spec(name) is None]
    if lacking:
        raise CannotPlay(f"This peer needs {', '.join(lacking)}: pip install {' '.join(lacking)}.")


def certify(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a server, which whoever is to trust it is told, and its key."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate.load_or_make(directory, name, time.time_ns() // 1_000_000)
    return directory / "tls.crt", directory / "tls.key"


class Running:
    """A program on a host, whose lines one reads and to which one may write."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next one it says; "" when it has ended."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode("utf-8", "replace")

    async def read(self) -> bytes:
        """What it says next, whether a line or not; b"" when it has ended."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(LONGEST)

    async def until(self, text: str, seconds: float = READY_SECONDS) -> str:
        """The first line with that text. Raises `CannotPlay` with what it said if none comes."""
        said: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while line := await self.line():
                    if text in line:
                        return line
                    said.append(line)
        raise CannotPlay(f"a program did not say {text!r}, but: {''.join(said[-20:])}")

    def write(self, line: str) -> None:
        """A line for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def end(self) -> None:
        """Ask it to end, then make it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def start(host: Host, command: Sequence[str | Path], errors: Path | None = None) -> Running:
    """A program on a host; see `launch`."""
    return await launch(host.command(command), errors)


async def launch(command: Sequence[str], errors: Path | None = None) -> Running:
    """A program; its complaints go to `errors`, else they are among its lines."""
    with contextlib.ExitStack() as closing:
        to = closing.enter_context(errors.open("ab")) if errors else asyncio.subprocess.STDOUT
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=to,
            limit=LONGEST,
        )
    return Running(process)


@contextlib.asynccontextmanager
async def running(
    host: Host, command: Sequence[str | Path], errors: Path | None = None
) -> AsyncIterator[Running]:
    """See `start`; it ends with the block."""
    made = await start(host, command, errors)
    try:
        yield made
    finally:
        await made.end()
