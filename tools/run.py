"""Start Holdfast on this machine: `make run`, `make run PORT=8000`.

A relay, your node, and Echo (a second node with a bot that answers, so that one person can
try everything), each a process of its own with its data and its log in var/run. Ctrl-C ends
all. HOLDFAST_NO_BROWSER=1 leaves opening the address to you.
"""

from __future__ import annotations

import argparse
import fcntl
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
PORT = 7411
START_SECONDS = 60


class Part:
    """One process. Its first line of output is its address, the rest goes to its log."""

    def __init__(self, place: Place, name: str, *arguments: str | Path) -> None:
        self.name = name
        self.log = place.path / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [setup.PYTHON, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[place.lock],
                text=True,
            )
        place.note(self.process.pid)
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


class Place:
    """The folder of everything that runs, held by one run and its parts at a time."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = os.read(self.lock, 1000).decode().strip()
            raise setup.CannotSetUp(
                f"Holdfast runs here already ({path}). End it with Ctrl-C where it was started,"
                f" or with: kill {held}"
            ) from None
        os.truncate(self.lock, 0)
        self.note(os.getpid())

    def note(self, pid: int) -> None:
        """So that what a killed run left behind can be ended."""
        os.write(self.lock, f"{pid} ".encode())

    def port_of(self, name: str) -> int:
        """A free port, kept so that the part's address stays the same."""
        kept = self.path / f"{name}.port"
        if kept.exists():
            return int(kept.read_text())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        kept.write_text(str(port))
        return port


def check_free(port: int) -> None:
    """Raises `CannotSetUp` before anything was started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise setup.CannotSetUp(
                f"Port {port} cannot be used ({getattr(error, 'strerror', None) or error})."
                " Choose another, for example: make run PORT=7500"
            ) from None


def start(place: Place, port: int, parts: list[Part]) -> str:
    """Start everything; the address of the interface."""

    def add(name: str, *arguments: str | Path) -> Part:
        parts.append(Part(place, name, *arguments))
        return parts[-1]

    def holdfast(name: str, *arguments: str | Path) -> Part:
        return add(name, "-m", "holdfast.cli", *arguments)

    listen = f"127.0.0.1:{place.port_of('relay')}"
    relay = holdfast("relay", "relay", "--data", place.path / "relay", "--listen", listen)
    node = ["--relay", relay.address(), "--no-browser", "--no-near"]
    link = place.path / "echo.link"
    home = place.path / "echo"
    other = holdfast("echo-node", "node", "--home", home, *node, "--name", "Echo", "--port", "0")
    mine: Part | None = None

    def start_mine() -> Part:
        more = ["--echo", link.read_text().strip(), "--port", str(port), "--simulator"]
        return holdfast("node", "node", "--home", place.path / "me", *node, *more)

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


def arguments() -> argparse.Namespace:
    """What can be chosen."""
    parser = argparse.ArgumentParser(description="Start Holdfast on this machine.")
    port = os.environ.get("PORT") or PORT
    parser.add_argument("--port", type=int, default=port, help=f"of the interface ({PORT})")
    parser.add_argument("--data", type=Path, default=VAR, help="where everything is kept (var/run)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args()


def main() -> int:
    began = time.monotonic()
    asked = arguments()
    parts: list[Part] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        setup.set_up()
        place = Place(asked.data.absolute())
        check_free(asked.port)
        address = start(place, asked.port, parts)
        print(f"Holdfast runs (ready in {time.monotonic() - began:.1f} s). Open:\n\n  {address}\n")
        print(f"The link opens once. Ctrl-C ends everything; your data stays in {place.path}.")
        sys.stdout.flush()
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if screen and not asked.no_browser and not os.environ.get("HOLDFAST_NO_BROWSER"):
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        print(watch(parts), file=sys.stderr)
        return 1
    except setup.CannotSetUp as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot use {error.filename or asked.data}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    finally:
        for part in reversed(parts):
            part.stop()


if __name__ == "__main__":
    sys.exit(main())
