"""Frames of the log protocol between a node and a relay.

One frame is one MessagePack array whose first element is an integer tag; over a
WebSocket one binary message carries one frame. Everything here is hostile until
decoded: `decode_client` and `decode_relay` accept only well-formed frames whose
fields are within the stated bounds and raise `Malformed` otherwise.

Normative text: spec/log.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

VERSION: Final = 1

MAX_BODY: Final = 66_000
"""Bytes of one record as a relay sees it: a 64 KiB size class and its envelopes."""
MAX_FRAME: Final = 256 * 1024
"""Bytes of one frame in either direction."""
MAX_ADDRESS: Final = 400
"""Characters of a relay's address."""
MAX_CARRIED: Final = 64 * 1024
CARRIED_WINDOW: Final = 512 * 1024
"""Bytes that are passed on before their sender hears of it."""
MAX_PROBE: Final = 16 * 1024
MAX_ASKED: Final = 16
"""Tokens at a time."""
MAX_LIVE: Final = 1_100
"""Bytes of a `Live` or `Records` frame that travels as a datagram: 1,200 on the wire."""
MAX_LIFETIME: Final = 90 * 86_400
"""Seconds a relay may be asked to keep a record; it may keep it for less."""

U32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
U53 = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""Sequence numbers: safe in a JavaScript number too."""
LogId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Token = Annotated[bytes, Meta(min_length=32, max_length=32)]
Verifier = Annotated[bytes, Meta(min_length=32, max_length=32)]
Body = Annotated[bytes, Meta(max_length=MAX_BODY)]
Blinded = Annotated[bytes, Meta(min_length=259, max_length=259)]
Text = Annotated[str, Meta(max_length=256)]


class Malformed(ValueError):
    """The bytes are not a frame; the message says what is wrong and holds no content."""


class _Frame(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all frames."""


# Node to relay.


class Hello(_Frame, frozen=True, tag=1):
    """First frame of a connection."""

    version: U32


class Create(_Frame, frozen=True, tag=2):
    """Make a log. Verifiers are SHA-256 of the role tokens, see `caps`.

    Repeating a create with the same verifiers succeeds: a node that lost the
    answer just asks again. Different verifiers for a known log are refused.
    `handle` only names the answer; attaching is asked for on its own. `limit` is the
    most records the log ever takes, trimmed ones counted; 0 is no such limit.
    """

    handle: U32
    log_id: LogId
    append: Verifier
    read: Verifier
    owner: Verifier
    limit: U32 = 0


class Attach(_Frame, frozen=True, tag=3):
    """Bind `handle`, chosen by the node, to a log with the roles whose tokens are given.

    All given tokens must be right. A handle in use is bound anew. `since` with a read token
    asks for every stored record with a greater sequence number; with `follow` also for those
    that come later, live frames included.
    A `since` beyond the log's end reads from its start: the log was made anew.
    """

    handle: U32
    log_id: LogId
    append: Token | None = None
    read: Token | None = None
    owner: Token | None = None
    since: U53 | None = None
    follow: bool = True


class Append(_Frame, frozen=True, tag=4):
    """Add a record that lives `lifetime` seconds.

    `n` counts the appends of this connection from 1 without gaps.
    """

    handle: U32
    n: U53
    lifetime: Annotated[int, Meta(ge=1, le=MAX_LIFETIME)]
    body: Body


class Trim(_Frame, frozen=True, tag=5):
    """Delete every record up to and including `upto`. Owner only."""

    handle: U32
    upto: U53


class Drop(_Frame, frozen=True, tag=6):
    """Delete the log and all its records. Owner only."""

    handle: U32


class Detach(_Frame, frozen=True, tag=7):
    """Forget the handle; nothing more comes for it after `Done`."""

    handle: U32


class Onward(_Frame, frozen=True, tag=8):
    """Instead of hello: pass bytes on to another relay, at this address. Answered by `Took`."""

    address: Annotated[str, Meta(max_length=MAX_ADDRESS)]


class Live(_Frame, frozen=True, tag=11):
    """Hand this to those who follow now: never stored, never answered. It may come as a datagram,
    so out of order or not at all; one for a handle that is not attached is nothing."""

    handle: U32
    body: Body


class Beside(_Frame, frozen=True, tag=12):
    """The datagrams of one connection belong to the session of another: said with the same random
    token on this one behind hello, and on that one in the place of hello."""

    token: Annotated[bytes, Meta(min_length=16, max_length=16)]


class Probe(_Frame, frozen=True, tag=10):
    """Send `size` bytes that mean nothing, as `Probed`: three in a row tell how fast they come."""

    size: Annotated[int, Meta(ge=0, le=MAX_PROBE)]


class Admit(_Frame, frozen=True, tag=13):
    """What `Terms` ask for, so that logs may be made: work, or a token. Answered by `Done` with
    `admit` and handle 0, or refused."""

    kind: Literal["work", "token"]
    proof: Annotated[bytes, Meta(max_length=400)]


class Ask(_Frame, frozen=True, tag=14):
    """Blinded requests for tokens (RFC 9578 section 6.1), of who may have some. Answered by
    `Given`."""

    requests: Annotated[tuple[Blinded, ...], Meta(min_length=1, max_length=MAX_ASKED)]


