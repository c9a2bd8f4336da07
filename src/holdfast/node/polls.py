"""Jobs of what is more than a text: polls, pins, who is named, what newcomers are told."""

from __future__ import annotations

import json
import re
from typing import Final

from holdfast.core.chat import content, names
from holdfast.core.group.entries import Add
from holdfast.node import group_state, messages, ordering, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Message

MAX_OPTION: Final = 100
_NAMED: Final = re.compile(r"@([^\s@,.:;!?()]+)")


# Polls.


def create(
    desk: Desk,
    work: Work,
    cid: str,
    question: str,
    options: list[str],
    many: bool,
    key: str | None,
) -> Message:
    """Ask something with answers to choose from."""
    known, timer = messages.begin(work, cid, key)
    if known is not None:
        return known
    text = names.clean_text(question).strip()
    choices = tuple(dict.fromkeys(names.clean_line(one)[:MAX_OPTION] for one in options))
    if not text or not 2 <= len(choices) <= content.MAX_OPTIONS or not all(choices):
        raise ApiError(
            "bad-params", f"a poll has a question and 2 to {content.MAX_OPTIONS} different answers"
        )
    mid = desk.entropy(16)
    seq = desk.say(work, cid, content.Poll(mid, work.now, text, choices, many, timer))
    id = messages.insert_mine(desk, work, cid, mid, "text", text, None, timer, seq, key)
    keep(work, id, choices, many)
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)
    return views.message(work.db, id)


def keep(work: Work, id: int, options: tuple[str, ...], many: bool) -> None:
    """A message is a poll."""
    work.db.execute("INSERT INTO poll VALUES (?, ?, ?)", (id, json.dumps(options), many))


def vote(desk: Desk, work: Work, id: str, choices: list[int]) -> Message:
    """Choose answers; none takes the vote back."""
    rowid = messages.number(id)
    found = row(
        work.db,
        "SELECT m.contact, m.mine, m.mid, m.author, c.state FROM message m"
        " JOIN contact c ON c.id = m.contact WHERE m.id = ? AND NOT m.deleted",
        rowid,
    )
    if found is None:
        raise ApiError("not-found", "there is no such message")
    cid, mine, mid, author, state = found
    messages.may_write(state)
    taken = count(work, rowid, True, b"", tuple(choices), work.now)
    if not taken:
        raise ApiError("bad-params", "this poll has no such answer, or it takes only one")
    ref = messages.ref(desk, work, cid, mid, bool(mine), author)
    desk.say(work, cid, content.Vote(ref, tuple(choices), work.now))
    desk.touch_message(work, rowid)
    return views.message(work.db, rowid)


def count(
    work: Work,
    id: int,
    mine: bool,
    author: bytes,
    choices: tuple[int, ...],
    at: int,
    clock: int = 0,
) -> bool:
    """Count somebody's vote in the place of their last; False if the poll does not take it."""
    found = row(work.db, "SELECT options, many FROM poll WHERE message = ?", id)
    if found is None:
        return False
    options, many = json.loads(found[0]), found[1]
    chosen = sorted(set(choices))
    if any(choice >= len(options) for choice in chosen) or (len(chosen) > 1 and not many):
        return False
    work.db.execute(
        "INSERT INTO vote (message, mine, author, choices, at, clock) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(message, mine, author) DO UPDATE SET choices = excluded.choices,"
        " at = excluded.at, clock = excluded.clock"
        " WHERE (excluded.clock, excluded.at) >= (vote.clock, vote.at)",
        (id, mine, author, json.dumps(chosen), at, clock),
    )
    return True


# Pinned.


