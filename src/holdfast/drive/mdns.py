"""Announcing on the local network, and hearing others announce: DNS-SD over multicast DNS.

What is said is a random name, this machine's addresses there, a port, and strings of bytes that
mean nothing to strangers, see `core.near`. Sources: RFC 6762, RFC 6763; spec/paths.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_address
from typing import Any, Final, Protocol

import ifaddr
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

KIND: Final = "_holdfast._tcp.local."
RESOLVE_MS: Final = 3_000
MOST_ADDRESSES: Final = 8
KEYS: Final = "abcdefgh"
"""Names of the strings."""


@dataclass(frozen=True)
class Announced:
    """Somebody who announces; `addresses` are those in networks of this machine's."""

    name: str
    addresses: tuple[str, ...]
    port: int
    strings: tuple[bytes, ...]


Hear = Callable[[Announced], None]


class Discovery(Protocol):
    """What finds others. After `stop` it can be begun again."""

    async def start(self, name: str, port: int, strings: list[bytes], hear: Hear) -> None:
        """Announce this, and listen. Raises OSError."""

    async def stop(self) -> None:
        """Take it back, with a goodbye."""


def interfaces() -> tuple[IPv4Interface, ...]:
    """This machine's own addresses, and the networks in which they are. IPv4."""
    found = [
        IPv4Interface((one.ip, one.network_prefix))
        for adapter in ifaddr.get_adapters()
        for one in adapter.ips
        if isinstance(one.ip, str)
    ]
    return tuple(sorted(one for one in found if not one.is_loopback))


class Mdns:
    """`Discovery` by multicast on every network that this machine is on."""

    def __init__(self) -> None:
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._name = ""

    async def start(self, name: str, port: int, strings: list[bytes], hear: Hear) -> None:
        """See `Discovery`."""
        mine = interfaces()
        if not mine:
            raise OSError("this computer is on no local network")
        self._name = f"{name}.{KIND}"
        zeroconf = AsyncZeroconf(
            interfaces=[str(one.ip) for one in mine], ip_version=IPVersion.V4Only
        )
        self._zeroconf = zeroconf
        info = AsyncServiceInfo(
            KIND,
            self._name,
            port=port,
            server=f"{name}.local.",
            addresses=[one.ip.packed for one in mine],
            properties=dict(zip(KEYS, strings, strict=False)),
        )
        await zeroconf.async_register_service(info, allow_name_change=False)

        def changed(
            zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
        ) -> None:
            if name != self._name and state_change is not ServiceStateChange.Removed:
                task = asyncio.ensure_future(self._ask(zeroconf, name, hear))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)

        self._browser = AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[changed])

    async def _ask(self, zeroconf: Zeroconf, name: str, hear: Hear) -> None:
        info = AsyncServiceInfo(KIND, name)
        if not await info.async_request(zeroconf, RESOLVE_MS) or not info.port:
            return
        said: dict[Any, Any] = info.properties
        strings = tuple(said[key.encode()] or b"" for key in KEYS if key.encode() in said)
        mine = interfaces()
        places = tuple(
            one
            for one in info.parsed_addresses(IPVersion.V4Only)[:MOST_ADDRESSES]
            if any(ip_address(one) in here.network for here in mine)
        )
        hear(Announced(name, places, info.port, strings))

    async def stop(self) -> None:
        """See `Discovery`."""
        browser, zeroconf = self._browser, self._zeroconf
        self._browser = self._zeroconf = None
        for task in list(self._asked):
            task.cancel()
        with contextlib.suppress(OSError):
            if browser is not None:
                await browser.async_cancel()
            if zeroconf is not None:
                await zeroconf.async_unregister_all_services()
                await zeroconf.async_close()
