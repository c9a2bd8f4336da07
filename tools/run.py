"""Start Holdfast on this machine: `make run`.

A relay, your node, and Echo (a second node with a bot that answers, so that one person can
try everything), each a process of its own with its data and its log in var/. Ctrl-C ends all.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import setup

VAR = setup.ROOT / "var" / "run"
START_SECONDS = 60


class Part:
    """One process. Its first line of output is its address, the rest goes to its log."""

    def __init__(self, name: str, *arguments: str | Path) -> None:
        self.name = name
        self.log = VAR / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [setup.PYTHON, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        self._first: queue.Queue[str] = queue.Queue(1)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._first.put(self.process.stdout.readline().strip())
        for line in self.process.stdout:
            with self.log.open("a") as log:
                log.write(line)

    def address(self) -> str:
        """The first line. Raises `CannotSetUp` with what went wrong."""
        try:
            if line := self._first.get(timeout=START_SECONDS):
                return line
        except queue.Empty:
            pass
        raise setup.CannotSetUp(self.trouble("did not start"))

    def trouble(self, what: str) -> str:
        """A sentence: which part, its last words, and where its log is."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        why = f": {lines[-1].rstrip('.')}" if lines else ""
        return f"{self.name} {what}{why}. Its log is {self.log}"

    def stop(self) -> None:
        """Ask it to end, then make it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def port_of(name: str) -> int:
    """A free port, kept in var/run so that the part's address stays the same."""
    kept = VAR / f"{name}.port"
    if kept.exists():
        return int(kept.read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kept.write_text(str(port))
    return port


def start(parts: list[Part]) -> str:
    """Start everything; the address of the interface."""

    def add(name: str, *arguments: str | Path) -> Part:
        parts.append(Part(name, *arguments))
        return parts[-1]

    def holdfast(name: str, *arguments: str | Path) -> Part:
        return add(name, "-m", "holdfast.cli", *arguments)

    listen = f"127.0.0.1:{port_of('relay')}"
    relay = holdfast("relay", "relay", "--data", VAR / "relay", "--listen", listen).address()
    node = ["--relay", relay, "--no-browser"]
    link = VAR / "echo.link"
    home = VAR / "echo"
    other = holdfast("echo-node", "node", "--home", home, *node, "--name", "Echo", "--port", "0")
    mine: Part | None = None

    def start_mine() -> Part:
        echo = ["--echo", link.read_text().strip()]
        port = os.environ.get("PORT") or str(port_of("node"))
        return holdfast("node", "node", "--home", VAR / "me", *node, *echo, "--port", port)

    if link.exists():
        mine = start_mine()
    other.address()
    bot = add("echo-bot", setup.ROOT / "examples" / "echo.py", home)
    if mine is None:
        link.touch(0o600)
        link.write_text(bot.address())
        mine = start_mine()
    return mine.address()


def watch(parts: Sequence[Part]) -> str:
    """Wait until a part ends by itself; the sentence about it."""
    while True:
        for part in parts:
            if part.process.poll() is not None:
                return part.trouble("stopped")
        time.sleep(0.5)


def main() -> int:
    began = time.monotonic()
    parts: list[Part] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        setup.set_up()
        VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
        address = start(parts)
        print(f"Holdfast runs (ready in {time.monotonic() - began:.1f} s). Open:\n\n  {address}\n")
        print(
            "The link opens once. Ctrl-C ends everything; your data stays in var/run.", flush=True
        )
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if screen and "--no-browser" not in sys.argv[1:]:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        print(watch(parts), file=sys.stderr)
        return 1
    except setup.CannotSetUp as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot write {error.filename or VAR}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    finally:
        for part in reversed(parts):
            part.stop()


if __name__ == "__main__":
    sys.exit(main())
