"""The node's API: what the web interface, the CLI and bots call, and what they hear.

JSON-RPC 2.0 over a WebSocket on 127.0.0.1. A request's method is the name of a
method of `NodeApi`, its params an object of that method's arguments, its result
the returned type as JSON. What happens by itself arrives as a notification with
method `event` and one of `Event` as its params.

These types are the one source: TypeScript's and the page in spec/node-api.md are
generated from here. Times are milliseconds since 1970 by this machine's clock.
"""

from holdfast.node.schema.api import NodeApi
from holdfast.node.schema.basic import (
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
from holdfast.node.schema.calls import Call, CallEntry, CallMoment, CallSample, CallStory
from holdfast.node.schema.channels import Channel, ChannelGap
from holdfast.node.schema.events import (
    BackupProgress,
    CallChanged,
    ContactChanged,
    ContactRemoved,
    Event,
    FileMoved,
    InvitationChanged,
    MessageChanged,
    MessageGone,
    SettingsChanged,
    StatusChanged,
    TypingChanged,
    VerificationChanged,
)
from holdfast.node.schema.groups import Author, Group, GroupMember, GroupReport, GroupVoid, Role
from holdfast.node.schema.network import (
    Diagnosis,
    Fact,
    KnownNetwork,
    KnownPath,
    Line,
    Network,
    Phase,
    Relay,
    Simulator,
    Status,
    Switch,
)
from holdfast.node.schema.people import Contact, Invitation, Verification
from holdfast.node.schema.settings import Backup, Reporting, ReportPlace, ServicePage, Settings
from holdfast.node.schema.talk import (
    Attachment,
    FileKind,
    Hit,
    Message,
    Page,
    Poll,
    PollOption,
    Quote,
    Reaction,
)

__all__ = [
    "Attachment",
    "Author",
    "Backup",
    "BackupProgress",
    "Call",
    "CallChanged",
    "CallEntry",
    "CallMoment",
    "CallSample",
    "CallStory",
    "Channel",
    "ChannelGap",
    "Contact",
    "ContactChanged",
    "ContactRemoved",
    "Diagnosis",
    "Duration",
    "Emoji",
    "Event",
    "Fact",
    "FileKind",
    "FileMoved",
    "FileName",
    "Group",
    "GroupMember",
    "GroupReport",
    "GroupVoid",
    "Hit",
    "Id",
    "Invitation",
    "InvitationChanged",
    "KnownNetwork",
    "KnownPath",
    "Line",
    "MediaType",
    "Message",
    "MessageChanged",
    "MessageGone",
    "Millis",
    "Name",
    "Network",
    "NodeApi",
    "Page",
    "Passphrase",
    "Phase",
    "Poll",
    "PollOption",
    "Quote",
    "Reaction",
    "Relay",
    "ReportPlace",
    "Reporting",
    "Role",
    "Seconds",
    "ServicePage",
    "Settings",
    "SettingsChanged",
    "Side",
    "Simulator",
    "Status",
    "StatusChanged",
    "Switch",
    "Thumb",
    "TypingChanged",
    "Verification",
    "VerificationChanged",
    "Wave",
    "Words",
]
