"""Lines to contacts on the local network: TCP connections with the machine of `core.near`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, cast

from holdfast.core.near import BadLine, Came, Event, Line, Peer, Placed, Ready, Taken

__all__ = ["Came", "Gone", "Lines", "Peer", "Placed", "Ready", "Taken"]

MOST: Final = 200
"""Connections at a time, contacts' and strangers'."""
TICK: Final = 1.0
DIAL_SECONDS: Final = 5.0
KNOWN: Final = 10_000
"""First words that are remembered."""


class Gone:
    """There is no line to the contact any more."""


Hear = Callable[[str, Event | Gone], None]


class Lines:
    """At most one line to a contact. `hear` is told what comes, by contact; on the loop's
    thread."""

    def __init__(
        self, clock: Callable[[], int], entropy: Callable[[int], bytes], hear: Hear
    ) -> None:
        self.clock, self.entropy = clock, entropy
        self.peers: Sequence[Peer] = ()
        self.known: set[bytes] = set()
        self._hear = hear
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._by_contact: dict[str, _Wire] = {}
        self._dialling: dict[str, asyncio.Task[None]] = {}
        self._ticking: asyncio.TimerHandle | None = None

    async def start(self) -> int:
        """Be there to be connected to; the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Wire(self, None), "0.0.0.0", 0)
        self._ticking = loop.call_later(TICK, self._tick)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        """No lines any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._ticking is not None:
            self._ticking.cancel()
        for task in self._dialling.values():
            task.cancel()
        for wire in list(self._wires):
            wire.close()

    def use(self, peers: Sequence[Peer]) -> None:
        """These are contacts, and nobody else."""
        self.peers = peers
        contacts = {one.contact for one in peers}
        for contact, wire in list(self._by_contact.items()):
            if contact not in contacts:
                wire.close()

    @property
    def contacts(self) -> list[str]:
        """Those to whom there is a line."""
        return sorted(self._by_contact)

    def line(self, contact: str) -> Line | None:
        """The line to this contact; `sent` after it was used."""
        wire = self._by_contact.get(contact)
        return None if wire is None else wire.line

    def address(self, contact: str) -> str:
        """Where this contact is, "" if there is no line."""
        wire = self._by_contact.get(contact)
        return "" if wire is None else wire.address

    def sent(self, contact: str) -> None:
        """Send what the line wants sent."""
        wire = self._by_contact.get(contact)
        if wire is not None:
            wire.flush()

    def close(self, contact: str) -> None:
        """Let go of the line."""
        wire = self._by_contact.get(contact)
        if wire is not None:
            wire.close()

    def dial(self, peer: Peer, addresses: Sequence[str], port: int) -> None:
        """Try to have a line, unless there is one or that is being tried."""
        if peer.contact in self._by_contact or peer.contact in self._dialling:
            return
        task = asyncio.create_task(self._dial(peer, addresses, port))
        self._dialling[peer.contact] = task
        task.add_done_callback(lambda _: self._dialling.pop(peer.contact, None))

    async def _dial(self, peer: Peer, addresses: Sequence[str], port: int) -> None:
        loop = asyncio.get_running_loop()
        for address in addresses:
            with contextlib.suppress(OSError):  # TimeoutError too
                async with asyncio.timeout(DIAL_SECONDS):
                    await loop.create_connection(lambda: _Wire(self, peer), address, port)
                return

    def _tick(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(TICK, self._tick)
        for wire in list(self._wires):
            wire.tick()
        if len(self.known) > KNOWN:
            self.known.clear()  # an hour's worth of them would not fit: strangers at work

    # From the wires.

    def full(self) -> bool:
        """Whether nobody else is let in."""
        return len(self._wires) >= MOST

    def made(self, wire: _Wire) -> None:
        """A connection stands; who it is will be seen."""
        self._wires.add(wire)

    def lost(self, wire: _Wire) -> None:
        """A connection is gone."""
        self._wires.discard(wire)
        contact = wire.line.contact
        if self._by_contact.get(contact) is wire:
            del self._by_contact[contact]
            self._hear(contact, Gone())

    def came(self, wire: _Wire, events: list[Event]) -> None:
        """A contact said so."""
        for event in events:
            if isinstance(event, Ready):
                before = self._by_contact.get(event.contact)
                self._by_contact[event.contact] = wire
                if before is not None:
                    before.close()
            self._hear(wire.line.contact, event)
        wire.flush()


class _Wire(asyncio.Protocol):
    def __init__(self, lines: Lines, peer: Peer | None) -> None:
        self._lines = lines
        self.line = Line(lines.peers, lines.clock(), lines.entropy, peer, lines.known)
        self.address = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if self._lines.full():
            made.abort()
            return
        self._transport = made
        self.address = transport.get_extra_info("peername")[0]
        self._lines.made(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.line.received(data, self._lines.clock())
        except BadLine:
            self.close()
            return
        self._lines.came(self, events)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lines.lost(self)

    def flush(self) -> None:
        """Send what is to be sent."""
        out = self.line.take()
        if out and self._transport is not None:
            self._transport.write(out)

    def tick(self) -> None:
        """Time has passed."""
        try:
            self.line.tick(self._lines.clock())
        except BadLine:
            self.close()
            return
        self.flush()

    def close(self) -> None:
        """Let go."""
        if self._transport is not None:
            self._transport.abort()
            self._lines.lost(self)
