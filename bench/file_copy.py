"""How fast a large file gets from one person to another, beside plain copies over TLS.

`python bench/file_copy.py [--megabytes N] [--runs N]`. Three things, by turns, on one disk:

- *copy*: one process reads a file and writes it to a TLS connection, another writes what comes
  to its disk. No store between them, and nothing is sealed but by TLS.
- *store and forward*: the same with a third process between them, which has the whole file on
  its disk before it hands it on, as a relay or a mail server has.
- *Holdfast*: `send_file` of a file that the sender's node has, fetched at once by the receiver's
  node through a relay, until the receiver has it whole: sealed, verified and on three disks.

Copies use the standard library's TLS 1.3 in blocking processes of their own, and end with a sync.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))

import people

from holdfast.node.client import Client
from holdfast.relay.certificate import load_or_make
from holdfast.testing.processes import NodeProgram, Processes

PIECE = 256 * 1024
SPAWN = multiprocessing.get_context("spawn")


def receive(source: ssl.SSLSocket, target: Path, size: int) -> None:
    """So many bytes onto the disk for certain, and then a word that they are."""
    with target.open("wb") as file:
        while size > 0:
            piece = source.recv(PIECE)
            size -= file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    source.sendall(b"!")


def send(target: ssl.SSLSocket, source: Path) -> None:
    """All of a file."""
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            target.sendall(piece)
    target.recv(1)


def take(listening: socket.socket, folder: Path, act: str, path: Path, size: int) -> None:
    """A process that accepts one connection and receives (`in`) so many bytes or sends (`out`) a
    file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    connection, _ = listening.accept()
    with context.wrap_socket(connection, server_side=True) as secured:
        if act == "in":
            receive(secured, path, size)
        else:
            send(secured, path)


def hop(folder: Path, source: Path, target: Path, *, upload: bool) -> None:
    """One copy over TLS between this process and another."""
    listening = socket.create_server(("127.0.0.1", 0))
    act, path = ("in", target) if upload else ("out", source)
    there = (listening, folder, act, path, source.stat().st_size)
    process = SPAWN.Process(target=take, args=there)
    process.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(listening.getsockname()) as plain,
        context.wrap_socket(plain) as secured,
    ):
        began.append(time.monotonic())
        if upload:
            send(secured, source)
        else:
            receive(secured, target, source.stat().st_size)
    process.join()
    listening.close()


began: list[float] = []
"""When each hop's connection stood: starting a process is no part of a copy."""


def copy(folder: Path, source: Path) -> float:
    """Seconds of one plain copy."""
    began.clear()
    hop(folder, source, folder / "copied", upload=True)
    return time.monotonic() - began[0]


def store_and_forward(folder: Path, source: Path) -> float:
    """Seconds of two copies, one after the other."""
    began.clear()
    hop(folder, source, folder / "stored", upload=True)
    first = time.monotonic() - began[0]
    hop(folder, folder / "stored", folder / "copied", upload=False)
    return first + time.monotonic() - began[1]


class Pair:
    """Two people with a relay between them."""

    def __init__(self, run: Processes) -> None:
        relay = run.relay()
        self.anna = run.node("Anna", relay.address)
        self.boris = run.node("Boris", relay.address)
        asyncio.run(people.meet(self.anna, self.boris))

    def transfer(self, _folder: Path, source: Path) -> float:
        """Seconds from sending to whole."""
        return asyncio.run(transfer(self.anna, self.boris, source))


async def transfer(anna: NodeProgram, boris: NodeProgram, source: Path) -> float:
    """See `Pair.transfer`; leaves nothing at the relay."""
    async with Client.connect(anna.directory) as sender, Client.connect(boris.directory) as getter:
        with source.open("rb") as file:
            upload = await sender.upload(file, source.stat().st_size)
        to, theirs = await people.contact(sender), await people.contact(getter)
        start = time.monotonic()
        sent = await sender.node.send_file(to, upload, "film.mkv")
        got = None
        while got is None or got.file is None or got.file.name != "film.mkv":
            await asyncio.sleep(0.01)
            got = (await getter.node.messages(theirs)).messages[-1]
        await getter.node.fetch_file(got.id)
        while got.file is None or got.file.state != "whole":
            await asyncio.sleep(0.02)
            (got,) = [m for m in (await getter.node.messages(theirs)).messages if m.id == got.id]
        took = time.monotonic() - start
        await sender.node.cancel_file(sent.id)
        await asyncio.sleep(1)
        return took


def measure(megabytes: int, runs: int) -> dict[str, list[float]]:
    """MB/s of each, run by run."""
    rates: dict[str, list[float]] = {"copy": [], "store and forward": [], "Holdfast": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        load_or_make(folder, "localhost", int(time.time() * 1000))
        source = folder / "film.mkv"
        with source.open("wb") as out:
            for _ in range(megabytes):
                out.write(os.urandom(1_000_000))
        with Processes(folder / "run") as run:
            acts: dict[str, Callable[[Path, Path], float]] = {
                "copy": copy,
                "store and forward": store_and_forward,
                "Holdfast": Pair(run).transfer,
            }
            for _ in range(runs):
                for name, act in acts.items():
                    os.sync()
                    rates[name].append(megabytes / act(folder, source))
    return rates


def figures(megabytes: int = 300, runs: int = 3) -> list[tuple[str, str]]:
    """Rows of the table in README."""
    rates = measure(megabytes, runs)
    ours = statistics.median(rates["Holdfast"])
    rows = [(f"a file of {megabytes} MB, person to person", f"{ours:,.0f} MB/s")]
    for name in ("copy", "store and forward"):
        peer = statistics.median(rates[name])
        rows.append((f"beside plain TLS {name} ({peer:,.0f} MB/s)", f"{ours / peer:.0%}"))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    for row in figures(asked.megabytes, asked.runs):
        print(*row, sep=": ")
