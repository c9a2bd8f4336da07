"""Other servers of messages, from Debian or PyPI, under the load that a relay is put under.

`python bench/relay/peers.py [--seconds N] [--pairs N] [--runs N] [--dir DIR]`

Pairs of a writer and a reader with one message of 1,024 bytes in flight: the writer sends the next
when the server has acknowledged the last and the reader has it. All without TLS, on loopback, by
turns in one run; processor time is the server's alone. What a server's acknowledgement means is in
the last column: but for NATS told to sync always, no peer here has synced a message when it says
that it took it. NATS republishes what it has stored, and readers hear that: no consumer is made.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psutil  # type: ignore[import-untyped]
import uvloop

sys.path.insert(0, str(Path(__file__).parent))

import throughput

from holdfast.testing.cluster import SERVER

BODY = 1_024
MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {place}/
autosave_interval 1800
max_queued_messages 0
"""
PROSODY = """run_as_root = true
admins = {{}}
modules_enabled = {{ "roster", "saslauth", "disco" {archive} }}
modules_disabled = {{ "s2s", "tls" }}
data_path = "{place}"
pidfile = "{place}/prosody.pid"
log = "*console"
network_backend = "epoll"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
storage = "internal"
VirtualHost "localhost"
"""
EJABBERD = """loglevel: error
hosts: [localhost]
auth_method: [anonymous]
anonymous_protocol: login_anon
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none, access: all,
      max_stanza_size: 262144}}
modules: {{{archive}}}
"""
NATS = """listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{place}", sync_interval: {sync} }}
"""


class Peer(asyncio.Protocol):
    """One connection of a pair."""

    def __init__(self, pair: Pair, reads: bool) -> None:
        self.pair, self.reads = pair, reads
        self.data = b""
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.begin()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.parse()

    def begin(self) -> None:
        raise NotImplementedError

    def parse(self) -> None:
        raise NotImplementedError

    def write(self) -> None:
        """Send the next message."""
        raise NotImplementedError


class Pair:
    """A writer and a reader."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent = self.acked = self.delivered = 0
        self.end = 0.0
        self.began = 0.0
        self.delays: list[float] = []
        self.done = asyncio.Event()
        self.writer: Peer
        self.reader: Peer

    def write(self) -> None:
        self.sent += 1
        self.began = time.perf_counter()
        self.writer.write()

    def came(self) -> None:
        self.delays.append(time.perf_counter() - self.began)
        self.delivered += 1
        self.go_on()

    def go_on(self) -> None:
        if self.acked == self.delivered == self.sent:
            if time.perf_counter() < self.end:
                self.write()
            else:
                self.done.set()


class Mqtt(Peer):
    """MQTT 3.1.1, QoS 1 both ways."""

    def begin(self) -> None:
        name = f"{'r' if self.reads else 'w'}{self.pair.number}".encode()
        head = b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name
        self.transport.write(b"\x10" + bytes([len(head)]) + head)

    def topic(self) -> bytes:
        name = b"t/%d" % self.pair.number
        return len(name).to_bytes(2, "big") + name

    def write(self) -> None:
        packet = self.topic() + (self.pair.sent % 60_000 + 1).to_bytes(2, "big") + bytes(BODY)
        size = len(packet)
        self.transport.write(b"\x32" + bytes([size % 128 | 128, size // 128]) + packet)

    def parse(self) -> None:
        while len(self.data) >= 2:
            size, at, shift = 0, 1, 0
            while True:
                if at >= len(self.data):
                    return
                byte = self.data[at]
                size |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            if len(self.data) < at + size:
                return
            kind, packet = self.data[0] >> 4, self.data[at : at + size]
            self.data = self.data[at + size :]
            if kind == 2 and self.reads:
                topic = self.topic()
                self.transport.write(b"\x82" + bytes([3 + len(topic)]) + b"\0\1" + topic + b"\1")
            elif kind in (2, 9):
                self.ready.set()
            elif kind == 4:
                self.pair.acked += 1
                self.pair.go_on()
            elif kind == 3:
                name = int.from_bytes(packet[:2], "big")
                self.transport.write(b"\x40\2" + packet[2 + name : 4 + name])
                self.pair.came()


class Xmpp(Peer):
    """Client to server by XMPP; that the reader has a message acknowledges it too: prosody says
    nothing else of it."""

    STEPS = ("features", "success", "features", "bound")

    def begin(self) -> None:
        self.step = 0
        self.transport.write(STREAM)

    @property
    def name(self) -> str:
        return f"{'r' if self.reads else 'w'}{self.pair.number}"

    def write(self) -> None:
        to = f"r{self.pair.number}@localhost"
        self.transport.write(b"<message type='chat' to='%s'><body>" % to.encode() + TEXT)

    def parse(self) -> None:
        if self.step == 4:
            while (at := self.data.find(b"</message>")) >= 0:
                self.data = self.data[at + 10 :]
                self.pair.acked += 1
                self.pair.came()
            return
        marks = (b"</stream:features>", b"<success", b"</stream:features>", b"type='result'")
        if (
            marks[self.step] not in self.data
            and marks[self.step].replace(b"'", b'"') not in self.data
        ):
            return
        self.data = b""
        self.step += 1
        if self.step == 1:
            plain = base64.b64encode(f"\0{self.name}\0secret".encode()).decode()
            sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
            self.transport.write(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{plain}</auth>".encode())
        elif self.step == 2:
            self.transport.write(STREAM)
        elif self.step == 3:
            bind = "urn:ietf:params:xml:ns:xmpp-bind"
            self.transport.write(f"<iq type='set' id='b'><bind xmlns='{bind}'/></iq>".encode())
        else:
            self.transport.write(b"<presence/>")
            self.ready.set()


class Nats(Peer):
    """JetStream: a write is acknowledged to an inbox of the writer's, when it is stored."""

    def begin(self) -> None:
        kind = b"p" if self.reads else b"a"
        hello = b'CONNECT {"verbose":false,"headers":true}\r\nSUB %b.%d 1\r\nPING\r\n'
        self.transport.write(hello % (kind, self.pair.number))

    def write(self) -> None:
        head = b"PUB s.%d a.%d %d\r\n" % (self.pair.number, self.pair.number, BODY)
        self.transport.write(head + bytes(BODY) + b"\r\n")

    def parse(self) -> None:
        while (end := self.data.find(b"\r\n")) >= 0:
            line = self.data[:end].split()
            if line[0] in (b"MSG", b"HMSG"):
                size = int(line[-1])
                if len(self.data) < end + size + 4:
                    return
                body = self.data[end + 2 : end + 2 + size]
                self.data = self.data[end + size + 4 :]
                if self.reads:
                    self.pair.came()
                else:
                    assert b'"seq"' in body, body
                    self.pair.acked += 1
                    self.pair.go_on()
                continue
            self.data = self.data[end + 2 :]
            if line[0] == b"PING":
                self.transport.write(b"PONG\r\n")
            elif line[0] == b"PONG":
                self.ready.set()
            elif line[0] == b"-ERR":
                raise SystemExit(line)


