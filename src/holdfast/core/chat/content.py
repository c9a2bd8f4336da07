"""What goes through a pair's sealed channel: one struct a kind of thing one can say.

A content is a MessagePack array whose first element names its kind. Kinds that are
not known here are kept as `Unknown` and change nothing, so that an older program
survives a newer one. Everything is bounded. Source: spec/chat.md.
"""

from __future__ import annotations

import typing
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

VERSION: Final = 1
MAX_TEXT: Final = 16_000
"""Characters of one message."""

Mid = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""A message's id: random, made by its author, unique together with the author."""
Millis = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Timer = Annotated[int, Meta(ge=0, le=31_536_000)]
Words = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
NameText = Annotated[str, Meta(max_length=256)]
Symbol = Annotated[str, Meta(max_length=32)]


class Malformed(ValueError):
    """The bytes are no content; nothing of them is in the message."""


MAX_HOMES: Final = 3
MAX_THUMB: Final = 12_000
MAX_BURST: Final = 48_000
Secret = Annotated[bytes, Meta(min_length=32, max_length=32)]
CallId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Homes = Annotated[
    tuple[Annotated[str, Meta(max_length=400)], ...], Meta(min_length=1, max_length=MAX_HOMES)
]
"""Addresses of relays."""


MAX_OPTIONS: Final = 12
MAX_MENTIONS: Final = 32
MAX_SAID: Final = 52_000
"""Bytes of a content in a group, so that a report has room for it."""
MAX_REPORT: Final = 64_000
MAX_HISTORY: Final = 48_000
"""Bytes of what a newcomer to a group is told."""
Root = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Content(Struct, frozen=True, array_like=True):
    """Base of all contents. Further fields of a newer version are ignored."""


class Ref(Struct, frozen=True, array_like=True):
    """A message by its id and by whether the *sender of the reference* wrote it. In a group
    `author` is the root of who did, in every case."""

    mid: Mid
    mine: bool
    author: Annotated[bytes, Meta(max_length=32)] = b""


class Frank(Struct, frozen=True, array_like=True):
    """By which a text can be reported to those who lead a group, see spec/groups.md."""

    key: Secret
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Text(Content, frozen=True, tag="text"):
    """A message. `timer` is its lifetime in seconds, 0 for ever."""

    mid: Mid
    at: Millis
    text: Words
    reply: Ref | None = None
    timer: Timer = 0
    mentions: Annotated[tuple[Root, ...], Meta(max_length=MAX_MENTIONS)] = ()
    """Whom it names, in a group."""
    frank: Frank | None = None
    """From within a group, until the receiver has accepted the sender."""


class Poll(Content, frozen=True, tag="poll"):
    """A message that asks something: everybody chooses one answer, or (`many`) several."""

    mid: Mid
    at: Millis
    question: Words
    options: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(min_length=2, max_length=MAX_OPTIONS),
    ]
    many: bool = False
    timer: Timer = 0


class Vote(Content, frozen=True, tag="vote"):
    """The sender's answers to a poll, by number, in the place of those before."""

    ref: Ref
    choices: Annotated[tuple[Annotated[int, Meta(ge=0, lt=12)], ...], Meta(max_length=MAX_OPTIONS)]
    at: Millis


class Pin(Content, frozen=True, tag="pin"):
    """A message stays in sight for everybody, or no longer."""

    ref: Ref
    on: bool
    at: Millis


class Edit(Content, frozen=True, tag="edit"):
    """The author changes the text of a message of theirs."""

    mid: Mid
    at: Millis
    text: Words


class Delete(Content, frozen=True, tag="delete"):
    """The author takes a message of theirs back."""

    mid: Mid


class Remove(Content, frozen=True, tag="remove"):
    """Somebody who leads a group removes another's message, for everybody."""

    ref: Ref
    at: Millis


class React(Content, frozen=True, tag="react"):
    """Set, or with an empty emoji remove, the sender's reaction to a message."""

    ref: Ref
    emoji: Symbol
    at: Millis


