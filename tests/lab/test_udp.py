"""What becomes of the path over UDP, and of large packets, in the packet lab: with real programs on
real sockets."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.lab import scenarios
from holdfast.lab.hosts import Lab, Place, end
from holdfast.lab.packet_rules import DROPPED, PASSED, Decision, PacketRule
from holdfast.lab.packets import TCP, Packet

HOME, RELAY = "198.51.100.10", "203.0.113.10"
PLACES = [Place("home.test", HOME, True), Place("relay.test", RELAY)]
REACHER = Path(__file__).with_name("reacher.py")


class NoTcp(PacketRule):
    """TCP does not pass, and nobody is told."""

    def sees(self, packet: Packet, out: bool, now: float) -> Decision:
        return DROPPED if packet.protocol == TCP else PASSED


@contextlib.contextmanager
def town(data: Path) -> Iterator[tuple[Lab, str]]:
    """A lab, and the address of a relay in it."""
    with Lab(PLACES) as lab:
        command = [sys.executable, "-m", "holdfast.cli", "relay", "--data", str(data)]
        command += ["--listen", f"{RELAY}:443"]
        relay = lab["relay.test"].start(command, stdout=subprocess.PIPE, text=True)
        assert relay.stdout is not None
        try:
            yield lab, relay.stdout.readline().strip()
        finally:
            end(relay)
            relay.stdout.close()


@contextlib.contextmanager
def reaching(lab: Lab, address: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Somebody at home who reaches the relay."""
    command = [sys.executable, str(REACHER), address, str(seconds)]
    node = lab["home.test"].start(command, stdout=subprocess.PIPE, text=True)
    try:
        yield node
    finally:
        end(node)
        assert node.stdout is not None
        node.stdout.close()


def said(node: subprocess.Popen[str]) -> dict[str, Any]:
    """Its next line."""
    assert node.stdout is not None
    found: dict[str, Any] = json.loads(node.stdout.readline())
    return found


WORLD = scenarios.World(("relay.test",))


def dropped(lab: Lab, address: str, name: str) -> dict[str, Any]:
    """What a node says where this scenario has begun before it came."""
    lab.begin(scenarios.find(name).stage(WORLD))
    with reaching(lab, address, 9) as node:
        assert said(node)["by"] == "websocket"
        found = said(node)
        assert found["by"] == ["websocket"]
        assert found["with datagrams"] == 0 and found["lost"] <= found["sent"] / 10, found
        assert found["verdict"] == "udp-block", found
        return found


def vanishing(lab: Lab, address: str) -> dict[str, Any]:
    """What a node says when UDP went while it talked."""
    lab.calm()
    with reaching(lab, address, 6) as node:
        said(node)
        time.sleep(2)
        lab.begin(scenarios.find("udp-sweep").stage(WORLD))
        found = said(node)
        assert found["by"] == ["websocket"]
        assert 0 < found["with datagrams"] < found["sent"]
        assert found["verdict"] == "udp-block", found
        return found


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, str]]:
    with town(tmp_path_factory.mktemp("relay")) as found:
        yield found


def test_datagrams_stand_beside_tcp_until_udp_is_dropped_and_nothing_ends(
    there: tuple[Lab, str],
) -> None:
    found = vanishing(*there)
    assert found["gap"] < 5 and found["lost"] <= found["sent"] / 10, found


def test_where_no_tcp_passes_it_is_by_quic(there: tuple[Lab, str]) -> None:
    lab, address = there
    lab.calm()
    lab.rules = [NoTcp()]
    with reaching(lab, address, 1) as node:
        first = said(node)
        assert first["by"] == "quic" and first["seconds"] < 10
        found = said(node)
        assert found["with datagrams"] == found["sent"]


def test_what_is_too_large_is_sent_in_smaller_pieces_and_nobody_is_accused(
    there: tuple[Lab, str],
) -> None:
    lab, address = there
    lab.begin(scenarios.find("mtu-black-hole").stage(WORLD, size=1_280))
    with reaching(lab, address, 9) as node:
        first = said(node)
        assert first["by"] == "websocket" and first["seconds"] < 10, first
        found = said(node)
    assert found["by"] == ["websocket"] and found["verdict"] == "clear", found


def prove(seed: int, count: int, directory: Path) -> dict[str, object]:
    """`count` nodes on networks that drop UDP, from the start or in the middle."""
    gaps = []
    with town(directory / "relay") as (lab, address):
        for number in range(seed, seed + count):
            match number % 3:
                case 0:
                    dropped(lab, address, "quic-1001")
                case 1:
                    dropped(lab, address, "udp-sweep")
                case _:
                    gaps.append(vanishing(lab, address)["gap"])
    assert not gaps or statistics.median(gaps) <= 0.25, gaps
    return {
        "nodes": count,
        "longest pause of a stream of frames (ms)": round(1000 * max(gaps, default=0)),
    }
