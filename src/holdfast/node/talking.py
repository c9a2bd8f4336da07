"""Jobs of a conversation, as this side's person does them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.core.chat import content, names, sync
from holdfast.node import devices, effects, files, franks, messages, polls, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Contact, Hit, Message, MessageGone, Page

MAX_PAGE: Final = 200
SNIPPET: Final = 60
"""Characters before and after what was found."""
MAX_TIMER: Final = 31_536_000


def send(
    desk: Desk, work: Work, cid: str, text: str, reply_to: str | None, key: str | None
) -> Message:
    """Write a message."""
    known, timer = messages.begin(work, cid, key)
    if known is not None:
        return known
    reply = messages.reply_ref(desk, work, cid, reply_to)
    text = _text(text)
    mid = desk.entropy(16)
    seq = desk.say(
        work,
        cid,
        content.Text(
            mid,
            work.now,
            text,
            reply,
            timer,
            polls.named(desk, work, cid, text),
            franks.made(desk, work, cid, mid, text),
        ),
    )
    id = messages.insert_mine(desk, work, cid, mid, "text", text, reply, timer, seq, key)
    desk.touch_message(work, id)
    desk.touch_contact(work, cid)
    return views.message(work.db, id)


def edit(desk: Desk, work: Work, id: str, text: str) -> Message:
    """Change a message of mine."""
    rowid, cid, mid = _own(work, id, "text")
    messages.may_write(_state(work, cid))
    text = _text(text)
    desk.say(work, cid, content.Edit(mid, work.now, text))
    work.db.execute("UPDATE message SET text = ?, edited = ? WHERE id = ?", (text, work.now, rowid))
    desk.touch_message(work, rowid)
    return views.message(work.db, rowid)


def delete(desk: Desk, work: Work, id: str, for_both: bool) -> Message | None:
    """Take a message of mine back, or remove any one here."""
    if not for_both:
        found = row(work.db, "SELECT contact FROM message WHERE id = ?", messages.number(id))
        if found is None:
            raise ApiError("not-found", "there is no such message")
        told = row(work.db, "SELECT mine, mid FROM message WHERE id = ?", messages.number(id))
        tell_own(desk, work, found[0], lambda root: sync.Hidden(root, bool(told[0]), told[1]))
        remove(desk, work, [(messages.number(id), found[0])])
        return None
    rowid, cid, mid = _own(work, id, "text", "file")
    messages.may_write(_state(work, cid))
    desk.say(work, cid, content.Delete(mid))
    wipe(desk, work, rowid)
    desk.touch_message(work, rowid)
    desk.touch_contact(work, cid)
    return views.message(work.db, rowid)


def wipe(desk: Desk, work: Work, rowid: int) -> None:
    """Leave the place of a message and nothing of what it said."""
    files.forget(desk, work, rowid)
    work.db.execute("UPDATE message SET text = '', deleted = 1, pinned = 0 WHERE id = ?", (rowid,))
    work.db.execute("DELETE FROM reaction WHERE message = ?", (rowid,))
    work.db.execute("DELETE FROM evidence WHERE message = ?", (rowid,))


def remove(desk: Desk, work: Work, gone: list[tuple[int, str]]) -> None:
    """Remove messages here, without a trace."""
    for rowid, cid in gone:
        files.forget(desk, work, rowid)
        work.db.execute("DELETE FROM message WHERE id = ?", (rowid,))
        (cursor,) = row(
            work.db,
            "SELECT coalesce((SELECT value FROM meta WHERE name = 'cursor'), 0)",
        )
        work.after.append(effects.Tell(MessageGone(cid, str(rowid), cursor)))
    for cid in dict.fromkeys(cid for _, cid in gone):
        desk.touch_contact(work, cid)


def react(desk: Desk, work: Work, id: str, emoji: str | None) -> Message:
    """Set or remove my reaction."""
    found = row(
        work.db,
        "SELECT contact, mine, mid, author FROM message WHERE id = ? AND kind IN ('text', 'file')"
        " AND NOT deleted",
        messages.number(id),
    )
    if found is None:
        raise ApiError("not-found", "there is no such message")
    cid, mine, mid, author = found
    messages.may_write(_state(work, cid))
    clean = names.clean_emoji(emoji or "")
    ref = messages.ref(desk, work, cid, mid, bool(mine), author)
    desk.say(work, cid, content.React(ref, clean, work.now))
    set_reaction(work, messages.number(id), True, clean, work.now)
    desk.touch_message(work, messages.number(id))
    return views.message(work.db, messages.number(id))


def set_reaction(
    work: Work,
    rowid: int,
    mine: bool,
    emoji: str,
    at: int,
    author: bytes = b"",
    clock: int = 0,
) -> None:
    """One reaction a person; an empty one removes it, and stays so that an earlier one is known for
    one."""
    work.db.execute(
        "INSERT INTO reaction (message, mine, author, emoji, at, clock) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(message, mine, author) DO UPDATE SET emoji = excluded.emoji,"
        " at = excluded.at, clock = excluded.clock WHERE excluded.clock >= clock",
        (rowid, mine, author, emoji, at, clock),
    )


def tell_own(
    desk: Desk, work: Work, cid: str, say: Callable[[bytes], sync.Known], but: str = ""
) -> None:
    """My other devices hear of something about a person."""
    found = row(
        work.db,
        "SELECT root FROM contact WHERE id = ? AND kind IN ('person', 'group', 'channel')",
        cid,
    )
    if found is not None:
        desk.say_own(work, say(found[0]), but=but)


def see(desk: Desk, work: Work, cid: str, upto: int) -> list[tuple[int, bytes, int]]:
    """Everything of theirs up to this row was seen: row, mid and timer of what had not been."""
    unseen: list[tuple[int, bytes, int]] = rows(
        work.db,
        "SELECT id, mid, timer FROM message WHERE contact = ? AND mine = 0 AND seen = 0"
        " AND place <= (SELECT place FROM message WHERE id = ?) ORDER BY place",
        cid,
        upto,
    )
    for rowid, _, timer in unseen:
        expires = work.now + timer * 1000 if timer else 0
        work.db.execute("UPDATE message SET seen = 1, expires = ? WHERE id = ?", (expires, rowid))
        if expires:
            work.after.append(effects.Expire(expires))
    return unseen


def mark_read(desk: Desk, work: Work, cid: str, upto: str) -> Contact:
    """Everything of theirs up to this message was seen."""
    unseen = see(desk, work, cid, messages.number(upto))
    if unseen:
        tell_own(desk, work, cid, lambda root: sync.Seen(root, unseen[-1][1]))
    state = _state(work, cid)
    if unseen and state == "active" and desk.receipts(work, cid, read=True):
        desk.say(work, cid, content.Read(unseen[-1][1], work.now))
    timed = [rowid for rowid, _, timer in unseen if timer]
    if timed:
        desk.touch_message(work, *timed)
    if unseen:
        desk.touch_contact(work, cid)
    return views.contact(work.db, cid)


def set_timer(desk: Desk, work: Work, cid: str, seconds: int) -> Contact:
    """Lifetime of messages from now on, on both sides."""
    if not 0 <= seconds <= MAX_TIMER:
        raise ApiError("bad-params", "a message lasts at most a year, or for ever with 0")
    messages.may_write(_state(work, cid))
    desk.say(work, cid, content.SetTimer(seconds, work.now))
    timed(desk, work, cid, seconds)
    return views.contact(work.db, cid)


def timed(desk: Desk, work: Work, cid: str, seconds: int) -> None:
    """One of the two has set it."""
    work.db.execute("UPDATE contact SET timer = ? WHERE id = ?", (seconds, cid))
    desk.note(work, cid, "timer", count=seconds)
    desk.touch_contact(work, cid)


def rename(desk: Desk, work: Work, cid: str, name: str) -> Contact:
    """One's own name for a contact."""
    work.db.execute("UPDATE contact SET name = ? WHERE id = ?", (names.clean(name), cid))
    devices.changed(desk, work, cid)
    desk.touch_contact(work, cid)
    return views.contact(work.db, cid)