def pin(desk: Desk, work: Work, id: str, on: bool) -> Message:
    """Pin a message for everybody, or take it down."""
    rowid = messages.number(id)
    found = row(
        work.db,
        "SELECT m.contact, m.mine, m.mid, m.author, c.state, c.kind FROM message m"
        " JOIN contact c ON c.id = m.contact"
        " WHERE m.id = ? AND NOT m.deleted AND m.kind IN ('text', 'file')",
        rowid,
    )
    if found is None:
        raise ApiError("not-found", "there is no such message")
    cid, mine, mid, author, state, kind = found
    messages.may_write(state)
    if kind == "group" and not leads(desk, work, cid, desk.identity(work).party.root):
        raise ApiError("not-allowed", "only admins pin messages in a group")
    ref = messages.ref(desk, work, cid, mid, bool(mine), author)
    desk.say(work, cid, content.Pin(ref, on, work.now))
    pinned(work, rowid, on, work.now, ordering.now(work, cid))
    desk.touch_message(work, rowid)
    return views.message(work.db, rowid)


def pinned(work: Work, id: int, on: bool, at: int, clock: int = 0) -> None:
    """Pin it here, or take it down."""
    work.db.execute(
        "UPDATE message SET pinned = ?, pin_clock = ? WHERE id = ? AND pin_clock <= ?",
        (at if on else 0, clock, id, clock),
    )


def all_pinned(work: Work, cid: str) -> list[Message]:
    """What is pinned, the last first."""
    where = "WHERE contact = ? AND pinned > 0 AND NOT deleted ORDER BY pinned DESC LIMIT 20"
    return views.messages(work.db, where, cid)


def leads(desk: Desk, work: Work, cid: str, root: bytes) -> bool:
    """Whether somebody is an admin of a group, or its owner."""
    return group_state.opened(desk, work, cid).view.role(root) in ("admin", "owner")


# Naming somebody.


def named(desk: Desk, work: Work, cid: str, text: str) -> tuple[bytes, ...]:
    """Members of a group whom a text names, as @Name."""
    if "@" not in text or not row(work.db, "SELECT 1 FROM groups WHERE contact = ?", cid):
        return ()
    words = {word.casefold() for word in _NAMED.findall(text)}
    group = group_state.opened(desk, work, cid)
    found = []
    for root in group.view.roots():
        name = views.name_of(work.db, cid, root).casefold()
        if root != group.me.root and (name in words or name.replace(" ", "_") in words):
            found.append(root)
    return tuple(found[: content.MAX_MENTIONS])


# What newcomers are told.


def history(work: Work, group: Group) -> content.GroupHistory | None:
    """The last texts, as many as the group says, for somebody who comes."""
    most = group.view.number("history")
    said = rows(
        work.db,
        "SELECT mine, author, mid, at, text FROM message WHERE contact = ? AND kind = 'text'"
        " AND NOT deleted AND timer = 0 AND note = '' ORDER BY place DESC LIMIT ?",
        group.cid,
        most,
    )
    told: list[content.Told] = []
    size = 0
    for mine, author, mid, at, text in said:
        size += len(text.encode()) + 128
        if size > content.MAX_HISTORY:
            break
        told.append(content.Told(group.me.root if mine else author, mid, at, text))
    return content.GroupHistory(group.roster.id, tuple(reversed(told))) if told else None


def told(desk: Desk, work: Work, group: Group, root: bytes, said: content.GroupHistory) -> None:
    """What was said before I came, as whoever added me tells it: marked so, and only if the group
    wants it and nothing is here yet."""
    mine = group.me.root
    adders = {
        entry.body.root
        for entry in group.roster.entries
        for op, listed in zip(
            (op for op in entry.body.ops if isinstance(op, Add)), entry.lists, strict=False
        )
        if listed.root == mine
    }
    here = "SELECT 1 FROM message WHERE contact = ? AND kind <> 'note'"
    if root not in adders or row(work.db, here, group.cid):
        return
    for one in said.said[-group.view.number("history") :] if group.view.number("history") else ():
        text = names.clean_text(one.text)
        if not text or one.author == mine:
            continue
        work.db.execute(
            "INSERT OR IGNORE INTO message (contact, cursor, mine, author, mid, kind, note, text,"
            " at, received, state, seen)"
            " VALUES (?, 0, 0, ?, ?, 'text', 'told', ?, ?, ?, 'received', 1)",
            (group.cid, one.author, one.mid, text, min(one.at, work.now), work.now),
        )
        desk.touch_message(work, work.db.last_insert_rowid())
