"""A relay as another one's first hop: it sees who comes, and not what is said.

The node speaks TLS with the other relay through here. So that nobody uses a relay to reach
anything else, the other end is looked up once, has to prove that it is the relay of the address
it was given, and bytes then go to that very machine; a machine inside a private network only for
a node that is inside one itself. Source: spec/paths.md, "First hop".
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from holdfast.core import wire
from holdfast.core.caps import BadAddress, Home
from holdfast.core.log.limits import Bucket, Limits
from holdfast.paths import dial, websocket
from holdfast.paths.base import Unreachable
from holdfast.paths.hop import Padding

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.paths.base import Channel

CHECKED_SECONDS: Final = 600.0
REMEMBERED: Final = 1_000
CONNECT_SECONDS: Final = 10.0
UNSENT: Final = 256 * 1024
"""Bytes to the node that wait before no more are read for it."""
CARRIED_SLOWLY: Final = 8 * 1024
"""Bytes that are brought back at a time while others wait."""
LATER: Final = 0.05
TOOK_BYTES: Final = 8 * 1024
TOOK_SECONDS: Final = 0.25
"""So much, or so long, may wait to be acknowledged: a call's frames cost no answer each."""
NOT_KEPT: Final = "no other relay is reached from here"


class Checked:
    """Relays that proved themselves lately, and where: a machine's address by theirs. With a
    `proxy` it is that which looks for them."""

    def __init__(self, proxy: str | None = None) -> None:
        self._proxy = proxy
        self._known: dict[Home, tuple[str, float]] = {}

    async def open(
        self, home: Home, protocol: asyncio.Protocol, *, inside: bool
    ) -> asyncio.Transport:
        """A plain connection to the machine of a relay that proved itself. `inside`: asked by
        somebody in a private network. Raises `Unreachable`, OSError."""
        address = await self._find(home, inside=inside)
        if self._proxy is not None:
            return await dial.through(home, protocol, self._proxy)
        loop = asyncio.get_running_loop()
        raw, _ = await loop.create_connection(lambda: protocol, address, home.port)
        return raw

    async def _find(self, home: Home, *, inside: bool) -> str:
        loop = asyncio.get_running_loop()
        known = self._known.get(home)
        if known is not None and known[1] > loop.time():
            address = known[0]
            if self._proxy is not None or allowed(address, inside=inside):
                return address
        address = "" if self._proxy is not None else await _look_up(home, inside=inside)
        channel = await websocket.connect(home, _Nobody(), address=address, proxy=self._proxy)
        channel.close()
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[home] = address, loop.time() + CHECKED_SECONDS
        return address


def allowed(address: str, *, inside: bool) -> bool:
    """Whether a node may be taken there; `inside`: it comes from a private network itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_global or (inside and (found.is_private or found.is_loopback))


async def _look_up(home: Home, *, inside: bool) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            home.host, home.port, type=socket.SOCK_STREAM
        )
    except OSError:
        raise Unreachable("dns", f"the name {home.host} was not found") from None
    for *_, place in found:
        if allowed(str(place[0]), inside=inside):
            return str(place[0])
    raise Unreachable("refused", NOT_KEPT)


class _Nobody:
    """Who only wanted to know."""

    def on_frame(self, frame: bytes) -> None:
        """Nothing is expected."""

    def on_live(self, frame: bytes) -> None:
        """Datagrams are not asked for."""

    def on_drained(self) -> None:
        """Nothing was sent."""

    def on_closed(self, reason: str) -> None:
        """That was all."""


class Tunnel(asyncio.Protocol):
    """One connection that is passed on; `end` closes the node's side with a code and a sentence."""

    def __init__(
        self,
        channel: Channel,
        checked: Checked,
        limits: Limits,
        clock: Callable[[], int],
        end: Callable[[str, str], None],
    ) -> None:
        self._channel = channel
        self._padding = Padding()
        self._checked = checked
        self._clock = clock
        self._end = end
        most = limits.bytes_per_second
        self._most = max(1, most * limits.burst_seconds)
        self._bytes = Bucket(most, self._most)
        self._raw: asyncio.Transport | None = None
        self._came = self._took = 0
        self._full = self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self, address: str, peer: str) -> None:
        """Reach the other relay, for a node that comes from `peer`."""
        self._task = asyncio.create_task(self._open(address, peer))

    def close(self) -> None:
        """The node is gone."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._raw is not None:
            self._raw.abort()

    async def _open(self, address: str, peer: str) -> None:
        try:
            home = Home.parse(address)
            inside = not ipaddress.ip_address(peer or "0.0.0.0").is_global
            async with asyncio.timeout(CONNECT_SECONDS):
                raw = await self._checked.open(home, self, inside=inside)
        except BadAddress as error:
            self._end("malformed", str(error))
        except Unreachable as error:
            self._end(error.kind, str(error))
        except TimeoutError:
            self._end("timeout", "the other relay did not answer in time")
        except OSError:
            self._end("connect", "the other relay cannot be reached from here")
        else:
            if self._over:
                raw.abort()
                return
            self._raw = raw
            self._channel.send(wire.encode(wire.Took(0)))

    # From the node.

    def on_frame(self, data: bytes) -> None:
        """Bytes to pass on."""
        try:
            frame = wire.decode_client(data)
        except wire.Malformed as error:
            self._end("malformed", str(error))
            return
        if not isinstance(frame, wire.Carry) or self._raw is None:
            self._end("malformed", "this connection is passed on")
            return
        self._came += len(frame.data)
        if self._came - self._took > wire.CARRIED_WINDOW:
            self._end("rate", "more was sent than was asked for")
            return
        self._raw.write(frame.data)
        self._acknowledge()

    def on_drained(self) -> None:
        """The node has taken what there was."""
        self._go_on()

    def _acknowledge(self, due: bool = False) -> None:
        """Ask for more once this has left, and no faster than a connection may."""
        if self._full or self._over or self._timer is not None or self._came == self._took:
            return
        if not due and self._came - self._took < TOOK_BYTES:
            self._timer = asyncio.get_running_loop().call_later(TOOK_SECONDS, self._again)
            return
        size = min(self._came - self._took, self._most)
        if not self._bytes.take(size, self._clock()):
            self._timer = asyncio.get_running_loop().call_later(LATER, self._again)
            return
        self._took += size
        self._channel.send(wire.encode(wire.Took(self._took)))
        if self._took < self._came:
            self._timer = asyncio.get_running_loop().call_later(LATER, self._again)

    def _again(self) -> None:
        self._timer = None
        self._acknowledge(due=True)
        self._go_on()

    # From the other relay.

    def data_received(self, data: bytes) -> None:
        """Bytes to bring back."""
        # On a slow line a node hears of every part soon, and knows that somebody is there.
        most = CARRIED_SLOWLY if self._channel.buffered else wire.MAX_CARRIED
        for at in range(0, len(data), most):
            part = data[at : at + most]
            self._channel.send(wire.encode(wire.Carry(part, self._padding.of(len(part)))))
        if self._channel.buffered > UNSENT and self._raw is not None:
            self._raw.pause_reading()

    def _go_on(self) -> None:
        if self._raw is not None and not self._over and self._channel.buffered <= UNSENT:
            self._raw.resume_reading()

    def pause_writing(self) -> None:
        """The other relay takes no more for now."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self._acknowledge()

    def connection_lost(self, error: Exception | None) -> None:
        """The other relay ended it."""
        if not self._over:
            self._end("closed", "the other relay closed the connection")
