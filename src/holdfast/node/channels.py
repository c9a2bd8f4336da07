"""Jobs of channels, as this side's person does them."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.core.channel import posts
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import About, Moved
from holdfast.core.chat import names, sync
from holdfast.core.seal import keys
from holdfast.core.seal.link import MAX_HOMES, BadLink
from holdfast.node import channel_feed, channel_state, effects, inviting, talking, views
from holdfast.node.channel_state import Channel, Kept
from holdfast.node.database import row, rows
from holdfast.node.desk import Desk
from holdfast.node.homes import acceptable
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Channel as Shown
from holdfast.node.schema import ChannelGap, Contact

QUIET: Final = 3 * 86_400_000
"""Milliseconds without a word of the owner's node after which that is said."""
GAPS: Final = 20
"""Ranges of missing posts that are named."""


def create(desk: Desk, work: Work, title: str, about: str, name: str | None = None) -> Contact:
    """Begin a channel; with the `name` that I write under, an open group."""
    called = "" if name is None else talking.own_name(name)
    said = _about(title, about)
    homes = desk.homes(work)[:MAX_HOMES]
    if not homes:
        raise ApiError("no-relay", "this node has no relay yet; add one in the settings")
    secret = desk.entropy(32)
    public = keys.public_bytes(Ed25519PrivateKey.from_private_bytes(secret))
    link = Link(desk.entropy(16), public, homes, name is not None)
    kept = Kept(link.text(), secret, desk.entropy(32), desk.entropy(32))
    channel = channel_state.make(desk, work, kept, said)
    if called:
        channel_state.called(desk, work, channel, called)
    for log in channel.logs:
        for home in log.homes:
            desk.want(work, log.caps, home)
    desk.note(work, channel.cid, "channel-made", text=said.title)
    channel_feed.described(desk, work, channel, said)
    channel_feed.post(desk, work, channel, "about", posts.encode(said))
    channel_feed.follow(desk, work, channel)
    work.after.append(effects.Relays())
    share(desk, work, channel.cid)
    return views.contact(work.db, channel.cid)


def follow(desk: Desk, work: Work, text: str, name: str | None = None) -> Contact:
    """Read the channel that a link leads to, on all my devices. Twice is the same as once. With a
    `name`, write under it if it is an open group. Raises `ApiError`."""
    called = None if name is None else talking.own_name(name)
    cid, is_new = _read(desk, work, text)
    channel = channel_state.opened(desk, work, cid)
    if called is not None:
        if not channel.link.open:
            raise ApiError("bad-params", "this is a channel: only its owner writes in it")
        channel_state.called(desk, work, channel, called)
    if is_new:
        share(desk, work, cid)
    return views.contact(work.db, cid)


def _read(desk: Desk, work: Work, text: str, device: bytes = b"") -> tuple[str, bool]:
    """Read it here; its conversation, and whether that is new. `device`: which of mine writes."""
    try:
        link = Link.parse(text)
    except BadLink as error:
        raise ApiError("bad-link", str(error)) from None
    known = row(work.db, "SELECT id FROM contact WHERE root = ?", link.id)
    if known is not None:
        return str(known[0]), False
    homes = acceptable(desk, work, [str(home) for home in link.homes])
    if not homes:
        raise ApiError("bad-link", "its relays are in another network, and not reached from here")
    before = row(
        work.db, "SELECT contact FROM channel WHERE moved_key = ? AND moved <> ''", link.key
    )
    channel = channel_state.make(desk, work, Kept(link.text()), About("…"))
    if not device:
        desk.note(work, channel.cid, "channel-followed")
    if before is not None:
        name = views.contact(work.db, before[0]).name
        desk.note(work, channel.cid, "channel-from", text=name)
    channel_feed.follow(desk, work, channel)
    work.after.append(effects.Relays())
    desk.touch_contact(work, channel.cid)
    return channel.cid, True


# On several devices.


def share(desk: Desk, work: Work, cid: str, *ids: str) -> None:
    """Own devices, these or all, read a channel too. What writes in it stays where it is."""
    channel = channel_state.opened(desk, work, cid)
    mine = channel.key is not None
    device = desk.identity(work).account.ed25519 if mine else channel_state.writer(work, cid)
    desk.say_own(work, sync.Channel(channel.kept.link, device), *ids)


def share_all(desk: Desk, work: Work, id: str) -> None:
    """A new device of mine reads every channel that is read here."""
    for (cid,) in rows(work.db, "SELECT id FROM contact WHERE kind = 'channel' ORDER BY added"):
        share(desk, work, cid, id)


