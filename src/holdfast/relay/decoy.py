"""The website that strangers meet on a relay's port, and one of them: a folder of files.

At first start a small site is written into the relay's data directory, with words and
colours of its own, since a page that every relay shares would be a mark to look for.
Its owner is meant to edit it, or to point the relay to a real site's folder.
Source: RFC 9110 sections 8.8, 13 and 15.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from email.utils import formatdate, parsedate_to_datetime
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote

from holdfast.drive.http import Request, Response

MAX_FILE: Final = 16 * 1024 * 1024
"""Larger files of the folder are not served: each is read whole."""

_TYPES: Final = mimetypes.MimeTypes()


class Decoy(Protocol):
    """A site: a request in, an answer out."""

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        """Answer whatever is asked, and never raise."""

    def error(self, status: int) -> Response:
        """Answer what was no whole request."""

    def close(self) -> None:
        """No more will be asked."""


class Folder:
    """Serves a folder as a plain web server does: files, `index.html`, errors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def respond(self, request: Request) -> Response:
        """GET and HEAD of files."""
        if request.method not in ("GET", "HEAD"):
            return self.error(405, ("allow", "GET, HEAD"))
        path = self._find(request.path)
        if path is None:
            return self.error(404)
        if path.is_dir():
            return self._moved(request.path + "/")
        try:
            stat = path.stat()
            if stat.st_size > MAX_FILE:
                return self.error(404)
            body = path.read_bytes()
        except OSError:
            return self.error(403)
        modified = formatdate(int(stat.st_mtime), usegmt=True)
        tag = f'"{int(stat.st_mtime):x}-{stat.st_size:x}"'
        headers = (
            ("content-type", content_type(path)),
            ("last-modified", modified),
            ("etag", tag),
        )
        if _is_known(request, tag, int(stat.st_mtime)):
            return Response(304, headers[1:])
        return Response(200, (*headers, ("accept-ranges", "none")), body)

    def error(self, status: int, *headers: tuple[str, str]) -> Response:
        """The site's own page for the status if it has one, else a plain one."""
        own = self._folder / f"{status}.html"
        if not own.is_file():
            return error_page(status, *headers)
        kind = ("content-type", "text/html; charset=utf-8")
        return Response(status, (kind, *headers), own.read_bytes())

    def close(self) -> None:
        """Nothing is kept."""

    def _find(self, path: str) -> Path | None:
        """The file or folder a URL path leads to, inside the folder and not hidden."""
        try:
            parts = [part for part in unquote(path, errors="strict").split("/") if part]
            if any(part.startswith(".") or "\0" in part or "\\" in part for part in parts):
                return None
            found = self._folder.joinpath(*parts)
            if path.endswith("/"):
                found /= "index.html"
            found = found.resolve()
            exists = found.is_relative_to(self._folder) and found.exists()
        except (OSError, ValueError):
            return None
        return found if exists else None

    def _moved(self, where: str) -> Response:
        page = self.error(301)
        return Response(301, (("location", where), *page.headers), page.body)


def error_page(status: int, *headers: tuple[str, str]) -> Response:
    """A page for a status, as plain web servers have them."""
    title = f"{status} {HTTPStatus(status).phrase}"
    body = (
        f"<!doctype html>\n<html><head><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1></body></html>\n"
    )
    kind = ("content-type", "text/html; charset=utf-8")
    return Response(status, (kind, *headers), body.encode())


def content_type(path: Path) -> str:
    """The media type for a file's name, with a charset for text."""
    kind = _TYPES.guess_type(path.name)[0] or "application/octet-stream"
    return kind + "; charset=utf-8" if kind.startswith("text/") else kind


def _is_known(request: Request, tag: str, modified: int) -> bool:
    """Whether the client's copy is current."""
    known = request.header("if-none-match")
    if known:
        return known == "*" or tag in [item.strip() for item in known.split(",")]
    since = request.header("if-modified-since")
    try:
        return bool(since) and parsedate_to_datetime(since).timestamp() >= modified
    except (ValueError, TypeError, OverflowError):
        return False


_THINGS: Final = (
    "Allotment", "Bakery", "Bicycle repair", "Bookbinding", "Carpentry", "Chess club", "Choir",
    "Community garden", "Film evenings", "Fishing club", "Guitar lessons", "Hiking group",
    "Knitting circle", "Model railway", "Orchard", "Parents' association", "Photography",
    "Pottery", "Quilting", "Reading group", "Sailing club", "Tailor", "Tenants' meeting",
    "Walking tours",
)  # fmt: skip
_SAYINGS: Final = (
    "Thank you for stopping by.",
    "There is more to come in the next weeks.",
    "These pages are being rebuilt at the moment.",
    "We meet as always, and guests are welcome.",
    "New pictures will be here soon.",
    "Dates are put up here as soon as they are fixed.",
    "Questions are best asked in person.",
    "It is quiet at the moment; spring is our season.",
)
_COLOURS: Final = ("#243b53", "#3b3024", "#2f4a2f", "#4a2f3b", "#33334d", "#1f4747", "#54401f")


def make_site(folder: Path, entropy: Callable[[int], bytes]) -> None:
    """Write a small site into a folder that does not exist yet; OSError if it cannot."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int.from_bytes(entropy(4), "big") % len(choices)]

    title, ink = pick(_THINGS), pick(_COLOURS)
    first, second = pick(_SAYINGS), pick(_SAYINGS)
    sheet = hashlib.sha256(entropy(16)).hexdigest()[:8]
    width = 30 + entropy(1)[0] % 20
    said = f"<p>{escape(first)}</p>" + (f"\n<p>{escape(second)}</p>" if second != first else "")
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{{title}}</title>\n<link rel="stylesheet" href="/{sheet}.css">\n</head>\n'
        "<body>\n<main>\n<h1>{heading}</h1>\n{text}\n</main>\n</body>\n</html>\n"
    )
    style = (
        f"body {{ margin: 0; font: 1.1rem/1.6 Georgia, serif; color: {ink}; }}\n"
        f"main {{ max-width: {width}rem; margin: {2 + entropy(1)[0] % 4}rem auto; "
        "padding: 0 1rem; }\n"
    )
    folder.mkdir(mode=0o755)
    (folder / f"{sheet}.css").write_text(style)
    missing = page.format(
        title="Not found", heading="Not found", text='<p><a href="/">Back to the start</a></p>'
    )
    (folder / "404.html").write_text(missing)
    (folder / "index.html").write_text(
        page.format(title=escape(title), heading=escape(title), text=said)
    )
