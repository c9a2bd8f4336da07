"""vodozemac's Olm behind what we need of it: states as bytes, keys checked, one error.

A device's account is written once and never changes. Each invitation works on a
copy of its own, which holds that invitation's one-time or fallback key and nothing
else, so no other invitation can use it up and deleting the copy deletes the key.
Source: the Olm specification (message format, section "The Olm Message Format").
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Final

import vodozemac
from msgspec import Meta, Struct

from holdfast.core.seal import Entropy, keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.keys import BadKey, require_curve25519

_ERRORS: Final = (
    vodozemac.DecodeException,
    vodozemac.KeyException,
    vodozemac.OlmDecryptionException,
    vodozemac.OlmEncryptionException,
    vodozemac.PickleException,
    vodozemac.SessionCreationException,
)
PREKEY: Final = 0
NORMAL: Final = 1
MAC: Final = 8


class AccountState(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A pickled account with the key that opens the pickle: secret."""

    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    pickle: Annotated[str, Meta(max_length=16_384)]
    ed25519: Annotated[bytes, Meta(min_length=32, max_length=32)]
    curve25519: Annotated[bytes, Meta(min_length=32, max_length=32)]

    def __repr__(self) -> str:
        return "AccountState(secret)"

    @classmethod
    def create(cls, entropy: Entropy) -> AccountState:
        """A new device. vodozemac draws the two identity keys itself."""
        return _keep(vodozemac.Account(), entropy(32))

    def with_key(self, entropy: Entropy, many: bool) -> tuple[AccountState, bytes]:
        """A copy with one new key, used once or (`many`) as a fallback again and again;
        the key's public half is the second value."""
        account = _account(self)
        if many:
            # In the binding, missing from its stubs.
            account.generate_fallback_key()  # type: ignore[attr-defined]
            (key,) = account.fallback_key.values()  # type: ignore[attr-defined]
        else:
            account.generate_one_time_keys(1)
            (key,) = account.one_time_keys.values()
        account.mark_keys_as_published()
        return _keep(account, entropy(32)), key.to_bytes()

    def sign(self, purpose: str, body: bytes) -> bytes:
        """The device's signature for a purpose, 64 bytes; see `keys.sign`."""
        return _raw(_account(self).sign(keys.signed_bytes(purpose, body)).to_base64())


def _account(state: AccountState) -> vodozemac.Account:
    return vodozemac.Account.from_pickle(state.pickle, state.key)


def _keep(account: vodozemac.Account, key: bytes) -> AccountState:
    return AccountState(
        key,
        account.pickle(key),
        _raw(account.ed25519_key.to_base64()),
        account.curve25519_key.to_bytes(),
    )


@dataclass(frozen=True)
class Ciphertext:
    """One Olm message: kind is `PREKEY` or `NORMAL`."""

    kind: int
    body: bytes

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Every public key in it: one-time, base and identity key if it is a prekey
        message, and last the ratchet key. Raises `Unopenable` if it is malformed."""
        if self.kind == NORMAL:
            return (_bytes(_fields(self.body, MAC), 1),)
        fields = _fields(self.body, 0)
        inner = _fields(_bytes(fields, 4), MAC)
        return (_bytes(fields, 1), _bytes(fields, 2), _bytes(fields, 3), _bytes(inner, 1))

    @property
    def place(self) -> tuple[bytes, int]:
        """Ratchet key and index in its chain: a pair that must never occur twice."""
        body = self.body if self.kind == NORMAL else _bytes(_fields(self.body, 0), 4)
        fields = _fields(body, MAC)
        index = fields.get(2)
        if not isinstance(index, int):
            raise Unopenable
        return _bytes(fields, 1), index


class Session:
    """One Olm session. Feed it in order: it recovers at most 40 skipped messages."""

    def __init__(self, session: vodozemac.Session) -> None:
        self._session = session

    @property
    def id(self) -> bytes:
        """SHA-256 over the keys it was made from, 32 bytes."""
        return _raw(self._session.session_id)

    @classmethod
    def outbound(cls, account: AccountState, curve25519: bytes, one_time: bytes) -> Session:
        """To a device by its identity key and a key of an invitation. Raises `BadKey`."""
        try:
            return cls(
                _account(account).create_outbound_session(_curve(curve25519), _curve(one_time))
            )
        except _ERRORS:
            raise BadKey("no session can be made with these keys") from None

    @classmethod
    def inbound(
        cls, account: AccountState, curve25519: bytes, message: Ciphertext
    ) -> tuple[Session, bytes]:
        """From a prekey message and the identity key its sender is bound to. The account
        copy is not changed: forgetting it is what uses the key up. Raises `Unopenable`."""
        require_keys(message)
        if message.kind != PREKEY or message.keys[2] != curve25519:
            raise Unopenable
        try:
            prekey = vodozemac.AnyOlmMessage.pre_key(message.body).to_pre_key()
            if prekey is None:
                raise Unopenable
            session, plain = _account(account).create_inbound_session(_curve(curve25519), prekey)
        except (*_ERRORS, BadKey):
            raise Unopenable from None
        return cls(session), plain

    def encrypt(self, plaintext: bytes) -> Ciphertext:
        """The next message. A new ratchet key, when it is due, is drawn by vodozemac."""
        kind, body = self._session.encrypt(plaintext).to_parts()
        return Ciphertext(kind, body)

    def decrypt(self, message: Ciphertext) -> bytes:
        """The plaintext. Raises `Unopenable`, and then nothing has changed."""
        require_keys(message)
        try:
            parts = vodozemac.AnyOlmMessage.from_parts(message.kind, message.body)
            prekey = parts.to_pre_key()
            if prekey is not None and not self._session.session_matches(prekey):
                raise Unopenable
            return self._session.decrypt(parts)
        except _ERRORS:
            raise Unopenable from None

    def dump(self, key: bytes) -> str:
        """Pickled under a fresh 32-byte key: the pickle's own IV is fixed by its key."""
        return self._session.pickle(key)

    @classmethod
    def load(cls, pickle: str, key: bytes) -> Session:
        """Inverse of `dump`. Raises ValueError."""
        return cls(vodozemac.Session.from_pickle(pickle, key))


def require_keys(message: Ciphertext) -> None:
    """Refuse a message with a key of low order in any slot. Raises `Unopenable`."""
    try:
        for key in message.keys:
            require_curve25519(key)
    except BadKey:
        raise Unopenable from None


def _curve(key: bytes) -> vodozemac.Curve25519PublicKey:
    return vodozemac.Curve25519PublicKey.from_bytes(require_curve25519(key))


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _fields(data: bytes, mac: int) -> dict[int, bytes | int]:
    """The protobuf fields between the version byte and the MAC: each once, rising.

    Stricter than a protobuf parser, so that the keys checked here are the keys used.
    """
    if data[:1] != b"\x03":
        raise Unopenable
    fields: dict[int, bytes | int] = {}
    at, end, last = 1, len(data) - mac, 0
    while at < end:
        number, wire = data[at] >> 3, data[at] & 7
        if not last < number <= 4 or wire not in (0, 2):
            raise Unopenable
        last = number
        value, at = _varint(data, at + 1)
        if wire == 0:
            fields[number] = value
            continue
        fields[number] = data[at : at + value]
        at += value
    if at != end:
        raise Unopenable
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            raise Unopenable
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise Unopenable


def _bytes(fields: dict[int, bytes | int], number: int) -> bytes:
    value = fields.get(number)
    if not isinstance(value, bytes):
        raise Unopenable
    return value
