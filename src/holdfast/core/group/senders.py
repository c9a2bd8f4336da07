"""What one device says in a group: a Megolm session, announced under the epoch.

Megolm's key has no owner: the device's signature over group, epoch, device, session and a
rising counter gives it one, and every plaintext repeats them as one hash. A session ends
with its epoch, after 100 messages or 7 days. Nothing that was opened opens again, across
restarts too. Source: the Megolm specification; spec/seal.md, "Sender keys".
"""

from __future__ import annotations

import base64
from typing import Annotated, Final

import msgspec
import vodozemac
from msgspec import Meta

from holdfast.core.group.entries import Signer
from holdfast.core.group.epochs import Epoch
from holdfast.core.group.roster import View
from holdfast.core.seal import Entropy, keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import U53, Key32, Party, Secret, Signature, Wire
from holdfast.core.seal.keys import BadKey

PURPOSE: Final = "group-sender/1"
MOST: Final = 100
"""Messages of one session."""
LONGEST: Final = 7 * 86_400_000
"""Milliseconds of one session."""
SESSION_KEY: Final = 229
EXPORTED: Final = 165
PREFIX: Final = 48
"""Bytes of a message before what is said."""

_ERRORS: Final = (
    vodozemac.DecodeException,
    vodozemac.KeyException,
    vodozemac.MegolmDecryptionException,
    vodozemac.PickleException,
    vodozemac.SessionKeyDecodeException,
)


class Statement(Wire, frozen=True):
    """What a device signs of a session; `key` is the hash of the session's key."""

    group: Key32
    epoch: Key32
    head: Key32
    root: Key32
    device: Key32
    session: Key32
    counter: U53
    key: Key32


class _Signed(Wire, frozen=True):
    body: Annotated[bytes, Meta(max_length=1024)]
    signature: Signature
    key: Annotated[bytes, Meta(min_length=SESSION_KEY, max_length=SESSION_KEY)]


class _Said(Wire, frozen=True):
    session: Key32
    message: Annotated[bytes, Meta(max_length=65_536)]


def _context(said: Statement) -> bytes:
    return keys.digest(
        "group-message/1",
        said.group,
        said.epoch,
        said.head,
        said.root,
        said.device,
        said.session,
        said.counter.to_bytes(8, "big"),
    )


def prefix(said: Statement) -> bytes:
    """How every message of a session begins: its context, and the first half of that again, which
    leaves no second key for a ciphertext (see `franking`)."""
    context = _context(said)
    return context + context[: PREFIX - len(context)]


class OutboundState(Secret):
    """What is kept of a session of one's own."""

    epoch: bytes
    session: bytes
    counter: int
    since: int
    sent: int
    context: bytes
    pickle_key: bytes = b""
    pickle: str = ""


class Outbound:
    """A session of this device. The caller keeps `dump` and the records in one transaction
    before anything is sent."""

    def __init__(self, state: OutboundState, session: vodozemac.GroupSession) -> None:
        self._state = state
        self._session = session

    @classmethod
    def begin(
        cls, epoch: Epoch, me: Party, signer: Signer, counter: int, now: int, entropy: Entropy
    ) -> tuple[Outbound, bytes]:
        """A new session, and the record that announces it. `counter` must be higher than ever
        before. vodozemac draws the session's keys itself."""
        session = vodozemac.GroupSession()
        id, key = _raw(session.session_id), _raw(session.session_key.to_base64())
        said = Statement(
            epoch.group, epoch.id, epoch.head, me.root, me.device, id, counter, _hash(key)
        )
        body = msgspec.msgpack.encode(said)
        signed = _Signed(body, signer.sign(PURPOSE, body), key)
        state = OutboundState(epoch.id, id, counter, now, 0, prefix(said))
        return cls(state, session), epoch.seal("sender", msgspec.msgpack.encode(signed), entropy)

    def fits(self, epoch: Epoch, now: int) -> bool:
        """Whether the next message may still be of this session."""
        state = self._state
        return state.epoch == epoch.id and state.sent < MOST and 0 <= now - state.since < LONGEST

    @property
    def session(self) -> bytes:
        """The session's name, 32 bytes."""
        return self._state.session

    @property
    def sent(self) -> int:
        """Messages so far: the index of the next one."""
        return self._state.sent

    def seal(self, epoch: Epoch, content: bytes, entropy: Entropy) -> bytes:
        """The record of one message. Raises `padding.TooLong`."""
        message = self._session.encrypt(self._state.context + content).to_bytes()
        record = epoch.seal(
            "message", msgspec.msgpack.encode(_Said(self._state.session, message)), entropy
        )
        self._state.sent += 1
        return record

    def dump(self, entropy: Entropy) -> bytes:
        """Secret bytes, to be wrapped before they are written."""
        self._state.pickle_key = entropy(32)
        self._state.pickle = self._session.pickle(self._state.pickle_key)
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def load(cls, data: bytes) -> Outbound:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        try:
            state = msgspec.msgpack.decode(data, type=OutboundState)
            return cls(state, vodozemac.GroupSession.from_pickle(state.pickle, state.pickle_key))
        except (msgspec.MsgspecError, *_ERRORS):
            raise ValueError("a stored session is damaged") from None


