"""What others say to a conversation and what it does to messages: in pairs and in groups.

An author is empty in a pair, where there is only one other side, and a root in a group. Only
authors change and take back what they wrote. Source: spec/chat.md, "Folding".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from holdfast.core.chat import content, names
from holdfast.core.group.epochs import Epoch
from holdfast.node import (
    blocking,
    effects,
    files,
    group_cards,
    group_state,
    messages,
    moderation,
    ordering,
    polls,
    rehousing,
)
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.talking import set_reaction, wipe

__all__ = ["Arrived", "Outage", "change", "find", "take"]

Outage = tuple[int, int]
"""When the internet was off: from and until, in milliseconds."""


@dataclass(frozen=True)
class Arrived:
    """A record of a log that one of its homes brought, as record `seq` there."""

    locator: bytes
    home: str
    seq: int
    rid: bytes
    blob: bytes = field(repr=False)
    outage: Outage | None
    live: bool = True
    """It was not kept for long: all that its home had kept before was read already."""


SLOWED: Final = (content.Text, content.File, content.Poll)
"""What a group may want its members to say less often."""
KINDS: Final = ("text", "file")


def take(
    desk: Desk,
    work: Work,
    group: Group,
    epoch: Epoch,
    author: bytes,
    clock: int,
    data: bytes,
    outage: Outage | None,
    stale: bool = False,
) -> None:
    """One content of a member of a group. What does not fit what is known here changes
    nothing; what changes a message that is not here waits for it. `clock`: see `ordering`. `stale`:
    they did not know yet who had been removed."""
    cid = group.cid
    if len(data) > content.MAX_SAID or blocking.is_blocked(work, author):
        return
    try:
        said = content.decode(data)
    except content.Malformed:
        return
    whose = side_of(group, author)[1]
    if isinstance(said, SLOWED) and group_state.is_too_soon(
        desk, work, cid, whose, min(said.at, work.now)
    ):
        return
    if isinstance(said, content.Introduce):
        group_cards.introduced(desk, work, cid, author, said)
        return
    if isinstance(said, content.Remove) and not moderation.counts(group, epoch, author, said):
        return
    clock = ordering.heard(work, cid, clock)
    target = _target(author, said)
    if target is not None and not _is_here(desk, work, cid, *target):
        ordering.wait(work, cid, *target, author, clock, data)
        return
    mine = author == group.me.root
    done = change(desk, work, cid, author, said, outage, stale, clock, mine)
    if isinstance(said, (content.Text, content.Poll, content.File)):
        for by, then, waiting in ordering.waited(work, cid, author, said.mid):
            late = content.decode(waiting)
            change(desk, work, cid, by, late, None, False, then, by == group.me.root)
    if not done and isinstance(said, content.Profile):
        name = names.clean(said.name)
        work.db.execute(
            "INSERT INTO group_card (contact, root, at, name, body) VALUES (?, ?, ?, ?, x'')"
            " ON CONFLICT(contact, root, device)"
            " DO UPDATE SET name = excluded.name, at = excluded.at",
            (cid, author, work.now, name),
        )


def _target(author: bytes, said: content.Known | content.Unknown) -> tuple[bytes, bytes] | None:
    """Author and id of the message that a content is about."""
    match said:
        case content.Edit() | content.Delete():
            return author, said.mid
        case content.React() | content.Vote() | content.Pin() | content.Remove():
            return said.ref.author, said.ref.mid
    return None


def _is_here(desk: Desk, work: Work, cid: str, author: bytes, mid: bytes) -> bool:
    """Whether a message is here, or was taken back."""
    mine = author == desk.identity(work).party.root
    return is_known(work, cid, b"" if mine else author, mid, mine)


def change(
    desk: Desk,
    work: Work,
    cid: str,
    author: bytes,
    said: content.Known | content.Unknown,
    outage: Outage | None,
    stale: bool = False,
    clock: int = 0,
    mine: bool = False,
) -> bool:
    """Carry out a content about messages; whether it was one. In a group of several changes the one
    with the highest clock holds, in whichever order they come. `mine`: another device of this
    person's said it."""
    root, author = author, b"" if mine else author
    match said:
        case content.Text():
            id = _text(desk, work, cid, author, said, outage, stale, mine)
            if id is not None:
                _place(work, id, clock, root, said.mid)
                _shown(desk, work, cid, id)
        case content.Poll():
            asked = content.Text(said.mid, said.at, said.question, None, said.timer)
            id = _text(desk, work, cid, author, asked, outage, stale, mine)
            if id is not None:
                polls.keep(work, id, said.options, said.many)
                _place(work, id, clock, root, said.mid)
                _shown(desk, work, cid, id)
        case content.Vote():
            rowid = find(work, cid, said.ref.mid, *side(desk, work, said.ref, mine))
            at = min(said.at, work.now)
            if rowid is not None and polls.count(
                work, rowid, mine, author, said.choices, at, clock
            ):
                desk.touch_message(work, rowid)
        case content.Pin():
            rowid = find(work, cid, said.ref.mid, *side(desk, work, said.ref, mine))
            if rowid is not None and (not root or polls.leads(desk, work, cid, root)):
                polls.pinned(work, rowid, said.on, min(said.at, work.now), clock)
                desk.touch_message(work, rowid)
        case content.Edit():
            rowid = find(work, cid, said.mid, mine, author, "text")
            if rowid is not None:
                text, at = names.clean_text(said.text), min(said.at, work.now)
                work.db.execute(
                    "UPDATE message SET text = ?, edited = ?, edit_clock = ?"
                    " WHERE id = ? AND edit_clock <= ?",
                    (text, at, clock, rowid, clock),
                )
                desk.touch_message(work, rowid)
        case content.Delete():
            rowid = find(work, cid, said.mid, mine, author)
            if rowid is not None:
                wipe(desk, work, rowid)
                desk.touch_message(work, rowid)
                desk.touch_contact(work, cid)
        case content.React():
            rowid = find(work, cid, said.ref.mid, *side(desk, work, said.ref, mine))
            if rowid is not None:
                emoji = names.clean_emoji(said.emoji)
                at = min(said.at, work.now)
                set_reaction(work, rowid, mine, emoji, at, author, clock)
                desk.touch_message(work, rowid)
        case content.File():
            _file(desk, work, cid, root, said, outage, stale, clock, mine)
        case content.Remove():
            moderation.removed(desk, work, cid, root, said.ref.author, said.ref.mid)
        case _:
            return False
    return True


