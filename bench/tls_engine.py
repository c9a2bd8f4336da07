"""What the TLS engine costs: pyOpenSSL on memory buffers beside the standard library's.

`python bench/tls_engine.py`. Both ends run in this process without sockets, so the
figures are processor time of two ends: per full handshake, per MiB sent in 16 KiB
pieces, and per small frame of 600 bytes. The standard library negotiates X25519
where its OpenSSL has no ML-KEM, which makes its handshake the cheaper one.
"""

from __future__ import annotations

import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from holdfast.paths import tls
from holdfast.relay import certificate

ROUNDS = 5


class Ours:
    """Two ends of pyOpenSSL."""

    def __init__(self, folder: Path) -> None:
        self.server = tls.server_context(folder / "tls.crt", folder / "tls.key")
        self.client = tls.client_context()

    def pair(self) -> tuple[Any, Any]:
        a, b = SSL.Connection(self.client, None), SSL.Connection(self.server, None)
        a.set_connect_state()
        b.set_accept_state()
        done = False
        while not done:
            done = True
            for one, other in ((a, b), (b, a)):
                try:
                    one.do_handshake()
                except SSL.WantReadError:
                    done = False
                self.move(one, other)
        return a, b

    @staticmethod
    def move(one: Any, other: Any) -> None:
        while True:
            try:
                other.bio_write(one.bio_read(65_536))
            except SSL.WantReadError:
                return

    def carry(self, ends: tuple[Any, Any], data: bytes) -> None:
        a, b = ends
        a.sendall(data)
        self.move(a, b)
        left = len(data)
        while left:
            left -= len(b.recv(65_536))


class Stdlib:
    """Two ends of `ssl.SSLObject`."""

    def __init__(self, folder: Path) -> None:
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname, self.client.verify_mode = False, ssl.CERT_NONE

    def pair(self) -> tuple[Any, Any]:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        a = self.client.wrap_bio(down, up)
        b = self.server.wrap_bio(up, down, server_side=True)
        done = False
        while not done:
            done = True
            for end in (a, b):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    done = False
        return a, b

    def carry(self, ends: tuple[Any, Any], data: bytes) -> None:
        a, b = ends
        a.write(data)
        left = len(data)
        while left:
            left -= len(b.read(65_536))


def cost(work: Callable[[], object], times: int) -> float:
    """Processor seconds of one, the median of rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        taken.append((time.process_time() - start) / times)
    return statistics.median(taken)


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate.load_or_make(folder, "127.0.0.1", int(time.time() * 1000))
        engines: list[tuple[str, Any]] = [
            ("pyOpenSSL", Ours(folder)),
            (f"ssl ({ssl.OPENSSL_VERSION.split()[1]})", Stdlib(folder)),
        ]
        print("| engine | group | handshake, ms | MiB, ms | frame of 600 bytes, µs |")
        print("|---|---|---|---|---|")
        for label, engine in engines:
            ends = engine.pair()
            group = ends[0].get_group_name() if isinstance(engine, Ours) else "not told"
            shake = cost(engine.pair, 50) * 1e3
            mib = cost(lambda: engine.carry(ends, bytes(16_384)), 640) * 64 * 1e3  # noqa: B023
            frame = cost(lambda: engine.carry(ends, bytes(600)), 3000) * 1e6  # noqa: B023
            print(f"| {label} | {group} | {shake:.2f} | {mib:.2f} | {frame:.1f} |")


if __name__ == "__main__":
    main()
