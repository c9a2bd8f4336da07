"""localhost-drive-by (Zoom CVE-2019-13450, MCP CVE-2025-66414): a web page in the same
browser talks to the server on 127.0.0.1."""

import asyncio
import logging
import secrets
from pathlib import Path
from typing import cast

import pytest

from holdfast.drive.http import Request
from holdfast.node.rpc import Served
from holdfast.node.server import NodeServer

SECRET = "s" * 43


class Idle:
    """A node that nobody gets to call here."""


async def start(tmp_path: Path, kind: type[NodeServer] = NodeServer) -> NodeServer:
    (tmp_path / "index.html").write_text("<!doctype html>")
    server = kind(cast(Served, Idle()), tmp_path, SECRET, secrets.token_bytes)
    await server.listen(0)
    return server


async def ask(server: NodeServer, method: str, path: str, body: str = "", **extra: str) -> bytes:
    """Send a request as given, Host our own if none is; the answer's head."""
    headers = {"host": f"127.0.0.1:{server.port}", **extra, "content-length": str(len(body))}
    head = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
    async with asyncio.timeout(60):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


async def session(server: NodeServer, token: str, **extra: str) -> tuple[int, str]:
    origin = {"origin": f"http://127.0.0.1:{server.port}"}
    answer = await ask(server, "POST", "/session", f'{{"token":"{token}"}}', **{**origin, **extra})
    lines = answer.decode().lower().split("\r\n")
    cookie = next((line for line in lines if line.startswith("set-cookie: ")), "")
    original = answer.decode().split("\r\n")[lines.index(cookie)] if cookie else ""
    return int(answer.split()[1]), original.partition(": ")[2].partition(";")[0]


async def open_api(server: NodeServer, **extra: str) -> int:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    return int((await ask(server, "GET", "/api", **{**upgrade, **extra})).split()[1])


def token(server: NodeServer) -> str:
    return server.launch_link().partition("#")[2]


FOREIGN_ORIGINS = ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:{port}",
                   "http://0.0.0.0:{port}", "https://127.0.0.1:{port}", "file://"]  # fmt: skip
FOREIGN_HOSTS = ["evil.example", "evil.example:{port}", "0.0.0.0:{port}", "localhost:{port}",
                 "127.0.0.1", "127.1:{port}", "[::1]:{port}", "127.0.0.1.:{port}"]  # fmt: skip


class NoOrigin(NodeServer):
    def is_our_origin(self, request: Request) -> bool:
        return True


class NoHost(NodeServer):
    def is_our_host(self, request: Request) -> bool:
        return True


class ManyUses(NodeServer):
    def take_launch(self, token: str) -> bool:
        before = dict(self._launches)
        taken = super().take_launch(token)
        self._launches = before
        return taken


async def test_the_owner_comes_in(tmp_path: Path) -> None:
    server = await start(tmp_path)
    status, cookie = await session(server, token(server))
    own = f"http://127.0.0.1:{server.port}"
    assert status == 204
    assert await open_api(server, cookie=cookie, origin=own) == 101
    assert await open_api(server, authorization=f"Bearer {SECRET}") == 101
    assert await open_api(server, origin=own) == 403
    assert await open_api(server, cookie=cookie) == 403
    assert await open_api(server, authorization="Bearer wrong") == 403
    await server.close()


@pytest.mark.parametrize("kind", [NodeServer, NoOrigin])
async def test_a_foreign_origin(tmp_path: Path, kind: type[NodeServer]) -> None:
    """A page elsewhere, with the browser's cookie; the twin lets it in."""
    server = await start(tmp_path, kind)
    _, cookie = await session(server, token(server))
    for origin in FOREIGN_ORIGINS:
        origin = origin.format(port=server.port)
        api = await open_api(server, cookie=cookie, origin=origin)
        began, _ = await session(server, token(server), origin=origin)
        assert (api, began) == ((403, 403) if kind is NodeServer else (101, 204))
    await server.close()


@pytest.mark.parametrize("kind", [NodeServer, NoHost])
async def test_a_name_rebound_to_this_machine(tmp_path: Path, kind: type[NodeServer]) -> None:
    server = await start(tmp_path, kind)
    _, cookie = await session(server, token(server))
    own = f"http://127.0.0.1:{server.port}"
    for host in FOREIGN_HOSTS:
        host = host.format(port=server.port)
        page = int((await ask(server, "GET", "/", host=host)).split()[1])
        api = await open_api(server, host=host, cookie=cookie, origin=own)
        assert (page, api) == ((403, 403) if kind is NodeServer else (200, 101))
    await server.close()


@pytest.mark.parametrize("kind", [NodeServer, ManyUses])
async def test_a_launch_token_works_once(tmp_path: Path, kind: type[NodeServer]) -> None:
    """Whoever finds the link later, in a history or a list of processes."""
    server = await start(tmp_path, kind)
    found = token(server)
    assert (await session(server, found))[0] == 204
    assert (await session(server, found))[0] == (403 if kind is NodeServer else 204)
    assert (await session(server, "guess"))[0] == 403
    await server.close()


async def test_no_token_in_a_log_and_strict_headers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = await start(tmp_path)
    used = token(server)
    _, cookie = await session(server, used)
    await open_api(server, cookie=cookie, origin=f"http://127.0.0.1:{server.port}")
    assert used not in caplog.text and cookie.partition("=")[2] not in caplog.text
    page = (await ask(server, "GET", "/")).decode().lower()
    for header in ("default-src 'none'", "frame-ancestors 'none'", "nosniff", "no-referrer"):
        assert header in page
    absurd = await ask(server, "GET", "/" + "x" * 4000 + ".js")
    assert absurd.split()[1] == b"404"
    await server.close()
