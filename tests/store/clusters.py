"""Three NATS servers of one cluster, whose routes can be cut, and stores upon them."""

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from holdfast.core import wire
from holdfast.core.log.server import Found, Refusal
from holdfast.store.base import Quota
from holdfast.store.cluster import Cluster, Place

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"


class Route:
    """What one server reaches another by; `cut` parts them."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.cut = False

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self.cut:
                back, forth = await asyncio.open_connection("127.0.0.1", self._to)
                self._open |= {writer, forth}
                await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))
        writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self._open.discard(writer)

    def part(self) -> None:
        self.cut = True
        for writer in list(self._open):
            writer.transport.abort()

    async def close(self) -> None:
        self.part()
        if self._server is not None:
            self._server.close()


class Servers:
    """The three. Each is reached by the other two through a route of its own."""

    def __init__(self, folder: Path, ports: list[int], rooms: list[int]) -> None:
        self._folder = folder
        self.ports = ports
        self._rooms = rooms
        self.routes: dict[tuple[int, int], Route] = {}
        self._doors: dict[tuple[int, int], int] = {}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def of(self, number: int) -> str:
        return f"nats://127.0.0.1:{self.ports[number]}"

    async def open(self) -> None:
        for one in range(3):
            for other in range(3):
                if one != other:
                    route = self.routes[one, other] = Route(self._rooms[other])
                    self._doors[one, other] = await route.open()
        for number in range(3):
            self.start(number)

    def start(self, number: int) -> None:
        others = [f'"nats://127.0.0.1:{self._doors[number, o]}"' for o in range(3) if o != number]
        config = self._folder / f"{number}.conf"
        config.write_text(f"""
listen: "127.0.0.1:{self.ports[number]}"
server_name: "s{number}"
jetstream {{ store_dir: "{self._folder / str(number)}", max_file_store: 2G }}
cluster {{
  name: "test", listen: "127.0.0.1:{self._rooms[number]}", no_advertise: true
  routes: [{", ".join(others)}]
}}
""")
        with (self._folder / f"{number}.log").open("ab") as log:
            self._running[number] = subprocess.Popen([SERVER, "-c", str(config)], stderr=log)

    def kill(self, number: int) -> None:
        self._running[number].kill()
        self._running[number].wait()

    def stop(self, number: int) -> None:
        self._running[number].send_signal(signal.SIGSTOP)

    def go_on(self, number: int) -> None:
        self._running[number].send_signal(signal.SIGCONT)

    def part(self, number: int) -> None:
        """Nobody reaches that server any more, and it nobody; its clients do."""
        for pair, route in self.routes.items():
            if number in pair:
                route.part()

    def join(self) -> None:
        for route in self.routes.values():
            route.cut = False

    async def close(self) -> None:
        for running in self._running.values():
            running.kill()
            running.wait()
        for route in self.routes.values():
            await route.close()


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


@contextlib.asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    ports = free_ports(6)
    three = Servers(folder, ports[:3], ports[3:])
    await three.open()
    try:
        yield three
    finally:
        await three.close()


class Bench:
    """A store whose answers are awaited."""

    def __init__(self) -> None:
        self.shift = 0
        self.failed: list[str] = []
        self.told: list[tuple[int, int, bytes]] = []
        self.gone: list[int] = []
        self.store: Cluster

    async def open(self, url: str, quota: Quota | None = None) -> None:
        place = Place.parse(url)
        quota = quota or Quota(disk_bytes=2**28)
        self.store = await Cluster.open(place, quota, lambda: 0, self.failed.append)
        self.store.tells(lambda *what: self.told.append(what), self.gone.append)

    async def ask(self, method: Callable[..., None], *args: object) -> Any:
        future = asyncio.get_running_loop().create_future()
        method(*args, lambda *answer: future.set_result(answer))
        return await asyncio.wait_for(future, 30)

    async def make(self, name: bytes = b"n" * 16, limit: int = 0) -> Refusal | None:
        frame = wire.Create(1, name, b"a" * 32, b"r" * 32, b"o" * 32, limit)
        refusal: Refusal | None = (await self.ask(self.store.make, frame))[0]
        return refusal

    async def find(self, name: bytes = b"n" * 16) -> Found | Refusal | None:
        found: Found | Refusal | None = (await self.ask(self.store.find, name))[0]
        return found

    async def key(self, name: bytes = b"n" * 16) -> int:
        found = await self.find(name)
        assert isinstance(found, Found)
        return found.key

    async def append(self, key: int, body: bytes = b"x", seconds: int = 60) -> Any:
        return await self.ask(self.store.append, key, seconds * 1000, body)

    async def read(self, key: int, since: int = 0) -> list[tuple[int, bytes]]:
        records, more = await self.ask(self.store.read, key, since)
        if more:
            records = records + await self.read(key, records[-1][0])
        return list(records)

    async def until(self, true: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def opened(url: str, quota: Quota | None = None) -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.open(url, quota)
    try:
        yield bench
        assert not bench.failed
    finally:
        await bench.store.aclose()
