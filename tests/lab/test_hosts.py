"""Hosts in namespaces, and the middlebox between them: real sockets, real programs."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.lab import packets
from holdfast.lab.hosts import CannotPlay, Lab, Place, end
from holdfast.lab.packet_rules import DROPPED, Decision, PacketRule
from holdfast.lab.packets import Packet
from holdfast.lab.rules import Act

HOME, RELAY = "198.51.100.10", "203.0.113.10"
HOME6, RELAY6 = "2001:db8::10", "2001:db8:1::10"
PLACES = [Place("home.test", HOME, True, HOME6), Place("relay.test", RELAY, address6=RELAY6)]
PATIENCE = 20.0


@contextlib.contextmanager
def listening(lab: Lab, address: str = RELAY) -> Iterator[socket.socket]:
    """A server at the relay."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab["relay.test"].socket(family=family) as server:
        server.settimeout(PATIENCE)
        server.bind((address, 443))
        server.listen()
        yield server


def dial(lab: Lab, address: str = RELAY, seconds: float = PATIENCE) -> socket.socket:
    """A connection from home."""
    sock = lab["home.test"].socket(family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(seconds)
    try:
        sock.connect((address, 443))
    except OSError:
        sock.close()
        raise
    return sock


@pytest.mark.parametrize(("near", "far"), [(HOME, RELAY), (HOME6, RELAY6)])
def test_hosts_reach_each_other_and_nobody_else(near: str, far: str) -> None:
    with Lab(PLACES) as lab, listening(lab, far) as server, dial(lab, far) as client:
        accepted, place = server.accept()
        with accepted:
            assert place[0] == near
            client.sendall(b"there")
            assert accepted.recv(100) == b"there"
            sent = os.urandom(3_000_000)
            threading.Thread(target=_give, args=(accepted, sent)).start()
            came = b"".join(iter(lambda: client.recv(1 << 20), b""))
            assert came == sent
        elsewhere = "2001:db8:9::1" if ":" in far else "192.0.2.77"
        with pytest.raises(OSError, match=r"unreachable|No route") as refused:
            dial(lab, elsewhere)
        assert refused.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)


def _give(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def test_programs_run_on_a_host_with_its_names_and_end_with_it() -> None:
    began = time.monotonic()
    with Lab(PLACES, resolver=RELAY) as lab:
        done = lab["home.test"].run(["cat", "/etc/resolv.conf", "/etc/hosts"])
        assert f"nameserver {RELAY}\n" in done.stdout
        assert done.stdout.endswith("::1 localhost\n")
        routes = lab["home.test"].run(["ip", "-4", "address"]).stdout
        assert HOME in routes
        assert RELAY not in routes
        stubborn = lab["home.test"].start(
            ["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 100; done"]
        )
        with_child = lab["relay.test"].start(["sh", "-c", "sleep 300 & wait"])
        polite = lab["relay.test"].start(["sleep", "300"])
        assert end(polite) == -signal.SIGTERM
        time.sleep(0.2)
        assert stubborn.poll() is None
    assert stubborn.poll() == -signal.SIGKILL
    assert with_child.poll() == -signal.SIGKILL
    assert Path("/etc/resolv.conf").read_text() != f"nameserver {RELAY}\n"
    assert time.monotonic() - began < 3 * PATIENCE


def test_when_the_lab_is_killed_nothing_of_it_is_left() -> None:
    text = (
        "import time\n"
        "from holdfast.lab.hosts import Lab, Place\n"
        f"with Lab([Place('home.test', '{HOME}')]) as lab:\n"
        "    held = lab['home.test'].start(['sleep', '300'])\n"
        "    print(lab['home.test'].pid, held.pid, flush=True)\n"
        "    time.sleep(300)\n"
    )
    lab = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert lab.stdout is not None
    with lab, lab.stdout:
        pids = [int(one) for one in lab.stdout.readline().split()]
        lab.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + PATIENCE
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_two_hosts_cannot_have_one_address_and_what_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="one address"):
        Lab([Place("a.test", HOME), Place("b.test", HOME)]).__enter__()
    with pytest.raises(CannotPlay, match="cannot make a host"):
        Lab([Place("a.test", "not an address")]).__enter__()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotPlay, match="iproute2"):
        Lab(PLACES).__enter__()


class Only(PacketRule):
    """Does one thing to data, and counts."""

    def __init__(self, what: Decision) -> None:
        self.what = what
        self.seen: list[tuple[bool, bytes]] = []

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        if packet.protocol != packets.TCP or not packet.payload:
            return Decision()
        self.seen.append((out, packet.payload))
        return self.what


def test_the_censor_sees_both_ways_drops_resets_and_delays() -> None:
    with Lab(PLACES) as lab, listening(lab) as server:
        for decision in (Decision(), DROPPED, Decision(Act.RESET), Decision(delay=0.3)):
            rule = Only(decision)
            lab.rules = [rule]
            with dial(lab) as client, server.accept()[0] as accepted:
                began = time.monotonic()
                client.sendall(b"question")
                accepted.settimeout(0.5 if decision is DROPPED else PATIENCE)
                if decision.act is Act.PASS:
                    assert accepted.recv(100) == b"question"
                    accepted.sendall(b"answer")
                    assert client.recv(100) == b"answer"
                    assert {(True, b"question"), (False, b"answer")} <= set(rule.seen)
                    assert time.monotonic() - began >= 2 * decision.delay
                elif decision.act is Act.DROP:
                    with pytest.raises(TimeoutError):
                        accepted.recv(100)
                else:
                    for side in (client, accepted):
                        with pytest.raises(ConnectionResetError):
                            side.recv(100)
        assert lab.middle.counts["dropped"] >= 1
        assert lab.middle.counts["reset"] >= 1


def test_lines_that_are_not_watched_are_not_seen() -> None:
    rule = Only(DROPPED)
    unwatched = [Place("home.test", HOME), Place("relay.test", RELAY)]
    with Lab(unwatched) as lab, listening(lab) as server, dial(lab) as client:
        lab.rules = [rule]
        with server.accept()[0] as accepted:
            client.sendall(b"there")
            accepted.settimeout(PATIENCE)
            assert accepted.recv(100) == b"there"
    assert rule.seen == []


def test_what_watched_hosts_send_is_captured(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcap"
    with (
        Lab(PLACES, capture=path) as lab,
        listening(lab) as server,
        dial(lab) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"a word in the wire")
        accepted.settimeout(PATIENCE)
        assert accepted.recv(100)
    found = list(captured(path.read_bytes()))
    assert any(one.payload == b"a word in the wire" for one in found)
    assert {(HOME, RELAY), (RELAY, HOME)} <= {
        (socket.inet_ntoa(one.source), socket.inet_ntoa(one.target))
        for one in found
        if len(one.source) == 4
    }


def captured(data: bytes) -> Iterator[Packet]:
    """What is in a pcap file of raw IP packets."""
    magic, _, _, _, _, _, kind = struct.unpack_from("<IHHiIII", data)
    assert (magic, kind) == (0xA1B2C3D4, 101)
    at = 24
    while at < len(data):
        _, _, size, _ = struct.unpack_from("<IIII", data, at)
        yield packets.read(data[at + 16 : at + 16 + size])
        at += 16 + size
