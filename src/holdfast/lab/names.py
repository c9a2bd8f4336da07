"""The server for names of the packet lab: it answers with what it was given, over UDP and TCP, and
that there is no such name for all others. It runs in threads, at a host's address.

Source: RFC 1035, RFC 7766.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from holdfast.lab import dns

PATIENCE: Final = 5
LONGEST: Final = 65_535


def answer(names: Mapping[str, Sequence[bytes]], data: bytes) -> bytes:
    """To a question; b"" to what is none."""
    try:
        question = dns.read(data)
    except dns.NotQuestion:
        return b""
    found = names.get(question.name)
    if found is None:
        return dns.answer(question, code=dns.NXDOMAIN)
    size = {dns.A: 4, dns.AAAA: 16}.get(question.kind, 0)
    return dns.answer(question, [one for one in found if len(one) == size])


class Names:
    """`over_udp` and `over_tcp` are sockets on the host that are not bound yet."""

    def __init__(
        self,
        names: Mapping[str, Sequence[bytes]],
        address: str,
        over_udp: socket.socket,
        over_tcp: socket.socket,
    ) -> None:
        self._names = names
        self._udp, self._tcp = over_udp, over_tcp
        for sock in (self._udp, self._tcp):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(ipaddress.ip_address(address)), dns.PORT))
        self._tcp.listen()
        self._threads = [
            threading.Thread(target=serve, name="names", daemon=True)
            for serve in (self._serve_udp, self._serve_tcp)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for sock in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            try:
                data, whom = self._udp.recvfrom(LONGEST)
            except OSError:
                return
            if not whom:
                return
            if said := answer(self._names, data):
                with contextlib.suppress(OSError):
                    self._udp.sendto(said, whom)

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError), sock.makefile("rb") as reader:
                sock.settimeout(PATIENCE)
                size = int.from_bytes(reader.read(2), "big")
                if said := answer(self._names, reader.read(size)):
                    sock.sendall(len(said).to_bytes(2, "big") + said)
