"""The jobs of calls: what is offered, what is said of it, what is kept. Source: spec/call.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from holdfast.core.call.story import Story
from holdfast.core.caps import Caps, Home, hkdf
from holdfast.core.chat import content
from holdfast.core.seal.frame import call_keys, sender_key
from holdfast.node import messages, requests, views
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, unpack_inbox
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import CallMoment, CallSample, CallStory

ELSEWHERE: Final = "elsewhere"
"""Said to devices that ring when another one was quicker, and how the call ends there."""
TOO_LATE: Final = 90_000
"""A ring older than this (ms, both clocks) is a missed call, or somebody's clock is wrong."""
KEPT: Final = 7 * 86_400_000
"""How long a call is remembered, so that its ring is not taken for a new one."""


@dataclass
class Terms:
    """What both sides know of a call once it was offered."""

    id: bytes
    secret: bytes = field(repr=False)
    homes: tuple[Home, ...]
    random: bytes = field(repr=False)
    """The caller's."""
    nonce: bytes
    """The caller's."""
    devices: tuple[bytes, bytes]
    """Caller's and callee's."""
    conversation: bytes
    direct: bool = False
    """The caller allows that frames go straight; at the callee, both do."""
    contact: str = ""
    """The conversation, where the call is with a further device of its contact."""
    lines: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """Devices of the callee's that ring, by session: its key, and the conversation's name."""

    def caps(self, side: str) -> Caps:
        """The log that this side, "caller" or "callee", sends on."""
        return Caps.make(hkdf(self.secret, "call/log/1", side.encode(), length=128))

    def base(self, random: bytes) -> bytes:
        """The key of the call. `random` is the callee's."""
        return call_keys(self.random, random, self.id, self.devices, self.conversation)

    def key(self, side: str, random: bytes, nonce: bytes) -> tuple[bytes, int]:
        """The SFrame base key and key id of a side. `random` and `nonce` are the callee's."""
        base = self.base(random)
        join, device = (
            (self.nonce, self.devices[0]) if side == "caller" else (nonce, self.devices[1])
        )
        return sender_key(base, 0, device, join), int.from_bytes(join[:2], "big")


def ring(desk: Desk, work: Work, cid: str) -> Terms:
    """Offer a call to a contact. Raises `ApiError`."""
    state, outbox = row(work.db, "SELECT state, outbox FROM contact WHERE id = ?", cid)
    messages.may_write(state)
    if state != "active":
        raise ApiError("not-allowed", "they have not answered the invitation yet; ring them then")
    homes = desk.homes(work)[: content.MAX_HOMES]
    if not homes:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    requests.accept(desk, work, cid)
    session = desk.session(work, cid)
    lines = _lines(desk, work, cid)
    terms = Terms(
        desk.entropy(16),
        desk.entropy(32),
        homes,
        desk.entropy(32),
        desk.entropy(16),
        (session.me.device, session.peer.device),
        unpack_inbox(outbox).caps.conv_id,
        views.contact(work.db, cid).direct,
        cid,
        lines,
    )
    addresses = tuple(str(home) for home in homes)
    work.db.execute(
        "INSERT INTO call (id, contact, mine, at, secret, homes) VALUES (?, ?, 1, ?, ?, ?)",
        (terms.id, cid, work.now, terms.secret, " ".join(addresses)),
    )
    said = content.Ring(
        terms.id, work.now, terms.random, terms.nonce, terms.secret, addresses, terms.direct
    )
    for line in lines:
        desk.say_to_device(work, line, said)
    return terms


def _lines(desk: Desk, work: Work, cid: str) -> dict[str, tuple[bytes, bytes]]:
    """Every device of a contact's that can ring."""
    found = rows(
        work.db,
        "SELECT id, outbox FROM contact WHERE ? IN (id, belongs) AND state = 'active'",
        cid,
    )
    return {
        id: (desk.session(work, id).peer.device, unpack_inbox(outbox).caps.conv_id)
        for id, outbox in found
    }


def conversation(work: Work, id: str) -> str:
    """The contact whose device this session is with."""
    found = row(work.db, "SELECT belongs FROM contact WHERE id = ?", id)
    return id if found is None else str(found[0]) or id


@dataclass(frozen=True)
class Doubtful:
    """By the clocks a ring is too old, and it has only just come."""


