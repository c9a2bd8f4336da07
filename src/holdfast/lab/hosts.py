"""Hosts in network namespaces, joined by a middlebox that sees every packet.

    with Lab([Place("home.test", "198.51.100.10", watched=True),
              Place("relay.test", "203.0.113.10")]) as lab:
        lab.rules = [...]                                    # see packet_rules
        lab["home.test"].start(["curl", "https://relay.test"]).wait()
        sock = lab["relay.test"].socket()                    # of this process, but over there

Each host is a process, `holder`, in namespaces of its own, which have no name and nothing on the
disk: when the lab ends, or this process does in whatever way, the holders see it, kill what runs on
their hosts, and end. A host's only way out is a TUN device that this process reads; there is no way
to a real network. It needs root, or user namespaces for everybody, and iproute2.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from holdfast.lab.conductor import Conductor
from holdfast.lab.middle import Link, Middle
from holdfast.lab.names import Names
from holdfast.lab.nat import Kind, Nat
from holdfast.lab.packet_rules import PacketRule
from holdfast.lab.rules import Rule
from holdfast.lab.scenario import Change, Staging

START_SECONDS: Final = 30
END_SECONDS: Final = 10
TOOLS: Final = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}

WITH_CLOCK: Final = """
[ -s "$0" ] || exec "$@"
export FAKETIME="$(cat "$0")" FAKETIME_DONT_FAKE_MONOTONIC=1
export LD_PRELOAD="$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 | head -n 1)"
exec "$@"
"""
"""Runs a program with the clock that a file says; not by `faketime`, which would stand between."""


class CannotPlay(Exception):
    """The sentence says what this machine lacks."""


@dataclass(frozen=True)
class Place:
    """A host that is to be. `watched`: the censor sits on its line. `address6` is IPv6's. Hosts of
    one `lan` are in a network of 256 addresses and hear each other's multicast. With `outside` a
    NAT of this `kind` stands before it, whose address that is."""

    name: str
    address: str
    watched: bool = False
    address6: str = ""
    lan: str = ""
    outside: str = ""
    kind: Kind = "cone"

    @property
    def addresses(self) -> list[str]:
        """All of them."""
        return [one for one in (self.address, self.address6) if one]


class Host:
    """One host. `run`, `start` and `socket` may be used while the lab is there."""

    def __init__(self, place: Place, files: Mapping[str, str]) -> None:
        """Raises `CannotPlay`."""
        self.place = place
        self.name, self.address = place.name, place.address
        self._running: list[subprocess.Popen[Any]] = []
        self._complaint = ""
        self._lock = threading.Lock()
        self._clock = tempfile.NamedTemporaryFile("w") if place.watched else None  # noqa: SIM115
        unshare = ["unshare", "--net", "--mount"]
        self._enter = ["nsenter", "--net", "--mount"]
        if os.geteuid() != 0:
            unshare.append("--map-root-user")
            self._enter += ["--user", "--preserve-credentials"]
        ours, theirs = socket.socketpair()
        with theirs:
            holder = [sys.executable, "-m", "holdfast.lab.holder", str(theirs.fileno())]
            self._holder = subprocess.Popen(
                [*unshare, *holder],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        self._link = ours
        self._link.settimeout(START_SECONDS)
        four = 24 if place.lan else 32
        lengths = [f"{one}/{128 if ':' in one else four}" for one in place.addresses]
        asked = json.dumps({"addresses": lengths, "files": dict(files)})
        try:
            self._link.sendall(asked.encode() + b"\n")
            self.device = self._sent()
        except (OSError, CannotPlay) as error:
            self.stop()
            why = str(error) if isinstance(error, CannotPlay) else self._complaint
            raise CannotPlay(
                f"The packet lab cannot make a host here: {why}. It needs root, or user namespaces"
                " for everybody, and /dev/net/tun."
            ) from None

    def _sent(self) -> int:
        """A descriptor that the holder passes on."""
        said, given, _, _ = socket.recv_fds(self._link, 1_000, 1)
        if not given:
            raise CannotPlay(said.decode("utf-8", "replace").strip("!\n"))
        return given[0]

    @property
    def pid(self) -> int:
        """A process in its namespaces, for `nsenter`."""
        return self._holder.pid

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> socket.socket:
        """A socket of this process whose network is the host's. It resolves no names."""
        with self._lock:
            self._link.sendall(f"socket {int(family)} {int(kind)}\n".encode())
            return socket.socket(fileno=self._sent())

    def _tell(self, line: str) -> None:
        with self._lock:
            self._link.sendall(f"{line}\n".encode())
            self._link.recv(1)

    def stand(self, *, still: bool) -> None:
        """Its programs stand still, as when a lid is closed, or go on."""
        self._tell("stop" if still else "go")

    def move(self, address: str) -> None:
        """Have another IPv4 address. `Lab.move` chooses one and tells the middlebox too."""
        self._tell(f"move {self.address}/32 {address}/32")
        self.address = address

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """What to run here so that it runs there, with the clock that the host has then."""
        enter = [*self._enter, "--target", str(self.pid), "--"]
        if self._clock is not None:
            enter += ["sh", "-c", WITH_CLOCK, self._clock.name]
        return [*enter, *map(str, command)]

    def set_clock(self, seconds: float) -> None:
        """By so much it is ahead, on a watched host, for programs that are started from now on.
        Raises `CannotPlay`."""
        assert self._clock is not None
        if seconds and shutil.which("faketime") is None:
            raise CannotPlay("A wrong clock needs faketime: apt-get install it.")
        self._clock.seek(0)
        self._clock.truncate()
        self._clock.write(f"{seconds:+.0f}" if seconds else "")
        self._clock.flush()

    def start(self, command: Sequence[str | Path], **about: Any) -> subprocess.Popen[Any]:
        """A program on this host; `about` is what Popen takes. It ends with the lab at the
        latest."""
        process = subprocess.Popen(self.command(command), **about)
        self._running.append(process)
        return process

    def run(
        self, command: Sequence[str | Path], seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """A program on this host, to its end. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            self.command(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def stop(self) -> None:
        """End all that runs on it, and the host."""
        self._link.close()
        try:
            self._holder.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        assert self._holder.stderr is not None
        with self._holder.stderr as said:
            self._complaint = said.read().strip().rsplit("\n", 1)[-1]
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
        if self._clock is not None:
            self._clock.close()
        if (device := getattr(self, "device", None)) is not None:
            with contextlib.suppress(OSError):
                os.close(device)


class Lab:
    """Hosts and the box between them. `resolver` is the IPv4 address of one of them, where `names`
    answers for the names of all; "": names are not resolved."""

    def __init__(
        self, places: Sequence[Place], resolver: str = "", capture: Path | None = None
    ) -> None:
        self.places = list(places)
        self._resolver = resolver
        self._capture = capture
        self._hosts: dict[str, Host] = {}
        self._closing = contextlib.ExitStack()
        self._conductor: Conductor | None = None
        self.middle = Middle()

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    @property
    def hosts(self) -> list[Host]:
        """All of them, in their order."""
        return list(self._hosts.values())

    @property
    def rules(self) -> Sequence[Rule | PacketRule]:
        """What the censor does now."""
        return self.middle.rules

    @rules.setter
    def rules(self, rules: Sequence[Rule | PacketRule]) -> None:
        self.middle.rules = rules

    def begin(self, staging: Staging) -> None:
        """From now on all of it is so, until `calm`."""
        self.calm()
        self.rules = staging.on_packets
        self.middle.everywhere = staging.everywhere
        for host in self._watched:
            host.set_clock(staging.clock)
        if staging.turns:
            self._conductor = Conductor(staging.turns, self._turn)

    def calm(self) -> None:
        """Nothing is wrong any more."""
        if self._conductor is not None:
            self._conductor.stop()
            self._conductor = None
            for host in self._watched:
                host.stand(still=False)
        self.rules, self.middle.everywhere, self.middle.dark = (), (), False
        for host in self._watched:
            host.set_clock(0)

    @property
    def _watched(self) -> list[Host]:
        return [host for host in self.hosts if host.place.watched]

    def _turn(self, what: Change) -> None:
        """Something happens to the devices on watched lines."""
        if what == "cut":
            self.middle.cut()
        elif what == "move":
            for host in self._watched:
                self.move(host)
        else:
            self.middle.dark = what in ("dark", "sleep")
            if what in ("sleep", "wake"):
                for host in self._watched:
                    host.stand(still=what == "sleep")

    def move(self, host: Host) -> None:
        """To another address of the same range, which nobody has."""
        old = ipaddress.ip_address(host.address)
        start = int(old) & ~0xFF
        other = ipaddress.ip_address(start + (int(old) - start + 1) % 200 + 20)
        while self.middle.name(other.packed):
            other += 1
        host.move(str(other))
        self.middle.move(old.packed, other.packed)

    def __enter__(self) -> Self:
        """Raises `CannotPlay`."""
        if missing := sorted({TOOLS[one] for one in TOOLS if shutil.which(one) is None}):
            raise CannotPlay(f"The packet lab needs {', '.join(missing)}: apt-get install it.")
        files = {
            "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "/etc/resolv.conf": f"nameserver {self._resolver or '127.0.0.1'}\n"
            "options timeout:2 attempts:2\n",
        }
        with contextlib.ExitStack() as closing:
            closing.callback(self.middle.close)
            if self._capture is not None:
                self.middle.capture(self._capture)
            for place in self.places:
                host = Host(place, files)
                closing.callback(host.stop)
                self._hosts[place.name] = host
                link = Link(place.name, host.device, place.watched, place.lan, self._nat(place))
                self.middle.join(link, self.addresses[place.name])
            closing.enter_context(self.middle)
            if self._resolver:
                closing.enter_context(self._names())
            self._closing = closing.pop_all()
        return self

    def _nat(self, place: Place) -> Nat | None:
        if not place.outside:
            return None
        inside, outside = (
            ipaddress.ip_address(one).packed for one in (place.address, place.outside)
        )
        return Nat(inside, outside, place.kind)

    def _names(self) -> Names:
        """The server for names, on the host that has its address."""
        at = next(one.name for one in self.places if self._resolver in one.addresses)
        over = [self[at].socket(kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
        return Names(self.addresses, self._resolver, *over)

    def dial(self, near: str, far: str, port: int, seconds: float) -> socket.socket:
        """A connection of this process from one host to another, each by its name. Raises
        OSError."""
        sock = self[near].socket()
        try:
            sock.settimeout(seconds)
            sock.connect((self[far].address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def addresses(self) -> dict[str, list[bytes]]:
        """The packed addresses of all, by name."""
        return {
            place.name: [ipaddress.ip_address(one).packed for one in place.addresses]
            for place in self.places
        }

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.calm()
        self._closing.close()


def end(process: subprocess.Popen[Any], seconds: float = END_SECONDS) -> int:
    """Ask a program to end, then make it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def lacks() -> str:
    """Why there can be no packet lab on this machine; "" if there can."""
    try:
        with Lab([Place("home.test", "198.51.100.10")]):
            return ""
    except CannotPlay as error:
        return str(error)
