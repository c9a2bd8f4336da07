"""Jobs of files whose relays are lost: taken to others, and got from there.

The sender says the same message again with the relays where the chunks are by now; they have the
same secrets and the same root. Source: spec/chat.md, "Files".
"""

from __future__ import annotations

from holdfast.core.caps import Home
from holdfast.core.chat import content
from holdfast.core.chat.content import MAX_HOMES
from holdfast.node import channel_state, effects, files, homes
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work


def rehouse(desk: Desk, work: Work) -> None:
    """Take files of mine to relays that are reached, if none of theirs is any more."""
    own = tuple(home for home in desk.homes(work) if str(home) in desk.reached)
    if not own or not desk.lost:
        return
    for message, cid, addresses in rows(
        work.db,
        "SELECT f.message, f.contact, f.homes FROM file f JOIN contact c ON c.id = f.contact"
        " WHERE f.mine AND f.state IN ('sending', 'sent') AND c.state = 'active' ORDER BY f.added",
    ):
        if set(addresses.split()) <= desk.lost and homes.may_move(work, cid, homes.MOVES):
            say_again(desk, work, cid, message, own)


def say_again(desk: Desk, work: Work, cid: str, message: int, own: tuple[Home, ...]) -> int:
    """Send a file of mine anew from these relays of my own; the record's number."""
    id, state = row(work.db, "SELECT id, state FROM file WHERE message = ?", message)
    if state in ("sending", "sent") and own:
        files.drop_logs(desk, work, id)
        work.db.execute("DELETE FROM file_home WHERE file = ?", (id,))
        work.db.execute(
            "UPDATE file SET homes = ?, state = 'sending', done = 0 WHERE id = ?",
            (" ".join(str(home) for home in own[:MAX_HOMES]), id),
        )
        work.after.append(effects.Halt(id, gone=False))
        work.after.append(effects.Move(id))
        desk.touch_message(work, message)
    return desk.say(work, cid, said(work, message))


def said(work: Work, message: int) -> content.File:
    """The file of a message, as it is sent."""
    found = row(
        work.db,
        "SELECT m.mid, m.at, f.kind, f.name, f.media, f.size, f.chunk, f.secret, f.root, f.homes,"
        " f.thumb, f.width, f.height, f.duration, f.wave, m.reply_mid, m.reply_mine, m.timer"
        " FROM file f JOIN message m ON m.id = f.message WHERE m.id = ?",
        message,
    )
    mid, at, kind, name, media, size, chunk, secret, root, addresses, *rest = found
    thumb, width, height, duration, wave, reply, mine, timer = rest
    return content.File(
        mid=mid,
        at=at,
        kind=kind,
        name=name,
        media=media,
        size=size,
        chunk=chunk,
        secret=secret,
        root=root,
        homes=tuple(addresses.split()),
        thumb=thumb,
        width=width,
        height=height,
        duration=duration,
        wave=wave,
        reply=None if reply is None else content.Ref(reply, bool(mine)),
        timer=timer,
    )


def moved(desk: Desk, work: Work, cid: str, said: content.File, author: bytes = b"") -> None:
    """A contact's file is on other relays now."""
    found = row(
        work.db,
        "SELECT f.id, f.state, f.homes FROM file f JOIN message m ON m.id = f.message"
        " WHERE f.contact = ? AND NOT f.mine AND m.author = ? AND m.mid = ? AND f.secret = ?"
        " AND f.root = ?",
        cid,
        author,
        said.mid,
        said.secret,
        said.root,
    )
    if channel_state.is_channel(work, cid):
        return  # they are where the channel is
    places = " ".join(str(home) for home in homes.acceptable(desk, work, said.homes))
    if found is None or not places or found[2] == places or found[1] == "whole":
        return
    if not homes.may_move(work, cid, 2 * homes.MOVES):
        return
    id, state, _ = found
    state = "offered" if state == "gone" else state
    work.db.execute("UPDATE file SET homes = ?, state = ? WHERE id = ?", (places, state, id))
    if state == "fetching":
        work.after.append(effects.Halt(id, gone=False))
        work.after.append(effects.Move(id))
