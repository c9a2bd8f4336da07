"""Jobs of keeping order in a group: reporting what somebody wrote, and removing it for all.

Of each message that comes in a group what proves it is kept beside it, and goes with it. A report
goes through the group's log, sealed for those who lead, so that the others see that there is one
and nothing else. Source: spec/groups.md, "Reports" and "Removing messages".
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from holdfast.core.chat import content, names
from holdfast.core.group import cards as core
from holdfast.core.group import franking
from holdfast.core.group.epochs import Epoch
from holdfast.core.group.franking import Proof
from holdfast.core.group.roster import View
from holdfast.core.group.senders import untimed
from holdfast.core.seal import keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import Wire
from holdfast.node import group_cards, group_giving, group_state, messages, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.group_state import Group
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import GroupReport, Message
from holdfast.node.talking import wipe

TO: Final = 8
"""Admins that one report goes to."""
A_DAY: Final = 20
"""Reports of one member that are taken in a day."""
OPEN: Final = 500
"""Reports of a group that are kept until somebody looks at them."""
DAY: Final = 86_400_000
_START: Final = 8
_FIRST: Final = (content.Text, content.Poll, content.File)


class _Sealed(Wire, frozen=True):
    """For whom a report is (the first bytes of their root), and what they alone open."""

    to: Annotated[bytes, Meta(min_length=_START, max_length=_START)]
    report: Annotated[bytes, Meta(max_length=65_536)]


# What is kept of each message.


def keep(
    work: Work, cid: str, author: bytes, data: bytes, session: tuple[bytes, bytes], proof: bytes
) -> None:
    """Keep what proves a content, if it is a message here or the newest change of one; `session`
    is a device's, `proof` the message of Megolm behind its key."""
    try:
        said = content.decode(data)
    except content.Malformed:
        return
    if not isinstance(said, (*_FIRST, content.Edit)):
        return
    changed = isinstance(said, content.Edit)
    work.db.execute(
        "INSERT INTO evidence (message, changed, device, session, proof)"
        " SELECT id, ?, ?, ?, ? FROM message"
        " WHERE contact = ? AND mine = 0 AND author = ? AND mid = ? AND NOT deleted"
        " ON CONFLICT(message, changed) DO UPDATE SET device = excluded.device,"
        " session = excluded.session, proof = excluded.proof WHERE excluded.changed",
        (changed, *session, proof, cid, author, said.mid),
    )


def _proofs(work: Work, rowid: int, cid: str) -> tuple[Proof, ...]:
    """What proves a message, as it was said first and as it was changed last."""
    return tuple(
        Proof(statement, signature, proof[franking.KEY :], proof[: franking.KEY])
        for proof, statement, signature in rows(
            work.db,
            "SELECT e.proof, s.statement, s.signature FROM evidence e JOIN group_sender s"
            " ON s.contact = ? AND s.device = e.device AND s.session = e.session"
            " WHERE e.message = ? AND s.statement <> x'' ORDER BY e.changed",
            cid,
            rowid,
        )
    )


# Reporting.


def report(desk: Desk, work: Work, id: str, words: str) -> None:
    """Tell those who lead a group what somebody wrote in it, or to me from within it before I
    accepted them. Raises `ApiError`."""
    rowid = messages.number(id)
    found = row(
        work.db,
        "SELECT m.contact, iif(c.kind = 'group', m.author, c.root), c.kind, c.via FROM message m"
        " JOIN contact c ON c.id = m.contact WHERE m.id = ? AND m.mine = 0 AND NOT m.deleted",
        rowid,
    )
    if found is None or (found[2] != "group" and not found[3]):
        raise ApiError("not-found", "there is no such message of somebody else in a group")
    cid, author, kind, via = found
    group = group_state.opened(desk, work, cid if kind == "group" else via)
    epoch = group.epochs.now()
    if not group.view.holds(group.me.root) or epoch is None:
        raise ApiError("not-allowed", "you are not in this group, or its key is still on its way")
    private = None if kind == "group" else _private(work, rowid)
    proofs = _proofs(work, rowid, cid) if kind == "group" else ()
    if not proofs and private is None:
        raise ApiError("not-found", "nothing is kept that would prove who wrote this")
    to = _leaders(work, group, author)
    if not to:
        raise ApiError("not-found", "nobody else leads this group; you can leave it")
    clean = names.clean_text(words)[: franking.MAX_WORDS]
    account = desk.identity(work).account
    for part in (proofs, proofs[-1:]):
        data = franking.sign(group.roster.id, group.me, clean, part, work.now, account, private)
        if len(data) < content.MAX_REPORT:
            break
    for card in to:
        sealed = core.letter(card, data, franking.PURPOSE)
        plain = msgspec.msgpack.encode(_Sealed(card.root[:_START], sealed))
        group_giving.post(desk, work, group.cid, epoch.seal("report", plain, desk.entropy))


