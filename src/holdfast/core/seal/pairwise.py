"""One device pair: contents in, sealed records out, and the other way round.

Olm loses messages that are fed to it out of order, so every record carries its
sequence number outside Olm and again inside, records are fed strictly in order, and
what is missing is asked for. The object holds all state: the caller stores `dump`
and the sealed bytes in one transaction before anything is sent, and throws the
object away if that fails. Source: spec/seal.md, "Two people".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.core.seal import Entropy, hpke, trail
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList, Key32, Party, Secret
from holdfast.core.seal.inner import Inner, Malformed, context
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.olm import Session
from holdfast.core.seal.outer import Early, Outer, OuterState
from holdfast.core.seal.padding import TooLong
from holdfast.core.seal.waiting import Record, Waiting

MAX_CONTENT: Final = 60_000
"""Bytes of one message's content."""
SMALL_CONTENT: Final = 301
"""Bytes of content that fit the smallest class once the opening is over."""
ACK_DELAY: Final = 1_000
"""Milliseconds in which an acknowledgement may still ride on a message."""
ACK_AT_MOST: Final = 1_000
"""Records after which one is acknowledged even without receipts."""
ASK_AGAIN: Final = 60_000
"""Milliseconds before the same gap is asked for again."""

Frozen = Literal["", "rollback", "fork", "removed"]

_WHY: Final[dict[str, str]] = {
    "rollback": "one of the two devices was set back to an older state; invite each other "
    "again to go on",
    "fork": "two different device lists of this contact exist; compare emoji in person before "
    "you invite each other again",
    "removed": "the contact has removed the device you were writing to; ask for a new invitation",
}


Trail = Annotated[bytes, Meta(min_length=trail.SIZE, max_length=(trail.WINDOW + 1) * trail.SIZE)]


class CannotSend(RuntimeError):
    """Sending is frozen; `reason` is `Pairwise.frozen`, the message says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(_WHY[reason])
        self.reason = reason


class KeyChanged(ValueError):
    """The other session belongs to another device: ask before anything is sent again."""


class Refusal(ValueError):
    """Why a record is refused, for this file alone: see `alike`."""


_CAUSES: Final = (Refusal, Unopenable, BadKey, Malformed)


@dataclass(frozen=True)
class Outgoing:
    """One sealed record. The node keeps exactly these bytes, with the new `dump`, in one
    transaction before it sends them, and until `Opened.acked` reaches `seq`."""

    seq: int
    blob: bytes


@dataclass(frozen=True)
class Message:
    """One content of the peer, delivered once and in order."""

    seq: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """What one record brought; possibly nothing, possibly more than one message."""

    messages: tuple[Message, ...] = ()
    acked: int = 0
    """The peer has everything of ours up to this sequence number."""
    resend: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included, that the peer asks for: append the kept blobs again."""


class PairState(Secret):
    """All that is kept of a pair; Olm's session is pickled into it by `dump`."""

    version: Literal[1]
    me: Party
    peer: Party
    peer_list: Annotated[bytes, Meta(max_length=8192)]
    conv_id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    session_id: Key32
    outer: OuterState
    sent: int = 0
    received: int = 0
    """Everything of the peer up to here was taken, in order."""
    acked: int = 0
    said: Trail = trail.START
    heard: Trail = trail.START
    """What was sealed and what was taken, see `trail`."""
    owed: int = 0
    owed_since: int = 0
    """Records to be acknowledged, and when the first of them came (ms)."""
    urgent: bool = False
    """An acknowledgement that moves the opening on."""
    tell: bytes | None = None
    frozen: Frozen = ""
    pickle_key: bytes = b""
    pickle: str = ""


