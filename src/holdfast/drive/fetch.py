"""One answer over HTTP or HTTPS, as a browser would ask for it, bounded in time and size."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from curl_cffi import requests

SECONDS: Final = 30
LOOK_SECONDS: Final = 15.0
STILL: Final = 5.0
"""Seconds without a byte after which what came before was frozen, not slow."""
ENOUGH: Final = 256 * 1024
WHY: Final = {6: "dns", 7: "connect", 35: "tls", 52: "tls", 56: "tls"}
"""How an attempt failed, by curl's number."""
MOST: Final = 1024 * 1024


async def fetch(url: str, body: bytes | None = None, proxy: str | None = None) -> bytes:
    """The body of a GET, or of a POST of JSON. Raises OSError with a sentence."""
    if not url.startswith(("http://", "https://")):
        raise OSError("an address begins with https://")
    return await asyncio.to_thread(_fetch, url, body, proxy)


def _fetch(url: str, body: bytes | None, proxy: str | None) -> bytes:
    headers = {"content-type": "application/json"} if body is not None else {}
    gathered = b""
    try:
        with requests.Session(impersonate="chrome", timeout=SECONDS) as session:
            answer = session.request(
                "GET" if body is None else "POST", url, data=body, headers=headers, stream=True,
                allow_redirects=False, proxies={"all": proxy} if proxy else None,
            )  # fmt: skip
            for piece in answer.iter_content():
                gathered += piece
                if len(gathered) > MOST:
                    raise OSError("the answer is too long")
            answer.close()
    except requests.RequestsError as error:
        raise OSError(f"no answer ({error.code})") from None
    if answer.status_code != 200:
        raise OSError(f"it answered with status {answer.status_code}")
    return gathered


class Look(NamedTuple):
    """What came of a page: bytes of its body, seconds from the first to the last of them, its
    status; and how it failed, if it did: dns, connect, tls, mute, frozen or other."""

    size: int
    seconds: float
    status: int
    why: str


async def look(url: str, proxy: str | None = None) -> Look:
    """Fetch a page to see whether it comes, and how fast; `ENOUGH` of it, and of no other one."""
    return await asyncio.to_thread(_look, url, proxy)


def _look(url: str, proxy: str | None) -> Look:
    size = status = 0
    began = last = time.monotonic()
    why = ""
    try:
        with requests.Session(impersonate="chrome", timeout=LOOK_SECONDS) as session:
            answer = session.get(
                url, stream=True, allow_redirects=False, proxies={"all": proxy} if proxy else None
            )  # fmt: skip
            status, began = answer.status_code, time.monotonic()
            last = began
            for piece in answer.iter_content():
                size, last = size + len(piece), time.monotonic()
                if size >= ENOUGH:
                    break
            answer.close()
    except requests.RequestsError as error:
        if error.code == 28:
            why = "mute" if not status else "frozen" if time.monotonic() - last > STILL else ""
        else:
            why = WHY.get(error.code, "other")
    return Look(size, last - began, status, why)
