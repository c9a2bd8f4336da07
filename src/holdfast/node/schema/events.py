"""What a node tells by itself. See `schema`."""

from __future__ import annotations

from msgspec import Struct

from holdfast.node.schema.basic import Id
from holdfast.node.schema.calls import Call
from holdfast.node.schema.devices import Linking
from holdfast.node.schema.network import Status
from holdfast.node.schema.people import Contact, Invitation, Verification
from holdfast.node.schema.settings import Settings
from holdfast.node.schema.talk import Message


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


class DevicesChanged(Struct, frozen=True, tag="devices"):
    """A device was linked, removed or given a name: ask for `devices`."""


class LinkingChanged(Struct, frozen=True, tag="linking"):
    linking: Linking | None


class PastProgress(Struct, frozen=True, tag="past"):
    """Messages of the past that were given to a new device, or came to this one."""

    done: int
    total: int


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
    | DevicesChanged
    | LinkingChanged
    | PastProgress
)