class InboundState(Secret):
    """What is kept of somebody's session: the key from its first message on that is not here."""

    root: bytes
    device: bytes
    session: bytes
    counter: int
    epoch: bytes
    context: bytes
    """The prefix of each message."""
    base: int
    """Every message before this one was opened, or given up."""
    ahead: list[int]
    """Later ones that were."""
    key: bytes


class Inbound:
    """A session of somebody else's device."""

    def __init__(
        self,
        state: InboundState,
        session: vodozemac.InboundGroupSession,
        statement: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self.state = state
        self.statement = statement
        """As it was announced, and its signature; of a session that has just been."""
        self._session = session

    @property
    def missing(self) -> int:
        """Messages that later ones came before."""
        state = self.state
        return state.ahead[-1] + 1 - state.base - len(state.ahead) if state.ahead else 0

    def open(self, message: vodozemac.MegolmMessage) -> bytes:
        """The content. Raises `Unopenable`, also for what was opened before."""
        state = self.state
        index = message.message_index()
        if index < state.base or index in state.ahead or index >= MOST:
            raise Unopenable
        try:
            plain = self._session.decrypt(message).plaintext
        except _ERRORS:
            raise Unopenable from None
        if plain[:PREFIX] != state.context:
            raise Unopenable
        self._done(index)
        return plain[PREFIX:]

    def exported(self, index: int) -> bytes | None:
        """The key from this message on, if it is still here; 165 bytes."""
        if index == self.state.base:
            return self.state.key
        found = self._session.export_at(index)
        return None if found is None else _raw(found.to_base64())

    def _done(self, index: int) -> None:
        """Remember it, and forget the keys of all that is contiguous."""
        state = self.state
        state.ahead = sorted([*state.ahead, index])
        base = state.base
        while state.ahead and state.ahead[0] == base:
            state.ahead.pop(0)
            base += 1
        if base != state.base:
            exported = self._session.export_at(base)
            assert exported is not None
            state.base, state.key = base, _raw(exported.to_base64())
            self._session = vodozemac.InboundGroupSession.import_session(exported)

    def dump(self) -> bytes:
        """Secret bytes, to be wrapped before they are written."""
        return msgspec.msgpack.encode(self.state)

    @classmethod
    def load(cls, data: bytes) -> Inbound:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        try:
            state = msgspec.msgpack.decode(data, type=InboundState)
            key = vodozemac.ExportedSessionKey(_text(state.key))
            return cls(state, vodozemac.InboundGroupSession.import_session(key))
        except (msgspec.MsgspecError, *_ERRORS):
            raise ValueError("a stored session is damaged") from None


def announced(epoch: Epoch, plain: bytes, view: View) -> Inbound:
    """A session that somebody announces in a record of this epoch; `view` is the group as it is
    under it. Raises `Unopenable` unless a member's device signed exactly this."""
    try:
        signed = msgspec.msgpack.decode(plain, type=_Signed)
        said = msgspec.msgpack.decode(signed.body, type=Statement)
        _require(epoch, said, view)
        keys.verify(said.device, PURPOSE, signed.body, signed.signature)
        session = vodozemac.InboundGroupSession(vodozemac.SessionKey(_text(signed.key)))
        exported = session.export_at(0)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, BadKey, *_ERRORS):
        raise Unopenable from None
    if _raw(session.session_id) != said.session or exported is None:
        raise Unopenable
    if _hash(signed.key) != said.key:
        raise Unopenable
    state = InboundState(
        said.root,
        said.device,
        said.session,
        said.counter,
        epoch.id,
        prefix(said),
        0,
        [],
        _raw(exported.to_base64()),
    )
    return Inbound(state, session, (signed.body, signed.signature))


def _require(epoch: Epoch, said: Statement, view: View) -> None:
    """Of this group and epoch, and of a device that a member has. Raises `Unopenable`."""
    stated = (said.group, said.epoch, said.head)
    if stated != (epoch.group, epoch.id, epoch.head):
        raise Unopenable
    if not view.has_device(said.root, said.device):
        raise Unopenable


def timed(clock: int, content: bytes) -> bytes:
    """What is sealed: a content behind its author's clock, 8 bytes."""
    return clock.to_bytes(8, "big") + content


def untimed(data: bytes) -> tuple[int, bytes]:
    """Inverse of `timed`. Raises `Unopenable`."""
    if len(data) < 8:
        raise Unopenable
    return int.from_bytes(data[:8], "big"), data[8:]


def read(plain: bytes) -> tuple[bytes, vodozemac.MegolmMessage]:
    """Session and Megolm message of a record's inside. Raises `Unopenable`."""
    try:
        said = msgspec.msgpack.decode(plain, type=_Said)
        return said.session, vodozemac.MegolmMessage.from_bytes(said.message)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, *_ERRORS):
        raise Unopenable from None


def _hash(key: bytes) -> bytes:
    return keys.digest("group-session/1", key)


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()
