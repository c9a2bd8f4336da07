import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal import keys
from holdfast.core.seal.identity import MAX_DEVICES, Device, DeviceList, Identity, NotFirst
from holdfast.core.seal.keys import BadKey
from holdfast.testing.pairs import seeded

IDENTITY, RECOVERY = Identity.create(seeded("identity"))
FIRST = IDENTITY.devices
OTHER = Device(keys.public_bytes(Ed25519PrivateKey.from_private_bytes(b"o" * 32)), b"c" * 31 + b"1")


def successor(*devices: Device, after: DeviceList = FIRST) -> DeviceList:
    return DeviceList.sign(IDENTITY.root_key, after.recovery, devices, after)


def test_an_identity_survives_being_stored() -> None:
    again = Identity.load(IDENTITY.dump())
    assert again.party == IDENTITY.party
    assert DeviceList.decode(FIRST.encode()) == FIRST
    assert FIRST.holds(IDENTITY.party.device, IDENTITY.party.curve25519)


def test_a_device_is_linked_and_removed() -> None:
    more = IDENTITY.link(OTHER)
    assert (more.devices.devices[1], FIRST.follow(more.devices)) == (OTHER, "newer")
    less = more.unlink(OTHER.ed25519)
    assert less.devices.devices == FIRST.devices
    assert more.devices.follow(less.devices) == "newer"
    assert less.devices.follow(more.devices) == "older"
    with pytest.raises(BadKey, match="itself"):
        more.unlink(IDENTITY.party.device)


def test_a_linked_device_signs_no_list() -> None:
    account = Identity.create(seeded("second"))[0].account
    with pytest.raises(BadKey, match="does not have"):
        Identity.linked(account, FIRST)
    listed = IDENTITY.link(Device(account.ed25519, account.curve25519)).devices
    second = Identity.load(Identity.linked(account, listed).dump())
    assert second.party.root == IDENTITY.party.root and second.root is None
    for act in (lambda: second.link(OTHER), lambda: second.unlink(IDENTITY.party.device)):
        with pytest.raises(NotFirst, match="first device"):
            act()


def test_a_person_has_at_most_sixteen_devices() -> None:
    some = IDENTITY
    for number in range(1, MAX_DEVICES):
        secret = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        some = some.link(Device(keys.public_bytes(secret), b"c" * 31 + b"1"))
    with pytest.raises(BadKey, match="at most"):
        some.link(OTHER)


def test_the_recovery_key_is_named_and_not_kept() -> None:
    public = keys.public_bytes(Ed25519PrivateKey.from_private_bytes(RECOVERY))
    assert FIRST.recovery == public
    assert RECOVERY not in IDENTITY.dump()


def test_no_secret_is_in_what_is_printed() -> None:
    printed = repr(IDENTITY) + repr(IDENTITY.account)
    assert IDENTITY.account.pickle not in printed
    assert IDENTITY.account.key.hex() not in printed
    assert repr(IDENTITY.account.key) not in printed


def test_a_list_is_followed_only_by_its_direct_successor() -> None:
    second = successor(*FIRST.devices, OTHER)
    third = successor(OTHER, after=second)
    assert FIRST.follow(FIRST) == "same"
    assert FIRST.follow(second) == "newer"
    assert second.follow(third) == "newer"
    assert second.follow(FIRST) == "older"
    assert FIRST.follow(third) == "fork"
    assert second.follow(successor(OTHER)) == "fork"
    stranger, _ = Identity.create(seeded("stranger"))
    assert FIRST.follow(stranger.devices) == "stranger"


def test_a_list_by_anybody_else_is_refused() -> None:
    thief = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
    forged = msgspec.msgpack.encode((FIRST.body, keys.sign(thief, "devices/1", FIRST.body)))
    with pytest.raises(BadKey):
        DeviceList.decode(forged)


def test_lists_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(BadKey, match="twice"):
        successor(OTHER, OTHER)
    with pytest.raises(BadKey):
        successor()
    with pytest.raises(BadKey):
        successor(Device(OTHER.ed25519, bytes(32)))


@pytest.mark.parametrize(("version", "previous"), [(1, b"p" * 32), (2, bytes(32)), (0, bytes(32))])
def test_a_number_that_does_not_fit_the_chain_is_refused(version: int, previous: bytes) -> None:
    fields = msgspec.msgpack.decode(FIRST.body)
    body = msgspec.msgpack.encode([version, *fields[1:3], previous, fields[4]])
    signature = keys.sign(IDENTITY.root_key, "devices/1", body)
    with pytest.raises(BadKey):
        DeviceList.decode(msgspec.msgpack.encode((body, signature)))


@given(st.binary(max_size=400))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadKey):
        DeviceList.decode(data)
    with pytest.raises(ValueError, match="damaged"):
        Identity.load(data)
