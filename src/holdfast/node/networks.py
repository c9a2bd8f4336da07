"""What fared how on which network: a node that comes back to one begins with what worked there.

A network is told by the way out of this machine (interface, gateway, and the gateway's hardware
address), hashed; nothing is asked of anybody. What is remembered is kept in the node's encrypted
database, of the last `MOST` networks, and is forgotten when the person says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from holdfast.core.ladder import Ladder, PlaceMemory

MOST: Final = 20
PLACES: Final = 50
"""Relays that are remembered of one network."""
WAKE_MS: Final = 10_000
"""If between two looks the clock went so much further than time did, this machine slept."""
_PROC: Final = Path("/proc/net")
_NOWHERE: Final = ("192.0.2.1", 9)
"""An address for examples (RFC 5737): a UDP socket is pointed there, and nothing sent."""


class Known(msgspec.Struct, array_like=True):
    """One network: milliseconds when it was left or looked at last, and how relays fared there."""

    seen: int
    places: dict[str, PlaceMemory]


def here(proc: Path = _PROC) -> str:
    """The network that this machine is on; "" without one, or if it cannot be told yet."""
    way = _gateway(proc) or _own_address()
    return hashlib.sha256(f"holdfast/network/1 {way}".encode()).hexdigest()[:32] if way else ""


def _gateway(proc: Path) -> str:
    """Interface, gateway and its hardware address, as Linux tells them."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        routes = [line.split() for line in (proc / "route").read_text().splitlines()[1:]]
        for name, target, gateway, flags, *_ in routes:
            if target == "00000000" and int(flags, 16) & 2:
                address = str(ipaddress.IPv4Address(bytes.fromhex(gateway)[::-1]))
                return f"{name} {address} {_hardware(proc, address)}"
    return ""


def _hardware(proc: Path, address: str) -> str:
    with contextlib.suppress(OSError, IndexError):
        for line in (proc / "arp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[0] == address and fields[3] != "00:00:00:00:00:00":
                return fields[3]
    return ""


def _own_address() -> str:
    """The network of this machine's own address, where nothing more is known."""
    with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(_NOWHERE)
        own = ipaddress.ip_interface(f"{sock.getsockname()[0]}/24")
        return str(own.network)
    return ""


class Networks:
    """The memories, and the ladder that has the present one. `clock` is milliseconds since 1970,
    `steady` of a clock that nobody sets; `through` is a proxy, which is a part of the way."""

    def __init__(
        self,
        ladder: Ladder,
        clock: Callable[[], int],
        steady: Callable[[], int],
        find: Callable[[], str] = here,
        through: str = "",
    ) -> None:
        self._ladder = ladder
        self._clock, self._steady = clock, steady
        self._find, self._through = find, through
        self._known: dict[str, Known] = {}
        self._current = ""
        self._looked = (clock(), steady())

    def load(self, stored: bytes | None) -> None:
        """What was remembered before; what cannot be read is nothing."""
        with contextlib.suppress(msgspec.MsgspecError):
            self._known = msgspec.msgpack.decode(stored or b"\x80", type=dict[str, Known])
        self._current = self._now_at()
        self._recall()

    def dump(self) -> bytes:
        """For `load`, another time."""
        self._keep()
        return msgspec.msgpack.encode(self._known)

    def forget(self) -> None:
        """All of it, the present one too."""
        self._known = {}
        self._ladder.recall({}, 0, self._steady())

    def seen(self) -> Mapping[str, Known]:
        """Every network, the last one first."""
        self._keep()
        return dict(sorted(self._known.items(), key=lambda one: -one[1].seen))

    @property
    def current(self) -> str:
        """The present one; "" without one."""
        return self._current

    def moved(self) -> bool:
        """Whether this is another network than at the last look, or the machine slept since:
        no connection can be relied on then."""
        clock, steady = self._clock(), self._steady()
        (clock_then, steady_then), self._looked = self._looked, (clock, steady)
        slept = clock - clock_then > steady - steady_then + WAKE_MS
        found = self._now_at()
        if not found or found == self._current:
            return slept
        first = not self._current
        self._keep()
        self._current = found
        self._recall()
        return slept or not first

    def _now_at(self) -> str:
        found = self._find()
        if not found or not self._through:
            return found
        return hashlib.sha256(f"{found} {self._through}".encode()).hexdigest()[:32]

    def _keep(self) -> None:
        if self._current:
            places = dict(list(self._ladder.memory(self._steady()).items())[-PLACES:])
            self._known[self._current] = Known(self._clock(), places)
            for old in sorted(self._known, key=lambda id: self._known[id].seen)[:-MOST]:
                del self._known[old]

    def _recall(self) -> None:
        known = self._known.get(self._current, Known(0, {}))
        self._ladder.recall(known.places, max(0, self._clock() - known.seen), self._steady())