# Either way, after `Took`.


class Carry(_Frame, frozen=True, tag=9):
    """Bytes of the connection that is passed on; `pad` is zeros that are thrown away."""

    data: Annotated[bytes, Meta(max_length=MAX_CARRIED)]
    pad: Annotated[bytes, Meta(max_length=MAX_CARRIED)] = b""


# Relay to node.


class Welcome(_Frame, frozen=True, tag=65):
    """First frame of the relay, before anything is asked.

    `key` is the relay's permanent Ed25519 key, whose SHA-256 is the pin in its
    address; `proof` signs the SHA-256 of the TLS key this connection runs on.
    """

    version: U32
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    proof: Annotated[bytes, Meta(min_length=64, max_length=64)]
    max_body: U32
    max_lifetime: U32


class Attached(_Frame, frozen=True, tag=66):
    """The handle is bound; `first` is the oldest kept record, `next` the coming one."""

    handle: U32
    first: U53
    next: U53


class Acked(_Frame, frozen=True, tag=67):
    """Every append of this connection up to `upto` was refused by name or is durable."""

    upto: U53


class Records(_Frame, frozen=True, tag=68):
    """Records of a followed log, in order; a live frame has sequence number 0."""

    handle: U32
    records: tuple[tuple[U53, Body], ...]


class Done(_Frame, frozen=True, tag=69):
    """What was asked for this handle is done and, where it changed something, durable.

    After `read` every record stored at the time of the attach was sent. `beside`, of handle 0,
    answers `Beside` on the connection that lends its datagrams.
    """

    handle: U32
    what: Literal["create", "read", "trim", "drop", "detach", "beside", "admit"]


class Refused(_Frame, frozen=True, tag=70):
    """One request failed and the connection goes on. `n` is set for an append.

    Codes: denied (absent, expired and wrong token alike), closed (the log took all
    the records it ever takes), full, size, rate, later, unknown-handle, admission.
    """

    handle: U32
    code: Text
    text: Text
    n: U53 = 0


class Bye(_Frame, frozen=True, tag=71):
    """The relay ends this connection and says why."""

    code: Text
    text: Text


class Took(_Frame, frozen=True, tag=72):
    """So many bytes of `Carry` in all went on; a node has at most `CARRIED_WINDOW` beyond that
    under way. The first says that the other relay was reached and its key is its address's."""

    upto: U53


class Probed(_Frame, frozen=True, tag=73):
    """The answer to `Probe`; the zeros are thrown away."""

    pad: Annotated[bytes, Meta(max_length=MAX_PROBE)]


class Terms(_Frame, frozen=True, tag=74):
    """Who may make logs here. By `bits` of work over `nonce`, if they are not 0; by a token of the
    issuer with this key, if there is one; and `gives` tokens may be asked for here."""

    nonce: Annotated[bytes, Meta(min_length=16, max_length=16)]
    bits: Annotated[int, Meta(ge=0, le=64)] = 0
    issuer: Annotated[bytes, Meta(max_length=400)] = b""
    gives: U32 = 0


class Given(_Frame, frozen=True, tag=75):
    """Signatures of what was asked for, in its order; an empty one was not given."""

    answers: Annotated[tuple[Annotated[bytes, Meta(max_length=256)], ...], Meta(max_length=16)]


ClientFrame = (
    Hello
    | Create
    | Attach
    | Append
    | Trim
    | Drop
    | Detach
    | Onward
    | Probe
    | Carry
    | Live
    | Beside
    | Admit
    | Ask
)
RelayFrame = (
    Welcome
    | Attached
    | Acked
    | Records
    | Done
    | Refused
    | Bye
    | Took
    | Probed
    | Carry
    | Terms
    | Given
)
_encoder = msgspec.msgpack.Encoder()
_client: msgspec.msgpack.Decoder[ClientFrame] = msgspec.msgpack.Decoder(ClientFrame)
_relay: msgspec.msgpack.Decoder[RelayFrame] = msgspec.msgpack.Decoder(RelayFrame)


_RECORDS: Final = bytes((0x93, 68))
"""An array of three, and the tag."""


def encode(frame: ClientFrame | RelayFrame) -> bytes:
    """One frame as bytes."""
    return _encoder.encode(frame)


def encode_live(bodies: Sequence[bytes]) -> bytes:
    """Live frames, as `Records` has them behind its handle."""
    return _encoder.encode([(0, body) for body in bodies])


def records_of(handle: int, encoded: bytes) -> bytes:
    """A frame `Records`, of what `encode_live` gave: the same for many followers."""
    return _RECORDS + _encoder.encode(handle) + encoded


def decode_client(data: bytes) -> ClientFrame:
    """Parse what a node sent. Raises `Malformed`."""
    return _decode(_client, data)


def decode_relay(data: bytes) -> RelayFrame:
    """Parse what a relay sent. Raises `Malformed`."""
    return _decode(_relay, data)


_T = TypeVar("_T")


def _decode(decoder: msgspec.msgpack.Decoder[_T], data: bytes) -> _T:
    if len(data) > MAX_FRAME:
        raise Malformed(f"frame of {len(data)} bytes, at most {MAX_FRAME} are allowed")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"not a frame: {type(error).__name__}") from None
