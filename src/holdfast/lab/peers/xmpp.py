"""XMPP in the lab: Prosody, and two clients by slixmpp (see `xmpp_person`)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from holdfast.lab.hosts import Host
from holdfast.lab.peers.base import Running, certify, need, running, start
from holdfast.lab.play import Progress, Stage
from holdfast.lab.town import Town

SERVER: Final = "xmpp.test"
ADDRESS: Final = "203.0.113.40"
MODULES: Final = "disco roster saslauth tls pep smacks ping blocklist carbons private"


class Person:
    """One client: what it has said, as far as somebody waits for it."""

    def __init__(self, host: Host, name: str, directory: Path, trusted: Path) -> None:
        self.jid = f"{name}@{SERVER}"
        self._host, self._name = host, name
        self._directory, self._trusted = directory, trusted
        self._running: Running | None = None
        self._reading: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        self.texts: set[str] = set()
        self.files: dict[str, str] = {}
        """SHA-256 by name."""
        self.done: dict[str, int] = defaultdict(int)
        """Bytes that have gone or come, by name."""

    async def start(self) -> None:
        """Begin."""
        self.connected.clear()
        command = [sys.executable, "-m", "holdfast.lab.peers.xmpp_person"]
        self._running = await start(
            self._host,
            [*command, self.jid, SERVER, str(self._trusted)],
            self._directory / f"{self._name}.errors",
        )
        self._reading = asyncio.create_task(self._read(self._running))

    async def stop(self) -> None:
        """End."""
        if self._running is not None:
            await self._running.end()
        if self._reading is not None:
            await self._reading

    def do(self, **wish: Any) -> None:
        """See `xmpp_person`."""
        assert self._running is not None
        self._running.write(json.dumps(wish))

    async def _read(self, program: Running) -> None:
        while line := await program.line():
            said = json.loads(line)
            match said["event"]:
                case "connected":
                    self.connected.set()
                case "text":
                    self.texts.add(said["body"])
                case "file":
                    self.files[said["name"]] = said["sha256"]
                case "sent" | "fetched":
                    self.done[said["name"]] = said["done"]


class Xmpp(Stage):
    """Anna, who has the censor, and Boris."""

    peer = "xmpp"
    columns = ("connect", "text", "voice", "file", "in file")

    def __init__(self, town: Town, directory: Path, anna: Person, boris: Person) -> None:
        super().__init__(town)
        self._directory = directory
        self._anna, self._boris = anna, boris

    async def leave(self, *, forget: bool = True) -> None:
        """See `Stage`."""
        await self._anna.stop()

    async def arrive(self) -> None:
        """See `Stage`."""
        await self._anna.start()

    async def connected(self) -> None:
        """See `Stage`."""
        await self._anna.connected.wait()

    async def text(self) -> None:
        """See `Stage`."""
        word = os.urandom(8).hex()
        self._anna.do(do="text", to=self._boris.jid, body=word)
        while word not in self._boris.texts:  # noqa: ASYNC110  other tasks fill it
            await asyncio.sleep(0.02)

    async def file(self, kind: str, data: bytes, progress: Progress) -> None:
        """See `Stage`. A voice note is a file too."""
        path = self._directory / f"{os.urandom(8).hex()}.bin"
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        self._anna.do(do="file", to=self._boris.jid, path=str(path))
        while self._boris.files.get(path.name) != digest:
            progress((self._anna.done[path.name] + self._boris.done[path.name]) // 2)
            await asyncio.sleep(0.02)
        progress(len(data))


def settings(directory: Path, certificate: Path, key: Path) -> str:
    """Prosody's, for accounts that anybody may have."""
    modules = "; ".join(f'"{name}"' for name in MODULES.split())
    return f"""
        run_as_root = true
        daemonize = false
        pidfile = "{directory}/prosody.pid"
        data_path = "{directory}/data"
        log = {{ info = "*console" }}
        modules_enabled = {{ {modules} }}
        modules_disabled = {{ "s2s" }}
        authentication = "insecure"
        insecure_open_authentication = "Yes please, I know what I'm doing!"
        c2s_require_encryption = true
        c2s_direct_tls_ports = {{ 5223 }}
        http_ports = {{ }}
        https_ports = {{ 443 }}
        interfaces = {{ "{ADDRESS}" }}
        https_interfaces = {{ "{ADDRESS}" }}
        certificates = "{directory}"
        ssl = {{ certificate = "{certificate}", key = "{key}" }}
        https_ssl = {{ certificate = "{certificate}", key = "{key}" }}
        c2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
        VirtualHost "{SERVER}"
        Component "upload.{SERVER}" "http_file_share"
          http_host = "{SERVER}"
          http_external_url = "https://{SERVER}/"
          http_file_share_size_limit = 1024 * 1024 * 1024
          http_file_share_daily_quota = 1024 * 1024 * 1024 * 1024
    """


@contextlib.asynccontextmanager
async def on_hosts(directory: Path) -> AsyncIterator[Xmpp]:
    """The server and two clients who are connected. Raises `CannotPlay`."""
    need({"prosody": "prosody"}, ["slixmpp", "aiohttp"])
    certificate, key = certify(directory / "tls", SERVER)
    (directory / "data").mkdir()
    config = directory / "prosody.cfg.lua"
    config.write_text(settings(directory, certificate, key))
    with Town({SERVER: ADDRESS}) as town:
        server = ["prosody", "--config", str(config), "-F"]
        async with running(town.lab[SERVER], server) as prosody:
            await prosody.until("Activated service 'https'")
            drained = asyncio.create_task(_drain(prosody))
            anna = Person(town.home, "anna", directory, certificate)
            boris = Person(town.abroad, "boris", directory, certificate)
            try:
                for person in (anna, boris):
                    await person.start()
                    async with asyncio.timeout(30):
                        await person.connected.wait()
                yield Xmpp(town, directory, anna, boris)
            finally:
                await anna.stop()
                await boris.stop()
                drained.cancel()


async def _drain(program: Running) -> None:
    """So that it never waits for us."""
    while await program.line():
        pass
