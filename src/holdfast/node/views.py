"""Rows of the database as the API shows them."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, cast

import apsw
import segno

from holdfast.core.chat import names
from holdfast.core.seal.invitation import Invitation as Secret
from holdfast.core.seal.rest import Rows
from holdfast.node import schema
from holdfast.node.database import row, rows
from holdfast.node.rpc import ApiError

_MESSAGE: Final = (
    "SELECT id, contact, cursor, mine, kind, note, text, at, received, until, count, edited,"
    " deleted, reply_mid, reply_mine, state, read_at, expires, author, reply_author, stale,"
    " pinned, mention, remover, place"
    " FROM message "
)
QUOTED: Final = 200
"""Characters of a quoted message."""


def message(db: apsw.Connection, id: int) -> schema.Message:
    """One message. Raises `ApiError`."""
    found = row(db, _MESSAGE + "WHERE id = ?", id)
    if found is None:
        raise ApiError("not-found", "there is no such message")
    return _message(db, found)


def messages(db: apsw.Connection, where: str, *values: Any) -> list[schema.Message]:
    """Those that a clause selects."""
    return [_message(db, found) for found in rows(db, _MESSAGE + where, *values)]


def picture_type(data: bytes) -> str | None:
    """The media type of a small picture's bytes, if it is one that is shown."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def attachment(db: apsw.Connection, message: int) -> schema.Attachment | None:
    """The file that a message carries."""
    found = row(
        db,
        "SELECT kind, name, media, size, chunk, state, done, thumb, width, height, duration, wave"
        " FROM file WHERE message = ?",
        message,
    )
    if found is None:
        return None
    kind, name, media, size, chunk, state, done, thumb, width, height, duration, wave = found
    thumb_type = picture_type(thumb)
    return schema.Attachment(
        kind=kind,
        name=name,
        type=media,
        size=size,
        state=state,
        done=size if state in ("sent", "whole") else min(size, done * chunk),
        thumb=f"data:{thumb_type};base64,{base64.b64encode(thumb).decode()}" if thumb_type else "",
        width=width,
        height=height,
        duration=duration,
        wave=list(wave),
    )


def _message(db: apsw.Connection, found: tuple[Any, ...]) -> schema.Message:
    (
        id,
        contact,
        cursor,
        mine,
        kind,
        note,
        text,
        at,
        received,
        until,
        count,
        edited,
        deleted,
    ) = found[:13]
    reply_mid, reply_mine, state, read_at, expires, root, reply_root, stale = found[13:21]
    pinned, mention, remover, place = found[21:]
    reactions = rows(
        db,
        "SELECT emoji, mine, at, author FROM reaction WHERE message = ? AND emoji <> ''"
        " ORDER BY at, mine, author",
        id,
    )
    return schema.Message(
        id=str(id),
        contact=contact,
        order=place,
        cursor=cursor,
        mine=bool(mine),
        author=author(db, contact, root),
        kind=kind,
        note="" if kind == "call" else note,
        text=text,
        at=at,
        received=received,
        until=until,
        count=0 if kind == "call" else count,
        file=attachment(db, id) if kind == "file" else None,
        call=schema.CallEntry(outcome=note, duration=count) if kind == "call" else None,
        edited=edited,
        deleted=bool(deleted),
        removed_by=author(db, contact, remover),
        reply_to=None
        if reply_mid is None
        else _quote(db, contact, reply_mid, reply_mine, reply_root),
        reactions=[
            schema.Reaction(emoji=e, mine=bool(m), at=t, name=name_of(db, contact, a) if a else "")
            for e, m, t, a in reactions
        ],
        state=state,
        read_at=read_at,
        expires=expires,
        stale=bool(stale),
        poll=None if deleted or kind != "text" else poll(db, contact, id),
        pinned=bool(pinned),
        mention=bool(mention),
    )


def poll(db: apsw.Connection, contact: str, id: int) -> schema.Poll | None:
    """What a message asks, if it does."""
    found = row(db, "SELECT options, many FROM poll WHERE message = ?", id)
    if found is None:
        return None
    votes = rows(
        db, "SELECT mine, author, choices FROM vote WHERE message = ? ORDER BY at, author", id
    )
    chosen = [(bool(mine), author, json.loads(choices)) for mine, author, choices in votes]
    return schema.Poll(
        options=[
            schema.PollOption(
                text=text,
                votes=sum(number in choices for _, _, choices in chosen),
                mine=any(mine and number in choices for mine, _, choices in chosen),
                names=[
                    name_of(db, contact, a) for _, a, choices in chosen if a and number in choices
                ],
            )
            for number, text in enumerate(json.loads(found[0]))
        ],
        many=bool(found[1]),
        voters=sum(bool(choices) for _, _, choices in chosen),
    )


def author(db: apsw.Connection, group: str, root: bytes) -> schema.Author | None:
    """Who has this root, as a group's conversation shows them; None for me or a contact."""
    if not root:
        return None
    found = row(db, "SELECT id FROM contact WHERE root = ? AND kind = 'person'", root)
    return schema.Author(
        id=member_id(root),
        name=name_of(db, group, root),
        contact="" if found is None else found[0],
    )


def member_id(root: bytes) -> str:
    """Names somebody in a group, for interfaces."""
    return root.hex()[:32]


def name_of(db: apsw.Connection, group: str, root: bytes) -> str:
    """What somebody in a group is called: as a contact, by what they say, or as they were
    added."""
    found = row(
        db,
        "SELECT coalesce(nullif(name, ''), own_name) FROM contact"
        " WHERE root = ? AND kind = 'person'",
        root,
    ) or row(
        db,
        "SELECT name FROM group_card WHERE contact = ? AND root = ? ORDER BY at DESC",
        group,
        root,
    )
    return "?" if found is None else str(found[0])


