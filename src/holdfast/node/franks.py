"""Jobs of what is written from within a group to a member who has not accepted its author: each
text carries a signed commitment, so that it can be reported to those who lead; without, it is not
taken. From an answer on, nothing is signed. Source: spec/groups.md, "Reports".
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.core.chat import content
from holdfast.core.group import franking
from holdfast.core.seal.hpke import Unopenable
from holdfast.node import group_state, requests
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work

_ANSWERS: Final = (content.Text, content.Poll, content.File, content.React)


def made(desk: Desk, work: Work, cid: str, mid: bytes, text: str) -> content.Frank | None:
    """What lets somebody report a text of mine who has not answered me yet."""
    (within,) = row(work.db, "SELECT frank FROM contact WHERE id = ?", cid)
    if not within or not row(work.db, "SELECT 1 FROM groups WHERE contact = ?", within):
        return None
    session, group = desk.session(work, cid), group_state.opened(desk, work, within)
    me, to = session.me, session.peer.root
    said = franking.Private(
        group.roster.id, me.root, me.device, to, mid, work.now, text, desk.entropy(32), bytes(64)
    )
    made = franking.vouch(said, desk.identity(work).account)
    return content.Frank(made.key, made.signature)


def proved(
    desk: Desk, work: Work, cid: str, device: str, said: content.Known | content.Unknown
) -> bytes | None:
    """What proves a text of somebody who writes from within a group and was not accepted; empty
    where nothing is asked for, None if it is missing. An answer of theirs ends it on my side."""
    if isinstance(said, _ANSWERS):
        work.db.execute("UPDATE contact SET frank = '' WHERE id = ?", (cid,))
    request, via = row(work.db, "SELECT request, via FROM contact WHERE id = ?", cid)
    if request != requests.WITHIN or not isinstance(said, content.Text):
        return b""
    if said.frank is None or not row(work.db, "SELECT 1 FROM groups WHERE contact = ?", via):
        return None
    session, group = desk.session(work, device), group_state.opened(desk, work, via)
    them = session.peer
    proof = franking.Private(
        group.roster.id,
        them.root,
        them.device,
        session.me.root,
        said.mid,
        said.at,
        said.text,
        said.frank.key,
        said.frank.signature,
    )
    try:
        franking.require_vouched(proof)
    except Unopenable:
        return None
    return msgspec.msgpack.encode(proof)


def keep(work: Work, cid: str, said: content.Known | content.Unknown, proof: bytes) -> None:
    """Keep it beside the text."""
    if proof and isinstance(said, content.Text):
        work.db.execute(
            "INSERT OR IGNORE INTO evidence (message, changed, device, session, proof)"
            " SELECT id, 0, x'', x'', ? FROM message"
            " WHERE contact = ? AND mine = 0 AND author = x'' AND mid = ?",
            (proof, cid, said.mid),
        )
