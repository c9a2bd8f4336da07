"""Somebody with an XMPP client, as a program that is told what to do; see `xmpp`.

    python -m holdfast.lab.peers.xmpp_person JID SERVER CA-FILE

Lines of JSON come in: `{"do": "text", "to": JID, "body": …}`, or `"do": "file"` with a `path`.
Lines go out, each with `event`: `connected`; `text` with its `body`; `sent` and `fetched` with the
bytes that have gone or come; `file` with a name and SHA-256, once one is here.

It does what good clients do: both ways to connect that servers offer, in turn; stream management
and pings (XEP-0198, XEP-0199); receipts, and sending again what none came for (XEP-0184); files by
HTTP upload (XEP-0363), begun anew when they break off, for there is no way to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from slixmpp import ClientXMPP, Message

PORTS: Final = ((5222, False), (5223, True))
"""Port, and whether TLS begins at once."""
CONNECT_SECONDS: Final = 15.0
PING_SECONDS: Final = 15
ANSWER_SECONDS: Final = 10
STALL_MS: Final = 20_000
"""After which what was sent and not acknowledged counts as lost (TCP_USER_TIMEOUT)."""
PIECE: Final = 64 * 1024
FILE: Final = "file "
TIMES: Final = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=30)


def say(**event: Any) -> None:
    """Tell whoever started this."""
    print(json.dumps(event), flush=True)


class Person(ClientXMPP):
    """One account."""

    def __init__(self, jid: str, server: str, trusted: Path) -> None:
        super().__init__(jid, "password")
        self._server = server
        self.ca_certs = trusted
        self._trust = ssl.create_default_context(cafile=str(trusted))
        self.enable_plaintext = False
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._pending: dict[str, tuple[str, str]] = {}
        """What no receipt has come for: recipient and text, by id."""
        self._tasks: set[asyncio.Task[None]] = set()
        for number in ("0030", "0066", "0184", "0198", "0199", "0363"):
            self.register_plugin(f"xep_{number}")
        self.plugin["xep_0199"].enable_keepalive(PING_SECONDS, ANSWER_SECONDS)
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("session_resumed", self._resumed)
        self.add_event_handler("disconnected", self._ended)
        self.add_event_handler("message", self._came)
        self.add_event_handler("receipt_received", self._received)

    async def stay(self) -> None:
        """Be connected, again and again."""
        at = 0
        while True:
            port, self.enable_direct_tls = PORTS[at % len(PORTS)]
            self.enable_starttls = not self.enable_direct_tls
            self._up.clear()
            self._down.clear()
            self.connect(self._server, port)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._up.wait()
                await self._down.wait()
            except TimeoutError:
                at += 1
            self.cancel_connection_attempt()
            self.abort()
            await asyncio.sleep(1)

    def _started(self, event: object) -> None:
        self.send_presence()
        for id, (to, body) in self._pending.items():
            self._send(id, to, body)
        self._resumed(event)

    def _resumed(self, event: object) -> None:
        self._up.set()
        say(event="connected")

    def _ended(self, event: object) -> None:
        self._down.set()

    def _came(self, message: Message) -> None:
        body = message["body"]
        if body.startswith(FILE):
            self._go(self._fetch(*body.removeprefix(FILE).split(" ", 1)))
        elif body:
            say(event="text", body=body)

    def _received(self, message: Message) -> None:
        self._pending.pop(message["receipt"], None)

    def _send(self, id: str, to: str, body: str) -> None:
        message = self.make_message(to, body, mtype="chat")
        message["id"] = id
        message["request_receipt"] = True
        message.send()

    def write(self, to: str, body: str) -> None:
        """Send a text, now or when there is a connection."""
        id = self.new_id()
        self._pending[id] = to, body
        if self._up.is_set():
            self._send(id, to, body)

    def _go(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def upload(self, to: str, path: Path) -> None:
        """Send a file, however many times it breaks off."""
        size = path.stat().st_size
        while True:
            try:
                await self._up.wait()
                upload = self.plugin["xep_0363"]
                service = await upload.find_upload_service(timeout=ANSWER_SECONDS)
                if service is None:
                    raise ConnectionError("the server takes no files")
                asked = upload.request_slot(
                    service["from"], path.name, size, timeout=ANSWER_SECONDS
                )
                slot = (await asked)["http_upload_slot"]
                headers = {one["name"]: one["value"] for one in slot["put"]["headers"]}
                headers |= {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
                async with _session() as session:
                    put = session.put(
                        slot["put"]["url"], data=_pieces(path), headers=headers, ssl=self._trust
                    )
                    async with put as answer:
                        answer.raise_for_status()
                self.write(to, f"{FILE}{path.name} {slot['get']['url']}")
                return
            except Exception as error:  # noqa: BLE001  whatever broke, it is begun anew
                say(event="broken", why=f"{type(error).__name__}: {error}")
                await asyncio.sleep(2)

    async def _fetch(self, name: str, url: str) -> None:
        while True:
            try:
                digest, done = hashlib.sha256(), 0
                async with (
                    _session() as session,
                    session.get(url, ssl=self._trust) as answer,
                ):
                    answer.raise_for_status()
                    async for piece in answer.content.iter_chunked(PIECE):
                        digest.update(piece)
                        done += len(piece)
                        say(event="fetched", name=name, done=done)
                say(event="file", name=name, sha256=digest.hexdigest())
                return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                say(event="broken", why=f"{type(error).__name__}: {error}")
                await asyncio.sleep(2)

    def do(self, wish: dict[str, Any]) -> None:
        """What a line asks for."""
        if wish["do"] == "text":
            self.write(wish["to"], wish["body"])
        else:
            self._go(self.upload(wish["to"], Path(wish["path"])))


def _session() -> aiohttp.ClientSession:
    """For files; it gives up on a connection over which nothing passes any more."""

    def made(about: Any) -> socket.socket:
        sock = socket.socket(*about[:3])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_MS)
        return sock

    connector = aiohttp.TCPConnector(socket_factory=made)
    return aiohttp.ClientSession(timeout=TIMES, connector=connector)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    done = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            say(event="sent", name=path.name, done=done)
            yield piece
            done += len(piece)
    say(event="sent", name=path.name, done=done)


async def run(jid: str, server: str, trusted: Path) -> None:
    """Until standard input ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    person = Person(jid, server, trusted)
    staying = asyncio.create_task(person.stay())
    while line := await lines.readline():
        person.do(json.loads(line))
    staying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await staying


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
