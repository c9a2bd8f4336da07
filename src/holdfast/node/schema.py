"""The node's API: what the web interface, the CLI and bots call, and what they hear.

JSON-RPC 2.0 over a WebSocket on 127.0.0.1. A request's method is the name of a
method of `NodeApi`, its params an object of that method's arguments, its result
the returned type as JSON. What happens by itself arrives as a notification with
method `event` and one of `Event` as its params.

These types are the one source: TypeScript's and the page in spec/node-api.md are
generated from here. Times are milliseconds since 1970 by this machine's clock.
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from holdfast.node.schema_basic import (
    Duration,
    Emoji,
    FileName,
    Id,
    MediaType,
    Millis,
    Name,
    Passphrase,
    Seconds,
    Side,
    Thumb,
    Wave,
    Words,
)
from holdfast.node.schema_groups import Author, Group, GroupMember, GroupVoid, Role

__all__ = ["Author", "Group", "GroupMember", "GroupVoid", "Role"]

Line = Literal["whole", "thin", "dotted", "pieces", "double", "broken"]
"""The path line's shape; see the interface's table by rung."""
Network = Literal[
    "clear", "freeze", "fingerprint", "name-block", "dns-block", "address-block", "allowlist",
    "throttled", "udp-block", "away", "impostor", "portal", "learned", "offline", "unknown",
]  # fmt: skip
"""What the network does to connections with relays. clear: nothing. freeze: they go silent after
some kilobytes. fingerprint: one kind of connection is cut, another is not. name-block: cut when
the relay's name is seen. dns-block: the name is not found, others are. address-block: nothing
reaches the relay, others can be. allowlist: only listed places can. throttled: much slower than
other places. udp-block: what goes over UDP is lost, TCP to the same machine is not. away: the
relay's machine answers, the relay does not. impostor: somebody else answers. portal: something else
answers in the place of every relay, as a login page does. learned: one relay was cut off after it
had worked, others work. offline: nothing can be reached at all, as far as that was tried."""
Phase = Literal["new", "locked", "ready"]
"""No identity yet; identity behind a passphrase; running."""


class Relay(Struct, frozen=True, kw_only=True):
    """One relay that this node keeps logs on, without the secrets of its address."""

    id: Id
    label: str
    state: Literal["connecting", "connected", "waiting", "idle"]
    """idle: kept in reserve, or turned off."""
    why: str = ""
    """The last failure in plain words, empty while connected."""
    failure: Literal[
        "",
        "proxy",
        "dns",
        "connect",
        "refused",
        "mute",
        "tls",
        "pin",
        "upgrade",
        "closed",
        "timeout",
    ] = ""
    """How far it came, as in `Fact`."""
    since: Millis
    mine: bool
    """One of this node's own homes, rather than only a contact's."""
    contacts: list[str] = []
    """Names of contacts who use it, or told of it."""
    off: bool = False
    """Turned off: nothing of this node's is made there; only what a contact reads there is written
    there."""
    trouble: Literal["", "slow", "behind", "refuses", "strange"] = ""
    """How it falls behind other relays: takes what others have taken long before, brings late or
    not at all what others bring, is full, brings what nobody wrote. It is waited for no longer, and
    the last choice for what is new, until it has kept up for ten minutes."""


class Status(Struct, frozen=True, kw_only=True):
    """What works now."""

    version: str
    phase: Phase
    name: str = ""
    line: Line = "broken"
    verdict: Literal["clear", "connecting", "offline", "relay-away", "no-relay"] = "offline"
    """offline: no relay can be reached at all. relay-away: the machine of one answers, but
    not as the relay, so it is not the internet that is missing."""
    network: Network = "unknown"
    relays: list[Relay] = []
    waiting: int = 0
    """Messages of mine that no relay has yet."""
    echo: bool = False
    """Whether `add_echo` can add the contact that answers, for trying things out."""
    simulator: bool = False
    near: list[str] = []
    """Contacts that are on the same local network, by id."""
    finds: bool = False
    """Whether this node can look for them at all."""


class Fact(Struct, frozen=True, kw_only=True):
    """One thing that connections met."""

    place: str
    """A relay's host and port; domestic or foreign for places that nobody blocks."""
    path: str = ""
    """By which path, if by one."""
    what: Literal[
        "works", "crawls", "unreached", "over", "answers", "silent",
        "proxy", "dns", "connect", "refused", "mute", "tls", "pin", "upgrade", "closed", "timeout",
        "frozen", "slow", "lost",
    ]  # fmt: skip
    """works. crawls: at `kbits`. unreached: another relay does not reach it either. over: not
    reached any more. answers, silent: of places that nobody blocks. Else how it failed."""
    kbits: int = 0


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What the network does, and the facts that say so, for people to read and to keep."""

    network: Network
    evidence: list[str]
    """The facts as sentences."""
    facts: list[Fact] = []


class KnownPath(Struct, frozen=True, kw_only=True):
    """How one relay was reached on a network."""

    relay: str
    path: str
    """What worked last, "" if nothing did."""
    trouble: list[str] = []
    """Paths that did not work, and how."""


class KnownNetwork(Struct, frozen=True, kw_only=True):
    """A network that this machine was on, as far as it is remembered: no name, no place."""

    id: Id
    current: bool
    seen: Millis
    relays: list[KnownPath] = []


class Switch(Struct, frozen=True, kw_only=True):
    """Something a pretended censor can do, and whether it does."""

    name: str
    on: bool


class Simulator(Struct, frozen=True, kw_only=True):
    """A pretended censor between this node and its relay on the same machine, to try out."""

    switches: list[Switch]


class Settings(Struct, frozen=True, kw_only=True):
    """What a person chose. `update_settings` takes the same names, each optional."""

    language: Literal["auto", "en", "ru"] = "auto"
    theme: Literal["auto", "light", "dark"] = "auto"
    read_receipts: bool = True
    delivery_receipts: bool = True
    typing: bool = True
    single_keys: bool = True
    near: bool = False
    """Whether contacts are looked for on the local network, and told there that one is here."""
    timer: Seconds = 0
    """Lifetime of messages in new conversations, 0 for ever."""
    passphrase: bool = False
    """Whether a passphrase locks this machine's copy (changed by `set_passphrase`)."""


