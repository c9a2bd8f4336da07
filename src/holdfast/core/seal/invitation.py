"""First contact: the inviter's bundle, the acceptor's answer, and what comes of them.

The link pins the bundle by hash, so nobody who saw the link, its relay included,
can put other keys in its place. The answer is sealed to the invitation's own keys,
which are deleted with the first valid one. Source: spec/seal.md, "Invitations".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.core.caps import BadAddress, Caps, Home
from holdfast.core.seal import Entropy, hpke, keys, keyset, opening, padding
from holdfast.core.seal import link as links
from holdfast.core.seal.bundle import BadBundle, open_bundle, seal_bundle
from holdfast.core.seal.hpke import HpkeKey, Unopenable
from holdfast.core.seal.identity import DeviceList, Identity, Key32, Secret, Wire
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.keyset import SignedKeys
from holdfast.core.seal.link import MAX_HOMES, Link
from holdfast.core.seal.olm import PREKEY, AccountState, Ciphertext
from holdfast.core.seal.outer import Secret96
from holdfast.core.seal.pairwise import Pairwise

MAX_SESSIONS: Final = 1000
"""People who can accept one invitation for many."""
GRACE: Final = 7 * 86_400_000
"""Milliseconds after expiry in which an answer that was under way is still taken."""


class Used(ValueError):
    """The invitation was accepted by somebody before, was revoked, or has expired."""

    def __init__(self) -> None:
        super().__init__("the invitation was used before, revoked, or has expired")


@dataclass(frozen=True)
class Inbox:
    """A log with the roles that this side holds, and its homes."""

    caps: Caps = field(repr=False)
    homes: tuple[Home, ...]


@dataclass(frozen=True)
class Contact:
    """A contact as it begins, on either side."""

    devices: DeviceList
    """The other's device list; `devices.root` is who they are."""
    profile: bytes
    mine: Inbox
    """What I read: all four roles."""
    theirs: Inbox
    """What I append to. On the acceptor's side with all four roles until it was created
    on every home; then keep `theirs.caps.only("append")`."""
    pairwise: Pairwise
    many: bool
    """Made over a link for many: its first messages hang on a key that stays for the
    link's life, and the link may have been seen by anybody."""


@dataclass(frozen=True)
class Repeat:
    """The accept record that was already taken, again: nothing to do."""


class _Inbox(Wire, frozen=True):
    locator: Key32
    append: Key32
    read: Key32 | None
    owner: Key32 | None
    homes: Annotated[
        tuple[Annotated[str, Meta(max_length=400)], ...],
        Meta(min_length=1, max_length=MAX_HOMES),
    ]


class _Details(Wire, frozen=True):
    """All of an answer but its Olm message, which carries the hash of this."""

    keys: SignedKeys
    inviter: _Inbox
    acceptor: _Inbox


class _Accept(Wire, frozen=True):
    details: Annotated[bytes, Meta(max_length=32_768)]
    olm: Annotated[bytes, Meta(max_length=4096)]


class _State(Secret):
    version: Literal[1]
    link: str
    record: bytes
    bundle: tuple[Key32, Key32, Key32, Key32]
    accept: tuple[Key32, Key32, Key32, Key32]
    account: AccountState | None
    hpke_key: Secret96 | None
    taken: list[Key32]
    """The record that used it up, or, for many, the sessions that were made."""


