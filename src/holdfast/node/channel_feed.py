"""Jobs of what goes through a channel's log: posts out, if it is mine, and in.

Posts are shown in the order of their numbers. One whose predecessor is not here waits a few seconds
for another relay to bring it; then it is shown, and what is missing is said. Source:
spec/channels.md.
"""

from __future__ import annotations

import contextlib
from typing import Final, get_args

from holdfast.core.caps import Caps
from holdfast.core.channel import posts, talk
from holdfast.core.channel.posts import About, BadPost, Kind, Moved, Post
from holdfast.core.chat import content, names
from holdfast.core.seal.invitation import Inbox
from holdfast.core.seal.keys import BadKey, require_ed25519
from holdfast.core.seal.padding import TooLong
from holdfast.node import channel_state, devices, effects, files, open_talk, taking
from holdfast.node.channel_state import Channel
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_caps
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError

LIFETIME: Final = 90 * 86_400
"""Seconds that a relay is asked to keep posts."""
AGAIN: Final = 60 * 86_400_000
"""Milliseconds before the owner's node appends a post again, so that it stays."""
KEPT: Final = 1_000
"""Posts that are kept so."""
LIFE: Final = 86_400_000
"""Milliseconds between two signs that the owner's node is there, if nothing is posted."""
MOST: Final = 2_000
"""Marks of readers in a week above which fewer are asked for one."""
MARKS_KEPT: Final = 21 * 86_400
FIRST_MARK: Final = 3_600_000
"""Milliseconds within which a new reader says so for the first time."""
SAYS: Final = (content.Text, content.File, content.Edit, content.Delete)


# Out.


def say(desk: Desk, work: Work, cid: str, said: content.Known) -> int:
    """Post something; the number of its record. Raises `ApiError`."""
    channel = channel_state.opened(desk, work, cid)
    if channel.link.open:
        return _talk(desk, work, channel, said)
    if not isinstance(said, SAYS):
        raise ApiError(
            "not-allowed", "a channel carries text and files; this goes with people and groups"
        )
    seq = post(desk, work, channel, "said", content.encode(said), said.mid)
    if isinstance(said, content.Delete):
        _withhold(desk, work, channel, said.mid)
    return seq


def _talk(desk: Desk, work: Work, channel: Channel, said: content.Known) -> int:
    """Say something in an open group. Raises `ApiError`."""
    if isinstance(said, content.Remove):
        seq = post(desk, work, channel, "said", content.encode(said))
        open_talk.remove(desk, work, channel, said.ref.author, said.ref.mid)
        return seq
    record = open_talk.record(desk, work, channel, said)
    return _append(desk, work, channel, channel.talk, desk.entropy(16), record)


def silence(desk: Desk, work: Work, cid: str, id: str) -> None:
    """Nothing of a writer is shown in an open group of mine any more. Raises `ApiError`."""
    channel = channel_state.opened(desk, work, cid)
    if not channel.link.open:
        raise ApiError("not-allowed", "only in an open group is anybody silenced")
    writer = open_talk.found(work, cid, id)
    post(desk, work, channel, "silenced", writer)
    open_talk.remove(desk, work, channel, writer)


def _withhold(desk: Desk, work: Work, channel: Channel, mid: bytes) -> None:
    """What was taken back is not appended again with its words."""
    for number, record in rows(
        work.db,
        "SELECT number, record FROM channel_post WHERE contact = ? AND mid = ? AND record <> x''",
        channel.cid,
        mid,
    ):
        bare = posts.withhold(channel.link, record, desk.entropy)
        work.db.execute(
            "UPDATE channel_post SET record = ? WHERE contact = ? AND number = ?",
            (bare, channel.cid, number),
        )


