"""A UDP port of this machine's, for whom it is told to speak with."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final

Hear = Callable[[bytes, tuple[str, int]], None]

TARGETS: Final = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses for examples (RFC 5737, RFC 3849): a UDP socket that is connected there sends nothing,
and knows by which address of this machine it would."""


class Udp(asyncio.DatagramProtocol):
    """`hear` gets what comes, and from where. `open` first."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._transport: asyncio.DatagramTransport | None = None
        self._six = False
        self.port = 0

    async def open(self) -> None:
        """One port, for IPv6 and IPv4 where this machine has both. Raises OSError."""
        loop = asyncio.get_running_loop()
        sock = self._socket()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]

    def _socket(self) -> socket.socket:
        with contextlib.suppress(OSError):
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                sock.bind(("::", 0))
            except OSError:
                sock.close()
                raise
            self._six = True
            return sock
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind(("0.0.0.0", 0))
        return sock

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Now or never."""
        if self._transport is None or self._transport.is_closing():
            return
        host, port = address
        if self._six and ":" not in host:
            host = f"::ffff:{host}"
        elif not self._six and ":" in host:
            return
        with contextlib.suppress(OSError):
            self._transport.sendto(data, (host, port))

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Something came."""
        host = str(addr[0]).removeprefix("::ffff:")
        self._hear(data, (host, addr[1]))

    def error_received(self, exc: Exception) -> None:
        """Something did not arrive: what comes, or does not, will show it."""

    def close(self) -> None:
        """Nothing more."""
        if self._transport is not None:
            self._transport.close()


def own_addresses() -> list[str]:
    """Those of this machine's by which it speaks with the rest of the world."""
    found = []
    for target, family in TARGETS:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((target, 9))
            found.append(str(sock.getsockname()[0]))
    return found


def usable(address: str) -> bool:
    """Whether another machine may be there."""
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (one.is_loopback or one.is_multicast or one.is_unspecified or one.is_link_local)
