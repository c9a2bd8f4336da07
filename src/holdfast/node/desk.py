"""What the keeper's jobs share: identity, settings, open sessions, and the way out.

Everything here runs on the keeper's thread inside a job. Sessions are kept open
between jobs; a job that fails has them forgotten and read again from the database.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from holdfast.core.caps import Caps, Home
from holdfast.core.chat import content, sync
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import Inbox
from holdfast.core.seal.padding import TooLong
from holdfast.core.seal.pairwise import CannotSend, Outgoing, Pairwise
from holdfast.core.seal.rest import Rows
from holdfast.core.seal.verification import Verification
from holdfast.node import effects, ordering, views
from holdfast.node.database import row, rows
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import (
    ContactChanged,
    DevicesChanged,
    InvitationChanged,
    MessageChanged,
    Settings,
    SettingsChanged,
)

FOR_ONE: Final = (
    content.Moved,
    content.Spare,
    content.Verify,
    content.Got,
    content.Ring,
    content.Answer,
    content.Places,
    content.Burst,
    content.GroupEntries,
    content.GroupKey,
    content.GroupAsk,
    content.GroupHistory,
    content.Device,
)
"""What is said to one device alone."""
COPIED: Final = (
    content.Text,
    content.Poll,
    content.Vote,
    content.Pin,
    content.Edit,
    content.Delete,
    content.React,
    content.SetTimer,
    content.File,
)
"""What one's other devices have to hear as well."""
LIFETIME: Final = 30 * 86_400
"""Seconds a relay keeps what was not fetched."""
RID: Final = 16


class _Inbox(Struct, frozen=True, array_like=True):
    locator: bytes
    append: bytes | None
    read: bytes | None
    owner: bytes | None
    homes: tuple[str, ...]


def pack_inbox(inbox: Inbox) -> bytes:
    """A log's secrets and homes as they are stored."""
    caps = inbox.caps
    homes = tuple(str(home) for home in inbox.homes)
    return msgspec.msgpack.encode(_Inbox(caps.locator, caps.append, caps.read, caps.owner, homes))


def unpack_inbox(data: bytes) -> Inbox:
    """Inverse of `pack_inbox`."""
    found = msgspec.msgpack.decode(data, type=_Inbox)
    homes = tuple(Home.parse(text) for text in found.homes)
    return Inbox(Caps(found.locator, found.append, found.read, found.owner), homes)


def addresses_of(data: bytes) -> tuple[str, ...]:
    """The homes alone of what `pack_inbox` packed."""
    return msgspec.msgpack.decode(data, type=_Inbox).homes


def pack_caps(caps: Caps) -> bytes:
    """A log's secrets as they are stored."""
    return pack_inbox(Inbox(caps, ()))


def unpack_caps(data: bytes) -> Caps:
    """Inverse of `pack_caps`."""
    return unpack_inbox(data).caps