class ReportPlace(Struct, frozen=True, kw_only=True):
    """A region or an operator that an observatory knows."""

    code: str
    en: str = ""
    ru: str = ""


class ServicePage(Struct, frozen=True, kw_only=True):
    """A service, and the page by which a node measures it."""

    name: str
    url: str


class Reporting(Struct, frozen=True, kw_only=True):
    """Which observatory is told what does not work, and from where. Off while `url` is empty."""

    url: str = ""
    region: str = ""
    operator: str = ""
    automatic: bool = False
    """Whether what the network does to this node is told once an hour, without being asked."""
    measured: list[str] = []
    """Services that are measured then, too, each by a look at its page."""
    tokens: int = 0
    """That are here, got ahead."""
    keys: str = ""
    """Fingerprint of the keys for tokens that serve today: everybody who reports there sees the
    same, or it tells people apart."""
    waiting: int = 0
    """Reports that could not be sent yet."""
    trouble: str = ""
    """Why the last attempt failed."""
    regions: list[ReportPlace] = []
    operators: list[ReportPlace] = []
    services: list[str] = []
    looks: list[ServicePage] = []
    """Of the services that can be measured."""
    counted: int = 0
    """Reports that were counted by this call of `complain` or `measure_now`."""


class Reaction(Struct, frozen=True, kw_only=True):
    emoji: str
    mine: bool
    at: Millis
    name: str = ""
    """Whose it is, in a group."""


FileKind = Literal["file", "picture", "voice"]


class Quote(Struct, frozen=True, kw_only=True):
    """The replied-to message as it is now; `text` is empty when it is gone."""

    id: Id
    mine: bool
    text: str
    """Of a file its name, of a voice note nothing."""
    file: FileKind | None = None
    author: Author | None = None
    """Who wrote it, in a group."""


class Attachment(Struct, frozen=True, kw_only=True):
    """What a message carries besides words. Its bytes are at `/files/MESSAGE-ID`."""

    kind: FileKind
    name: str
    """Made harmless: no path, nothing invisible, nothing that reorders."""
    type: str
    """A media type that the interface can show or play, else application/octet-stream."""
    size: int
    """Bytes."""
    state: Literal["sending", "sent", "offered", "fetching", "whole", "gone"]
    """Mine: sending, sent (a relay has all of it), whole (they have it). Theirs:
    offered (waits to be asked for), fetching, whole, gone (no relay has it any more)."""
    done: int = 0
    """Bytes that a relay has (mine) or that are here (theirs)."""
    rate: int = 0
    """Bytes a second lately, 0 while nothing moves."""
    thumb: str = ""
    """A small picture made by the sender, as a data: URL."""
    width: int = 0
    height: int = 0
    duration: Millis = 0
    wave: list[int] = []
    """Loudness along a voice note, 0 to 31, at most 64 values."""


