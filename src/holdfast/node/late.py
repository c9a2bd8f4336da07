"""What was said in bursts of a call and came too late: voice notes of that moment.

Pieces that come within a few seconds are one note. It is kept like a voice note that was fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

from holdfast.core.call import bursts
from holdfast.core.call.bursts import Spoken
from holdfast.core.call.frames import BadFrame
from holdfast.core.call.rungs import UNIT_MS
from holdfast.core.seal import chunks
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.ringing import conversation
from holdfast.node.spool import Intake
from holdfast.node.thin import NOTE, Thin

TOGETHER: Final = 3.0
"""Seconds without another piece after which what there is becomes a note."""
MEDIA: Final = "audio/ogg"
NAME: Final = "call.ogg"
FROM_CALL: Final = "from-call"

Submit = Callable[[Callable[[Work], Any]], "asyncio.Future[Any] | None"]
_Of = tuple[str, bytes]
"""A contact and a call."""


class Late:
    """On the loop's thread; `desk` is for jobs only."""

    def __init__(self, desk: Desk, submit: Submit, thin: Thin) -> None:
        self._desk, self._submit, self._thin = desk, submit, thin
        self._pieces: dict[_Of, list[Spoken]] = {}
        self._timers: dict[_Of, asyncio.TimerHandle] = {}

    def stop(self) -> None:
        """The node ends: make notes of what there is no more time for, no longer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def came(self, contact: str, call: bytes, data: bytes) -> None:
        """A burst of a call that is over."""
        with contextlib.suppress(BadFrame):
            self.keep(contact, call, [one for one in bursts.decode(data) if one.packet])

    def keep(self, contact: str, call: bytes, packets: list[Spoken] | tuple[Spoken, ...]) -> None:
        """This was not heard in the talk."""
        if not packets:
            return
        of = (contact, call)
        kept = self._pieces.setdefault(of, [])
        kept.extend(packets)
        full = sum(one.rung.units for one in kept) > bursts.MOST_UNITS - 4 * bursts.UNITS_THIN
        if of in self._timers:
            self._timers.pop(of).cancel()
        loop = asyncio.get_running_loop()
        self._timers[of] = loop.call_later(0 if full else TOGETHER, self._make, of)

    def _make(self, of: _Of) -> None:
        self._timers.pop(of, None)
        packets = sorted(self._pieces.pop(of, []), key=lambda one: one.at)
        if not packets:
            return
        data = bursts.encode(packets)
        self._thin.ask(NOTE, data, lambda made: self._made(of, packets[0].at * UNIT_MS, made))

    def _made(self, of: _Of, at: int, made: bytes) -> None:
        told, _, ogg = made.partition(b"\n")
        if ogg:
            about = json.loads(told)
            self._submit(lambda work: note(self._desk, work, of, at, about, ogg))


def note(desk: Desk, work: Work, of: _Of, at: int, about: dict[str, Any], ogg: bytes) -> None:
    """A job: a voice note of a contact's that came in pieces, `at` milliseconds of a call."""
    cid, call = of
    found = row(work.db, "SELECT at FROM call WHERE id = ? AND contact = ?", call, cid)
    if found is None or row(work.db, "SELECT 1 FROM contact WHERE id = ?", cid) is None:
        return
    cid = conversation(work, cid)
    id, secret = desk.entropy(16).hex(), desk.entropy(32)
    chunk = chunks.chunk_size(len(ogg))
    intake = Intake(desk.files / id, chunks.FileKeys(secret, len(ogg), chunk), desk.entropy)
    intake.write(ogg)
    root = intake.end()
    work.undo.append(intake.abort)
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, note, text, at, received, state)"
        " VALUES (?, 0, 0, ?, 'file', ?, ?, ?, ?, 'received')",
        (cid, desk.entropy(16), FROM_CALL, NAME, min(found[0] + at, work.now), work.now),
    )
    message = work.db.last_insert_rowid()
    work.db.execute(
        "INSERT INTO file (id, message, contact, mine, kind, name, media, size, chunk, secret,"
        " root, duration, wave, state, added)"
        " VALUES (?, ?, ?, 0, 'voice', ?, ?, ?, ?, ?, ?, ?, ?, 'whole', ?)",
        (
            id,
            message,
            cid,
            NAME,
            MEDIA,
            len(ogg),
            chunk,
            secret,
            root,
            about["duration"],
            bytes(value & 31 for value in about["wave"]),
            work.now,
        ),
    )
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    desk.touch_message(work, message)
    desk.touch_contact(work, cid)
