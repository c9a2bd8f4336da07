"""One answer over HTTP or HTTPS, as a browser would ask for it, bounded in time and size."""

from __future__ import annotations

import asyncio
from typing import Final

from curl_cffi import requests

SECONDS: Final = 30
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