class PollOption(Struct, frozen=True, kw_only=True):
    text: str
    votes: int
    mine: bool
    names: list[str] = []
    """Who chose it, in a group; not me."""


class Poll(Struct, frozen=True, kw_only=True):
    """What a message asks. Who chose what is seen by all."""

    options: list[PollOption]
    many: bool
    voters: int


class CallEntry(Struct, frozen=True, kw_only=True):
    """A call as the conversation remembers it."""

    outcome: Literal["talked", "missed", "unanswered", "declined", "busy", "lost", "failed"]
    duration: Millis = 0


class Message(Struct, frozen=True, kw_only=True):
    """One entry of a conversation."""

    id: Id
    contact: Id
    order: int
    """Position in the conversation: ascending, never changes."""
    cursor: int
    """Rises with every change of any message; `listen` goes on from it."""
    mine: bool
    author: Author | None = None
    """Who wrote it, in a group; null if it was me."""
    kind: Literal["text", "file", "call", "note"]
    """A note is what the node has to say: see `note`."""
    note: Literal[
        "",
        "added",
        "verified",
        "unverified",
        "renamed",
        "timer",
        "gap",
        "lost",
        "key-changed",
        "restored",
        "from-call",
        "group-made",
        "group-joined",
        "group-added",
        "group-removed",
        "group-banned",
        "group-unbanned",
        "group-left",
        "group-member",
        "group-admin",
        "group-owner",
        "group-link",
        "told",
    ] = ""
    """gap: the internet was off from `at` to `until`, `count` messages came after it.
    lost: `count` messages could not be recovered. timer: `count` seconds. renamed:
    `text` is the new name. from-call: a voice note of what came too late for a call.
    group-…: `author` did it, to whom `text` names, and `count` more. group-joined: I was
    added. group-member, -admin, -owner: that is their role now. group-link: the
    invitation leads into the group `text`. told: a text from before I came, as
    whoever added me told it."""
    text: str = ""
    at: Millis
    """When it was written, by its author's clock, never later than when it came."""
    received: Millis
    until: Millis = 0
    count: int = 0
    edited: Millis = 0
    deleted: bool = False
    reply_to: Quote | None = None
    file: Attachment | None = None
    call: CallEntry | None = None
    reactions: list[Reaction] = []
    state: Literal["waiting", "sent", "delivered", "read", "received", "unsent"]
    """waiting: no relay has it. sent: a relay keeps it. unsent: it never arrived and is not
    sent again by itself, since the contact's key is another. The rest is what they said."""
    read_at: Millis = 0
    expires: Millis = 0
    """When it disappears here, 0 for never."""
    stale: bool = False
    """Written by somebody who did not know yet that a member of the group had been removed."""
    poll: Poll | None = None
    pinned: bool = False
    mention: bool = False
    """It names me."""


class Contact(Struct, frozen=True, kw_only=True):
    """Whom one has a conversation with: a person, Echo, or a group."""

    id: Id
    kind: Literal["person", "group"] = "person"
    name: str
    """What they call themselves, or what you call them."""
    own_name: str
    """What they call themselves."""
    state: Literal["joining", "active", "frozen", "used", "blocked", "restored", "left", "removed"]
    """restored: known from a backup; their device has not heard of this one yet.
    joining: the invitation was accepted, their first answer is awaited.
    frozen: their identity changed in a way that must be looked at; nothing is sent.
    used: somebody else had accepted the invitation before; ask for a new one.
    left, removed: I am not in this group any more."""
    members: int = 0
    """How many are in the group."""
    leads: bool = True
    """Whether I may do what admins do; true with a person."""
    via: Id = ""
    """The group through which they became a contact, by a link or from within."""
    verified: bool
    direct: bool = False
    """Whether calls may go straight between the two computers, if they allow it as well. Only
    while verified: each then learns the other's address."""
    echo: bool = False
    looks_like: str = ""
    """Another contact's name that this one could be mistaken for."""
    added: Millis
    unread: int = 0
    timer: Seconds = 0
    typing: bool = False
    last: Message | None = None
    waiting: int = 0


