"""A packet capture of the loopback: whole frames, with their headers, of given TCP ports.

Needs root, as every capture does. Source: packet(7), RFC 791, RFC 9293.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Final, Self

ETHERNET: Final = 14
ALL_PROTOCOLS: Final = 3
BUFFER: Final = 64 * 1024 * 1024
MOST: Final = 256 * 1024 * 1024
"""Bytes that are kept; a capture that would need more raises."""


def possible() -> bool:
    """Whether this process may capture."""
    return os.geteuid() == 0 and hasattr(socket, "AF_PACKET")


class Capture:
    """Records what passes over `lo` from or to the ports, while the block lasts."""

    def __init__(self, ports: Collection[int]) -> None:
        self._ports = frozenset(ports)
        self.frames: list[bytes] = []
        self._size = 0
        self._stop = False

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = True
        self._thread.join()
        self._socket.close()

    @property
    def content(self) -> bytes:
        """All frames, one after the other."""
        if self._size > MOST:
            raise OverflowError(f"more than {MOST} bytes passed; capture less")
        return b"".join(self.frames)

    def _record(self) -> None:
        while not self._stop:
            try:
                frame = self._socket.recv(1 << 18)
            except TimeoutError:
                continue
            if self._size <= MOST and self._ports & set(ports_of(frame)):
                self._size += len(frame)
                self.frames.append(frame)


def ports_of(frame: bytes) -> tuple[int, ...]:
    """Source and destination port of a TCP segment over IPv4; empty for anything else."""
    if len(frame) < ETHERNET + 40 or frame[12:14] != b"\x08\x00" or frame[ETHERNET + 9] != 6:
        return ()
    at = ETHERNET + (frame[ETHERNET] & 0x0F) * 4
    return int.from_bytes(frame[at : at + 2], "big"), int.from_bytes(frame[at + 2 : at + 4], "big")