def post(
    desk: Desk,
    work: Work,
    channel: Channel,
    kind: Kind,
    data: bytes,
    mid: bytes | None = None,
) -> int:
    """Sign, chain and append; `mid` is the message that it is about. Raises `ApiError`."""
    key = channel.key
    if key is None:
        why = "only its owner writes in a channel"
        if device := channel_state.writer(work, channel.cid):
            called = devices.called(desk, work, device)
            why = f"this channel is written on another device of yours{called}; write it there"
        raise ApiError("not-allowed", why)
    if row(work.db, "SELECT 1 FROM channel WHERE contact = ? AND behind", channel.cid):
        raise ApiError(
            "not-allowed",
            "this channel comes from a backup, and what was posted since is still read from its"
            " relays; try again in a moment",
        )
    if kind != "head" and row(
        work.db, "SELECT 1 FROM channel WHERE contact = ? AND moved <> ''", channel.cid
    ):
        raise ApiError("not-allowed", "this channel has moved; write in the new one")
    number, prev = channel.chain.last
    number += kind != "head"
    try:
        made, record = posts.write(
            channel.link, key, number, prev, work.now, kind, data, desk.entropy
        )
    except TooLong:
        raise ApiError("too-long", "this is too long for one post; split it") from None
    rid = desk.entropy(16)
    if kind != "head":
        channel.chain.take(made)
        _keep(work, channel, made, rid, record, mid, done=True)
        work.db.execute("UPDATE channel SET shown = ? WHERE contact = ?", (number, channel.cid))
    work.db.execute("UPDATE channel SET heard = ? WHERE contact = ?", (work.now, channel.cid))
    return _append(desk, work, channel, channel.log, rid, record)


def _append(desk: Desk, work: Work, channel: Channel, log: Inbox, rid: bytes, record: bytes) -> int:
    """Into a log of the channel's at each home; the number of the record."""
    (seq,) = row(
        work.db, "UPDATE channel SET sent = sent + 1 WHERE contact = ? RETURNING sent", channel.cid
    )
    work.db.execute(
        "INSERT OR REPLACE INTO outgoing (contact, seq, rid, blob, caps) VALUES (?, ?, ?, ?, ?)",
        (channel.cid, seq, rid, record, pack_caps(log.caps)),
    )
    for home in log.homes:
        work.db.execute(
            "INSERT OR IGNORE INTO unsent VALUES (?, ?, ?, ?)", (rid, str(home), channel.cid, seq)
        )
        work.after.append(effects.Append(log.caps, home, rid, record, LIFETIME))
    return int(seq)


def _keep(
    work: Work,
    channel: Channel,
    made: Post,
    rid: bytes = b"",
    record: bytes = b"",
    mid: bytes | None = None,
    done: bool = False,
) -> None:
    work.db.execute(
        "INSERT INTO channel_post (contact, number, hash, prev, at, kind, data, done, mid, rid,"
        " record, posted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            channel.cid,
            made.number,
            made.hash,
            made.prev,
            made.at,
            made.kind,
            None if done else made.data,
            done,
            mid,
            rid,
            record,
            work.now,
        ),
    )


# In.


def received(
    desk: Desk, work: Work, cid: str, locator: bytes, home: str, seq: int, body: bytes
) -> None:
    """A record came from a channel's log, or from that of its readers' marks."""
    work.db.execute("INSERT OR REPLACE INTO position VALUES (?, ?, ?)", (locator, home, seq))
    if row(work.db, "SELECT 1 FROM contact WHERE id = ? AND state = 'channel'", cid) is None:
        return
    channel = channel_state.opened(desk, work, cid)
    with contextlib.suppress(BadPost):
        if locator == channel.link.marks.locator:
            _marked(work, channel, posts.read_mark(body))
        elif channel.link.open and locator == channel.link.talk.locator:
            open_talk.take(desk, work, channel, talk.read(channel.link, body))
        else:
            _take(desk, work, channel, posts.read(channel.link, body), body)


def _take(desk: Desk, work: Work, channel: Channel, came: Post, body: bytes) -> None:
    at = min(came.at, work.now)
    took = channel.chain.take(came)
    work.db.execute(
        "UPDATE channel SET heard = max(heard, ?), head = max(head, ?) WHERE contact = ?",
        (at, channel.chain.head, channel.cid),
    )
    if took == "fork":
        if row(
            work.db,
            "UPDATE channel SET forked = ? WHERE contact = ? AND forked = 0 RETURNING 1",
            max(1, came.number),
            channel.cid,
        ):
            desk.note(work, channel.cid, "channel-fork", count=came.number)
            desk.touch_contact(work, channel.cid)
    elif took == "new":
        if channel.key is None:
            _keep(work, channel, came)
        else:  # of mine, from after a backup
            _keep(work, channel, came, desk.entropy(16), body)
        _show(desk, work, channel, False)


def caught_up(desk: Desk, work: Work, cid: str) -> None:
    """What is missing has had its time."""
    if channel_state.is_channel(work, cid):
        _show(desk, work, channel_state.opened(desk, work, cid), True)


