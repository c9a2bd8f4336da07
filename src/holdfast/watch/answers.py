"""Answers over HTTP: their headers, and what a page may load."""

from __future__ import annotations

import json
from typing import Any, Final

from holdfast.drive.http import Response

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-src 'self';"
    " base-uri 'none'"
)
SCRIPTED: Final = "script-src 'self'; connect-src 'self'"
OPEN: Final = ("access-control-allow-origin", "*")


def answer(
    status: int,
    body: bytes,
    kind: str = "text/plain; charset=utf-8",
    more: tuple[tuple[str, str], ...] = (),
) -> Response:
    """A whole answer."""
    headers = (
        ("content-type", kind),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        *more,
    )
    return Response(status, headers, body)


def gzipped(made: Response, body: bytes) -> Response:
    """The same answer with a compressed body."""
    headers = (*made.headers, ("content-encoding", "gzip"), ("vary", "accept-encoding"))
    return Response(made.status, headers, body)


def html(text: str, status: int = 200, embed: bool = False, script: bool = False) -> Response:
    """A page; nearly none has a script."""
    frames = "*" if embed else "'none'"
    policy = f"{POLICY}; frame-ancestors {frames}" + (f"; {SCRIPTED}" if script else "")
    headers = (("content-security-policy", policy), ("cache-control", "no-cache"))
    return answer(status, text.encode(), HTML, headers)


def said(status: int, data: dict[str, Any]) -> Response:
    """JSON."""
    return answer(status, json.dumps(data, ensure_ascii=False).encode(), JSON, (OPEN,))
