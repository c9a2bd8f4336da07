"""What fared how on which network: a node that comes back to one begins with what worked there.

A network is told by the way out of this machine (interface, gateway, the gateway's hardware
address, and the range of the own address), hashed; nothing is asked of anybody. What is remembered
is kept in the node's encrypted database, of the last `MOST` networks, and is forgotten when the
person says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from holdfast.core.ladder import Ladder, PlaceMemory

MOST: Final = 20
PLACES: Final = 50
"""Relays that are remembered of one network."""
WAKE_MS: Final = 10_000
"""If between two looks the clock went so much further than time did, this machine slept."""
_PROC: Final = Path("/proc/net")
_NOWHERE: Final = (("192.0.2.1", 24), ("2001:db8::1", 64))
"""Addresses for examples (RFC 5737, RFC 3849), and the ranges that are a network's: a UDP socket
is pointed there, and nothing sent."""


class Known(msgspec.Struct, array_like=True):
    """One network: milliseconds when it was left or looked at last, and how relays fared there."""

    seen: int
    places: dict[str, PlaceMemory]


class Way(NamedTuple):
    """Out of this machine. The gateway's hardware address is not known at every time."""

    route: str
    hardware: str = ""


def here(proc: Path = _PROC) -> Way | None:
    """The way out that there is; None without one."""
    route, gateway = _gateway(proc)
    own = next(filter(None, (_own(*nowhere) for nowhere in _NOWHERE)), "")
    if not route and not own:
        return None
    return Way(f"{route} {own}", _hardware(proc, gateway) if gateway else "")


def _gateway(proc: Path) -> tuple[str, str]:
    """Interface and gateway as Linux tells them, and the gateway alone."""
    with contextlib.suppress(OSError, ValueError):
        routes = [line.split() for line in (proc / "route").read_text().splitlines()[1:]]
        for name, target, gateway, flags, *_ in routes:
            if target == "00000000" and int(flags, 16) & 2:
                address = str(ipaddress.IPv4Address(bytes.fromhex(gateway)[::-1]))
                return f"{name} {address}", address
    return "", ""


def _hardware(proc: Path, address: str) -> str:
    with contextlib.suppress(OSError, IndexError):
        for line in (proc / "arp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[0] == address and fields[3] != "00:00:00:00:00:00":
                return fields[3]
    return ""


def _own(target: str, range: int) -> str:
    """The range of the address that this machine would go there from."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((target, 9))
        return str(ipaddress.ip_interface(f"{sock.getsockname()[0]}/{range}").network)
    return ""


class Networks:
    """The memories, and the ladder that has the present one. `clock` is milliseconds since 1970,
    `steady` of a clock that nobody sets; `through` is a proxy, which is a part of the way; `leave`
    ends the connections of a network that is left."""

    def __init__(
        self,
        ladder: Ladder,
        clock: Callable[[], int],
        steady: Callable[[], int],
        find: Callable[[], Way | None] = here,
        through: str = "",
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        self._ladder = ladder
        self._clock, self._steady = clock, steady
        self._find, self._through, self._leave = find, through, leave
        self._known: dict[str, Known] = {}
        self._way: Way | None = None
        self._looked = (clock(), steady())
        self._told: object = None

    def load(self, stored: bytes | None) -> None:
        """What was remembered before; what cannot be read is nothing."""
        with contextlib.suppress(msgspec.MsgspecError):
            self._known = msgspec.msgpack.decode(stored or b"\x80", type=dict[str, Known])
        self._way = self._find()
        self._ladder.recall({}, 0, self._steady())
        self._learn()
        self._told = self._lessons()

    def dump(self) -> bytes:
        """For `load`, another time."""
        self._keep()
        self._told = self._lessons()
        return msgspec.msgpack.encode(self._known)

    def news(self) -> bytes | None:
        """The same, if more than times has changed since it was taken last."""
        self._keep()
        return None if self._lessons() == self._told else self.dump()

    def forget(self) -> None:
        """All of it, the present one too."""
        self._known = {}
        self._ladder.recall({}, 0, self._steady())

    def seen(self) -> Mapping[str, Known]:
        """Every network, the present one first and then the last one."""
        self._keep()
        now = self.current
        return dict(sorted(self._known.items(), key=lambda one: (one[0] != now, -one[1].seen)))

    @property
    def current(self) -> str:
        """The present one; "" without one."""
        if self._way is None:
            return ""
        way = f"holdfast/network/1 {self._way.route} {self._way.hardware} {self._through}"
        return hashlib.sha256(way.encode()).hexdigest()[:32]

    def moved(self) -> bool:
        """Whether this is another network than at the last look, or the machine slept since: then
        no connection can be relied on, and all were left."""
        clock, steady = self._clock(), self._steady()
        (clock_then, steady_then), self._looked = self._looked, (clock, steady)
        moved = clock - clock_then > steady - steady_then + WAKE_MS
        found, before = self._find() or self._way, self._way
        if found is not None and found != before:
            self._keep()
            known = {found.hardware, before.hardware} if before else set()
            if before is not None and before.route == found.route and "" in known:
                found = max(found, before)  # the same one, of which more is known
                self._known.pop(self.current, None)
            else:
                moved = before is not None or moved
                self._leave()
                self._ladder.recall({}, 0, steady)
            self._way = found
            self._learn()
        elif moved:
            self._leave()
        return moved

    def _keep(self) -> None:
        if id := self.current:
            places = dict(list(self._ladder.memory(self._steady()).items())[-PLACES:])
            self._known[id] = Known(self._clock(), places)
            for old in sorted(self._known, key=lambda id: self._known[id].seen)[:-MOST]:
                del self._known[old]

    def _learn(self) -> None:
        known = self._known.get(self.current, Known(0, {}))
        self._ladder.learn(known.places, max(0, self._clock() - known.seen), self._steady())

    def _lessons(self) -> object:
        """What is known, without times."""
        return {
            id: {
                name: (one.last, one.carried, {path: how.kind for path, how in one.paths.items()})
                for name, one in known.places.items()
            }
            for id, known in self._known.items()
        }