def rename_me(desk: Desk, work: Work, name: str) -> None:
    """A new name of one's own; those one can write to are told."""
    clean = own_name(name)
    desk.put(work, "name", clean)
    for (cid,) in rows(
        work.db,
        "SELECT id FROM contact WHERE kind = 'person' AND state IN ('active', 'joining')",
    ):
        desk.say(work, cid, content.Profile(clean))
    desk.say_own(work, sync.Me(clean))
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state = 'group'"):
        desk.say(work, cid, content.Profile(clean))


def own_name(name: str) -> str:
    """A name as it may be used. Raises `ApiError` if nothing is left of it."""
    clean = names.clean(name)
    if not clean:
        raise ApiError("bad-params", "a name needs at least one letter that can be seen")
    return clean


def allow_direct(desk: Desk, work: Work, cid: str, allowed: bool) -> Contact:
    """Whether calls may go straight. Raises `ApiError`."""
    if allowed and not views.contact(work.db, cid).verified:
        raise ApiError("not-allowed", "verify them first: whoever it is will learn your address")
    work.db.execute("UPDATE contact SET direct = ? WHERE id = ?", (allowed, cid))
    desk.touch_contact(work, cid)
    return views.contact(work.db, cid)


def typing(desk: Desk, work: Work, cid: str, on: bool) -> None:
    """Pass it on to whoever listens now."""
    state, stored = row(work.db, "SELECT state, outbox FROM contact WHERE id = ?", cid)
    if state != "active" or not desk.settings(work).typing or cid in desk.strangers:
        return
    frame = content.encode_typing(content.Typing(1, work.now, on))
    inbox = unpack_inbox(stored)
    rid = desk.entropy(16)
    for home in inbox.homes:
        work.after.append(effects.Append(inbox.caps, home, rid, frame, 0))