def whole(desk: Desk, work: Work, cid: str, locator: bytes) -> None:
    """Every relay that is reached has brought all it has of a log: one may post again."""
    if not row(work.db, "SELECT 1 FROM channel WHERE contact = ? AND behind", cid):
        return
    if locator == channel_state.opened(desk, work, cid).link.log.locator:
        caught_up(desk, work, cid)
        work.db.execute("UPDATE channel SET behind = 0 WHERE contact = ?", (cid,))
        desk.touch_contact(work, cid)


def _show(desk: Desk, work: Work, channel: Channel, all: bool) -> None:
    """Show what has come, in order. `all`: what is missing has had its time."""
    cid = channel.cid
    (shown,) = row(work.db, "SELECT shown FROM channel WHERE contact = ?", cid)
    waiting = rows(
        work.db,
        "SELECT number, at, kind, data FROM channel_post WHERE contact = ? AND NOT done"
        " ORDER BY number",
        cid,
    )
    for number, at, kind, data in waiting:
        if number > shown + 1:
            if not all:
                work.after.append(effects.Missing(cid))
                return
            desk.note(
                work, cid, "channel-gap" if shown else "channel-older", count=number - shown - 1
            )
        shown = max(shown, number)
        work.db.execute(
            "UPDATE channel_post SET done = 1, data = NULL WHERE contact = ? AND number = ?",
            (cid, number),
        )
        work.db.execute("UPDATE channel SET shown = ? WHERE contact = ?", (shown, cid))
        assert kind in get_args(Kind)
        with contextlib.suppress(BadPost):
            _carry_out(desk, work, channel, kind, at, data)


def _carry_out(
    desk: Desk, work: Work, channel: Channel, kind: Kind, at: int, data: bytes | None
) -> None:
    cid = channel.cid
    if data is None:
        desk.note(work, cid, "channel-withheld", at=min(at, work.now), count=1)
    elif kind == "about":
        described(desk, work, channel, posts.about(data))
    elif kind == "moved":
        moved(desk, work, channel, posts.moved(data))
    elif kind == "silenced":
        if channel.link.open and len(data) == len(channel.link.id):
            open_talk.remove(desk, work, channel, data)
    elif kind == "said":
        try:
            said = content.decode(data)
        except content.Malformed:
            return
        if channel.link.open:
            if isinstance(said, content.Remove):
                open_talk.remove(desk, work, channel, said.ref.author, said.ref.mid)
        elif isinstance(said, SAYS):
            mine = channel.key is not None or bool(channel_state.writer(work, cid))
            taking.change(desk, work, cid, b"", said, None, mine=mine)


def described(desk: Desk, work: Work, channel: Channel, said: About) -> None:
    """What the channel is, from now on."""
    title = names.clean(said.title) or "?"
    work.db.execute("UPDATE contact SET own_name = ? WHERE id = ?", (title, channel.cid))
    work.db.execute(
        "UPDATE channel SET about = ?, comments = ?, sample = ? WHERE contact = ?",
        (names.clean_text(said.text), said.comments, said.sample, channel.cid),
    )
    desk.touch_contact(work, channel.cid)


def moved(desk: Desk, work: Work, channel: Channel, said: Moved) -> None:
    """The channel goes on under another key."""
    try:
        require_ed25519(said.key)
    except BadKey:
        return
    work.db.execute(
        "UPDATE channel SET moved = ?, moved_key = ? WHERE contact = ?",
        (said.link or "?", said.key, channel.cid),
    )
    desk.note(work, channel.cid, "channel-moved")
    desk.touch_contact(work, channel.cid)


# Readers.


def _marked(work: Work, channel: Channel, mark: tuple[int, int, bytes]) -> None:
    week, sample, nonce = mark
    (asked,) = row(work.db, "SELECT sample FROM channel WHERE contact = ?", channel.cid)
    if channel.key is None or sample > asked or week > work.now // posts.WEEK + 1:
        return
    work.db.execute(
        "INSERT OR IGNORE INTO channel_mark VALUES (?, ?, ?, ?)",
        (channel.cid, week, nonce, 1 << sample),
    )


def readers(work: Work, cid: str) -> int:
    """About how many readers said that they are there: in this week so far, or in the last."""
    week = work.now // posts.WEEK
    (most,) = row(
        work.db,
        "SELECT coalesce(max(total), 0) FROM (SELECT sum(weight) AS total FROM channel_mark"
        " WHERE contact = ? AND week >= ? GROUP BY week)",
        cid,
        week - 1,
    )
    return int(most)


# Once a minute.


