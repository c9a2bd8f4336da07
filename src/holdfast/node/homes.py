"""Jobs of where inboxes are: on which relays, moved to others, and looked for.

Whoever reads an inbox decides on which relays it is, and tells the contact over the sealed channel.
A log is made at a new home before the contact is told, and is read at an old one until the contact
has acknowledged what it was told, so that a crash at any point loses nothing. Source: spec/chat.md,
"Relays".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.core.caps import BadAddress, Home
from holdfast.core.chat import content
from holdfast.core.chat.content import MAX_HOMES
from holdfast.core.seal.invitation import Inbox
from holdfast.node import effects
from holdfast.node.database import row, rows
from holdfast.node.desk import (
    LIFETIME,
    Desk,
    addresses_of,
    pack_caps,
    pack_inbox,
    unpack_caps,
    unpack_inbox,
)
from holdfast.node.effects import Follow
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

DAY: Final = 86_400_000
GONE: Final = 7 * DAY
"""Milliseconds after which a relay that was not reached is taken for lost for good."""
MOVES: Final = 12
"""How often a day a contact may move its inbox; twice that is put up with."""
TOLD: Final = 30 * DAY
"""Between two relays that one contact is told of besides those it uses to write here."""
TELLS: Final = 3
"""So many of those there are."""
LEARNT_OF_ONE: Final = 3
"""Relays that one contact may tell of."""
LEARNT: Final = 30
"""Relays that all contacts together may tell of."""


# The person's choice.


def add(work: Work, home: Home) -> None:
    """Make a relay one of this node's own."""
    work.db.execute(
        "INSERT INTO relay (address, mine, added) VALUES (?, 1, ?)"
        " ON CONFLICT(address) DO UPDATE SET mine = 1, off = 0",
        (str(home), work.now),
    )
    work.after.append(effects.Relays())


def remove(desk: Desk, work: Work, id: str) -> None:
    """Use a relay no longer, or forget it if nothing is there. Raises `ApiError`."""
    home = _find(desk, work, id)
    if home in _used_by_contacts(work):
        change(desk, work, id, False, True)
    else:
        work.db.execute("DELETE FROM relay WHERE address = ?", (str(home),))
        work.after.append(effects.Relays())


def change(desk: Desk, work: Work, id: str, mine: bool | None, off: bool | None) -> None:
    """Make a relay one of this node's own or not, turn it off or on. Raises `ApiError`."""
    address = str(_find(desk, work, id))
    work.db.execute(
        "INSERT OR IGNORE INTO relay (address, mine, added) VALUES (?, 0, ?)", (address, work.now)
    )
    for column, value in (("mine", mine), ("off", off)):
        if value is not None:
            work.db.execute(f"UPDATE relay SET {column} = ? WHERE address = ?", (value, address))
    work.after.append(effects.Relays())


def _find(desk: Desk, work: Work, id: str) -> Home:
    known = [Home.parse(address) for (address,) in rows(work.db, "SELECT address FROM relay")]
    for home in (*known, *_used_by_contacts(work)):
        if home.id == id:
            return home
    raise ApiError("not-found", "there is no such relay")


def _used_by_contacts(work: Work) -> list[Home]:
    stored = rows(
        work.db, "SELECT outbox FROM contact WHERE kind IN ('person', 'device', 'own') ORDER BY id"
    )
    return [home for (outbox,) in stored for home in unpack_inbox(outbox).homes]


Listed = dict[str, tuple[Home, bool, list[str]]]
"""Relays by address: whether one is off, and the names of contacts who use it or told of it."""


def listed(work: Work) -> Listed:
    """Every relay that there is a choice about."""
    found: Listed = {}
    names = {}
    used = []
    for cid, name, own_name, stored in rows(
        work.db,
        "SELECT id, name, own_name, outbox FROM contact WHERE kind <> 'own' ORDER BY added",
    ):
        names[cid] = name or own_name
        used += [(address, names[cid]) for address in addresses_of(stored)]
    for address, origin, off in rows(work.db, "SELECT address, origin, off FROM relay"):
        found[address] = Home.parse(address), bool(off), []
        if origin in names:
            found[address][2].append(names[origin])
    for address, name in used:
        known = found.setdefault(address, (Home.parse(address), False, []))
        if name not in known[2]:
            known[2].append(name)
    return found