class Backup(Struct, frozen=True, kw_only=True):
    """A backup that was made."""

    path: str
    """Where it is, if a path was given."""
    size: int
    contacts: int
    messages: int


class Invitation(Struct, frozen=True, kw_only=True):
    id: Id
    link: str
    qr: str
    """SVG of the link as a QR code, dark on white; uses the `holdfast:` form."""
    many: bool
    label: str = ""
    created: Millis
    expires: Millis
    state: Literal["preparing", "open", "used", "expired", "revoked"]
    """preparing: no relay has it yet, the link does not work before one has."""
    used_by: Id = ""
    group: Id = ""
    """The group that it leads into."""
    approve: bool = False
    """Whether an admin admits everybody by hand."""


class Verification(Struct, frozen=True, kw_only=True):
    """A comparison of emoji in progress. Both see the same seven."""

    contact: Id
    state: Literal["asked", "waiting", "compare", "confirmed", "done", "mismatch", "cancelled"]
    """asked: they want to compare, `start_verification` joins. waiting: for their node.
    compare: show emoji. confirmed: you said they match, they have not yet."""
    emoji: list[tuple[str, str]] = []
    """Seven pairs of symbol and English name."""


class Hit(Struct, frozen=True, kw_only=True):
    message: Message
    before: str
    match: str
    after: str


class Call(Struct, frozen=True, kw_only=True):
    """A call that is going on, or has just ended. At most one at a time."""

    id: Id
    contact: Id
    outgoing: bool
    state: Literal["calling", "ringing", "connecting", "talking", "ended"]
    """calling: their node has not answered. ringing: it rings there, or (not outgoing) here.
    connecting: accepted, nothing was heard yet."""
    reason: Literal["", "hung-up", "declined", "busy", "missed", "unanswered", "lost", "failed"] = (
        ""
    )
    """Why it ended."""
    since: Millis = 0
    """When talking began."""
    muted: bool = False
    their_muted: bool = False
    line: Line = "whole"
    delay: Millis = 0
    """From mouth to ear, estimated, without the devices."""
    lost: int = 0
    """Of a hundred frames, how many did not come in time lately."""
    away: Millis = 0
    """Since when nothing comes from them, 0 while it does."""
    offline: bool = False
    """It is this side that has no network."""


class CallSample(Struct, frozen=True, kw_only=True):
    """How a call was at a moment, as this side heard it."""

    at: Millis
    """Of the call."""
    rung: str
    """How what they said was coded; "bursts" where it came in bursts."""
    way: Literal["live", "bursts", "none"]
    """How what was said here left."""
    delay: Millis
    lost: int


class CallMoment(Struct, frozen=True, kw_only=True):
    """Something that was decided in a call, and why."""

    at: Millis
    what: Literal["way", "no-way", "two-ways", "goes-on", "coding", "bursts", "live"]
    """way: by another way. no-way: there is no live one. two-ways: by two at once. goes-on: a
    silent one answers. coding: in another coding. bursts: in bursts. live: live again."""
    why: Literal[
        "start", "came", "gone", "answers", "silent", "all-silent", "none", "proved", "well",
        "queue", "calm", "lost", "lost-no-more", "behind", "too-much", "bursting",
    ]  # fmt: skip
    of: str = ""
    """The number of the way (of each relay of the call datagrams, and behind them the stream; 6 is
    straight to the other side), or the coding's name."""
    figures: list[int] = []
    """Of the reason: silent, all-silent, none, calm, behind: ms. well: s. queue: ms that it is
    long, kbit/s that get through. lost: of a hundred."""
    again: int = 0
    """Frames that are sent again."""


class CallStory(Struct, frozen=True, kw_only=True):
    """How a call went."""

    samples: list[CallSample] = []
    """About one a second; of long calls, fewer."""
    moments: list[CallMoment] = []


class Page(Struct, frozen=True, kw_only=True):
    messages: list[Message]
    """Ascending by `order`."""
    more: bool
    """Whether there are earlier ones."""


# Events.


class StatusChanged(Struct, frozen=True, tag="status"):
    status: Status


class SettingsChanged(Struct, frozen=True, tag="settings"):
    settings: Settings


