"""Contacts on the same local network: found, and spoken with without any relay.

Off until the person wants it. What is sealed for a contact goes to them over a line as well as to
relays, and whichever comes first counts. Source: spec/paths.md, "The local network".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.near import HOUR, Line, announced, found
from holdfast.drive.near import Came, Gone, Lines, Peer, Placed, Ready, Taken
from holdfast.node import receiving
from holdfast.node.database import rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.taking import Arrived

if TYPE_CHECKING:
    from holdfast.core.near import Event
    from holdfast.drive.mdns import Announced, Discovery

LOOK: Final = 1.0
"""Seconds between two looks at who is not connected, and whether the networks are the same."""
AGAIN: Final = 3
"""Looks between two attempts to connect; who is the one to be connected to waits so long first."""
AT_ONCE: Final = 50
"""Records under way on a line."""

Submit = Callable[[Callable[[Work], Any]], "asyncio.Future[Any] | None"]
Place = Callable[[str, bytes, tuple[str, int] | None], None]


class Near:
    """On the loop's thread; `desk` is for jobs only. `changed` is told when somebody came or went,
    `placed` where a contact takes frames of a call: contact, call, address and port."""

    def __init__(
        self,
        desk: Desk,
        submit: Submit,
        clock: Callable[[], int],
        changed: Callable[[], None],
        placed: Place,
    ) -> None:
        self._desk = desk
        self._submit = submit
        self._clock = clock
        self._changed = changed
        self._placed = placed
        self.discovery: Discovery | None = None
        """How others are found; None: they are not."""
        self._lines = Lines(clock, desk.entropy, self._hear)
        self._running: asyncio.Task[None] | None = None
        self._port = 0
        self._peers: list[Peer] = []
        self._places: dict[str, tuple[Announced, int]] = {}
        """Where a contact announces itself, and at which look it was heard."""
        self._upto: dict[str, int] = {}
        """The last record that went over a contact's line."""
        self._flying: dict[str, set[bytes]] = {}
        self._filling: dict[str, bool] = {}
        """Contacts for whom it is being looked what was not sent, and whether to look again."""
        self._stale = False
        self._on = False

    @property
    def contacts(self) -> list[str]:
        """Those that are here."""
        return self._lines.contacts

    def use(self, on: bool) -> None:
        """The person wants it, or not."""
        if self.discovery is None or on == self._on:
            return
        self._on = on
        if self._running is not None:
            self._running.cancel()
            self._running = None
        if on:
            self._running = asyncio.create_task(self._run(self.discovery))

    async def stop(self) -> None:
        """The node ends."""
        task = self._running
        self.use(False)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def look(self) -> None:
        """Contacts are not what they were."""
        self._stale = True

    async def _run(self, discovery: Discovery) -> None:
        from holdfast.drive.mdns import interfaces

        try:
            self._port = await self._lines.start()
            looks, said = 0, None
            self._peers, self._stale = [], True
            while True:
                if self._stale:
                    self._stale = False
                    found = self._submit(peers)
                    if found is not None:
                        before, self._peers = self._peers, await found
                        if {one.secret for one in before} != {one.secret for one in self._peers}:
                            said = None
                    self._lines.use(self._peers)
                hour = self._clock() // HOUR
                here = interfaces()
                if said != (hour, here):
                    said = (hour, here)
                    await self._announce(discovery)
                looks += 1
                self._dial(looks)
                await asyncio.sleep(LOOK)
        finally:
            self._lines.stop()
            await discovery.stop()

    async def _announce(self, discovery: Discovery) -> None:
        """Under another name each time."""
        await discovery.stop()
        strings = announced(self._peers, self._clock(), self._desk.entropy)
        name = self._desk.entropy(8).hex()
        with contextlib.suppress(OSError):  # no network; looked at again when there is one
            await discovery.start(name, self._port, strings, self._heard)

    def _heard(self, one: Announced) -> None:
        for peer in found(self._peers, one.strings, self._clock()):
            self._places[peer.contact] = (one, 0)

    def _dial(self, looks: int) -> None:
        for peer in self._peers:
            place, since = self._places.get(peer.contact, (None, 0))
            if place is None or self._lines.line(peer.contact) is not None:
                continue
            if not since:
                self._places[peer.contact] = (place, looks)
                since = looks + AGAIN * (peer.mine > peer.theirs)
                self._places[peer.contact] = (place, since)
            if looks >= since and (looks - since) % AGAIN == 0:
                self._lines.dial(peer, place.addresses, place.port)

    # Over a line.

    def appended(self, locator: bytes) -> None:
        """There is a new record for whoever reads this log."""
        for peer in self._peers:
            if peer.theirs == locator and self._lines.line(peer.contact) is not None:
                self._fill(peer.contact)

    def place(self, contact: str, call: bytes, port: int) -> None:
        """Tell the contact, if it is here, where frames of a call are taken; 0: nowhere."""
        if (line := self._line(contact)) is not None:
            line.place(call, port)
            self._lines.sent(contact)

    def _line(self, contact: str) -> Line | None:
        line = self._lines.line(contact)
        return line if line is not None and line.ready else None

    def _fill(self, contact: str) -> None:
        """Send what was not, if there is room."""
        if contact in self._filling:
            self._filling[contact] = True
            return
        if len(self._flying.get(contact, ())) >= AT_ONCE:
            return
        self._filling[contact] = False
        upto = self._upto.get(contact, -1)
        done = self._submit(lambda work: waiting(work, contact, upto))
        if done is not None:
            done.add_done_callback(partial(self._filled, contact))

    def _filled(self, contact: str, done: asyncio.Future[list[tuple[int, bytes, bytes]]]) -> None:
        again = self._filling.pop(contact, False)
        line = self._line(contact)
        if line is None or done.cancelled() or done.exception() is not None:
            return
        records = done.result()
        for seq, rid, blob in records:
            line.record(rid, blob)
            self._upto[contact] = seq
            self._flying.setdefault(contact, set()).add(rid)
        self._lines.sent(contact)
        if records or again:
            self._fill(contact)

    def _hear(self, contact: str, event: Event | Gone) -> None:
        match event:
            case Ready():
                self._upto.pop(contact, None)
                self._flying.pop(contact, None)
                self._fill(contact)
                self._changed()
                self._placed(contact, b"", None)
            case Gone():
                place = self._places.get(contact)
                if place is not None:
                    self._places[contact] = (place[0], 0)
                self._changed()
            case Came(rid, blob):
                self._came(contact, rid, blob)
            case Taken(rid):
                self._flying.get(contact, set()).discard(rid)
                self._submit(lambda work: receiving.handed(self._desk, work, rid))
                self._fill(contact)
            case Placed(call, port):
                address = self._lines.address(contact)
                self._placed(contact, call, (address, port) if port else None)

    def _came(self, contact: str, rid: bytes, blob: bytes) -> None:
        mine = next((one.mine for one in self._peers if one.contact == contact), None)
        if mine is None:
            return
        came = Arrived(mine, "", 0, rid, blob, None)
        done = self._submit(lambda work: receiving.received(self._desk, work, contact, came))

        def taken(done: asyncio.Future[Any]) -> None:
            line = self._line(contact)
            if done.cancelled() or line is None:
                return
            if done.exception() is not None:
                self._lines.close(contact)  # it will be sent again
                return
            line.taken(rid)
            self._lines.sent(contact)

        if done is not None:
            done.add_done_callback(taken)


# Jobs.


def peers(work: Work) -> list[Peer]:
    """Those that may be spoken with, who was spoken with last first."""
    return [
        Peer.of(cid, unpack_inbox(inbox).caps.locator, unpack_inbox(outbox).caps.locator)
        for cid, inbox, outbox in rows(
            work.db,
            "SELECT id, inbox, outbox FROM contact WHERE state = 'active' AND kind = 'person'"
            " AND via = '' AND NOT echo AND NOT request ORDER BY active DESC, id",
        )
    ]


def waiting(work: Work, contact: str, after: int) -> Sequence[tuple[int, bytes, bytes]]:
    """Records of mine that the contact has not acknowledged: number, id, sealed bytes."""
    return rows(
        work.db,
        "SELECT seq, rid, blob FROM outgoing WHERE contact = ? AND seq > ? AND caps IS NULL"
        " ORDER BY seq LIMIT ?",
        contact,
        after,
        AT_ONCE,
    )
