"""The program that codes Codec2 for a node, see `holdfast.sound.thin`: started when it is needed.

It runs beside the node, since nothing that was received is decoded where the keys are.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

ENCODE: Final = b"E"
DECODE: Final = b"D"
NOTE: Final = b"N"
WAITING: Final = 64
"""Requests that may wait; a program that does not keep up is answered for with nothing."""
MOST: Final = 4 * 1024 * 1024
Answer = Callable[[bytes], None]


class Thin:
    """Requests are answered in order, each exactly once; with nothing, where that program fails."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, Answer]] = deque()
        self._sent = 0
        """Of those that wait."""
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def ask(self, kind: bytes, data: bytes, answer: Answer) -> None:
        """Ask for something."""
        if len(self._waiting) >= WAITING:
            answer(b"")
            return
        self._waiting.append((kind + len(data).to_bytes(4, "big") + data, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        self._send()

    async def stop(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _send(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        for request, _ in list(self._waiting)[self._sent :]:
            self._process.stdin.write(request)
            self._sent += 1

    async def _run(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "holdfast.sound.thin",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._process, self._sent = process, 0
        assert process.stdout is not None
        try:
            self._send()
            while True:
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                if size > MOST:
                    break
                self._answer(await process.stdout.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            while self._waiting:
                self._answer(b"")
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    def _answer(self, result: bytes) -> None:
        if self._waiting:
            _, answer = self._waiting.popleft()
            self._sent = max(0, self._sent - 1)
            answer(result)