class ContactChanged(Struct, frozen=True, tag="contact"):
    contact: Contact


class ContactRemoved(Struct, frozen=True, tag="contact-removed"):
    id: Id


class MessageChanged(Struct, frozen=True, tag="message"):
    """A message is new or not what it was."""

    message: Message


class MessageGone(Struct, frozen=True, tag="message-gone"):
    """A message disappeared without a trace: its time was over, or it was cleared here."""

    contact: Id
    id: Id
    cursor: int


class TypingChanged(Struct, frozen=True, tag="typing"):
    contact: Id
    typing: bool


class BackupProgress(Struct, frozen=True, tag="backup"):
    """Bytes of a backup that is being made."""

    done: int
    total: int


class InvitationChanged(Struct, frozen=True, tag="invitation"):
    invitation: Invitation


class VerificationChanged(Struct, frozen=True, tag="verification"):
    verification: Verification


class FileMoved(Struct, frozen=True, tag="file"):
    """How far a file has come; its message tells the rest."""

    contact: Id
    message: Id
    done: int
    rate: int


class CallChanged(Struct, frozen=True, tag="call"):
    call: Call


Event = (
    StatusChanged
    | SettingsChanged
    | ContactChanged
    | ContactRemoved
    | MessageChanged
    | MessageGone
    | TypingChanged
    | InvitationChanged
    | VerificationChanged
    | FileMoved
    | CallChanged
    | BackupProgress
)


