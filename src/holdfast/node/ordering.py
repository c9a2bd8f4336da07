"""The order of what is said in a group, the same for all members whatever their relays bring first.

Each content carries its author's clock: milliseconds, but higher than everything they had seen. So
what answers something comes behind it, and who reads the same messages reads them in the same
order. What changes a message that is not here yet waits for it. Source: Lamport, Time, Clocks, and
the Ordering of Events (1978); spec/chat.md, "Order".
"""

from __future__ import annotations

from typing import Final

from holdfast.core.seal import keys
from holdfast.node.database import row, rows
from holdfast.node.keeper import Work

AHEAD: Final = 86_400_000
"""Milliseconds that a clock may be ahead of this node's and still count as it is."""
MOST: Final = 1_000
"""Changes of a group that wait for their messages."""
WAITS: Final = 30 * 86_400_000
_BASE: Final = 1_577_836_800_000
"""2020: what is left fits 53 bits, with twelve below, for seventy years."""
_BITS: Final = 12


def tick(work: Work, cid: str) -> int:
    """The clock of what is said now."""
    (clock,) = row(
        work.db,
        "UPDATE groups SET clock = max(clock + 1, ?) WHERE contact = ? RETURNING clock",
        work.now,
        cid,
    )
    return int(clock)


def now(work: Work, cid: str) -> int:
    """The clock of what was said or heard last; 0 in a pair, which has an order of its own. In an
    open group, where anybody could put it ahead, the time."""
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND open <> ''", cid):
        return work.now
    found = row(work.db, "SELECT clock FROM groups WHERE contact = ?", cid)
    return 0 if found is None else int(found[0])


def heard(work: Work, cid: str, clock: int) -> int:
    """Somebody's clock as it counts here; ours is behind none of them."""
    if clock > work.now + AHEAD:
        return work.now
    work.db.execute("UPDATE groups SET clock = max(clock, ?) WHERE contact = ?", (clock, cid))
    return clock


def put(work: Work, id: int, clock: int, root: bytes, mid: bytes) -> None:
    """Give a message its place in a group."""
    low = int.from_bytes(keys.digest("group-place/1", root, mid)[:2], "big") >> (16 - _BITS)
    place = max(0, clock - _BASE) << _BITS | low
    work.db.execute("UPDATE message SET place = ? WHERE id = ?", (place, id))


def wait(
    work: Work, cid: str, author: bytes, mid: bytes, by: bytes, clock: int, data: bytes
) -> None:
    """Keep what somebody says of a message that is not here."""
    (many,) = row(work.db, "SELECT count(*) FROM ahead WHERE contact = ?", cid)
    if many < MOST:
        work.db.execute(
            "INSERT OR IGNORE INTO ahead VALUES (?, ?, ?, ?, ?, ?, ?)",
            (cid, author, mid, clock, by, data, work.now),
        )


def waited(work: Work, cid: str, author: bytes, mid: bytes) -> list[tuple[bytes, int, bytes]]:
    """Who said what when of a message that has come now; it waits no longer."""
    found = rows(
        work.db,
        "DELETE FROM ahead WHERE contact = ? AND author = ? AND mid = ? RETURNING by, clock, data",
        cid,
        author,
        mid,
    )
    return sorted(found, key=lambda one: (one[1], one[0]))


def sweep(work: Work) -> None:
    """What has waited too long."""
    work.db.execute("DELETE FROM ahead WHERE at <= ?", (work.now - WAITS,))