def came(desk: Desk, work: Work, said: sync.Channel) -> None:
    """Another device of mine reads a channel, or writes in it."""
    listed = (one.ed25519 for one in desk.identity(work).devices.devices)
    try:
        cid, _ = _read(desk, work, said.link, said.device)
    except ApiError:
        return
    if channel_state.opened(desk, work, cid).key is None and said.device in listed:
        work.db.execute("UPDATE contact SET device = ? WHERE id = ?", (said.device, cid))


def gone(desk: Desk, work: Work, cid: str) -> None:
    """Another device of mine reads it no longer, or has ended it: only what writes in it can."""
    if channel_state.opened(desk, work, cid).key is None:
        _forget(desk, work, cid)


def change(
    desk: Desk, work: Work, cid: str, title: str | None, about: str | None, comments: str | None
) -> Shown:
    """Say anew what a channel of mine is."""
    channel = channel_state.opened(desk, work, cid)
    own_name, text, link, sample = row(
        work.db,
        "SELECT own_name, about, comments, sample FROM channel JOIN contact ON id = contact"
        " WHERE contact = ?",
        cid,
    )
    said = _about(
        own_name if title is None else title,
        text if about is None else about,
        link if comments is None else comments,
        sample,
    )
    channel_feed.post(desk, work, channel, "about", posts.encode(said))
    channel_feed.described(desk, work, channel, said)
    return show(desk, work, cid)


def move(desk: Desk, work: Work, cid: str, public: bool) -> Contact:
    """Begin a new channel, and let the old one end by pointing to it. Raises `ApiError`."""
    channel = channel_state.opened(desk, work, cid)
    shown = show(desk, work, cid)
    if not shown.mine or shown.moved:
        raise ApiError("not-allowed", "only a channel of your own moves, and once")
    made = create(desk, work, shown.title, shown.about, shown.name if shown.open else None)
    new = channel_state.opened(desk, work, made.id)
    said = Moved(new.link.key, new.link.text() if public else "")
    channel_feed.post(desk, work, channel, "moved", posts.encode(said))
    channel_feed.moved(desk, work, channel, said)
    return made


def delete(desk: Desk, work: Work, cid: str) -> None:
    """Read it no longer, on all my devices; of my own, delete it at its relays. Where another
    device of mine writes in it, it is read no longer on this one."""
    if not channel_state.writer(work, cid):
        talking.tell_own(desk, work, cid, sync.Gone)
    _forget(desk, work, cid)


def _forget(desk: Desk, work: Work, cid: str) -> None:
    channel = channel_state.opened(desk, work, cid)
    for log in channel.logs:
        for home in log.homes:
            if channel.key is not None:
                desk.drop(work, log.caps, home)
            else:
                work.after.append(effects.Unfollow(log.caps, home))
        work.db.execute("DELETE FROM position WHERE locator = ?", (log.caps.locator,))
    channel_state.forget(desk, cid)
    inviting.delete_rows(desk, work, cid)


def _about(title: str, text: str, comments: str = "", sample: int = 0) -> About:
    clean = names.clean(title)
    if not clean:
        raise ApiError("bad-params", "a name needs at least one letter that can be seen")
    about = names.clean_text(text)
    if len(about) > 2_000:
        raise ApiError("too-long", "say what the channel is in 2,000 letters")
    return About(clean, about, comments, sample)


def show(desk: Desk, work: Work, cid: str) -> Shown:
    """What a channel is, and how far it can be believed to be whole."""
    channel: Channel = channel_state.opened(desk, work, cid)
    about, comments, heard, forked, moved = row(
        work.db, "SELECT about, comments, heard, forked, moved FROM channel WHERE contact = ?", cid
    )
    gaps = channel.chain.missing()
    mine = channel.key is not None
    text = channel.link.text()
    return Shown(
        id=cid,
        title=views.contact(work.db, cid).own_name,
        about=about,
        mine=mine,
        open=channel.link.open,
        name=channel.kept.name,
        device=channel_state.writer(work, cid).hex()[:16],
        link=text,
        web="" if channel.link.open else channel.link.address(),
        qr=views.qr(text),
        posts=channel.chain.head,
        first=channel.chain.first,
        missing=[ChannelGap(first=first, last=last) for first, last in gaps[:GAPS]],
        heard=heard,
        quiet=not mine and 0 < heard < work.now - QUIET,
        forked=forked,
        readers=channel_feed.readers(work, cid) if mine else 0,
        comments=comments,
        moved="" if moved == "?" else moved,
        ended=bool(moved),
        relays=[home.label for home in channel.link.homes],
    )