def side_of(group: Group, author: bytes) -> tuple[bool, bytes]:
    """A member as author of what is kept here."""
    mine = author == group.me.root
    return mine, b"" if mine else author


def side(desk: Desk, work: Work, ref: content.Ref, by_me: bool = False) -> tuple[bool, bytes]:
    """Whose message somebody refers to: mine, or of which author."""
    if not ref.author:
        return ref.mine == by_me, b""
    mine = ref.author == desk.identity(work).party.root
    return mine, b"" if mine else ref.author


def _text(
    desk: Desk,
    work: Work,
    cid: str,
    author: bytes,
    said: content.Text,
    outage: Outage | None,
    stale: bool,
    mine: bool,
) -> int | None:
    text = names.clean_text(said.text)
    if not text or is_known(work, cid, author, said.mid, mine):
        return None
    if outage is not None and not mine:
        _gap(desk, work, cid, outage)
    to = side(desk, work, said.reply, mine) if said.reply else (None, b"")
    id = messages.insert_theirs(work, cid, author, "text", text, said, to)
    if mine:
        _is_mine(work, id, said)
    work.db.execute(
        "UPDATE message SET stale = ?, mention = ? WHERE id = ?",
        (stale, desk.identity(work).party.root in said.mentions, id),
    )
    return id


def _file(
    desk: Desk,
    work: Work,
    cid: str,
    author: bytes,
    said: content.File,
    outage: Outage | None,
    stale: bool,
    clock: int,
    mine: bool,
) -> None:
    root, author = author, b"" if mine else author
    to = side(desk, work, said.reply, mine) if said.reply else (None, b"")
    if is_known(work, cid, author, said.mid, mine):
        if not mine:
            rehousing.moved(desk, work, cid, said, author)
        return
    id = files.offered(desk, work, cid, author, said, to)
    if id is None:
        return
    if mine:
        _is_mine(work, id, said)
    elif outage is not None:
        _gap(desk, work, cid, outage)
    work.db.execute("UPDATE message SET stale = ? WHERE id = ?", (stale, id))
    _place(work, id, clock, root, said.mid)
    _shown(desk, work, cid, id)


def _is_mine(work: Work, id: int, said: content.Text | content.File) -> None:
    expires = work.now + said.timer * 1000 if said.timer else 0
    if expires:
        work.after.append(effects.Expire(expires))
    work.db.execute(
        "UPDATE message SET mine = 1, state = 'sent', seen = 1, expires = ? WHERE id = ?",
        (expires, id),
    )


def _place(work: Work, id: int, clock: int, author: bytes, mid: bytes) -> None:
    if author:
        ordering.put(work, id, clock, author, mid)


def _shown(desk: Desk, work: Work, cid: str, id: int) -> None:
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)


def _gap(desk: Desk, work: Work, cid: str, outage: Outage) -> None:
    """One note for each time that the internet was off, counting what came after it."""
    since, until = outage
    note = row(
        work.db, "SELECT id FROM message WHERE contact = ? AND note = 'gap' AND at = ?", cid, since
    )
    if note is None:
        desk.note(work, cid, "gap", at=since, until=until, count=1)
    else:
        work.db.execute("UPDATE message SET count = count + 1 WHERE id = ?", note)
        desk.touch_message(work, note[0])


def is_known(work: Work, cid: str, author: bytes, mid: bytes, mine: bool = False) -> bool:
    """Whether a message of theirs, or of mine, is here, or was."""
    known = "SELECT 1 FROM message WHERE contact = ? AND mine = ? AND author = ? AND mid = ?"
    return row(work.db, known, cid, mine, author, mid) is not None


def find(
    work: Work, cid: str, mid: bytes, mine: bool, author: bytes = b"", *kinds: str
) -> int | None:
    """A message that is not taken back, by whose it is; its row."""
    found = row(
        work.db,
        "SELECT id, kind FROM message"
        " WHERE contact = ? AND mine = ? AND author = ? AND mid = ? AND NOT deleted",
        cid,
        int(mine),
        author,
        mid,
    )
    if found is None or found[1] not in (kinds or KINDS):
        return None
    return int(found[0])