class NodeApi(Protocol):
    """Every call. Errors have a code name in `error.data.code` and a sentence in `message`.

    Codes: phase (not in this phase), not-found, bad-link, used, expired, own-link,
    wrong-passphrase, taken, no-relay, too-long, not-allowed, bad-params,
    storage (the disk did not take it), internal.
    """

    # The node itself.
    async def status(self) -> Status:
        """What works now; answered in every phase."""

    async def diagnose(self) -> Diagnosis:
        """What the network does to this node's connections, from what they met; nothing is
        sent for it."""

    async def known_networks(self) -> list[KnownNetwork]:
        """Networks of which this node remembers how relays were reached there, the last one
        first."""

    async def forget_networks(self) -> None:
        """Forget all of it, of the present network too."""

    async def simulator(self) -> Simulator:
        """The pretended censor. not-found: this node has none."""

    async def simulate(self, switch: str, on: bool) -> Simulator:
        """Let the pretended censor do something, or stop it. not-found."""

    async def set_up(self, name: Name, passphrase: Passphrase | None = None) -> Status:
        """Make the identity. Phase new."""

    async def back_up(self, passphrase: Passphrase, path: str = "", files: bool = True) -> Backup:
        """Everything that a new machine needs, in one file that only the passphrase opens: who
        you are, contacts, conversations, settings and, with `files`, what they carry; no session.
        `path` is a new file on the node's machine; without one the file is at GET /backup until
        the next one or the next start. Progress comes as events. bad-params, storage."""

    async def restore(self, passphrase: Passphrase, path: str = "") -> Status:
        """Begin with a backup, from a file of the node's machine or what was put to POST /backup.
        This is a new device then, and the only one: each contact is told and goes on with it
        once its node has heard. Phase new. wrong-passphrase, bad-params (not a backup, or
        damaged), storage."""

    async def unlock(self, passphrase: Passphrase) -> Status:
        """Open the database. Phase locked."""

    async def launch_link(self) -> str:
        """A new link that opens the web interface in one browser, once."""

    async def settings(self) -> Settings:
        """What was chosen."""

    async def update_settings(
        self,
        language: Literal["auto", "en", "ru"] | None = None,
        theme: Literal["auto", "light", "dark"] | None = None,
        read_receipts: bool | None = None,
        delivery_receipts: bool | None = None,
        typing: bool | None = None,
        single_keys: bool | None = None,
        near: bool | None = None,
        timer: Seconds | None = None,
    ) -> Settings:
        """Change what is given, leave the rest."""

    async def set_passphrase(
        self, new: Passphrase | None, current: Passphrase | None = None
    ) -> Settings:
        """Set, change or (with null) remove the passphrase."""

    async def rename_me(self, name: Name) -> Status:
        """Change one's own name; contacts are told."""

    async def add_relay(self, address: str) -> Status:
        """Make a relay one of this node's homes; conversations that there are use it too."""

    async def remove_relay(self, id: Id) -> Status:
        """Make no more logs there; what is read there moves to other relays, if there are any. A
        relay that only a contact told of is forgotten."""

    async def set_relay(self, id: Id, mine: bool | None = None, off: bool | None = None) -> Status:
        """Make a contact's relay one of one's own, or no longer; turn it off or on again."""

    # Invitations.
    async def create_invitation(
        self, many: bool = False, hours: int = 72, label: str = ""
    ) -> Invitation:
        """A new link. Answers at once; `state` says whether a relay has it yet."""

    async def invitations(self) -> list[Invitation]:
        """All that are open, and those that ended in the last days."""

    async def revoke_invitation(self, id: Id) -> Invitation:
        """End it; the link opens nothing from then on."""

    async def accept_invitation(self, link: str) -> Contact:
        """Fetch what the link points to and become contacts. Needs the network once."""

    async def add_echo(self) -> Contact:
        """Add Echo, if this node was given its link."""

    # Contacts.
    async def contacts(self) -> list[Contact]:
        """Newest conversation first."""

    async def contact(self, contact: str) -> Contact:
        """One, by id or by exact name."""

    async def rename_contact(self, contact: str, name: str) -> Contact:
        """Your own name for them; empty goes back to theirs."""

    async def set_timer(self, contact: str, seconds: Seconds) -> Contact:
        """Lifetime of messages from now on, both ways."""

    async def block_contact(self, contact: str, blocked: bool = True) -> Contact:
        """Stop reading what they send; undone with false."""

    async def allow_direct(self, contact: str, allowed: bool) -> Contact:
        """Let calls with a verified contact go straight, or by relays alone."""

    async def delete_contact(self, contact: str) -> None:
        """Delete the conversation, its keys and its logs."""

    # Groups. A group is a conversation: all that takes a contact's id takes a group's.
    async def create_group(self, title: Name, members: list[str]) -> Contact:
        """A group with these contacts, by id or by exact name. They are in it at once."""

    async def group(self, contact: str) -> Group:
        """Who is in it, and what holds."""

    async def add_members(self, contact: str, members: list[str]) -> Group:
        """Add contacts. They read what is written from now on."""

    async def remove_member(self, contact: str, member: str, ban: bool = False) -> Group:
        """Remove one, by id or name; they read nothing that is written from now on. `ban`:
        nobody adds them again, until `unban_member`."""

    async def unban_member(self, contact: str, member: str) -> Group:
        """Let them be added again."""

    async def set_role(self, contact: str, member: str, role: Role) -> Group:
        """Make somebody a member, an admin, or the owner, which I am no longer then."""

    async def set_group(
        self,
        contact: str,
        title: Name | None = None,
        timer: Seconds | None = None,
        slow: Seconds | None = None,
        history: int | None = None,
        adding: Literal["admins", "members"] | None = None,
    ) -> Group:
        """Change what is given, for everybody. Admins may."""

    async def create_group_link(
        self, contact: str, approve: bool = True, hours: int = 72
    ) -> Invitation:
        """A link for many into a group that I lead. With `approve` I admit each by hand, without
        it whoever has the link is in it at once."""

    async def answer_request(self, contact: str, person: str, admit: bool) -> Group:
        """Admit somebody who came by such a link, or do not."""

    async def write_to_member(self, contact: str, member: str) -> None:
        """Invite a member who is no contact of mine, through the group. Once their node has
        answered, they are a contact."""

    async def renew_group(self, contact: str) -> Group:
        """Begin with a fresh key, which only those have who are in the group now."""

    async def leave_group(self, contact: str) -> Contact:
        """Leave; what was written stays here. An owner appoints another one first."""

    # Messages.
    async def messages(self, contact: str, before: int | None = None, limit: int = 50) -> Page:
        """A conversation backwards from its end, or from an `order`. Limit to 200."""

    async def messages_around(self, contact: str, id: Id, limit: int = 50) -> Page:
        """The neighbourhood of one message, to jump to it."""

    async def send(
        self,
        contact: str,
        text: Words,
        reply_to: Id | None = None,
        key: Id | None = None,
    ) -> Message:
        """Write. Durable when answered. The same `key` twice is the same message."""

    async def edit(self, id: Id, text: Words) -> Message:
        """Change a message of mine."""

    async def delete(self, id: Id, for_both: bool = True) -> Message | None:
        """Take back a message of mine, or remove any one here only."""

    async def react(self, id: Id, emoji: Emoji | None) -> Message:
        """Set or (null) remove my reaction."""

    async def create_poll(
        self,
        contact: str,
        question: Words,
        options: list[str],
        many: bool = False,
        key: Id | None = None,
    ) -> Message:
        """Ask something with 2 to 12 answers to choose from."""

    async def vote(self, id: Id, choices: list[int]) -> Message:
        """Choose answers of a poll by number, in the place of those before."""

    async def pin(self, id: Id, on: bool = True) -> Message:
        """Keep a message in sight for everybody, or no longer. In a group, admins may."""

    async def pinned(self, contact: str) -> list[Message]:
        """What is pinned, the last first."""

    async def mark_read(self, contact: str, upto: Id) -> Contact:
        """Everything up to this message has been seen."""

    async def set_typing(self, contact: str, typing: bool) -> None:
        """Tell them, if the setting allows."""

    async def search(self, words: str, contact: str | None = None, limit: int = 50) -> list[Hit]:
        """Newest first; every word must occur, the last may be a beginning."""

    async def listen(self, since: int | None = None) -> int:
        """Send events from now on; first every message changed after `since`.

        Answers the cursor reached."""

    async def export(self, contact: str) -> list[Message]:
        """A whole conversation."""

    async def export_page(self, contact: str, language: Literal["en", "ru"] = "en") -> str:
        """A whole conversation as a web page to keep: text alone, without script."""

    # Files and voice notes. Their bytes go over HTTP, see spec/node-api.md.
    async def send_file(
        self,
        contact: str,
        upload: Id,
        name: FileName,
        kind: FileKind = "file",
        type: MediaType = "",
        thumb: Thumb = "",
        width: Side = 0,
        height: Side = 0,
        duration: Duration = 0,
        wave: Wave | None = None,
        reply_to: Id | None = None,
        key: Id | None = None,
    ) -> Message:
        """Send what was uploaded. `thumb` is a JPEG, PNG or WebP in base64."""

    async def discard_upload(self, upload: Id) -> None:
        """Delete an upload that is not to be sent after all."""

    async def fetch_file(self, id: Id) -> Message:
        """Get a file that was offered; goes on by itself from where it was."""

    async def cancel_file(self, id: Id) -> Message:
        """Take mine back, for both; or stop getting theirs, which can be asked for again."""

    # Calls. Their sound goes over a WebSocket, see spec/node-api.md.
    async def calls(self) -> list[Call]:
        """The call that is going on, if any."""

    async def start_call(self, contact: str) -> Call:
        """Ring them."""

    async def accept_call(self, id: Id) -> Call:
        """Answer; from now on, and no earlier, sound leaves."""

    async def decline_call(self, id: Id) -> Call:
        """Do not answer; they learn it."""

    async def hang_up(self, id: Id) -> Call:
        """End it, or stop ringing them."""

    async def mute_call(self, id: Id, muted: bool) -> Call:
        """Send silence, or sound again."""

    async def call_story(self, message: Id) -> CallStory:
        """How the call went of which this is the entry. Nothing is known of some: they were not
        talked in, or lie a week back."""

    # Telling an observatory.
    async def reporting(self) -> Reporting:
        """What was chosen, and what waits."""

    async def observatory(self, url: str) -> Reporting:
        """What the observatory at this address knows, without choosing it. not-allowed."""

    async def set_reporting(
        self,
        url: str,
        region: str = "",
        operator: str = "",
        automatic: bool = False,
        services: list[str] | None = None,
    ) -> Reporting:
        """Choose an observatory, and which services to measure for it; with an empty address, none.
        not-allowed."""

    async def complain(self, functions: list[str]) -> Reporting:
        """Tell that these do not work: text, voice, calls, video, media, internet, or
        service:NAME. What cannot be sent now is sent later the same day. not-allowed."""

    async def measure_now(self) -> Reporting:
        """Measure what was chosen, and tell it, once an hour at most. not-allowed."""

    # Verification.
    async def start_verification(self, contact: str) -> Verification:
        """Ask to compare emoji, or join the other's asking."""

    async def verification(self, contact: str) -> Verification | None:
        """The comparison in progress."""

    async def confirm_verification(self, contact: str, match: bool) -> Verification:
        """Say whether the seven emoji were the same."""