# My inbox.


@dataclass(frozen=True)
class Around:
    """What decides where inboxes should be besides the contact itself, the same for all."""

    own: tuple[Home, ...]
    lost: frozenset[str]
    reached: frozenset[str]
    """Relays that are connected now; of no interest while an own one is."""
    gone: frozenset[str]
    """Own relays that were not reached for so long that they are taken for lost for good."""
    off: frozenset[str]
    """Relays that are turned off."""
    told: tuple[tuple[str, str], ...]
    """Relays that contacts told of, by who did."""
    plain: frozenset[str]
    """Own relays that the person added."""
    wanted: frozenset[tuple[bytes, str]]
    """Logs that a home does not have yet."""


def _around(desk: Desk, work: Work) -> Around:
    relays = rows(work.db, "SELECT address, mine, origin, off, seen FROM relay ORDER BY added")
    own = desk.homes(work)
    alone = all(str(home) in desk.lost for home in own)
    return Around(
        own,
        desk.lost,
        desk.reached if alone else frozenset(),
        frozenset(a for a, mine, _, _, seen in relays if mine and 0 < seen < work.now - GONE),
        frozenset(a for a, _, _, off, _ in relays if off),
        tuple((origin, a) for a, _, origin, _, _ in relays if origin),
        frozenset(a for a, mine, origin, off, _ in relays if mine and not off and not origin),
        frozenset(rows(work.db, "SELECT locator, home FROM wanted")),
    )


def arrange(desk: Desk, work: Work) -> None:
    """See that every inbox is on relays that work. What has not changed since is not looked at."""
    around = _around(desk, work)
    if around != desk.around:
        desk.around = around
        desk.arranged.clear()
    work.undo.append(lambda: setattr(desk, "arranged", {}))
    before, desk.arranged = desk.arranged, {}
    for cid, kind, *found, told_at in rows(
        work.db,
        "SELECT id, kind, inbox, outbox, said, told, told_at FROM contact WHERE state = 'active'"
        " ORDER BY added",
    ):
        due = 0 < told_at <= work.now - TOLD
        if before.get(cid) != tuple(found) or due:
            try:
                if not _arrange(desk, work, cid, around):
                    continue
                if kind == "person":
                    _tell_of_another(desk, work, cid, around)
            except ApiError:
                continue  # one that nothing can be sent to stops no other
        desk.arranged[cid] = tuple(found)


def arrange_one(desk: Desk, work: Work, cid: str) -> None:
    """See that a contact's inbox is on relays that work."""
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'active'", cid):
        _arrange(desk, work, cid, _around(desk, work))


def _arrange(desk: Desk, work: Work, cid: str, around: Around) -> bool:
    """Make a contact's inbox on other relays, then tell; whether nothing is left to do."""
    stored, outbox, said = row(work.db, "SELECT inbox, outbox, said FROM contact WHERE id = ?", cid)
    inbox = unpack_inbox(stored)
    target = _target(cid, inbox, unpack_inbox(outbox), around)
    said = said or _text(inbox.homes)
    missing = [home for home in target if home not in inbox.homes]
    if missing:
        inbox = Inbox(inbox.caps, (*inbox.homes, *missing))
        work.db.execute(
            "UPDATE contact SET inbox = ?, said = ? WHERE id = ?", (pack_inbox(inbox), said, cid)
        )
        for home in missing:
            _stay(work, inbox, home)
            desk.want(work, inbox.caps, home)
            work.after.append(Follow(inbox.caps, home, 0, ("inbox", cid)))
        work.after.append(effects.Relays())
    lacking = {home for locator, home in around.wanted if locator == inbox.caps.locator}
    lacking |= {str(home) for home in missing}
    ready = [home for home in target if str(home) not in lacking]
    if ready and set(_text(ready).split()) != set(said.split()):
        return _move(desk, work, cid, inbox, target, ready)
    return not missing


def _target(cid: str, inbox: Inbox, outbox: Inbox, around: Around) -> list[Home]:
    """The relays where a contact's inbox should be: my own, and while none of them is reached also
    those that this contact told of or uses. What is there already stays while there is room."""
    own = around.own
    target = [home for home in own if str(home) not in around.lost][:MAX_HOMES]
    theirs = _of_contact(cid, outbox, around)
    if not target:
        target = [home for home in theirs if str(home) in around.reached][: MAX_HOMES - 1]
    stay = [home for home in inbox.homes if home in theirs or home in own]
    stay = [home for home in stay if str(home) not in around.gone & around.lost]
    target += [home for home in stay if home not in target]
    return target[:MAX_HOMES] or list(inbox.homes)