def tick(desk: Desk, work: Work) -> None:
    """Signs of life and posts again, of my own channels; a mark in others."""
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state = 'channel' ORDER BY id"):
        channel = channel_state.opened(desk, work, cid)
        if channel.key is not None:
            _stay(desk, work, channel)
        elif not channel_state.writer(work, cid):
            _mark(desk, work, channel)


def _stay(desk: Desk, work: Work, channel: Channel) -> None:
    cid = channel.cid
    heard, sample = row(work.db, "SELECT heard, sample FROM channel WHERE contact = ?", cid)
    if work.now - heard >= LIFE:
        post(desk, work, channel, "head", b"")
    for number, rid, record, mid in rows(
        work.db,
        "SELECT number, rid, record, mid FROM channel_post WHERE contact = ? AND posted <= ?"
        " AND number > ? ORDER BY number LIMIT 20",
        cid,
        work.now - AGAIN,
        channel.chain.last[0] - KEPT,
    ):
        _append(desk, work, channel, channel.log, rid, record)
        if mid is not None:
            files.keep_there(desk, work, cid, mid)
        work.db.execute(
            "UPDATE channel_post SET posted = ? WHERE contact = ? AND number = ?",
            (work.now, cid, number),
        )
    week = work.now // posts.WEEK
    work.db.execute("DELETE FROM channel_mark WHERE contact = ? AND week < ?", (cid, week - 1))
    (many,) = row(
        work.db, "SELECT count(*) FROM channel_mark WHERE contact = ? AND week = ?", cid, week
    )
    if many > MOST << max(0, sample - 8) and sample < 20:
        title, text, comments = row(
            work.db,
            "SELECT own_name, about, comments FROM channel JOIN contact ON id = contact"
            " WHERE contact = ?",
            cid,
        )
        post(desk, work, channel, "about", posts.encode(About(title, text, comments, sample + 2)))
        work.db.execute("UPDATE channel SET sample = ? WHERE contact = ?", (sample + 2, cid))


def _mark(desk: Desk, work: Work, channel: Channel) -> None:
    """Once in a week, at a time of one's own, a reader says that they are there, or does not."""
    week = work.now // posts.WEEK
    due, sample = row(work.db, "SELECT mark_at, sample FROM channel WHERE contact = ?", channel.cid)
    if due // posts.WEEK < week:
        # The first one soon, so that a new channel sees its readers; later ones whenever.
        left = (week + 1) * posts.WEEK - 1 - work.now
        within = min(left, FIRST_MARK if due == 0 else left)
        due = work.now + int.from_bytes(desk.entropy(6), "big") % (within + 1)
        work.db.execute(
            "UPDATE channel SET mark_at = ?, marked = 0 WHERE contact = ?", (due, channel.cid)
        )
    if due > work.now or row(
        work.db, "SELECT 1 FROM channel WHERE contact = ? AND marked", channel.cid
    ):
        return
    work.db.execute("UPDATE channel SET marked = 1 WHERE contact = ?", (channel.cid,))
    if int.from_bytes(desk.entropy(4), "big") % (1 << sample):
        return
    body, rid = posts.mark(work.now, sample, desk.entropy), desk.entropy(16)
    for home in channel.marks.homes:
        work.after.append(effects.Append(channel.marks.caps, home, rid, body, MARKS_KEPT))


def resume(desk: Desk, work: Work) -> None:
    """Read every channel from where it was read."""
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state = 'channel' ORDER BY id"):
        follow(desk, work, channel_state.opened(desk, work, cid))


def again(desk: Desk, work: Work) -> None:
    """After a backup: logs of mine are made where they are lost, and all is read."""
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE state = 'channel' ORDER BY id"):
        channel = channel_state.opened(desk, work, cid)
        if channel.key is not None:
            for log in channel.logs:
                for home in log.homes:
                    desk.want(work, log.caps, home)
        follow(desk, work, channel)


def follow(desk: Desk, work: Work, channel: Channel) -> None:
    """Read a channel's log, and of my own the marks, at every home."""
    for log in channel.logs:
        if log.caps.read is None:
            continue
        for home in log.homes:
            since = desk.position(work, log.caps.locator, str(home))
            work.after.append(effects.Follow(log.caps, home, since, ("channel", channel.cid)))


def caps_of(desk: Desk, work: Work, cid: str, locator: bytes) -> Caps:
    """The capabilities of one of a channel's logs."""
    channel = channel_state.opened(desk, work, cid)
    return next(log.caps for log in channel.logs if log.caps.locator == locator)
