"""What a node keeps of a channel: its link, its chain, and of one's own the keys that write.

Read from the database once and kept open between jobs, as sessions are; a job that fails has it
forgotten and read again.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.caps import Caps, Home, hkdf
from holdfast.core.channel import talk
from holdfast.core.channel.chain import Chain
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import About
from holdfast.core.seal import keys
from holdfast.core.seal.identity import Key32, Secret
from holdfast.core.seal.invitation import Inbox
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk, pack_inbox
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError


class Kept(Secret):
    """What is secret of a channel, as it is kept; of one's own with the keys that write."""

    link: str
    key: Key32 | None = None
    append: Key32 | None = None
    owner: Key32 | None = None
    writer: Key32 | None = None
    """In an open group, what I sign with."""
    name: str = ""
    """What I chose to be called there."""


@dataclass
class Channel:
    """One channel, open."""

    cid: str
    kept: Kept
    link: Link
    chain: Chain

    @property
    def key(self) -> Ed25519PrivateKey | None:
        """What signs, if the channel is mine."""
        return (
            None if self.kept.key is None else Ed25519PrivateKey.from_private_bytes(self.kept.key)
        )

    @property
    def log(self) -> Inbox:
        """Where its posts are."""
        caps, kept = self.link.log, self.kept
        return Inbox(Caps(caps.locator, kept.append, caps.read, kept.owner), self.link.homes)

    @property
    def marks(self) -> Inbox:
        """Where readers put that they are there. Mine to read if the channel is."""
        caps = self.link.marks
        if self.kept.owner is not None:
            read, owner = (hkdf(self.kept.owner, "channel/marks/1", role) for role in (b"r", b"o"))
            caps = Caps(caps.locator, caps.append, read, owner)
        return Inbox(caps, self.link.homes)

    @property
    def talk(self) -> Inbox:
        """Where everybody writes, in an open group."""
        caps, owner = self.link.talk, self.kept.owner
        if owner is not None:
            role = hkdf(owner, "channel/talk/1", b"o")
            caps = Caps(caps.locator, caps.append, caps.read, role)
        return Inbox(caps, self.link.homes)

    @property
    def logs(self) -> tuple[Inbox, ...]:
        """All there are."""
        return (self.log, self.marks, *((self.talk,) if self.link.open else ()))

    @property
    def me(self) -> bytes:
        """What my key is called in an open group; empty until I have one."""
        if self.kept.writer is None:
            return b""
        key = Ed25519PrivateKey.from_private_bytes(self.kept.writer)
        return talk.writer(self.link, keys.public_bytes(key))


def opened(desk: Desk, work: Work, cid: str) -> Channel:
    """A channel by its conversation; forgotten again if the job fails. Raises `ApiError`."""
    channel = desk.channels.get(cid)
    if channel is None:
        found = row(work.db, "SELECT secret, counter, head FROM channel WHERE contact = ?", cid)
        if found is None:
            raise ApiError("not-found", "this is not a channel")
        secret, counter, head = found
        plain = desk.rows.unwrap("channel", cid.encode(), counter, secret)
        kept = msgspec.msgpack.decode(plain, type=Kept)
        chain = Chain()
        for number, hash, prev in rows(
            work.db, "SELECT number, hash, prev FROM channel_post WHERE contact = ?", cid
        ):
            chain.restore(number, hash, prev)
        chain.head = max(chain.head, head)
        channel = desk.channels[cid] = Channel(cid, kept, Link.parse(kept.link), chain)
    work.undo.append(lambda: forget(desk, cid))
    return channel


def called(desk: Desk, work: Work, channel: Channel, name: str) -> None:
    """I write in an open group under this name, with a key of its own."""
    writer = channel.kept.writer or desk.entropy(32)
    channel.kept = msgspec.structs.replace(channel.kept, writer=writer, name=name)
    (counter,) = row(work.db, "SELECT counter + 1 FROM channel WHERE contact = ?", channel.cid)
    plain = msgspec.msgpack.encode(channel.kept)
    wrapped = desk.rows.wrap("channel", channel.cid.encode(), counter, plain, desk.entropy)
    work.db.execute(
        "UPDATE channel SET secret = ?, counter = ? WHERE contact = ?",
        (wrapped, counter, channel.cid),
    )
    work.db.execute("UPDATE contact SET open = 'writes' WHERE id = ?", (channel.cid,))
    desk.touch_contact(work, channel.cid)
    work.undo.append(lambda: forget(desk, channel.cid))


def forget(desk: Desk, cid: str) -> None:
    """Read the channel again next time."""
    desk.channels.pop(cid, None)


def make(desk: Desk, work: Work, kept: Kept, about: About) -> Channel:
    """A channel that is new here, with its conversation."""
    link = Link.parse(kept.link)
    cid = desk.entropy(8).hex()
    channel = Channel(cid, kept, link, Chain())
    log = pack_inbox(channel.log)
    work.db.execute(
        "INSERT INTO contact (id, kind, root, own_name, state, added, active, timer, inbox,"
        " outbox, session, counter, leads, open)"
        " VALUES (?, 'channel', ?, ?, 'channel', ?, ?, 0, ?, ?, x'', 0, ?, ?)",
        (
            cid,
            link.id,
            about.title,
            work.now,
            work.now,
            log,
            log,
            kept.key is not None,
            "reads" if link.open else "",
        ),
    )
    wrapped = desk.rows.wrap("channel", cid.encode(), 1, msgspec.msgpack.encode(kept), desk.entropy)
    work.db.execute(
        "INSERT INTO channel (contact, secret, counter) VALUES (?, ?, 1)", (cid, wrapped)
    )
    desk.channels[cid] = channel
    work.undo.append(lambda: forget(desk, cid))
    return channel


def homes(desk: Desk, work: Work, cid: str) -> tuple[Home, ...]:
    """The relays at which a channel and all of its files are; none if it is no channel."""
    return opened(desk, work, cid).link.homes if is_channel(work, cid) else ()


def writer(work: Work, cid: str) -> bytes:
    """The other device of this person's that writes in a channel; empty if none does."""
    (device,) = row(work.db, "SELECT device FROM contact WHERE id = ?", cid)
    return bytes(device)


def is_channel(work: Work, cid: str) -> bool:
    """Whether a conversation is one."""
    return row(work.db, "SELECT 1 FROM channel WHERE contact = ?", cid) is not None


# Backups.


def reveal(desk: Desk, copy: apsw.Connection) -> None:
    """In a copy that another key encrypts, secrets are not wrapped by mine."""
    for cid, secret, counter in rows(copy, "SELECT contact, secret, counter FROM channel"):
        plain = desk.rows.unwrap("channel", cid.encode(), counter, secret)
        copy.execute("UPDATE channel SET secret = ?, counter = 0 WHERE contact = ?", (plain, cid))


def wrap_all(desk: Desk, work: Work) -> None:
    """Inverse of `reveal`, for what came out of such a copy. Raises ValueError."""
    for cid, plain in rows(work.db, "SELECT contact, secret FROM channel"):
        mine = msgspec.msgpack.decode(plain, type=Kept).key is not None
        wrapped = desk.rows.wrap("channel", cid.encode(), 1, plain, desk.entropy)
        work.db.execute(
            "UPDATE channel SET secret = ?, counter = 1, behind = ? WHERE contact = ?",
            (wrapped, mine, cid),
        )