class Read(Content, frozen=True, tag="read"):
    """Everything of the receiver's up to this message was seen."""

    mid: Mid
    at: Millis


class SetTimer(Content, frozen=True, tag="timer"):
    """Lifetime of both sides' messages from now on."""

    seconds: Timer
    at: Millis


class Profile(Content, frozen=True, tag="profile"):
    """What the sender calls themselves. Also what each says of itself at first contact."""

    name: NameText
    group: NameText = ""
    """The group that an invitation leads into."""


class Verify(Content, frozen=True, tag="verify"):
    """A step of comparing emoji, see spec/seal.md."""

    step: Annotated[bytes, Meta(max_length=512)]


class File(Content, frozen=True, tag="file"):
    """A message that is a file. Its chunks are at `homes`, see `core.seal.chunks`; `root` is
    the hash of them all. A kind that is not known is a plain file."""

    mid: Mid
    at: Millis
    kind: Annotated[str, Meta(max_length=16)]
    name: Annotated[str, Meta(max_length=1024)]
    media: Annotated[str, Meta(max_length=100)]
    size: Annotated[int, Meta(ge=0, le=64 * 1024**3)]
    chunk: Annotated[int, Meta(ge=256, le=64_512)]
    secret: Secret
    root: Secret
    homes: Homes
    thumb: Annotated[bytes, Meta(max_length=MAX_THUMB)] = b""
    width: Annotated[int, Meta(ge=0, le=100_000)] = 0
    height: Annotated[int, Meta(ge=0, le=100_000)] = 0
    duration: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    wave: Annotated[bytes, Meta(max_length=64)] = b""
    reply: Ref | None = None
    timer: Timer = 0


class Got(Content, frozen=True, tag="got"):
    """The sender of this has a whole file of the receiver's: no relay need keep it."""

    mid: Mid


class Moved(Content, frozen=True, tag="homes"):
    """The relays where the sender reads what the receiver sends, from now on and no others."""

    homes: Homes


class Spare(Content, frozen=True, tag="spare"):
    """Relays of the sender that the receiver may keep logs on as well."""

    homes: Homes


class Ring(Content, frozen=True, tag="ring"):
    """A call begins. The live logs follow from `secret`, see spec/call.md; nobody attaches
    them before the call is accepted."""

    call: CallId
    at: Millis
    random: Secret
    nonce: CallId
    secret: Secret
    homes: Homes
    direct: bool = False
    """Whether the caller allows that frames go straight to and from them."""


class Answer(Content, frozen=True, tag="answer"):
    """What becomes of a call: ringing, accept, decline, busy, end. Random and nonce come
    with accept alone."""

    call: CallId
    step: Annotated[str, Meta(max_length=16)]
    random: Annotated[bytes, Meta(max_length=32)] = b""
    nonce: Annotated[bytes, Meta(max_length=16)] = b""
    direct: bool = False
    """With accept: both allow that frames go straight."""


class Places(Content, frozen=True, tag="places"):
    """Where the sender takes frames of an accepted call, if both allowed that: addresses of 4 or 16
    bytes, each with a port of 2."""

    call: CallId
    places: Annotated[
        tuple[Annotated[bytes, Meta(min_length=6, max_length=18)], ...], Meta(max_length=8)
    ]


class Burst(Content, frozen=True, tag="burst"):
    """Two seconds or so of a call, where no live frames get through, see `core.call.bursts`.
    `upto`: the unit of the receiver's until which everything has come."""

    call: CallId
    data: Annotated[bytes, Meta(max_length=MAX_BURST)]
    upto: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0


Group = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signed = Annotated[bytes, Meta(max_length=50_000)]
Card = Annotated[bytes, Meta(max_length=1024)]


class GroupEntries(Content, frozen=True, tag="group-entries"):
    """Entries of a group's roster, in an order in which they can be taken, and cards of its
    members; both speak for themselves, whoever passes them on."""

    group: Group
    entries: Annotated[tuple[Signed, ...], Meta(max_length=2_000)] = ()
    cards: Annotated[tuple[Card, ...], Meta(max_length=2_000)] = ()


