"""Debian's pebble, an ACME server for tests, on loopback, and the name server that it asks."""

import json
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.relay import certificate


@dataclass
class Pebble:
    """`port` is where it looks whether a name leads to a relay; every name leads to 127.0.0.1."""

    directory: str
    port: int


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], ready: str, env: dict[str, str]) -> Iterator[None]:
    """A program, once it has said that it is ready."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | env
    )
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put(line)
        said.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while ready not in (line := said.get(timeout=30)):
            assert line, f"{command[0]} ended"
        yield
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def pebble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pebble]:
    """Its own certificate is believed while the block lasts."""
    place = tmp_path / "authority"
    place.mkdir()
    certificate.load_or_make(place, "127.0.0.1", int(time.time() * 1000))
    listen, names = free_port(), free_port(socket.SOCK_DGRAM)
    found = Pebble(f"https://127.0.0.1:{listen}/dir", free_port())
    settings = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(place / "tls.crt"),
        "privateKey": str(place / "tls.key"),
        "httpPort": free_port(),
        "tlsPort": found.port,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (place / "config.json").write_text(json.dumps({"pebble": settings}))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place / "tls.crt"))
    resolver = [
        "pebble-challtestsrv", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "",
        "-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    server = [
        "pebble", "-strict", "-config", str(place / "config.json"),
        "-dnsserver", f"127.0.0.1:{names}",
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(running(resolver, "Starting management server", {}))
        hurry = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}
        stack.enter_context(running(server, "Listening on", hurry))
        yield found