def page(work: Work, cid: str, before: int | None, limit: int) -> Page:
    """A conversation backwards."""
    limit = min(max(limit, 1), MAX_PAGE)
    found = views.messages(
        work.db,
        "WHERE contact = ? AND place < ? ORDER BY place DESC, mid LIMIT ?",
        cid,
        before if before is not None else 2**62,
        limit + 1,
    )
    return Page(messages=found[:limit][::-1], more=len(found) > limit)


def page_around(work: Work, cid: str, id: str, limit: int) -> Page:
    """The neighbourhood of a message."""
    limit = min(max(limit, 2), MAX_PAGE)
    (place,) = row(
        work.db,
        "SELECT coalesce((SELECT place FROM message WHERE id = ?1), ?1)",
        messages.number(id),
    )
    after = views.messages(
        work.db,
        "WHERE contact = ? AND place > ? ORDER BY place, mid LIMIT ?",
        cid,
        place,
        limit // 2,
    )
    earlier = page(work, cid, place + 1, limit - limit // 2)
    return Page(messages=earlier.messages + after, more=earlier.more)


def search(work: Work, words: str, cid: str | None, limit: int) -> list[Hit]:
    """Newest first; every word must occur, the last may be a beginning."""
    terms = [term.replace('"', '""') for term in words.split()][:16]
    if not terms:
        return []
    query = " ".join(f'"{term}"' for term in terms) + "*"
    mark = "\x02", "\x03"
    found = rows(
        work.db,
        "SELECT m.id, highlight(found, 0, ?, ?)"
        " FROM found CROSS JOIN message m ON m.id = found.rowid"
        " WHERE found MATCH ? AND (? IS NULL OR m.contact = ?) ORDER BY found.rowid DESC LIMIT ?",
        *mark,
        query,
        cid,
        cid,
        min(max(limit, 1), MAX_PAGE),
    )
    return [_hit(views.message(work.db, id), marked) for id, marked in found]


def _hit(message: Message, marked: str) -> Hit:
    before, _, rest = marked.partition("\x02")
    match, _, after = rest.partition("\x03")
    after = after.replace("\x02", "").replace("\x03", "")
    if len(before) > SNIPPET:
        before = "…" + before[-SNIPPET:]
    if len(after) > SNIPPET:
        after = after[:SNIPPET] + "…"
    return Hit(message=message, before=before, match=match, after=after)


def expire(desk: Desk, work: Work) -> None:
    """Remove what has reached its time, and say when the next does."""
    gone = rows(
        work.db,
        "SELECT id, contact FROM message WHERE expires > 0 AND expires <= ?",
        work.now,
    )
    remove(desk, work, gone)
    (soonest,) = row(work.db, "SELECT min(expires) FROM message WHERE expires > 0")
    if soonest is not None:
        work.after.append(effects.Expire(soonest))


def _own(work: Work, id: str, *kinds: str) -> tuple[int, str, bytes]:
    found = row(
        work.db,
        "SELECT id, contact, mid, kind FROM message WHERE id = ? AND mine AND NOT deleted",
        messages.number(id),
    )
    if found is None or found[3] not in kinds:
        raise ApiError("not-allowed", "only a message of your own can be changed or taken back")
    rowid, cid, mid, _ = found
    return rowid, cid, mid


def _text(text: str) -> str:
    clean = names.clean_text(text)
    if not clean.strip():
        raise ApiError("bad-params", "there is nothing in the message that could be seen")
    return clean


def _state(work: Work, cid: str) -> str:
    (state,) = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    return str(state)