def _private(work: Work, rowid: int) -> franking.Private | None:
    found = row(work.db, "SELECT proof FROM evidence WHERE message = ?", rowid)
    return None if found is None else msgspec.msgpack.decode(found[0], type=franking.Private)


def _leaders(work: Work, group: Group, but: bytes) -> list[core.Card]:
    """Cards of those who lead, other than me and somebody; the owner first."""
    view, known = group.view, group_cards.cards(work, group)
    roots = [
        root
        for root in view.roots()
        if view.role(root) in ("admin", "owner") and root not in (but, group.me.root)
    ]
    roots.sort(key=view.rank)
    return [known[root] for root in roots if root in known][:TO]


def came(desk: Desk, work: Work, group: Group, plain: bytes) -> None:
    """A report came in the log. One that proves nothing, or that was made before, is none.
    Raises `Unopenable`."""
    try:
        sealed = msgspec.msgpack.decode(plain, type=_Sealed)
    except (msgspec.MsgspecError, RecursionError):
        raise Unopenable from None
    me, view = group.me.root, group.view
    if sealed.to != me[:_START] or view.role(me) not in ("admin", "owner"):
        return
    delivery = group.keys.delivery
    data = core.open_letter(sealed.report, group.roster.id, me, delivery, franking.PURPOSE)
    told = franking.read(data, group.roster.id)
    if not view.has_device(told.root, told.device):
        return
    accused, mid, text = proved(group, told)
    (lately,) = row(
        work.db,
        "SELECT count(*) FROM report WHERE contact = ? AND reporter = ? AND received > ?",
        group.cid,
        told.root,
        work.now - DAY,
    )
    (left,) = row(
        work.db, "SELECT count(*) FROM report WHERE contact = ? AND state = 'open'", group.cid
    )
    if lately >= A_DAY or left >= OPEN:
        return
    if _is_new(work, group.cid, told.root, accused, mid):
        work.db.execute(
            "INSERT OR REPLACE INTO report (id, contact, reporter, author, mid, text, words, at,"
            " received, private, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
            (
                _id(group.cid, told.root, accused, mid),
                group.cid,
                told.root,
                accused,
                mid,
                text,
                names.clean_text(told.words),
                min(told.at, work.now),
                work.now,
                told.private is not None,
            ),
        )
        who = views.name_of(work.db, group.cid, accused)
        desk.note(work, group.cid, "group-report", author=told.root, text=who)
        desk.touch_contact(work, group.cid)


def _id(cid: str, reporter: bytes, author: bytes, mid: bytes) -> str:
    return keys.digest("report", cid.encode(), reporter, author, mid).hex()[:32]


def _is_new(work: Work, cid: str, reporter: bytes, author: bytes, mid: bytes) -> bool:
    """Whether this member did not report this message before: an answer stands."""
    id = _id(cid, reporter, author, mid)
    return row(work.db, "SELECT 1 FROM report WHERE id = ?", id) is None


def proved(group: Group, told: franking.Report) -> tuple[bytes, bytes, str]:
    """Author, id and text of the one message that all proofs of a report are of. Raises
    `Unopenable`."""
    author, mid, texts = b"", b"", []
    if (private := told.private) is not None:
        franking.require_vouched(private)
        if (private.group, private.to) != (group.roster.id, told.root):
            raise Unopenable
        if not group.roster.had_device(private.root, private.device):
            raise Unopenable
        return private.root, private.mid, names.clean_text(private.text)
    for proof in told.proofs:
        shown = franking.opened(proof, group.roster.id)
        try:
            said = content.decode(untimed(shown.content)[1])
        except content.Malformed:
            raise Unopenable from None
        if not isinstance(said, (*_FIRST, content.Edit)):
            raise Unopenable
        if not group.roster.had_device(shown.root, shown.device):
            raise Unopenable
        if (shown.root, said.mid) != (author or shown.root, mid or said.mid):
            raise Unopenable
        author, mid = shown.root, said.mid
        match said:
            case content.Poll():
                texts.append(said.question)
            case content.File():
                texts.append(said.name)
            case _:
                texts.append(said.text)
    return author, mid, names.clean_text("\n→ ".join(texts))


