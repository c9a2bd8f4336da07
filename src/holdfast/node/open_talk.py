"""Jobs of what everybody says in an open group, and of what its owner removes.

The owner's own log says what is removed and who is silenced, so that every node that reads it
leaves the same out, whichever comes first. Source: spec/channels.md, "Open groups".
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.channel import talk
from holdfast.core.channel.talk import Said
from holdfast.core.chat import content, names
from holdfast.core.seal.padding import TooLong
from holdfast.node import ordering, taking
from holdfast.node.channel_state import Channel
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.talking import wipe

SAYS: Final = (content.Text, content.Edit, content.Delete)
"""What is said in an open group: no stranger's file."""
AN_HOUR: Final = 60
"""Messages of one key that are taken with times within one hour."""
OLDEST: Final = 90 * 86_400_000
HOUR: Final = 3_600_000


def record(desk: Desk, work: Work, channel: Channel, said: content.Known) -> bytes:
    """What I say, signed with my key of this group. Raises `ApiError`."""
    if not isinstance(said, SAYS):
        raise ApiError("not-allowed", "an open group carries text only")
    kept = channel.kept
    if kept.writer is None:
        raise ApiError(
            "not-allowed", "choose the name that you write under here: follow its link with a name"
        )
    if is_out(work, channel.cid, channel.me):
        raise ApiError("not-allowed", "the owner of this group has silenced you here")
    if isinstance(said, content.Text):
        if _lately(work, channel.cid, b"", work.now) >= AN_HOUR:
            raise ApiError("not-allowed", f"at most {AN_HOUR} messages an hour are taken here")
        said = _alone(said)
        if said.reply is not None:
            whose = channel.me if said.reply.mine else said.reply.author
            reply = content.Ref(said.reply.mid, False, whose)
            said = msgspec.structs.replace(said, reply=reply)
    key = Ed25519PrivateKey.from_private_bytes(kept.writer)
    data = content.encode(said)
    try:
        return talk.write(channel.link, key, kept.name, work.now, data, desk.entropy)
    except TooLong:
        raise ApiError("too-long", "this is too long for one message; split it") from None


def _alone(said: content.Text) -> content.Text:
    """Without what belongs to other kinds of conversation."""
    return msgspec.structs.replace(said, timer=0, mentions=(), frank=None)


def take(desk: Desk, work: Work, channel: Channel, came: Said) -> None:
    """Somebody said something. What was removed, is silenced or is too much changes nothing."""
    cid, writer = channel.cid, came.writer
    if is_out(work, cid, writer):
        return
    try:
        said = content.decode(came.data)
    except content.Malformed:
        return
    if not isinstance(said, SAYS) or is_out(work, cid, writer, said.mid):
        return
    mine = writer == channel.me
    author, clock = b"" if mine else writer, min(came.at, work.now)
    if not isinstance(said, content.Text):
        if not taking.is_known(work, cid, author, said.mid, mine):
            ordering.wait(work, cid, writer, said.mid, writer, clock, came.data)
            return
        taking.change(desk, work, cid, writer, said, None, clock=clock, mine=mine)
        return
    if clock < work.now - OLDEST or _lately(work, cid, author, clock) >= AN_HOUR:
        return
    said = msgspec.structs.replace(_alone(said), at=clock)
    if (ref := said.reply) is not None:
        # An empty author is me or whoever says it, see `taking.side`.
        mine_too = ref.author == channel.me
        reply = (
            content.Ref(ref.mid, mine, b"") if mine_too else content.Ref(ref.mid, False, ref.author)
        )
        said = msgspec.structs.replace(said, reply=reply)
    if not mine:
        _card(work, cid, writer, called(writer, came.name))
    taking.change(desk, work, cid, writer, said, None, clock=clock, mine=mine)
    for _, then, waiting in ordering.waited(work, cid, writer, said.mid):
        late = content.decode(waiting)
        taking.change(desk, work, cid, writer, late, None, clock=then, mine=mine)


def called(writer: bytes, name: str) -> str:
    """A name as it is shown, with what tells it from the same name of another key."""
    clean = names.clean(name.replace("·", " ")) or "?"
    return f"{clean} · {writer.hex()[:8]}"


def _card(work: Work, cid: str, root: bytes, name: str) -> None:
    work.db.execute(
        "INSERT INTO group_card (contact, root, at, name, body) VALUES (?, ?, ?, ?, x'')"
        " ON CONFLICT(contact, root, device) DO UPDATE SET name = excluded.name, at = excluded.at",
        (cid, root, work.now, name),
    )


def _lately(work: Work, cid: str, author: bytes, at: int) -> int:
    """Messages of a writer, or mine, with times in the same hour."""
    start = at - at % HOUR
    (many,) = row(
        work.db,
        "SELECT count(*) FROM message WHERE contact = ? AND mine = ? AND author = ?"
        " AND kind = 'text' AND at >= ? AND at < ?",
        cid,
        not author,
        author,
        start,
        start + HOUR,
    )
    return int(many)


# What the owner removes.


def is_out(work: Work, cid: str, writer: bytes, mid: bytes = b"") -> bool:
    """Whether a message was removed; without one, whether a key is silenced."""
    found = "SELECT 1 FROM channel_removed WHERE contact = ? AND writer = ? AND mid = ?"
    return row(work.db, found, cid, writer, mid) is not None


def remove(desk: Desk, work: Work, channel: Channel, writer: bytes, mid: bytes = b"") -> None:
    """The owner removed a message; without one, silenced a key, with all that it said."""
    cid, mine = channel.cid, writer == channel.me
    work.db.execute("INSERT OR IGNORE INTO channel_removed VALUES (?, ?, ?)", (cid, writer, mid))
    _card(work, cid, channel.link.id, _title(work, cid))
    for (id,) in rows(
        work.db,
        "SELECT id FROM message WHERE contact = ?1 AND mine = ?2 AND author = ?3"
        " AND kind = 'text' AND (?4 = x'' OR mid = ?4)",
        cid,
        mine,
        b"" if mine else writer,
        mid,
    ):
        wipe(desk, work, id)
        work.db.execute("UPDATE message SET remover = ? WHERE id = ?", (channel.link.id, id))
        desk.touch_message(work, id)
    desk.touch_contact(work, cid)


def _title(work: Work, cid: str) -> str:
    """What the group is called by its owner."""
    return str(row(work.db, "SELECT own_name FROM contact WHERE id = ?", cid)[0])


def found(work: Work, cid: str, id: str) -> bytes:
    """The writer whom interfaces call so. Raises `ApiError`."""
    for (writer,) in rows(work.db, "SELECT root FROM group_card WHERE contact = ?", cid):
        if writer.hex()[:32] == id:
            return bytes(writer)
    raise ApiError("not-found", "nobody here has written under this key")
