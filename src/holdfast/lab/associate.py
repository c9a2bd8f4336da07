"""The middlebox in user space, for datagrams: SOCKS5's UDP ASSOCIATE. Source: RFC 1928 section 7.

Datagrams between one of a program's ports and one place are a flow, and held against the rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from holdfast.lab.rules import Act, Flow, Rule, hardest

LONGEST: Final = 65_535
MOST: Final = 1_000
"""Flows of one association; datagrams of more are lost."""
Place = tuple[str, int]


class NotDatagram(ValueError):
    """It is not as SOCKS5 wants it, or in fragments, which nobody sends."""


def unwrap(data: bytes) -> tuple[Place, bytes]:
    """Where a datagram is to go, and what it is. Raises `NotDatagram`."""
    if len(data) < 7 or data[:3] != bytes(3):
        raise NotDatagram
    kind = data[3]
    if kind not in (1, 3, 4):
        raise NotDatagram
    start = 5 if kind == 3 else 4
    size = {1: 4, 3: data[4], 4: 16}[kind]
    at = start + size
    if len(data) < at + 2:
        raise NotDatagram
    named = data[start:at]
    try:
        host = named.decode("ascii").lower() if kind == 3 else str(ipaddress.ip_address(named))
    except UnicodeDecodeError:
        raise NotDatagram from None
    return (host, int.from_bytes(data[at : at + 2], "big")), data[at + 2 :]


def wrap(place: Place, data: bytes) -> bytes:
    """A datagram from or for a place. Raises ValueError for a name that is too long."""
    host, port = place
    try:
        address = ipaddress.ip_address(host).packed
        named = bytes((1 if len(address) == 4 else 4,)) + address
    except ValueError:
        name = host.encode("ascii")
        named = bytes((3, len(name))) + name
    return bytes(3) + named + struct.pack(">H", port) + data


class Association(asyncio.DatagramProtocol):
    """Of one program, as long as its TCP connection stands. `real` says where a place is, None if
    it is nowhere; `rules` what is done now; `turn` when so many bytes of a flow have passed the
    lines of all rules that have a rate."""

    def __init__(
        self,
        real: Callable[[str, int], Place | None],
        rules: Callable[[], Sequence[Rule]],
        turn: Callable[[Flow, int, float, bool], float],
        made: Callable[[Flow], object],
    ) -> None:
        self._real, self._rules, self._turn, self._made = real, rules, turn, made
        self._out: dict[tuple[Any, Place], _Far] = {}
        self._near: asyncio.DatagramTransport | None = None
        self.counts: Counter[str] = Counter()
        """Datagrams: passed, dropped."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._near = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """From the program."""
        with contextlib.suppress(NotDatagram):
            place, said = unwrap(data)
            far = self._out.get((addr, place))
            if far is None:
                real = self._real(*place)
                flow = Flow(*place, time.monotonic(), "udp")
                opened = hardest(rule.opens(flow, flow.opened) for rule in self._rules())
                if real is None or opened is not Act.PASS or len(self._out) >= MOST:
                    self.counts["dropped"] += 1
                    return
                self._made(flow)
                far = _Far(self, flow, addr, real)
                self._out[addr, place] = far
            self.carry(far.flow, said, far.send, sent=True)

    def carry(self, flow: Flow, data: bytes, on: Callable[[bytes], object], *, sent: bool) -> None:
        """Pass a datagram on, now or later, or lose it."""
        now = time.monotonic()
        flow.packets += 1
        if sent:
            flow.sent += len(data)
        else:
            flow.received += len(data)
        rules = self._rules()
        acts = [rule.datagram(flow, data, sent, now) for rule in rules]
        acts += [rule.passes(flow, len(data), now) for rule in rules]
        if hardest(acts) is not Act.PASS:
            self.counts["dropped"] += 1
            return
        self.counts["passed"] += 1
        due = self._turn(flow, len(data), now, sent)
        delay = due - now + max((rule.delay(flow, now) for rule in rules), default=0)
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, on, data)
        else:
            on(data)

    def back(self, flow: Flow, addr: Any, data: bytes) -> None:
        """To the program."""
        if self._near is not None and not self._near.is_closing():
            self._near.sendto(wrap((flow.host, flow.port), data), addr)

    def close(self) -> None:
        """Nothing passes any more."""
        if self._near is not None:
            self._near.close()
        for far in self._out.values():
            far.close()


class _Far:
    """The far side of one flow: a socket of its own."""

    def __init__(self, owner: Association, flow: Flow, addr: Any, real: Place) -> None:
        self.flow = flow
        self._owner, self._addr = owner, addr
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(real)
        asyncio.get_running_loop().add_reader(self._sock, self._read)

    def send(self, data: bytes) -> None:
        """To the place."""
        with contextlib.suppress(OSError):
            self._sock.send(data)

    def _read(self) -> None:
        try:
            data = self._sock.recv(LONGEST)
        except OSError:  # nobody listens there
            return
        self._owner.carry(
            self.flow,
            data,
            lambda data: self._owner.back(self.flow, self._addr, data),
            sent=False,
        )

    def close(self) -> None:
        """It is over."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