def reports(work: Work, cid: str) -> list[GroupReport]:
    """What was reported and not answered, the oldest first."""
    found = []
    for id, reporter, author, mid, text, words, at, private in rows(
        work.db,
        "SELECT id, reporter, author, mid, text, words, at, private FROM report"
        " WHERE contact = ? AND state = 'open' ORDER BY received, id",
        cid,
    ):
        here = row(
            work.db,
            "SELECT id FROM message WHERE contact = ? AND author = ? AND mid = ? AND NOT deleted",
            cid,
            author,
            mid,
        )
        who, by = views.author(work.db, cid, author), views.author(work.db, cid, reporter)
        assert who is not None and by is not None
        found.append(
            GroupReport(
                id=id,
                by=by,
                author=who,
                text=text,
                words=words,
                at=at,
                message="" if here is None else str(here[0]),
                private=bool(private),
            )
        )
    return found


def answer(desk: Desk, work: Work, cid: str, id: str, remove: bool) -> bytes:
    """Remove what was reported, or leave it; whose it is. Others' reports of the same message are
    answered as well. Raises `ApiError`."""
    found = row(
        work.db,
        "SELECT author, mid, private FROM report WHERE contact = ? AND id = ? AND state = 'open'",
        cid,
        id,
    )
    if found is None:
        raise ApiError("not-found", "there is no such report, or it has been answered")
    author, mid, private = found
    if remove and private:
        raise ApiError("not-allowed", "what was written to one person cannot be removed for all")
    if remove:
        remove_message(desk, work, cid, author, mid)
    work.db.execute(
        "UPDATE report SET state = ?, text = '', words = '' WHERE contact = ? AND author = ?"
        " AND mid = ? AND state = 'open'",
        ("removed" if remove else "dismissed", cid, author, mid),
    )
    desk.touch_contact(work, cid)
    return bytes(author)


# Removing.


def remove_for_all(desk: Desk, work: Work, id: str) -> Message:
    """Remove somebody else's message for everybody in a group that I lead, open or not. Raises
    `ApiError`."""
    rowid = messages.number(id)
    found = row(
        work.db,
        "SELECT m.contact, m.author, m.mid, c.kind FROM message m"
        " JOIN contact c ON c.id = m.contact"
        " WHERE m.id = ? AND m.mine = 0 AND m.author <> x'' AND c.kind IN ('group', 'channel')"
        " AND m.kind IN ('text', 'file') AND NOT m.deleted",
        rowid,
    )
    if found is None:
        raise ApiError("not-allowed", "only a message of your own can be changed or taken back")
    cid, author, mid, kind = found
    if kind == "channel":
        desk.say(work, cid, content.Remove(content.Ref(mid, False, author), work.now))
    else:
        remove_message(desk, work, cid, author, mid)
    return views.message(work.db, rowid)


def remove_message(desk: Desk, work: Work, cid: str, author: bytes, mid: bytes) -> None:
    """Say in the group that a message of somebody's is removed. Raises `ApiError`."""
    group = group_state.opened(desk, work, cid)
    if not may_remove(group.view, group.me.root, author):
        raise ApiError(
            "not-allowed", "only admins remove what others wrote, and the owner's nobody else"
        )
    desk.say(work, cid, content.Remove(content.Ref(mid, False, author), work.now))
    removed(desk, work, cid, group.me.root, author, mid)


def may_remove(view: View, who: bytes, author: bytes) -> bool:
    """Whether somebody may remove messages of an author for all: whoever could remove the author
    from the group, or lead it since."""
    role = view.role(who)
    return role == "owner" or (role == "admin" and author != view.owner)


def counts(group: Group, epoch: Epoch, by: bytes, said: content.Remove) -> bool:
    """Whether a member may remove somebody's message: what it takes they must have had when they
    said it, and have now, so that nobody who led once goes on."""
    then, now, author = group.epochs.view(epoch), group.view, said.ref.author
    return may_remove(then, by, author) and may_remove(now, by, author)


def removed(desk: Desk, work: Work, cid: str, by: bytes, author: bytes, mid: bytes) -> None:
    """Leave the message's place, and who removed it."""
    mine = author == desk.identity(work).party.root
    found = row(
        work.db,
        "SELECT id FROM message WHERE contact = ? AND mine = ? AND author = ? AND mid = ?"
        " AND kind IN ('text', 'file')",
        cid,
        mine,
        b"" if mine else author,
        mid,
    )
    if found is not None:
        wipe(desk, work, found[0])
        # Of several who do it at once, and of an author who takes it back, the same for everybody.
        work.db.execute(
            "UPDATE message SET remover = ?1 WHERE id = ?2 AND (remover = x'' OR remover > ?1)",
            (by, found[0]),
        )
        desk.touch_message(work, found[0])
        desk.touch_contact(work, cid)