class Desk:
    """`key` is the database's; it wraps what has a state of its own once more. `files` is
    the folder of spools."""

    def __init__(self, key: bytes, entropy: Callable[[int], bytes], files: Path) -> None:
        self.files = files
        self.entropy = entropy
        self.rows = Rows(key)
        self.verifications: dict[str, Verification] = {}
        self.echo = False
        """Whether Echo's link was given."""
        self.seen: dict[tuple[bytes, str], int] = {}
        """Highest sequence number that came, by log and home."""
        self.reached: frozenset[str] = frozenset()
        """Relays that are connected now, by address."""
        self.lost: frozenset[str] = frozenset()
        """Relays that have been away for long while others are reached."""
        self.troubled: frozenset[str] = frozenset()
        """Relays that fall behind the others."""
        self.alone = False
        """No relay has been reached for so long that others are tried."""
        self.around: object = None
        """What decided where inboxes are, when that was looked at last, see `homes`."""
        self.arranged: dict[str, tuple[object, ...]] = {}
        """Contacts whose inbox is where it should be by that, as they were then."""
        self.denied: dict[bytes, set[str]] = {}
        """Homes that say of an accept log we have answered into that it is not there."""
        self.groups: dict[str, Any] = {}
        """Groups that are open, see `group_state`."""
        self.taken: dict[bytes, None] = {}
        """Hashes of what came in groups and was taken, the oldest first, see `group_talk`."""
        self.begun: dict[str, bytes] = {}
        """The session that this run of the program began in each group."""
        self.channels: dict[str, Any] = {}
        """Channels that are open, see `channel_state`."""
        self.strangers: set[str] = set()
        """Conversations that nobody has accepted yet, see `requests`."""
        self.say_in_group: Callable[[Desk, Work, str, content.Known], int]
        """Says a content in a group, see `group_talk.say`; set by who starts all."""
        self.say_in_channel: Callable[[Desk, Work, str, content.Known], int]
        """The same in a channel, see `channel_feed.say`."""
        self.take_content: Callable[[Desk, Work, str, bytes], None]
        """Takes a content of a contact's, see `receiving.take`; set by who starts all."""
        self.linking: Verification | None = None
        """The comparison by which a device is linked."""
        self.joins = False
        """Whether this run of the program is answering a code."""
        self._sessions: dict[str, Pairwise] = {}
        self._identity: Identity | None = None

    # Small values.

    def get(self, work: Work, name: str) -> Any:
        """A value of `meta`, or None."""
        found = row(work.db, "SELECT value FROM meta WHERE name = ?", name)
        return None if found is None else found[0]

    def put(self, work: Work, name: str, value: object) -> None:
        """Set a value of `meta`."""
        work.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def settings(self, work: Work) -> Settings:
        """What the person chose."""
        stored = self.get(work, "settings")
        return Settings() if stored is None else msgspec.json.decode(stored, type=Settings)

    def set_settings(self, work: Work, settings: Settings) -> Settings:
        """Keep what the person chose."""
        self.put(work, "settings", msgspec.json.encode(settings).decode())
        work.after.append(effects.Tell(SettingsChanged(settings)))
        return settings

    # Who I am.

    def make_identity(self, work: Work, name: str) -> None:
        """A new identity, with its recovery secret until that is taken offline."""
        self.keep_identity(work, *Identity.create(self.entropy))
        self.put(work, "name", name)

    def keep_identity(self, work: Work, identity: Identity, recovery: bytes) -> None:
        """This is who this node is, from now on."""
        for field, secret in (("identity", identity.dump()), ("recovery", recovery)):
            wrapped = self.rows.wrap("meta", field.encode(), 0, secret, self.entropy)
            self.put(work, field, wrapped)

    def change_identity(self, work: Work, identity: Identity) -> None:
        """The same person with another device list, or what this new device turned out to be."""
        wrapped = self.rows.wrap("meta", b"identity", 0, identity.dump(), self.entropy)
        self.put(work, "identity", wrapped)
        before, self._identity = self._identity, identity
        work.undo.append(lambda: setattr(self, "_identity", before))

    def identity(self, work: Work) -> Identity:
        """This node's identity. Raises `ApiError` before it is made."""
        if self._identity is None:
            stored = self.get(work, "identity")
            if stored is None:
                raise ApiError("phase", "choose a name first")
            self._identity = Identity.load(self.rows.unwrap("meta", b"identity", 0, stored))
        return self._identity

    def profile(self, work: Work, group: str = "") -> bytes:
        """What is said of oneself at first contact, and of the group that it leads into."""
        return content.encode(content.Profile(str(self.get(work, "name")), group))

    def homes(self, work: Work) -> tuple[Home, ...]:
        """My relays, oldest first; then further addresses of the same ones, and at the end those
        that fall behind."""
        found = rows(
            work.db, "SELECT address FROM relay WHERE mine AND NOT off ORDER BY added, address"
        )
        homes = [Home.parse(address) for (address,) in found]
        first = {home.pin: home for home in reversed(homes)}
        key = lambda home: (str(home) in self.troubled, first[home.pin] is not home)  # noqa: E731
        return tuple(sorted(homes, key=key))

    # Sessions.

    def session(self, work: Work, contact: str) -> Pairwise:
        """The contact's session; forgotten again if the job fails."""
        session = self._sessions.get(contact)
        if session is None:
            found = row(work.db, "SELECT session, counter FROM contact WHERE id = ?", contact)
            if found is None:
                raise ApiError("not-found", "there is no such contact")
            if not found[0]:
                raise ApiError(
                    "not-allowed",
                    "this conversation comes from a backup, and goes on once the contact's device"
                    " has heard of yours",
                )
            plain = self.rows.unwrap("contact", contact.encode(), found[1], found[0])
            session = self._sessions[contact] = Pairwise.load(plain)
        work.undo.append(lambda: self.forget(contact))
        return session

    def forget(self, contact: str) -> None:
        """Read the session again next time."""
        self._sessions.pop(contact, None)

    def forget_verification(self, contact: str) -> None:
        """A comparison that the other side did not hear of never began."""
        self.verifications.pop(contact, None)

    def with_gap(self) -> list[str]:
        """Contacts whose open session waits for a missing record."""
        return [cid for cid, session in self._sessions.items() if session.gap is not None]

    def keep(self, work: Work, contact: str, session: Pairwise, counter: int | None = None) -> None:
        """Store the session's state; every change must come here before the job ends."""
        if counter is None:
            (counter,) = row(work.db, "SELECT counter FROM contact WHERE id = ?", contact)
        assert counter is not None
        plain = session.dump(self.entropy)
        wrapped = self.rows.wrap("contact", contact.encode(), counter + 1, plain, self.entropy)
        work.db.execute(
            "UPDATE contact SET session = ?, counter = ? WHERE id = ?",
            (wrapped, counter + 1, contact),
        )
        self._sessions[contact] = session
        work.undo.append(lambda: self.forget(contact))
        work.after.append(effects.Due(contact, session.due(self.receipts(work, contact))))

    def receipts(self, work: Work, contact: str, read: bool = False) -> bool:
        """Whether a contact is told at once what has come, or what was read."""
        settings = self.settings(work)
        wanted = settings.read_receipts if read else settings.delivery_receipts
        return wanted and contact not in self.strangers

    def say(self, work: Work, contact: str, what: content.Known) -> int:
        """Seal a content for the contact or the group and put it into the outbox; its number.
        Raises `ApiError` if nothing can be sent."""
        if row(work.db, "SELECT 1 FROM groups WHERE contact = ?", contact):
            return self.say_in_group(self, work, contact, what)
        if row(work.db, "SELECT 1 FROM channel WHERE contact = ?", contact):
            return self.say_in_channel(self, work, contact, what)
        data = content.encode(what)
        seq = self._seal(work, contact, data)
        if not isinstance(what, FOR_ONE):
            self._to_other_devices(work, contact, what, data)
        return seq

    def say_to_device(self, work: Work, id: str, what: content.Known) -> None:
        """Seal a content for the one device that this row is a session with. Raises `ApiError`."""
        self._seal(work, id, content.encode(what))

    def say_own(self, work: Work, said: sync.Known, *ids: str, but: str = "") -> None:
        """Tell other devices of this person: these, or all, `but` one."""
        data = sync.encode(said)
        found = rows(work.db, "SELECT id FROM contact WHERE kind = 'own' AND state = 'active'")
        for (id,) in found:
            if id != but and (not ids or id in ids):
                self._seal(work, id, data)

    def _to_other_devices(self, work: Work, contact: str, what: content.Known, data: bytes) -> None:
        """What is said to a contact goes to all devices of theirs, and a copy to all of mine."""
        for (id,) in rows(
            work.db,
            "SELECT id FROM contact WHERE belongs = ? AND state IN ('active', 'joining')",
            contact,
        ):
            self._seal(work, id, data)
        if isinstance(what, COPIED):
            (root,) = row(work.db, "SELECT root FROM contact WHERE id = ?", contact)
            self.say_own(work, sync.Copy(root, True, work.now, data))

    def _seal(self, work: Work, contact: str, data: bytes) -> int:
        session = self.session(work, contact)
        try:
            outgoing = session.seal(data, work.now, self.entropy)
        except CannotSend as error:
            raise ApiError("not-allowed", str(error)) from None
        except TooLong:
            raise ApiError("too-long", "this is too long for one message; split it") from None
        self.post(work, contact, session, outgoing)
        return outgoing.seq

    def post(self, work: Work, contact: str, session: Pairwise, outgoing: Outgoing) -> None:
        """Put a sealed record into the outbox, together with the session it came from."""
        (stored,) = row(work.db, "SELECT outbox FROM contact WHERE id = ?", contact)
        inbox = unpack_inbox(stored)
        rid = self.entropy(RID)
        work.db.execute(
            "INSERT INTO outgoing (contact, seq, rid, blob) VALUES (?, ?, ?, ?)",
            (contact, outgoing.seq, rid, outgoing.blob),
        )
        self.send_to_homes(work, contact, inbox, outgoing.seq, rid, outgoing.blob)
        self.keep(work, contact, session)

    def send_to_homes(
        self, work: Work, contact: str, inbox: Inbox, seq: int, rid: bytes, blob: bytes
    ) -> None:
        """Append a kept record at every home, now and until each has it."""
        for home in inbox.homes:
            work.db.execute(
                "INSERT OR IGNORE INTO unsent VALUES (?, ?, ?, ?)",
                (rid, str(home), contact, seq),
            )
            work.after.append(effects.Append(inbox.caps, home, rid, blob, LIFETIME))

    # Logs.

    def want(self, work: Work, caps: Caps, home: Home, most: int = 0) -> None:
        """Make a log at a home, now and until it is made."""
        work.db.execute(
            "INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?)",
            (caps.locator, str(home), pack_caps(caps), most),
        )
        work.after.append(effects.Create(caps, home, most))

    def drop(self, work: Work, caps: Caps, home: Home) -> None:
        """Delete a log at a home, now and until that relay was reached."""
        work.db.execute(
            "DELETE FROM wanted WHERE locator = ? AND home = ?",
            (caps.locator, str(home)),
        )
        work.db.execute(
            "DELETE FROM position WHERE locator = ? AND home = ?", (caps.locator, str(home))
        )
        work.db.execute(
            "INSERT OR REPLACE INTO unwanted VALUES (?, ?, ?, ?)",
            (caps.locator, str(home), pack_caps(caps), work.now),
        )
        work.after.append(effects.Unfollow(caps, home))
        work.after.append(effects.Drop(caps, home))

    def position(self, work: Work, locator: bytes, home: str) -> int:
        """How far the log was read at that home."""
        found = row(
            work.db,
            "SELECT seq FROM position WHERE locator = ? AND home = ?",
            locator,
            home,
        )
        return 0 if found is None else int(found[0])

    # News.

    def touch_message(self, work: Work, *ids: int) -> None:
        """These messages are new or changed: move them on and tell. Call it last."""
        for id in ids:
            (cursor,) = row(
                work.db,
                "INSERT INTO meta VALUES ('cursor', 1) ON CONFLICT(name)"
                " DO UPDATE SET value = value + 1 RETURNING value",
            )
            work.db.execute("UPDATE message SET cursor = ? WHERE id = ?", (cursor, id))
            work.after.append(effects.Tell(MessageChanged(views.message(work.db, id))))

    def touch_contact(self, work: Work, contact: str) -> None:
        """The contact is new or changed: tell."""
        kind, belongs = row(work.db, "SELECT kind, belongs FROM contact WHERE id = ?", contact)
        if kind == "own":
            work.after.append(effects.Tell(DevicesChanged()))
        else:
            shown = views.contact(work.db, belongs or contact)
            work.after.append(effects.Tell(ContactChanged(shown)))

    def touch_invitation(self, work: Work, id: str) -> None:
        """The invitation is new or changed: tell, unless nobody made it."""
        if row(work.db, "SELECT 1 FROM invitation WHERE id = ? AND renews <> ''", id):
            return
        work.after.append(
            effects.Tell(InvitationChanged(views.invitation(work.db, self.rows, id, work.now)))
        )

    def note(self, work: Work, contact: str, note: str, **values: object) -> int:
        """An entry of the node's own in the conversation; its id."""
        fields = {
            "at": work.now,
            "received": work.now,
            "text": "",
            "count": 0,
            "until": 0,
            "author": b"",
        }
        fields |= values
        work.db.execute(
            "INSERT INTO message (contact, cursor, mine, mid, kind, note, text, at, received,"
            " until, count, author, state, seen)"
            " VALUES (?, 0, 1, ?, 'note', ?, ?, ?, ?, ?, ?, ?, 'received', 1)",
            (
                contact,
                self.entropy(16),
                note,
                fields["text"],
                fields["at"],
                fields["received"],
                fields["until"],
                fields["count"],
                fields["author"],
            ),
        )
        id = work.db.last_insert_rowid()
        clock = ordering.now(work, contact)
        if clock:
            ordering.put(work, id, max(clock, work.now), b"", id.to_bytes(8, "big"))
        self.touch_message(work, id)
        return id
