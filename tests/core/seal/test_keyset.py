import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal import keys, keyset
from holdfast.core.seal.hpke import HpkeKey
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.keyset import KeySet, SignedKeys
from holdfast.testing.pairs import NOW, seeded

DRAW = seeded("keyset")
ANNA, BORIS = (Identity.create(DRAW)[0] for _ in range(2))
CONV_ID = b"c" * 16
PUBLIC = HpkeKey.make(bytes(range(96))).public


def signed(who: Identity = ANNA) -> SignedKeys:
    return keyset.sign(who, "invite/1", PUBLIC, CONV_ID, b"Anna", NOW, NOW)


def changed(by: Identity = ANNA, /, **fields: bytes) -> SignedKeys:
    """Signed by a device, with other things in it."""
    made = signed()
    body = msgspec.msgpack.decode(made.body, type=KeySet)
    other = msgspec.msgpack.encode(msgspec.structs.replace(body, **fields))
    return SignedKeys(other, by.account.sign("invite/1", other), made.devices)


def test_what_was_signed_is_read() -> None:
    body, devices = keyset.verify(signed(), "invite/1", CONV_ID)
    assert (body.party, devices) == (ANNA.party, ANNA.devices)
    assert body.profile == b"Anna"


def test_a_device_that_is_not_on_the_list_is_refused() -> None:
    ghost = Identity(ANNA.root, BORIS.account, ANNA.devices)
    with pytest.raises(BadKey, match="not on the list"):
        keyset.verify(signed(ghost), "invite/1", CONV_ID)
    for by, slot in ((BORIS, "device"), (ANNA, "curve25519")):
        with pytest.raises(BadKey, match="not on the list"):
            keyset.verify(changed(by, **{slot: getattr(BORIS.party, slot)}), "invite/1", CONV_ID)


def test_the_root_does_not_sign_in_the_place_of_a_device() -> None:
    made = signed()
    body = keys.sign(ANNA.root_key, "invite/1", made.body)
    with pytest.raises(BadKey):
        keyset.verify(SignedKeys(made.body, body, made.devices), "invite/1", CONV_ID)


@pytest.mark.parametrize(
    "fields",
    [
        {"suite": b"another"},
        {"root": BORIS.party.root},
        {"head": BORIS.party.head},
        {"conv_id": b"C" * 16},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_keys_for_something_else_are_refused(fields: dict[str, bytes]) -> None:
    with pytest.raises(BadKey, match="something else"):
        keyset.verify(changed(**fields), "invite/1", CONV_ID)


def test_another_persons_list_is_refused() -> None:
    made = signed()
    swapped = SignedKeys(made.body, made.signature, BORIS.devices.encode())
    with pytest.raises(BadKey):
        keyset.verify(swapped, "invite/1", CONV_ID)


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    for body in (
        SignedKeys(data, bytes(64), ANNA.devices.encode()),
        SignedKeys(data, ANNA.account.sign("invite/1", data), ANNA.devices.encode()),
    ):
        with pytest.raises(ValueError):
            keyset.verify(body, "invite/1", CONV_ID)
