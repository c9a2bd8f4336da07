"""What a person with a new device says to contacts."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.caps import Caps, Home
from holdfast.core.seal import keys, padding, renewal
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.link import Link

INBOX = Caps.make(bytes(range(128)))
LINK = Link(2**31, bytes(16), bytes(32), (Home("relay.example", 443, bytes(16), bytes(32)),))
NOW = 1_800_000_000_000


def renewed() -> tuple[Identity, Identity]:
    """Somebody, and the same person later."""
    old, _ = Identity.create(os.urandom)
    return old, Identity.renew(old.root_key, old.devices, NOW, os.urandom)


def test_a_contact_reads_it() -> None:
    old, new = renewed()
    record = renewal.seal(new, INBOX, LINK, os.urandom)
    assert len(record) in padding.CLASSES
    found = renewal.open_renewal(record, INBOX, old.devices.root, old.devices.version)
    assert found.link == LINK.text()
    assert found.devices == new.devices
    assert found.devices.devices[0].ed25519 == new.account.ed25519 != old.account.ed25519


def test_the_new_list_is_ahead_of_any_that_was_made_before() -> None:
    old, new = renewed()
    later = Identity.renew(old.root_key, old.devices, NOW + 60_000, os.urandom)
    assert old.devices.version < new.devices.version < later.devices.version
    assert new.devices.recovery == old.devices.recovery


def test_nobody_else_can_say_it() -> None:
    old, new = renewed()
    other, _ = Identity.create(os.urandom)
    root, version = old.devices.root, old.devices.version
    record = renewal.seal(new, INBOX, LINK, os.urandom)
    elsewhere = Caps.make(os.urandom(128))
    for bad, inbox, who, known in (
        (renewal.seal(other, INBOX, LINK, os.urandom), INBOX, root, version),
        (record, elsewhere, root, version),
        (record, INBOX, other.devices.root, version),
        (record, INBOX, root, new.devices.version),  # said again
        (b"\x02" + record[1:], INBOX, root, version),
        (record[:-1], INBOX, root, version),
        (record[:-1] + bytes([record[-1] ^ 1]), INBOX, root, version),
    ):
        with pytest.raises(Unopenable):
            renewal.open_renewal(bad, inbox, who, known)


def test_somebody_elses_list_is_refused_even_if_it_is_well_signed() -> None:
    old, new = renewed()
    other, _ = Identity.create(os.urandom)
    mixed = Identity(new.root, new.account, other.devices)
    record = renewal.seal(mixed, INBOX, LINK, os.urandom)
    with pytest.raises(Unopenable):
        renewal.open_renewal(record, INBOX, old.devices.root, 0)


def test_no_other_signature_of_the_root_serves() -> None:
    old, _ = renewed()
    body = b"anything"
    for purpose in ("devices/1", "invite/1", "accept/1"):
        signature = keys.sign(old.root_key, purpose, body)
        with pytest.raises(keys.BadKey):
            keys.verify(old.devices.root, renewal.PURPOSE, body, signature)


@given(st.binary(max_size=2_000))
def test_garbage(data: bytes) -> None:
    for record in (data, renewal.KIND + data, (renewal.KIND + data).ljust(2_048, b"\0")):
        with pytest.raises(Unopenable):
            renewal.open_renewal(record, INBOX, bytes(32), 0)


def test_a_list_of_a_minute_is_no_direct_successor() -> None:
    """Only a renewal takes it: in a session it would be a fork."""
    old, new = renewed()
    assert old.devices.follow(new.devices) == "fork"
    assert DeviceList.decode(new.devices.encode()) == new.devices