def rung(
    desk: Desk, work: Work, cid: str, said: content.Ring, sure: bool | None = False
) -> Terms | Doubtful | None:
    """A contact rings: the terms, or None if it rang before, or too long ago. `sure`: it is not too
    old, whatever clocks say; None: it has just come, and may be."""
    found = row(work.db, "SELECT state, inbox FROM contact WHERE id = ?", cid)
    if found is None or found[0] != "active":
        return None
    if row(work.db, "SELECT 1 FROM call WHERE id = ?", said.call):
        return None
    old = not sure and abs(work.now - said.at) > TOO_LATE
    if old and sure is None:
        return Doubtful()
    work.db.execute("DELETE FROM call WHERE at < ? AND outcome <> ''", (work.now - KEPT,))
    work.db.execute(
        "INSERT INTO call (id, contact, mine, at) VALUES (?, ?, 0, ?)", (said.call, cid, said.at)
    )
    try:
        homes = tuple(Home.parse(text) for text in said.homes)
    except ValueError:
        homes = ()
    if not homes or old:
        over(desk, work, cid, said.call, "missed", 0)
        return None
    session = desk.session(work, cid)
    return Terms(
        said.call,
        said.secret,
        homes,
        said.random,
        said.nonce,
        (session.peer.device, session.me.device),
        unpack_inbox(found[1]).caps.conv_id,
        said.direct and views.contact(work.db, cid).direct,
        conversation(work, cid),
    )


def say(
    desk: Desk, work: Work, cid: str, said: content.Answer | content.Burst | content.Places
) -> None:
    """A step of a call, to a device of a contact's that can still be written to."""
    found = row(work.db, "SELECT state FROM contact WHERE id = ?", cid)
    if found is not None and found[0] == "active":
        desk.say_to_device(work, cid, said)


def told(story: Story) -> str:
    """How a call went, to be kept."""
    if not story.samples:
        return ""
    kept = CallStory(
        samples=[
            CallSample(at=one.at, rung=one.rung, way=one.way, delay=one.delay, lost=one.lost)
            for one in story.samples
        ],
        moments=[
            CallMoment(
                at=one.at,
                what=one.what,
                why=one.why.code,
                of=one.of,
                figures=list(one.why.figures),
                again=one.again,
            )
            for one in story.entries
        ],
    )
    return msgspec.json.encode(kept).decode()


def story(work: Work, message: str) -> CallStory:
    """How the call went of which this is the entry. Raises `ApiError`."""
    found = row(
        work.db,
        "SELECT c.story FROM message m LEFT JOIN call c ON c.id = m.mid"
        " WHERE m.id = ? AND m.kind = 'call'",
        messages.number(message),
    )
    if found is None:
        raise ApiError("not-found", "there is no such call")
    try:
        return msgspec.json.decode(found[0], type=CallStory) if found[0] else CallStory()
    except msgspec.ValidationError:
        return CallStory()  # an older version wrote it


def over(
    desk: Desk, work: Work, cid: str, id: bytes, outcome: str, duration: int, story: str = ""
) -> None:
    """A call has ended: an entry in the conversation, unless another device of mine took it
    (`ELSEWHERE`); its logs go."""
    cid = conversation(work, cid)
    found = row(
        work.db, "SELECT mine, at, secret, homes FROM call WHERE id = ? AND outcome = ''", id
    )
    if found is None or row(work.db, "SELECT 1 FROM contact WHERE id = ?", cid) is None:
        return
    mine, at, secret, homes = found
    work.db.execute(
        "UPDATE call SET outcome = ?, secret = x'', story = ? WHERE id = ?", (outcome, story, id)
    )
    if mine:
        for address in homes.split():
            for side in (b"caller", b"callee"):
                caps = Caps.make(hkdf(secret, "call/log/1", side, length=128))
                desk.drop(work, caps, Home.parse(address))
    if outcome == ELSEWHERE:
        return
    seen = int(bool(mine) or outcome != "missed")
    work.db.execute(
        "INSERT INTO message (contact, cursor, mine, mid, kind, note, text, at, received, count,"
        " state, seen) VALUES (?, 0, ?, ?, 'call', ?, '', ?, ?, ?, 'received', ?)",
        (cid, mine, id, outcome, min(at, work.now), work.now, duration, seen),
    )
    message = work.db.last_insert_rowid()
    work.db.execute("UPDATE contact SET active = ? WHERE id = ?", (work.now, cid))
    desk.touch_message(work, message)
    desk.touch_contact(work, cid)


def talked(work: Work, id: bytes, duration: int) -> None:
    """So long (ms) was talked until now."""
    work.db.execute("UPDATE call SET talked = ? WHERE id = ?", (duration, id))


def resume(desk: Desk, work: Work) -> None:
    """A call does not outlive the node: those that were going on have ended."""
    for id, cid, mine, duration in rows(
        work.db, "SELECT id, contact, mine, talked FROM call WHERE outcome = ''"
    ):
        outcome = "talked" if duration else "failed" if mine else "missed"
        say(desk, work, cid, content.Answer(id, "end"))
        over(desk, work, cid, id, outcome, duration)