def _of_contact(cid: str, outbox: Inbox, around: Around) -> list[Home]:
    """Relays that this contact uses or told of, but for those that are turned off."""
    homes = [str(home) for home in outbox.homes]
    homes += [address for origin, address in around.told if origin == cid]
    return [Home.parse(one) for one in dict.fromkeys(homes) if one not in around.off]


def _move(
    desk: Desk, work: Work, cid: str, inbox: Inbox, target: list[Home], ready: list[Home]
) -> bool:
    """Tell the contact where to append from now on; what is left is read until it knows. Whether
    that was done, which it is not too often."""
    if not may_move(work, cid, MOVES):
        return False
    seq = desk.say(work, cid, content.Moved(tuple(str(home) for home in ready)))
    for home in inbox.homes:
        if home not in target:
            work.db.execute(
                "INSERT OR REPLACE INTO leaving VALUES (?, ?, ?, ?, ?)",
                (inbox.caps.locator, str(home), cid, pack_caps(inbox.caps), seq),
            )
    stays = tuple(home for home in inbox.homes if home in target)
    work.db.execute(
        "UPDATE contact SET inbox = ?, said = ? WHERE id = ?",
        (pack_inbox(Inbox(inbox.caps, stays)), _text(ready), cid),
    )
    return True


def may_move(work: Work, cid: str, most: int) -> bool:
    """Count one more move of this day, theirs and mine."""
    moves, since = row(work.db, "SELECT moves, moves_since FROM contact WHERE id = ?", cid)
    if not 0 <= work.now - since < DAY:
        moves, since = 0, work.now
    if moves >= most:
        return False
    work.db.execute(
        "UPDATE contact SET moves = ?, moves_since = ? WHERE id = ?", (moves + 1, since, cid)
    )
    return True


def _stay(work: Work, inbox: Inbox, home: Home) -> None:
    """A home that was being left is one again."""
    for table in ("leaving", "unwanted"):
        work.db.execute(
            f"DELETE FROM {table} WHERE locator = ? AND home = ?",
            (inbox.caps.locator, str(home)),
        )


def acknowledged(desk: Desk, work: Work, cid: str, upto: int) -> None:
    """The contact knows of everything up to this record: homes that it no longer writes to go."""
    left = rows(work.db, "SELECT home, caps FROM leaving WHERE contact = ? AND seq <= ?", cid, upto)
    for address, caps in left:
        desk.drop(work, unpack_caps(caps), Home.parse(address))
    if left:
        work.db.execute("DELETE FROM leaving WHERE contact = ? AND seq <= ?", (cid, upto))
        work.after.append(effects.Relays())


def left(work: Work, cid: str) -> list[Home]:
    """Where a contact's inbox still is besides its homes."""
    found = rows(work.db, "SELECT home FROM leaving WHERE contact = ?", cid)
    return [Home.parse(address) for (address,) in found]


# Theirs.