class Invitation:
    """The inviter's side of one link; secret state."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self.link = Link.parse(state.link, 0)

    @classmethod
    def create(
        cls,
        identity: Identity,
        homes: tuple[Home, ...],
        expires: int,
        profile: bytes,
        now: int,
        entropy: Entropy,
        many: bool = False,
        device: bool = False,
    ) -> Invitation:
        """`device`: it links a further device of this person. `expires` in ms since 1970. Create
        both logs at every home, append `record` to the
        bundle log, then show `link`. A profile of over 1,024 bytes raises ValueError."""
        secret = entropy(16)
        account, one_time = identity.account.with_key(entropy, many)
        key = HpkeKey.make(entropy(hpke.SECRET))
        seconds = min(expires // 1000, 2**32 - 1)
        accept, bundle = links.accept_caps(secret), links.bundle_caps(secret)
        signed = keyset.sign(
            identity, "invite/1", key.public, accept.conv_id, profile, now, seconds, one_time, many
        )
        record = seal_bundle(secret, signed, entropy)
        link = Link(seconds, secret, hashlib.sha256(record).digest(), homes, many, device)
        assert bundle.read is not None and accept.append is not None
        return cls(
            _State(
                1,
                link.text(),
                record,
                (bundle.locator, entropy(32), bundle.read, entropy(32)),
                (accept.locator, accept.append, entropy(32), entropy(32)),
                account,
                key.secret,
                [],
            )
        )

    @property
    def record(self) -> bytes:
        """The bundle as it is appended to the bundle log."""
        return self._state.record

    @property
    def bundle_caps(self) -> Caps:
        """All four roles of the bundle log; the link gives only read."""
        return Caps(*self._state.bundle)

    @property
    def accept_caps(self) -> Caps:
        """All four roles of the accept log; the link gives only append."""
        return Caps(*self._state.accept)

    @property
    def used(self) -> bool:
        """Its keys are gone: it was accepted (if for one) or revoked."""
        return self._state.account is None

    def open_accept(
        self, record: bytes, identity: Identity, now: int, entropy: Entropy, own: bool = False
    ) -> Contact | Repeat:
        """`own`: another device of the same person answers, and nobody else. The first valid
        accept wins. Store this invitation's `dump` and the contact in
        one transaction. Raises `Unopenable` (ignore the record) or `Used`."""
        state = self._state
        digest = hashlib.sha256(record).digest()
        if digest in state.taken:
            return Repeat()
        if (
            state.account is None
            or state.hpke_key is None
            or now >= self.link.expires * 1000 + GRACE
            or len(state.taken) >= MAX_SESSIONS
        ):
            raise Used
        key = HpkeKey(state.hpke_key)
        contact = self._open(record, identity, state.account, key, now, entropy, own)
        if self.link.many:
            if self._seen(contact.pairwise.session_id):
                return Repeat()
            state.taken.append(contact.pairwise.session_id)
        else:
            self.revoke()
            state.taken.append(digest)
        return contact

    def _seen(self, session_id: bytes) -> bool:
        """A fallback key opens the same prekey message again and again; we do not."""
        return session_id in self._state.taken

    def _open(
        self,
        record: bytes,
        identity: Identity,
        account: AccountState,
        key: HpkeKey,
        now: int,
        entropy: Entropy,
        own: bool,
    ) -> Contact:
        me, conv_id = identity.party, self.link.accept.conv_id
        if len(record) not in padding.CLASSES:
            raise Unopenable
        plain = key.open(record, hpke.info("accept", me.root, me.device, key.public, conv_id))
        try:
            outer = msgspec.msgpack.decode(padding.unpad(plain), type=_Accept)
            details = msgspec.msgpack.decode(outer.details, type=_Details)
            body, devices = keyset.verify(details.keys, "accept/1", conv_id)
            mine, theirs = _read_inbox(details.inviter), _read_inbox(details.acceptor)
        except (ValueError, RecursionError):
            raise Unopenable from None
        if body.one_time or body.many or mine.caps.owner is None or mine.caps.read is None:
            raise Unopenable
        if set(mine.homes) != set(self.link.homes) or (devices.root == me.root) != own:
            raise Unopenable
        session = opening.respond(
            me,
            body.party,
            devices,
            _conv_id(mine, theirs),
            account,
            Ciphertext(PREKEY, outer.olm),
            key,
            body.hpke_key,
            _binding(self.link, outer.details),
            now,
            entropy,
        )
        theirs = Inbox(theirs.caps.only("append"), theirs.homes)
        return Contact(devices, body.profile, mine, theirs, session, self.link.many)

    def revoke(self) -> None:
        """Delete the keys; then drop both logs."""
        self._state.account = None
        self._state.hpke_key = None

    def dump(self) -> bytes:
        """Secret bytes, to be wrapped by `rest.Rows`."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def load(cls, data: bytes) -> Invitation:
        """Inverse of `dump`. Raises ValueError if it is damaged."""
        try:
            return cls(msgspec.msgpack.decode(data, type=_State))
        except (ValueError, RecursionError):
            raise ValueError("the stored invitation is damaged") from None

    def __repr__(self) -> str:
        return f"Invitation({self.link!r}, used={self.used})"


def accept(
    link: Link,
    record: bytes,
    identity: Identity,
    homes: tuple[Home, ...],
    profile: bytes,
    now: int,
    entropy: Entropy,
    own: bool = False,
) -> tuple[Contact, bytes]:
    """Make the contact and the record for `link.accept`. `own`: another device of the same
    person invites. `homes` are mine. Create both
    inboxes at their homes before the record is appended; store contact and record in one
    transaction. Raises `BadBundle`."""
    bundle = open_bundle(link, record, now)
    me = identity.party
    if (bundle.party.root == me.root) != own:
        raise BadBundle("own-link")
    conv_id = link.accept.conv_id
    key = HpkeKey.make(entropy(hpke.SECRET))
    theirs = Inbox(Caps.make(entropy(128)), link.homes)
    mine = Inbox(Caps.make(entropy(128)), homes)
    signed = keyset.sign(identity, "accept/1", key.public, conv_id, profile, now, link.expires)
    shown = Inbox(mine.caps.only("append"), homes)
    details = msgspec.msgpack.encode(_Details(signed, _write_inbox(theirs), _write_inbox(shown)))
    try:
        session, olm = opening.initiate(
            me,
            bundle.party,
            bundle.devices,
            _conv_id(theirs, mine),
            identity.account,
            bundle.one_time,
            key,
            bundle.hpke_key,
            _binding(link, details),
            entropy,
        )
    except BadKey:
        raise BadBundle("damaged") from None
    plain = padding.pad(msgspec.msgpack.encode(_Accept(details, olm.body)), hpke.OVERHEAD)
    to = bundle.party
    info = hpke.info("accept", to.root, to.device, bundle.hpke_key, conv_id)
    contact = Contact(bundle.devices, bundle.profile, mine, theirs, session, link.many)
    return contact, hpke.seal(bundle.hpke_key, info, plain)


def _conv_id(inviter: Inbox, acceptor: Inbox) -> bytes:
    """The pair's name for good, whatever inbox moves later: 16 bytes."""
    return keys.digest("conv/1", inviter.caps.conv_id, acceptor.caps.conv_id)[:16]


def _binding(link: Link, details: bytes) -> bytes:
    return keys.digest("accept-binding/1", link.bundle_hash, details)


def _write_inbox(inbox: Inbox) -> _Inbox:
    held = inbox.caps
    assert held.append is not None
    homes = tuple(str(home) for home in inbox.homes)
    return _Inbox(held.locator, held.append, held.read, held.owner, homes)


def _read_inbox(inbox: _Inbox) -> Inbox:
    try:
        homes = tuple(Home.parse(text) for text in inbox.homes)
    except BadAddress:
        raise ValueError("not a home") from None
    return Inbox(Caps(inbox.locator, inbox.append, inbox.read, inbox.owner), homes)
