"""Every call of the node's API. See `schema`."""

from __future__ import annotations

from typing import Literal, Protocol

from holdfast.node.schema.basic import (
    Duration,
    Emoji,
    FileName,
    Id,
    MediaType,
    Name,
    Passphrase,
    Seconds,
    Side,
    Thumb,
    Wave,
    Words,
)
from holdfast.node.schema.calls import Call, CallStory
from holdfast.node.schema.channels import Channel
from holdfast.node.schema.devices import Device, Linking
from holdfast.node.schema.groups import Group, Role
from holdfast.node.schema.network import Diagnosis, KnownNetwork, Simulator, Status
from holdfast.node.schema.people import Contact, Invitation, Verification
from holdfast.node.schema.settings import Backup, Reporting, Settings
from holdfast.node.schema.talk import FileKind, Hit, Message, Page


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
        admit: bool | None = None,
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
    async def devices(self) -> list[Device]:
        """This person's devices, the first one first."""

    async def link_device(self, past: bool = True) -> Linking:
        """Show a code for one new device, good for a quarter of an hour; `past`: it is given what
        was said before. On the first device only. A code that was shown before ends."""

    async def join_device(
        self, code: str, name: Name, passphrase: Passphrase | None = None
    ) -> Linking:
        """Make this node, on which there is nobody yet, a device of the person whose code this is.
        Phase new."""

    async def linking(self) -> Linking | None:
        """A linking that goes on, or the last one."""

    async def confirm_link(self, match: bool) -> Linking:
        """Say whether the other device shows the same seven emoji. Only after both have said so is
        anything given."""

    async def cancel_link(self) -> None:
        """Stop linking. A new device is as if nothing had been."""

    async def rename_device(self, id: Id, name: Name) -> list[Device]:
        """Call a device something, on all of them."""

    async def remove_device(self, id: Id) -> list[Device]:
        """A device of this person's is one no longer: all other devices and all contacts are told,
        and send it nothing from then on. On the first device only."""

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

    async def accept_contact(self, contact: str) -> Contact:
        """Accept somebody who came unasked, or a group into which one was added so. Writing to
        them or calling them does the same; `block_contact`, `delete_contact` and `leave_group`
        say no."""

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

    async def block_member(self, contact: str, member: str, blocked: bool = True) -> Group:
        """Take nothing any more of what somebody says, in groups or to me; undone with false.
        Nobody learns of it. What they say meanwhile stays away."""

    async def renew_group(self, contact: str) -> Group:
        """Begin with a fresh key, which only those have who are in the group now."""

    async def leave_group(self, contact: str) -> Contact:
        """Leave; what was written stays here. An owner appoints another one first."""

    # Channels. A channel is a conversation: `send`, `edit` and `delete` are its owner's,
    # `messages` and `mark_read` everybody's, `delete_contact` ends it or stops reading it.
    async def create_channel(
        self, title: Name, about: str = "", name: Name | None = None
    ) -> Contact:
        """A channel of mine, at my relays. Whoever has its link reads it. With the `name` that I
        write under, an open group: whoever has its link writes in it too, text only, each with a
        key made for it alone; I remove what others wrote by `delete`."""

    async def channel(self, contact: str) -> Channel:
        """What it is, its link, and what is missing."""

    async def set_channel(
        self,
        contact: str,
        title: Name | None = None,
        about: str | None = None,
        comments: str | None = None,
    ) -> Channel:
        """Change what is given, for everybody. `comments`: a group of mine, by id or exact name,
        into which every reader is then invited; empty for none."""

    async def follow_channel(self, link: str, name: Name | None = None) -> Contact:
        """Read a channel from now on; its owner does not learn who. `accept_invitation` takes such
        links too. With a `name`, write in an open group under it; again to change it. bad-link."""

    async def silence_writer(self, contact: str, writer: Id) -> None:
        """Nothing that the `author` with this id wrote or will write is shown in an open group of
        mine, for everybody. It cannot be undone, and they can come back with another key."""

    async def move_channel(self, contact: str, public: bool = False) -> Contact:
        """Begin a new channel in the place of one of mine, which ends by pointing to it. `public`:
        with the new link, for everybody who has the old one; without, readers know the new one
        when they are given its link."""

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
        """Take back a message of mine, or remove any one here only. In a group that I lead,
        others' messages too: removed for all, but for the owner's."""

    async def report_message(self, id: Id, words: Words | None = None) -> None:
        """Tell those who lead a group what somebody wrote in it, or from within it to somebody who
        had not accepted them, with proof. not-found: nobody else leads it, or nothing proves it."""

    async def answer_report(
        self,
        contact: str,
        id: Id,
        remove: bool = False,
        expel: bool = False,
        ban: bool = False,
    ) -> Group:
        """Answer a report: `remove` the message for all, `expel` its author from the group, both,
        or neither, which dismisses it."""

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