STREAM = (
    b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
TEXT = b"x" * BODY + b"</body></message>"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def program(
    command: list[str], port: int, environment: dict[str, str] | None = None
) -> Iterator[psutil.Process]:
    """A server, once it listens."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)
    try:
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[0]} does not start")
            time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def mosquitto(place: Path, _pairs: int) -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    (place / "conf").write_text(MOSQUITTO.format(port=port, place=place))
    place.chmod(0o777)
    binary = shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or missing("mosquitto")
    with program([binary, "-c", str(place / "conf")], port) as process:
        yield process, port


@contextlib.contextmanager
def prosody(place: Path, pairs: int, archive: str = "") -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    config = place / "prosody.cfg.lua"
    config.write_text(PROSODY.format(port=port, place=place, archive=archive))
    accounts = place / "localhost" / "accounts"
    accounts.mkdir(parents=True)
    for number in range(pairs):
        for kind in "rw":
            (accounts / f"{kind}{number}.dat").write_text('return { ["password"] = "secret"; };\n')
    binary = shutil.which("prosody") or missing("prosody")
    with program([binary, "--config", str(config), "-F"], port) as process:
        yield process, port


@contextlib.contextmanager
def archiving(place: Path, pairs: int) -> Iterator[tuple[psutil.Process, int]]:
    with prosody(place, pairs, ', "mam"') as found:
        yield found


@contextlib.contextmanager
def ejabberd(place: Path, _pairs: int, archive: str = "") -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    config = place / "ejabberd.yml"
    config.write_text(EJABBERD.format(port=port, archive=archive))
    where = subprocess.run(
        ["dpkg", "-L", "ejabberd"], capture_output=True, text=True, check=False
    ).stdout.split()
    libraries = next((Path(line) for line in where if line.endswith("/ebin")), None)
    if libraries is None:
        missing("ejabberd")
    # As `ejabberdctl foreground` does, but for schedulers that do not spin while they wait.
    command = ["erl", "+K", "true", "+P", "250000", "+sbwt", "none", "-noinput"]
    command += ["-mnesia", "dir", f'"{place}/db"', "-ejabberd", "config", f'"{config}"']
    command += ["log_path", f'"{place}/log"', "-s", "ejabberd"]
    environment = {"ERL_LIBS": str(libraries.parent.parent), "HOME": str(place)}
    with program(command, port, os.environ | environment) as process:
        yield process, port


@contextlib.contextmanager
def ejabberd_archiving(place: Path, pairs: int) -> Iterator[tuple[psutil.Process, int]]:
    with ejabberd(place, pairs, "mod_mam: {default: always}") as found:
        yield found


@contextlib.contextmanager
def nats(place: Path, _pairs: int, sync: str = "2m") -> Iterator[tuple[psutil.Process, int]]:
    port = free_port()
    (place / "conf").write_text(NATS.format(port=port, place=place, sync=sync))
    with program([SERVER, "-c", str(place / "conf")], port) as process:
        stream = {
            "name": "s",
            "subjects": ["s.*"],
            "storage": "file",
            "num_replicas": 1,
            "republish": {"src": "s.*", "dest": "p.{{wildcard(1)}}"},
        }
        asked = json.dumps(stream).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            link.sendall(b"CONNECT {}\r\nSUB r 1\r\nPUB $JS.API.STREAM.CREATE.s r ")
            link.sendall(b"%d\r\n%b\r\n" % (len(asked), asked))
            answer = b""
            while b'"type":' not in answer:
                answer += link.recv(4096)
            assert b'"error"' not in answer, answer
        yield process, port


@contextlib.contextmanager
def syncing(place: Path, pairs: int) -> Iterator[tuple[psutil.Process, int]]:
    with nats(place, pairs, "always") as found:
        yield found


def missing(name: str) -> NoReturn:
    raise SystemExit(f"{name} is missing: apt-get install {name}")


async def load(
    peer: Callable[[Pair, bool], Peer],
    process: psutil.Process,
    port: int,
    pairs: int,
    seconds: float,
) -> throughput.Result:
    """As `throughput.load`, with one in flight."""
    loop = asyncio.get_running_loop()
    crowd = [Pair(number) for number in range(pairs)]
    for pair in crowd:
        for reads in (True, False):
            one = peer(pair, reads)
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
            async with asyncio.timeout(10):
                await one.ready.wait()
            if reads:
                pair.reader = one
            else:
                pair.writer = one
    began, before = time.perf_counter(), process.cpu_times()
    for pair in crowd:
        pair.end = began + seconds
        pair.write()
    async with asyncio.timeout(seconds + 60):
        await asyncio.gather(*(pair.done.wait() for pair in crowd))
    took, after = time.perf_counter() - began, process.cpu_times()
    used = after.user + after.system - before.user - before.system
    delays = [delay for pair in crowd for delay in pair.delays]
    return throughput.Result(sum(pair.delivered for pair in crowd), took, used, delays)


PEERS = {
    "nats jetstream, file": (nats, Nats, "written to a file, synced every 2 min"),
    "nats jetstream, sync always": (syncing, Nats, "synced to the disk"),
    "mosquitto, QoS 1": (mosquitto, Mqtt, "in memory, a snapshot every 30 min"),
    "ejabberd": (ejabberd, Xmpp, "none: handed on"),
    "ejabberd, archive": (ejabberd_archiving, Xmpp, "written to files, not synced"),
    "prosody": (prosody, Xmpp, "none: handed on"),
    "prosody, archive": (archiving, Xmpp, "written to files, not synced"),
}


def measured(
    directory: Path | None, pairs: int, seconds: float, runs: int
) -> dict[str, list[throughput.Result]]:
    """All by turns, so many times."""
    results: dict[str, list[throughput.Result]] = {}
    for _ in range(runs):
        run = throughput.once(directory, False, pairs, 1, seconds)
        results.setdefault("Holdfast", []).append(run)
        for name, (server, peer, _) in PEERS.items():
            with (
                tempfile.TemporaryDirectory(dir=directory) as place,
                server(Path(place), pairs) as (process, port),
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                run = runner.run(load(peer, process, port, pairs, seconds))
            results.setdefault(name, []).append(run)
    return results


PROGRAMS = ("mosquitto", "ejabberdctl", "prosody")


def figures(runs: int = 5) -> list[tuple[str, str]]:
    """Of those that are installed: none if one is missing."""
    places = "/usr/sbin:/usr/bin"
    if not all(shutil.which(name, path=places) for name in PROGRAMS):
        return []
    rows = []
    for name, results in measured(None, throughput.PAIRS, 4.0, runs).items():
        per_core = statistics.median(result.per_core for result in results)
        means = PEERS[name][2] if name in PEERS else "synced to the disk"
        what = f"Deliveries, one in flight, without TLS: {name} ({means})"
        rows.append((what, f"{per_core:,.0f} a core-second"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--pairs", type=int, default=throughput.PAIRS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="on the disk that matters")
    asked = parser.parse_args()
    results = measured(asked.dir, asked.pairs, asked.seconds, asked.runs)
    print(f"{'':38}{'a second':>10}{'a core-second':>14}{'p50 ms':>9}{'p99 ms':>9}  taken means")
    for name, runs in results.items():
        throughput.show(name, runs, PEERS[name][2] if name in PEERS else "synced to the disk")


if __name__ == "__main__":
    main()
