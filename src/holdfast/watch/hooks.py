"""Signed webhooks: each change of a public event, sent to the addresses that the keeper lists.

The body is the event as in /events.json; the header `holdfast-signature` is Ed25519, in hex, over
`holdfast/hook/1`, the header `holdfast-time` and the body's SHA-256. Three tries, then given up:
the feed has everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
import urllib.request
from collections.abc import Callable
from typing import Final

from holdfast.watch import feeds
from holdfast.watch.event import Event
from holdfast.watch.station import Station

PAUSES: Final = (5.0, 30.0)
"""Seconds before each try but the first."""
SECONDS: Final = 10


def message(at: int, body: bytes) -> bytes:
    """What is signed."""
    return b"holdfast/hook/1" + str(at).encode() + hashlib.sha256(body).digest()


class Sender:
    """Sends in a thread of its own, so that a slow listener delays nobody."""

    def __init__(self, station: Station, urls: tuple[str, ...], clock: Callable[[], int]) -> None:
        self._station = station
        self._urls = urls
        self._clock = clock
        self._queue: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if urls:
            station.changed.append(self._changed)
            self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send nothing more."""
        self._ended.set()
        self._queue.put(None)

    def join(self) -> None:
        """Wait until nothing is sent any more."""
        if self._thread is not None:
            self._thread.join()

    def _changed(self, event: Event) -> None:
        now = self._clock()
        body = json.dumps(feeds.as_dict(self._station, event, now), ensure_ascii=False).encode()
        self._queue.put((now, body))

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            at, body = task
            headers = {
                "content-type": "application/json",
                "holdfast-time": str(at),
                "holdfast-signature": self._station.key.sign(message(at, body)).hex(),
            }
            left = list(self._urls)
            for pause in (0.0, *PAUSES):
                if not left or self._ended.wait(pause):
                    break
                left = [
                    url for url in left if not _sent(urllib.request.Request(url, body, headers))
                ]


def _sent(request: urllib.request.Request) -> bool:
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=SECONDS):
        return True
    return False