def moved(desk: Desk, work: Work, cid: str, said: content.Moved) -> None:
    """The contact reads elsewhere: what it has not acknowledged goes there as well."""
    homes = acceptable(desk, work, said.homes)
    (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", cid)
    outbox = unpack_inbox(stored)
    if not homes or set(homes) == set(outbox.homes) or not may_move(work, cid, 2 * MOVES):
        return
    _write_to(desk, work, cid, outbox, homes)


def _write_to(desk: Desk, work: Work, cid: str, outbox: Inbox, homes: tuple[Home, ...]) -> None:
    work.db.execute(
        "UPDATE contact SET outbox = ? WHERE id = ?", (pack_inbox(Inbox(outbox.caps, homes)), cid)
    )
    for home in outbox.homes:
        if home not in homes:
            work.db.execute("DELETE FROM unsent WHERE contact = ? AND home = ?", (cid, str(home)))
    fresh = Inbox(outbox.caps, tuple(home for home in homes if home not in outbox.homes))
    for seq, rid, blob in rows(
        work.db, "SELECT seq, rid, blob FROM outgoing WHERE contact = ? ORDER BY seq", cid
    ):
        desk.send_to_homes(work, cid, fresh, seq, rid, blob)
    work.after.append(effects.Relays())


def acceptable(desk: Desk, work: Work, addresses: Iterable[str]) -> tuple[Home, ...]:
    """Relays that somebody else names, or none if one of them is none. Who has no relay within a
    network of their own has no business with one there."""
    try:
        homes = tuple(dict.fromkeys(Home.parse(address) for address in addresses))
    except BadAddress:
        return ()
    within = any(_is_within(home) for home in desk.homes(work))
    return () if any(_is_within(home) for home in homes) and not within else homes


def _is_within(home: Home) -> bool:
    """Whether an address is of this machine or its own network, as far as it says so."""
    try:
        return not ipaddress.ip_address(home.host).is_global
    except ValueError:
        return "." not in home.host or home.host.endswith((".local", ".localhost", ".internal"))


# Contacts whose relays are all gone.


def look_for(desk: Desk, work: Work) -> None:
    """Where none of a contact's relays is reached any more, try whether its inbox is by now on one
    that both may know: what waits for it is appended there, if there is such a log."""
    if not desk.lost:
        return
    around = _around(desk, work)
    for cid, stored, mine in rows(
        work.db, "SELECT id, outbox, inbox FROM contact WHERE state = 'active' ORDER BY added"
    ):
        outbox = unpack_inbox(stored)
        if not {str(home) for home in outbox.homes} <= desk.lost:
            continue
        waits = row(
            work.db, "SELECT rid, blob FROM outgoing WHERE contact = ? ORDER BY seq LIMIT 1", cid
        )
        places = [*around.own, *unpack_inbox(mine).homes, *_of_contact(cid, outbox, around)]
        for home in dict.fromkeys(places):
            if waits and home not in outbox.homes and str(home) in desk.reached:
                rid, blob = waits
                work.after.append(effects.Append(outbox.caps, home, rid, blob, LIFETIME))


def appended(desk: Desk, work: Work, cid: str, address: str) -> None:
    """A record for this contact was taken by a relay: if by none of its homes, it was found."""
    (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", cid)
    outbox = unpack_inbox(stored)
    if address not in {str(home) for home in outbox.homes} and _is_lost(desk, outbox):
        homes = (Home.parse(address), *outbox.homes)[:MAX_HOMES]
        _write_to(desk, work, cid, outbox, homes)


def _is_lost(desk: Desk, outbox: Inbox) -> bool:
    return {str(home) for home in outbox.homes} <= desk.lost


# Relays that contacts tell of.


def learnt(desk: Desk, work: Work, cid: str, said: content.Spare) -> None:
    """A contact tells of relays: a few of one contact are kept, and used for nothing yet."""
    for home in acceptable(desk, work, said.homes):
        (of_one,) = row(work.db, "SELECT count(*) FROM relay WHERE origin = ? AND NOT mine", cid)
        (of_all,) = row(work.db, "SELECT count(*) FROM relay WHERE origin <> '' AND NOT mine")
        if of_one < LEARNT_OF_ONE and of_all < LEARNT:
            work.db.execute(
                "INSERT OR IGNORE INTO relay (address, mine, added, origin) VALUES (?, 0, ?, ?)",
                (str(home), work.now, cid),
            )
            work.after.append(effects.Relays())


def _tell_of_another(desk: Desk, work: Work, cid: str, around: Around) -> None:
    """One contact is told of one relay more in a month, and of few in all: who is a contact only to
    find out relays finds out few."""
    stored, told, at = row(work.db, "SELECT inbox, told, told_at FROM contact WHERE id = ?", cid)
    own = around.plain
    before = [address for address in told.split() if address in own]
    known = {*before, *_text(unpack_inbox(stored).homes).split()}
    other = next((str(home) for home in around.own if str(home) in own - known), None)
    if other is None or len(before) >= TELLS or work.now - at < TOLD:
        return
    desk.say(work, cid, content.Spare((other,)))
    work.db.execute(
        "UPDATE contact SET told = ?, told_at = ? WHERE id = ?",
        (" ".join([*before, other]), work.now, cid),
    )


def _text(homes: Iterable[Home]) -> str:
    return " ".join(str(home) for home in homes)
