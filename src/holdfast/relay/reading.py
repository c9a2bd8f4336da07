"""Channels for browsers: a page behind a path that a channel's link tells, and the records it asks
for.

The page is the same for every channel and holds none: the key is in the fragment of the address,
which no browser sends. Records are those that any node may read with the same token, through the
same session machine. Source: spec/channels.md, "The page".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdfast.core import caps, wire
from holdfast.drive.http import Request, Response
from holdfast.paths.base import Undivided

if TYPE_CHECKING:
    from holdfast.paths.websocket import Accept

MOST: Final = 2 * 1024 * 1024
"""Bytes of records in one answer, and then what was under way."""
PATIENCE: Final = 20.0
"""Seconds for one answer."""
ASKED: Final = 16 + 32 + 8
_FILES: Final = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "bytes.js": ("bytes.js", "text/javascript; charset=utf-8"),
    "files.js": ("files.js", "text/javascript; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src blob:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)


@cache
def _file(name: str) -> bytes:
    return (Path(__file__).parent / "reader" / name).read_bytes()


class Reading:
    """What one certificate's door answers of channels. `secrets` are the relay's paths."""

    def __init__(self, secrets: Sequence[bytes], by_path: Callable[[bytes], Accept]) -> None:
        self._by_path = by_path
        self.targets: list[bytes] = []
        """All that is answered here."""
        self._known: list[tuple[bytes, str]] = []
        for secret in secrets:
            for name in (*_FILES, "log"):
                self.targets.append(f"/{caps.reader_path(secret)}/{name}".encode())
                self._known.append((secret, name))

    def answer(
        self, request: Request, at: int, key_hash: bytes
    ) -> Response | Awaitable[Response] | None:
        """To a request of `targets[at]`; None if it is none that is answered."""
        path, name = self._known[at]
        if name != "log":
            file, kind = _FILES[name]
            if request.method not in ("GET", "HEAD"):
                return None
            return Response(200, (("content-type", kind), *_HEADERS), _file(file))
        if request.method != "POST" or len(request.body) != ASKED:
            return None
        return self._read(request.body, request.peer, key_hash, path)

    async def _read(self, body: bytes, peer: str, key_hash: bytes, path: bytes) -> Response:
        since = int.from_bytes(body[48:], "big")
        reader = _Reader()
        if since < 2**53:
            handler = self._by_path(path)(reader, key_hash, peer)
            attach = wire.Attach(1, body[:16], read=body[16:48], since=since, follow=False)
            try:
                async with asyncio.timeout(PATIENCE):
                    for frame in (wire.Hello(wire.VERSION), attach):
                        handler.on_frame(wire.encode(frame))
                    await reader.done.wait()
            except TimeoutError:
                pass
            handler.on_closed("")
        kind = ("content-type", "application/octet-stream")
        return Response(200, (kind, *_HEADERS), b"".join(reader.found))


class _Reader(Undivided):
    """A channel that keeps the records of one log, from a session of its own."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.found: list[bytes] = []
        self._size = 0

    def send(self, frame: bytes) -> None:
        """What the relay says."""
        if self.done.is_set():
            return
        match wire.decode_relay(frame):
            case wire.Records(_, records):
                for seq, body in records:
                    self.found += (seq.to_bytes(8, "big"), len(body).to_bytes(4, "big"), body)
                    self._size += len(body)
                if self._size >= MOST:
                    self.done.set()
            case wire.Done(_, "read") | wire.Refused() | wire.Bye():
                self.done.set()

    def close(self, reason: str = "") -> None:
        """No more comes."""
        self.done.set()

    @property
    def buffered(self) -> int:
        """Nothing waits: what comes is kept here, and bounded."""
        return 0

    @property
    def received(self) -> int:
        """Bytes that came from the other side: none that would be pressed upon."""
        return ASKED