def _quote(db: apsw.Connection, contact: str, mid: bytes, mine: int, root: bytes) -> schema.Quote:
    found = row(
        db,
        "SELECT m.id, m.text, f.kind FROM message m LEFT JOIN file f ON f.message = m.id"
        " WHERE m.contact = ? AND m.mine = ? AND m.author = ? AND m.mid = ?",
        contact,
        mine,
        root,
        mid,
    )
    who = author(db, contact, root)
    if found is None:
        return schema.Quote(id="", mine=bool(mine), text="", author=who)
    id, text, kind = found
    shown = "" if kind == "voice" else text[:QUOTED]
    return schema.Quote(id=str(id), mine=bool(mine), text=shown, file=kind, author=who)


_CONTACT: Final = (
    "SELECT id, name, own_name, state, verified, root, direct, echo, added, timer,"
    " (SELECT count(*) FROM message m WHERE m.contact = contact.id AND m.seen = 0 AND m.mine = 0),"
    " (SELECT id FROM message m WHERE m.contact = contact.id ORDER BY place DESC LIMIT 1),"
    " (SELECT count(*) FROM message m WHERE m.contact = contact.id AND m.state = 'waiting'),"
    " kind, members, via, leads, request, open FROM contact "
)


def contact(db: apsw.Connection, id: str) -> schema.Contact:
    """One contact. Raises `ApiError`."""
    found = contacts(db, "WHERE id = ?", id)
    if not found:
        raise ApiError("not-found", "there is no such contact")
    return found[0]


def contacts(db: apsw.Connection, where: str, *values: Any) -> list[schema.Contact]:
    """Those that a clause selects."""
    known = rows(
        db,
        "SELECT id, coalesce(nullif(name, ''), own_name) FROM contact"
        " WHERE belongs = '' AND kind <> 'own' ORDER BY added",
    )
    # Whoever was there first keeps the name; the later one is marked.
    oldest: dict[str, tuple[str, str]] = {}
    for other, called in known:
        oldest.setdefault(names.skeleton(called), (other, called))
    found = []
    for item in rows(db, _CONTACT + where, *values):
        (
            id,
            name,
            own_name,
            state,
            verified,
            root,
            direct,
            echo,
            added,
            timer,
            unread,
            last,
            waiting,
            kind,
            members,
            via,
            leads,
            request,
            open,
        ) = item
        shown = name or own_name
        other, called = oldest.get(names.skeleton(shown), (id, ""))
        found.append(
            schema.Contact(
                id=id,
                kind=kind,
                members=members,
                via=via,
                request=bool(request),
                leads=bool(leads),
                open=open,
                name=shown,
                own_name=own_name,
                state="active" if state in ("group", "channel") else state,
                verified=verified is not None and verified == root,
                direct=bool(direct) and verified == root,
                echo=bool(echo),
                looks_like="" if other == id else called,
                added=added,
                unread=unread,
                timer=timer,
                last=None if last is None else message(db, last),
                waiting=waiting,
            )
        )
    return found


def resolve(db: apsw.Connection, text: str) -> str:
    """A contact's id from an id or an exact name. Raises `ApiError`."""
    if row(db, "SELECT 1 FROM contact WHERE id = ? AND kind NOT IN ('device', 'own')", text):
        return text
    found = rows(
        db,
        "SELECT id FROM contact WHERE coalesce(nullif(name, ''), own_name) = ?"
        " AND kind NOT IN ('device', 'own')",
        text,
    )
    if not found:
        found = [
            (id,)
            for id, name in rows(
                db,
                "SELECT id, coalesce(nullif(name, ''), own_name) FROM contact"
                " WHERE kind NOT IN ('device', 'own')",
            )
            if name.casefold() == text.casefold()
        ]
    if len(found) > 1:
        raise ApiError("not-found", f"several contacts are called {text}; use an id of `contacts`")
    if not found:
        raise ApiError("not-found", f"nobody here is called {text}")
    return str(found[0][0])


def person(db: apsw.Connection, text: str) -> str:
    """As `resolve`, of a person. Raises `ApiError`."""
    id = resolve(db, text)
    if row(db, "SELECT 1 FROM contact WHERE id = ? AND kind <> 'person'", id):
        raise ApiError("not-allowed", "this goes with one person only")
    return id


def invitation(db: apsw.Connection, wrapped: Rows, id: str, now: int) -> schema.Invitation:
    """One invitation, with its link while that leads anywhere. Raises `ApiError`."""
    found = row(
        db,
        "SELECT state, secret, counter, label, created, expires, used_by, groupid, approve"
        " FROM invitation"
        " WHERE id = ?",
        id,
    )
    if found is None:
        raise ApiError("not-found", "there is no such invitation")
    state, secret, counter, label, created, expires, used_by, group, approve = found
    link = Secret.load(wrapped.unwrap("invitation", id.encode(), counter, secret)).link
    if state in ("open", "preparing") and now >= expires:
        state = "expired"
    shown = state in ("open", "preparing")
    return schema.Invitation(
        id=id,
        link=link.text() if shown else "",
        qr=qr(link.text()) if shown else "",
        many=link.many,
        label=label,
        created=created,
        expires=expires,
        state=cast(Any, state),
        used_by=used_by,
        group=group,
        approve=bool(approve),
    )


def qr(text: str) -> str:
    """The text as a QR code in SVG, dark on white, with its quiet zone."""
    code = segno.make(text, error="l", micro=False)
    return str(code.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True))
