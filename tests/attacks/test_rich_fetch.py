"""rich-fetch: a message makes its reader's machine fetch something, and so give itself away.

The node opens connections to relays through its one path and nothing else: no preview, no
name lookup, no program for an address. The twin adds a link preview, which is seen.
"""

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.node import receiving
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work

sys.path.insert(0, str(Path(__file__).parent.parent / "node"))
from chatters import came, meet, person, relay

BAIT = "http://bait.invalid:8/a.png <img src='http://bait.invalid:8/b'> file:///etc/passwd"
_seen: list[str] = []
_watching = False
WATCHED = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "webbrowser.open"}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event in WATCHED or event.startswith("urllib")):
        _seen.append(f"{event} {arguments!r}")


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    global _watching
    _seen.clear()
    yield
    _watching = False


async def _bait(path: Path) -> list[str]:
    """Everything opened between the writing of a message and its reading."""
    global _watching
    async with (
        relay(path / "relay") as home,
        person(path / "a", "Anna", home) as anna,
        person(path / "b", "Boris", home) as boris,
    ):
        b, a = await meet(anna, boris)
        _watching = True
        await anna.set_typing(b.id, True)
        sent = await anna.send(b.id, BAIT)
        got = await came(boris, lambda m: m.text == BAIT)
        await boris.mark_read(a.id, got.id)
        await anna.edit(sent.id, BAIT + " again")
        await came(boris, lambda m: m.text.endswith("again"))
        assert await boris.search("bait.invalid")
        _watching = False
    return list(_seen)


async def test_nothing_is_opened(tmp_path: Path) -> None:
    assert await _bait(tmp_path) == []


async def test_twin_with_a_preview_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = receiving._take

    def preview(desk: Desk, work: Work, cid: str, data: bytes, *more: Any) -> None:
        if b"bait.invalid" in data:
            try:
                urllib.request.urlopen("http://127.0.0.1:9/a.png", timeout=0.2)
            except OSError:
                pass
        real(desk, work, cid, data, *more)

    monkeypatch.setattr(receiving, "_take", preview)
    assert any("connect" in seen for seen in await _bait(tmp_path))
