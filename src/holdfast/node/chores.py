"""What is done of itself: everything again that a crash cut off, and what each minute asks for."""

from __future__ import annotations

import json
from typing import Final

from holdfast.core.caps import Home
from holdfast.node import (
    answering,
    channel_feed,
    comparing,
    devices,
    effects,
    files,
    group_early,
    group_talk,
    homes,
    inviting,
    linking,
    receiving,
    rehousing,
    renewing,
    requests,
    ringing,
    talking,
)
from holdfast.node.database import rows
from holdfast.node.desk import LIFETIME, Desk, addresses_of, unpack_caps, unpack_inbox
from holdfast.node.keeper import Work

TRIED: Final = 3
"""Relays that contacts told of, tried at once when no own one is reached."""


def used_homes(desk: Desk, work: Work) -> dict[str, Home]:
    """Every relay that something of this node's is on."""
    found: dict[str, Home] = {str(home): home for home in desk.homes(work)}
    named = {
        address
        for pair in rows(
            work.db,
            "SELECT inbox, outbox FROM contact WHERE kind <> 'group'"
            " UNION ALL SELECT log, log FROM group_log UNION ALL SELECT log, log FROM group_early",
        )
        for stored in pair
        for address in addresses_of(stored)
    }
    named.update(
        address
        for (address,) in rows(
            work.db,
            "SELECT home FROM wanted UNION SELECT home FROM unwanted"
            " UNION SELECT home FROM leaving",
        )
    )
    found.update((address, Home.parse(address)) for address in sorted(named - found.keys()))
    if desk.alone:
        told = "SELECT address FROM relay WHERE origin <> '' AND NOT off ORDER BY added LIMIT ?"
        found.update((address, Home.parse(address)) for (address,) in rows(work.db, told, TRIED))
    for (id,) in rows(work.db, "SELECT id FROM invitation WHERE state IN ('open', 'preparing')"):
        for home in inviting.load(desk, work, id).link.homes:
            found[str(home)] = home
    return found


def tick(desk: Desk, work: Work) -> None:
    """Once a minute: what has run out, and what is still missing."""
    inviting.sweep(desk, work)
    files.sweep(work)
    comparing.expire(desk, work)
    homes.look_for(desk, work)
    rehousing.rehouse(desk, work)
    renewing.tick(desk, work)
    devices.sweep(work)
    linking.tick(desk, work)
    work.db.execute(
        "UPDATE relay SET seen = ? WHERE address IN (SELECT value FROM json_each(?))",
        (work.now, json.dumps(sorted(desk.reached))),
    )
    group_talk.sweep(desk, work)
    channel_feed.tick(desk, work)
    for cid in desk.with_gap():
        receiving.caught_up(desk, work, cid)


def missing(desk: Desk, work: Work, cid: str) -> None:
    """What another relay may still bring has had its time: it is asked for."""
    if cid in desk.with_gap():
        receiving.caught_up(desk, work, cid)
    channel_feed.caught_up(desk, work, cid)


def dropped(work: Work, locator: bytes, home: str) -> None:
    """A log is gone there: nobody need ask again."""
    work.db.execute("DELETE FROM unwanted WHERE locator = ? AND home = ?", (locator, home))


def append_unsent(work: Work) -> None:
    """Append again what some home lacks; what is queued already is not queued twice."""
    for stored, address, rid, blob, kind in rows(
        work.db,
        "SELECT coalesce(o.caps, c.outbox), u.home, u.rid, o.blob, c.kind FROM unsent u"
        " JOIN outgoing o ON o.rid = u.rid JOIN contact c ON c.id = u.contact"
        " ORDER BY u.contact, u.seq, u.home",
    ):
        caps = unpack_inbox(stored).caps
        lifetime = channel_feed.LIFETIME if kind == "channel" else LIFETIME
        work.after.append(effects.Append(caps, Home.parse(address), rid, blob, lifetime))


def resume(desk: Desk, work: Work) -> None:
    """Everything that the last run had under way."""
    requests.resume(desk, work)
    mine = frozenset(str(home) for home in desk.homes(work))
    work.after.append(effects.Use(mine, used_homes(desk, work)))
    for address, stored, most in rows(
        work.db, "SELECT home, caps, most FROM wanted ORDER BY locator, home"
    ):
        work.after.append(effects.Create(unpack_caps(stored), Home.parse(address), most))
    for cid, state, stored, waiting in rows(
        work.db,
        "SELECT id, state, inbox, accept FROM contact WHERE kind IN ('person', 'device', 'own')"
        " ORDER BY added",
    ):
        if state not in ("blocked", "restored", "unlinked", "meeting", "removed"):
            inbox = unpack_inbox(stored)
            for home in inbox.homes:
                since = desk.position(work, inbox.caps.locator, str(home))
                work.after.append(effects.Follow(inbox.caps, home, since, ("inbox", cid)))
            due = desk.session(work, cid).due(desk.receipts(work, cid))
            work.after.append(effects.Due(cid, due))
        if waiting is not None:
            answering.answer(desk, work, cid)
    for cid, address, stored in rows(work.db, "SELECT contact, home, caps FROM leaving"):
        caps, home = unpack_caps(stored), Home.parse(address)
        since = desk.position(work, caps.locator, address)
        work.after.append(effects.Follow(caps, home, since, ("inbox", cid)))
    for id, state in rows(
        work.db, "SELECT id, state FROM invitation WHERE state IN ('open', 'preparing')"
    ):
        made = inviting.load(desk, work, id)
        for home in made.link.homes:
            since = desk.position(work, made.accept_caps.locator, str(home))
            work.after.append(effects.Follow(made.accept_caps, home, since, ("accept", id)))
        if state == "preparing":
            inviting.publish(desk, work, id, made)
    for cid, stored in rows(
        work.db,
        "SELECT contact, log FROM group_log JOIN contact c ON c.id = contact"
        " WHERE c.state = 'group'",
    ):
        log = unpack_inbox(stored)
        for home in log.homes:
            since = desk.position(work, log.caps.locator, str(home))
            work.after.append(effects.Follow(log.caps, home, since, ("group", cid)))
    channel_feed.resume(desk, work)
    group_early.resume(work)
    append_unsent(work)
    for address, stored in rows(work.db, "SELECT home, caps FROM unwanted ORDER BY locator, home"):
        work.after.append(effects.Drop(unpack_caps(stored), Home.parse(address)))
    inviting.sweep(desk, work)
    files.resume(desk, work)
    renewing.resume(desk, work)
    linking.resume(desk, work)
    ringing.resume(desk, work)
    talking.expire(desk, work)