class Pairwise:
    """Made by `opening`, for `invitation.accept` and `invitation.Invitation.open_accept`."""

    def __init__(self, state: PairState, session: Session) -> None:
        self._state = state
        self._session = session
        self.outer = Outer(state.outer, state.me, state.peer, state.conv_id)
        self._waiting = Waiting()
        self._ask: tuple[int, int] | None = None
        self._asked: tuple[tuple[int, int] | None, int] = (None, 0)
        self._contexts: dict[tuple[bytes, bool], bytes] = {}

    # What is known.

    @property
    def peer(self) -> Party:
        """The other end."""
        return self._state.peer

    @property
    def peer_version(self) -> int:
        """Of the peer's device list."""
        return DeviceList.decode(self._state.peer_list).version

    @property
    def me(self) -> Party:
        """This end."""
        return self._state.me

    @property
    def peer_list(self) -> bytes:
        """The other end's signed device list."""
        return self._state.peer_list

    @property
    def session_id(self) -> bytes:
        """The Olm session's id, 32 bytes, equal on both sides."""
        return self._state.session_id

    @property
    def sent(self) -> int:
        """Sequence number of the last record that was sealed."""
        return self._state.sent

    @property
    def received(self) -> int:
        """Everything of the peer up to this sequence number was taken."""
        return self._state.received

    @property
    def acked(self) -> int:
        """The peer has everything of ours up to this sequence number."""
        return self._state.acked

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first missing range (to = 0: open end), or None. While there is one, the node
        does not advance its stored read cursor and does not trim: the records held back
        are not in `dump`, after a restart they are read again (duplicates are dropped)."""
        return self._waiting.gap(self._state.received)

    @property
    def frozen(self) -> Frozen:
        """Empty, or why sending is refused. `rollback`: our state is older than what the
        peer acknowledged, this session is over both ways. `fork`: two device lists of the
        peer. `removed`: the peer's list no longer has the device."""
        return self._state.frozen

    # Sending.

    def seal(self, content: bytes, now: int, entropy: Entropy) -> Outgoing:
        """Seal a content, at most 60,000 bytes. Raises `CannotSend`, `padding.TooLong`."""
        if len(content) > MAX_CONTENT:
            raise TooLong(f"{len(content)} bytes; at most {MAX_CONTENT} fit in one message")
        return self._seal(content, now, entropy)

    def control(self, now: int, entropy: Entropy) -> Outgoing:
        """A record without content: acknowledgement, key change, request to resend."""
        return self._seal(None, now, entropy)

    def _seal(self, content: bytes | None, now: int, entropy: Entropy) -> Outgoing:
        state, outer = self._state, self.outer
        if state.frozen:
            raise CannotSend(state.frozen)
        opening = state.outer.epoch < 0 and not state.outer.initiator
        answer = outer.answer(entropy)
        seq = state.sent + 1
        inner = Inner(
            seq,
            state.received,
            state.me.head,
            self._context(outer.key_id, mine=True),
            share=state.outer.share if opening else None,
            offer=outer.offer(entropy) if outer.wants_offer(now) else None,
            answer=None if answer is None else answer[0],
            resend=self._ask,
            devices=state.tell,
            content=content,
        )
        olm = self._session.encrypt(inner.encode())
        ends = trail.newest(state.said), trail.newest(state.heard)
        blob = outer.seal(Record.encode(seq, state.received, *ends, olm), entropy)
        state.sent, state.said = seq, trail.longer(state.said, olm.body)
        state.owed, state.urgent, state.tell = 0, False, None
        state.outer.count += 1
        if self._ask is not None:
            self._asked, self._ask = (self._ask, now), None
        if answer is not None:
            outer.advance(answer[1], now)
        return Outgoing(seq, blob)

    def tell(self, devices: DeviceList) -> None:
        """My device list has changed: the next record carries it."""
        self._state.me = msgspec.structs.replace(self._state.me, head=devices.head)
        self._state.tell = devices.encode()

    def due(self, receipts: bool = True) -> int | None:
        """When (ms; 0 is at once) `control` wants to be called, or None. Without `receipts`
        nothing is sent merely to acknowledge or to change keys early, except every 1,000
        records; the opening is always completed."""
        state, outer = self._state, self._state.outer
        if state.frozen:
            return None
        if state.urgent or state.tell or self._ask or state.owed >= ACK_AT_MOST:
            return 0
        if outer.asked and receipts:
            return 0
        times: list[int] = []
        if state.owed and receipts:
            times.append(state.owed_since + ACK_DELAY)
        full = self.outer.wants_offer(0) == "full"
        if full and (receipts or outer.count >= ACK_AT_MOST):
            return 0
        renewal = self.outer.renewal
        if renewal is not None:
            times.append(renewal)
        return min(times, default=None)

    def caught_up(self, now: int) -> None:
        """Everything stored at every home was read: a gap that is left gets asked for."""
        gap = self.gap
        if gap is not None and (gap != self._asked[0] or now - self._asked[1] >= ASK_AGAIN):
            self._ask = gap

    # Receiving.

    def open(self, blob: bytes, now: int) -> Opened:
        """Take a record from any home. Raises `Unopenable`, one error for every cause,
        and then nothing has changed. A duplicate gives an empty `Opened`. Look at `frozen`
        afterwards, and store `dump` with what came."""
        messages: list[Message] = []
        resend: list[tuple[int, int]] = []
        try:
            if self._state.frozen == "rollback":
                raise Refusal("the session is over")
            self._take(blob, now, messages, resend)
        except _CAUSES as error:
            raise alike(error) from None
        self._go_on(now, messages, resend)
        return Opened(tuple(messages), self._state.acked, tuple(resend))

    def _take(
        self, blob: bytes, now: int, messages: list[Message], resend: list[tuple[int, int]]
    ) -> None:
        try:
            epoch, key_id, body = self.outer.open(blob)
        except Early:
            self._waiting.put_early(blob)
            return
        record = Record.decode(epoch, key_id, body)
        if not self._fits(record):
            self._state.frozen = "rollback"
        elif self._is_old(record.seq):
            return
        elif self._is_next(record.seq):
            self._feed(record, now, messages, resend)
        else:
            self._waiting.put(record, self._state.received)

    def _is_old(self, seq: int) -> bool:
        """A record that was taken before, from whichever home."""
        return seq <= self._state.received

    def _fits(self, record: Record) -> bool:
        """Whether both ends remember the same; if not, one of them was set back or copied.
        While opening nobody can tell who says so."""
        state = self._state
        if record.epoch < 0:
            return True
        echo = trail.at(state.said, state.sent, record.ack)
        return (
            record.ack <= state.sent
            and echo in (None, record.echo)
            and not trail.other(state.heard, state.received, record.seq, record.olm.body)
        )

    def _is_next(self, seq: int) -> bool:
        """Only the very next record is fed to Olm."""
        return seq == self._state.received + 1

    def _go_on(self, now: int, messages: list[Message], resend: list[tuple[int, int]]) -> None:
        """Feed what was waiting for the record that has just come."""
        while self._state.frozen != "rollback":
            record = self._waiting.pop(self._state.received + 1)
            if record is not None:
                try:
                    self._feed(record, now, messages, resend)
                except _CAUSES:
                    return  # a gap again, and it gets asked for
            elif self._waiting.early and self._state.outer.offered is None:
                for blob in self._waiting.take_early():
                    try:
                        self._take(blob, now, messages, resend)
                    except _CAUSES:
                        continue
            else:
                return

    def _feed(
        self, record: Record, now: int, messages: list[Message], resend: list[tuple[int, int]]
    ) -> None:
        """Open the next record in order. If it is refused after Olm has taken it, Olm is
        set back, so that nothing has changed."""
        state = self._state
        if record.epoch >= 0 and record.past != trail.newest(state.heard):
            state.frozen = "rollback"
            return
        before = self._session.dump(_SNAPSHOT_KEY)
        plain = self._session.decrypt(record.olm)
        try:
            inner = Inner.decode(plain)
            answered, known = self._check(record, inner)
        except _CAUSES:
            self._session = Session.load(before, _SNAPSHOT_KEY)
            raise
        if not state.acked <= inner.ack <= state.sent:
            state.frozen = "rollback"
            return
        state.received, state.acked = record.seq, inner.ack
        state.heard = trail.longer(state.heard, record.olm.body)
        state.outer.count += 1
        self.outer.received(record.epoch, now)
        if inner.share is not None:
            self.outer.begin(inner.share, now)
            state.urgent = True
        if inner.offer is not None:
            state.outer.asked = inner.offer
        if answered is not None:
            self.outer.advance(answered, now)
        if known is not None:
            self._learn(known)
        if inner.head != state.peer.head:
            state.frozen = state.frozen or "fork"
        if inner.resend is not None:
            first, last = inner.resend
            first, last = max(first, state.acked + 1), min(last or state.sent, state.sent)
            if first <= last:
                resend.append((first, last))
        if inner.content is not None:
            messages.append(Message(record.seq, inner.content))
        if inner.wants_ack:
            state.owed_since = state.owed_since if state.owed else now
            state.owed += 1

    def _check(self, record: Record, inner: Inner) -> tuple[bytes | None, DeviceList | None]:
        """Everything that can be wrong, before anything changes. The key that an answer
        leads to, and a checked device list."""
        outer = self._state.outer
        if (inner.seq, inner.ack) != (record.seq, record.ack):
            raise Refusal("inside and outside differ")
        if inner.context != self._context(record.key_id, mine=False):
            raise Refusal("made for another conversation")
        if inner.content is not None and len(inner.content) > MAX_CONTENT:
            raise Refusal("content too long")
        if inner.share is not None and (not outer.initiator or record.epoch >= 0):
            raise Refusal("a share out of place")
        if inner.offer is not None:
            if outer.initiator or outer.asked is not None or record.epoch < 0:
                raise Refusal("an offer out of place")
            hpke.require_public(inner.offer)
        answered = None if inner.answer is None else self.outer.read_answer(inner.answer)
        known = None if inner.devices is None else DeviceList.decode(inner.devices)
        if known is not None and known.root != self._state.peer.root:
            raise Refusal("somebody else's device list")
        return answered, known

    def _learn(self, devices: DeviceList) -> None:
        """The peer's new list: it replaces the known one only as its direct successor."""
        state = self._state
        relation = DeviceList.decode(state.peer_list).follow(devices)
        if relation == "newer":
            state.peer_list = devices.encode()
            state.peer = msgspec.structs.replace(state.peer, head=devices.head)
            if not devices.holds(state.peer.device, state.peer.curve25519):
                state.frozen = state.frozen or "removed"
        elif relation in ("fork", "stranger"):
            state.frozen = state.frozen or "fork"

    def _context(self, key_id: bytes, mine: bool) -> bytes:
        found = self._contexts.get((key_id, mine))
        if found is None:
            ends = (self._state.me, self._state.peer)
            found = context(
                self._state.conv_id, self._state.session_id, key_id, *(ends if mine else ends[::-1])
            )
            if len(self._contexts) >= 8:
                self._contexts.clear()
            self._contexts[key_id, mine] = found
        return found

    # Keeping.

    def dump(self, entropy: Entropy) -> bytes:
        """Secret bytes, about 4 KB, to be wrapped by `rest.Rows`. Olm's part is pickled
        under a fresh key each time."""
        self._state.pickle_key = entropy(32)
        self._state.pickle = self._session.dump(self._state.pickle_key)
        return _encoder.encode(self._state)

    @classmethod
    def load(cls, data: bytes) -> Pairwise:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        try:
            state = _decoder.decode(data)
            return cls(state, Session.load(state.pickle, state.pickle_key))
        except (ValueError, RecursionError):
            raise ValueError("the stored session is damaged") from None

    def __repr__(self) -> str:
        return f"Pairwise(sent={self.sent}, received={self.received}, frozen={self.frozen!r})"


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(PairState)
_SNAPSHOT_KEY: Final = bytes(32)
"""For pickles that never leave memory."""


def alike(_: Exception) -> Unopenable:
    """Every cause becomes one error, so that nobody learns from us why a record failed."""
    return Unopenable()


def require_same_device(old: Pairwise, new: Pairwise) -> None:
    """What waits in one session may go to another only if both belong to the very same
    person and device. Raises `KeyChanged`."""
    before, after = old.peer, new.peer
    if _who(before) != _who(after) or new.frozen:
        raise KeyChanged("the contact's key has changed; nothing is sent again without your word")


def _who(party: Party) -> tuple[bytes, bytes, bytes]:
    return party.root, party.device, party.curve25519
