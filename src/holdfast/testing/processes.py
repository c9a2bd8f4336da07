"""Real relays and nodes as processes on loopback, in directories that go with the test.

with Processes(tmp_path) as run:
    relay = run.relay("relay")
    anna = run.node("anna", relay.address)
    anna.kill()                  # as `kill -9`
    anna.start()                 # the same directory, the same port

Each program's errors go to a file beside its directory. Whatever happens, leaving the
block ends every process that was started in it.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60
"""How long a program may take to say its address; far more than it needs."""


class DidNotStart(Exception):
    """A program ended or was silent instead of saying its address; its errors follow."""


class Program:
    """One program that says its address in its first line."""

    def __init__(self, name: str, directory: Path, arguments: Sequence[str]) -> None:
        self.name = name
        self.directory = directory
        self.address = ""
        self.kill_at: list[str] = []
        """Points of `doomed` for the next start; see there."""
        self.trace: Path | None = None
        """File for a trace of `doomed`."""
        self.first: Path | None = None
        """Python file that is run before the program, see `doomed`."""
        self.environment: dict[str, str] = {}
        self.enter: list[str] = []
        """What stands before the command: where the program is to run, if not right here."""
        self._arguments = list(arguments)
        self._process: subprocess.Popen[str] | None = None

    @property
    def errors(self) -> Path:
        """What it wrote to its standard error, over all its starts."""
        return self.directory.parent / f"{self.directory.name}.errors"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the last process. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def arguments(self) -> list[str]:
        """What follows `holdfast` on the command line."""
        return self._arguments

    def launch(self) -> None:
        """Start the process without waiting for it to be ready."""
        command = [*self.enter, sys.executable, "-m", "holdfast.testing.doomed"]
        for point in self.kill_at:
            command += ["--kill-at", point]
        if self.first is not None:
            command += ["--first", str(self.first)]
        if self.trace is not None:
            command += ["--trace", str(self.trace)]
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                [*command, "--", *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | self.environment,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Start it and wait for its address. Raises `DidNotStart`."""
        self.launch()
        assert self._process is not None and self._process.stdout is not None
        first: queue.SimpleQueue[str] = queue.SimpleQueue()
        stdout = self._process.stdout

        def read() -> None:
            first.put(stdout.readline().strip())
            for _ in stdout:  # so that it never waits for us
                pass
            stdout.close()

        threading.Thread(target=read, daemon=True).start()
        try:
            line = first.get(timeout=START_SECONDS)
        except queue.Empty:
            line = ""
        if not line:
            self.kill()
            text = self.errors.read_text()[-2000:] if self.errors.exists() else ""
            raise DidNotStart(f"{self.name} did not say its address:\n{text}")
        self.address = line
        self.started()
        return self

    def started(self) -> None:
        """The address is known."""

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, wait, and return its exit code."""
        return self._end(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Wait for it to end by itself; whether it did."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class RelayProgram(Program):
    """A relay; after its first start it keeps its port. It listens on loopback, unless an
    address and port are given."""

    def __init__(
        self,
        name: str,
        directory: Path,
        advertise: str = "",
        proxy: str = "",
        listen: str = "",
        store: str = "",
        more: Sequence[str] = (),
    ) -> None:
        arguments = [*more]
        for flag, value in (("--advertise", advertise), ("--proxy", proxy), ("--store", store)):
            if value:
                arguments += [flag, value]
        super().__init__(name, directory, arguments)
        self.port = 0
        self._listen = listen
        if advertise and not listen:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]

    def arguments(self) -> list[str]:
        """Its directory and its port."""
        listen = self._listen or f"127.0.0.1:{self.port}"
        return ["relay", "--data", str(self.directory), "--listen", listen, *self._arguments]

    def started(self) -> None:
        """Keep the port."""
        if not self.port:
            self.port = int(self.address.split("/", 1)[0].rsplit(":", 1)[1])


class NodeProgram(Program):
    """A node with a name and its relays, or with `nobody` on it, without a browser."""

    def __init__(
        self,
        name: str,
        directory: Path,
        relays: Sequence[str],
        proxy: str = "",
        controls: Sequence[str] = (),
        port: int = 0,
        nobody: bool = False,
    ) -> None:
        arguments = ["node", "--home", str(directory), "--no-browser"]
        if not nobody:
            arguments += ["--name", name]
        arguments += ["--port", str(port)]
        for relay in relays:
            arguments += ["--relay", relay]
        if proxy:
            arguments += ["--proxy", proxy]
        for control in controls:
            arguments += ["--control", control]
        super().__init__(name, directory, arguments)


class Processes:
    """Starts programs under one directory and ends them all when the block is left."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._all: list[Program] = []

    def relay(
        self,
        name: str = "relay",
        advertise: str = "",
        proxy: str = "",
        listen: str = "",
        enter: Sequence[str] = (),
        store: str = "",
        more: Sequence[str] = (),
    ) -> RelayProgram:
        """A started relay; `advertise` is the HOST:PORT that its address has instead, `store` the
        URL of a cluster, `more` are further arguments."""
        relay = RelayProgram(name, self.directory / name, advertise, proxy, listen, store, more)
        relay.enter = list(enter)
        self._all.append(relay)
        relay.start()
        return relay

    def node(
        self,
        name: str,
        *relays: str,
        trace: Path | None = None,
        first: Path | None = None,
        proxy: str = "",
        controls: Sequence[str] = (),
        port: int = 0,
        enter: Sequence[str] = (),
        nobody: bool = False,
    ) -> NodeProgram:
        """A started node with these homes. Its directory has its name in lower case."""
        home = self.directory / name.lower()
        node = NodeProgram(name, home, relays, proxy, controls, port, nobody)
        node.trace, node.first, node.enter = trace, first, list(enter)
        self._all.append(node)
        node.start()
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for program in reversed(self._all):
            program.kill()