class GroupKey(Content, frozen=True, tag="group-key"):
    """The secret of a group's epoch at `tips`, and the log to read and write in. `owner` is for
    admins: it trims and drops the log. `homes` are the log's, if the receiver finds the roster
    there."""

    group: Group
    tips: Annotated[tuple[Group, ...], Meta(min_length=1, max_length=64)]
    secret: Secret
    log: Annotated[bytes, Meta(min_length=96, max_length=96)]
    owner: Annotated[bytes, Meta(max_length=32)] = b""
    homes: tuple[Annotated[str, Meta(max_length=400)], ...] = ()


class GroupAsk(Content, frozen=True, tag="group-ask"):
    """The sender's roster of a group ends with `tips`: what is newer, and the key, is asked for."""

    group: Group
    tips: Annotated[tuple[Group, ...], Meta(max_length=64)]


class Introduce(Content, frozen=True, tag="introduce"):
    """An invitation from one member of a group to another; `sealed` is the link as text, for
    the one whose root is `to` alone."""

    to: Root
    sealed: Annotated[bytes, Meta(max_length=2_048)]


class Told(Struct, frozen=True, array_like=True):
    """A text of a group that somebody else passes on."""

    author: Root
    mid: Mid
    at: Millis
    text: Words


class GroupHistory(Content, frozen=True, tag="group-history"):
    """What was said in a group before the receiver came, as the sender tells it."""

    group: Group
    said: Annotated[tuple[Told, ...], Meta(max_length=200)]


class Device(Content, frozen=True, tag="device"):
    """A further device of the sender's: `link` is its invitation for the receiver's device `to`."""

    device: Root
    to: Root
    link: Annotated[str, Meta(max_length=2_048)]


Known = (
    Text
    | Poll
    | Vote
    | Pin
    | Edit
    | Delete
    | Remove
    | React
    | Read
    | SetTimer
    | Profile
    | Verify
    | File
    | Got
    | Moved
    | Spare
    | Ring
    | Answer
    | Burst
    | GroupEntries
    | GroupKey
    | GroupAsk
    | GroupHistory
    | Introduce
    | Places
    | Device
)


class Unknown(Struct, frozen=True):
    """A kind this program does not know."""

    kind: str


class _Kind(Struct, array_like=True, frozen=True):
    kind: Annotated[str, Meta(max_length=32)]


_known: Final[msgspec.msgpack.Decoder[Known]] = msgspec.msgpack.Decoder(Known)
_kind: Final = msgspec.msgpack.Decoder(_Kind)
_kinds: Final = frozenset(str(kind.__struct_config__.tag) for kind in typing.get_args(Known))


def encode(content: Known) -> bytes:
    """A content as bytes."""
    return msgspec.msgpack.encode(content)


def decode(data: bytes) -> Known | Unknown:
    """Inverse of `encode`. Raises `Malformed`."""
    try:
        kind = _kind.decode(data).kind
        return _known.decode(data) if kind in _kinds else Unknown(kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed("not a message of Holdfast") from None


class Typing(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A live frame: the sender is writing, or stopped. Never stored."""

    version: Annotated[int, Meta(ge=1, le=1)]
    at: Millis
    typing: bool


TYPING_SIZE: Final = 64
"""Bytes of a typing frame, filled up, before the outer envelope."""


def encode_typing(frame: Typing) -> bytes:
    """A typing frame, always `TYPING_SIZE` bytes."""
    return msgspec.msgpack.encode(frame).ljust(TYPING_SIZE, b"\0")


def decode_typing(data: bytes) -> Typing:
    """Inverse of `encode_typing`. Raises `Malformed`."""
    if len(data) != TYPING_SIZE:
        raise Malformed("not a live frame")
    try:
        return msgspec.msgpack.decode(data.rstrip(b"\0") or b"\0", type=Typing)
    except (msgspec.MsgspecError, RecursionError):
        raise Malformed("not a live frame") from None
