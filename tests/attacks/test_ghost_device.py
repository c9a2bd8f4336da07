"""ghost-device: a device that the person never added gets the keys.

Elsewhere: Matrix, Nebuchadnezzar 2022. Here a device counts only on a list that the person's root
signed, at first contact, in a session and in a renewal.
"""

import msgspec
import pytest

from holdfast.core.seal import keys, renewal
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import Device, DeviceList, Identity, _ListBody
from holdfast.core.seal.invitation import Contact, Invitation, accept
from holdfast.testing.pairs import DAY, NOW, deliver, home, meet, seeded, settle

DRAW = seeded("ghost-device")


def ghost(owner: Identity, mallory: Identity, version: int) -> Identity:
    """Mallory's device on a list that names the owner's root and was signed by her own."""
    known = owner.devices
    device = Device(mallory.account.ed25519, mallory.account.curve25519)
    parts = (version, known.root, known.recovery, known.head, (*known.devices, device))
    body = msgspec.msgpack.encode(_ListBody(*parts))
    signature = keys.sign(mallory.root_key, "devices/1", body)
    return Identity(mallory.root, mallory.account, DeviceList(*parts, body, signature))


def at_first_contact() -> bool:
    """Mallory answers Anna's invitation as a device of Boris's."""
    met = meet("ghost-device")
    mallory, _ = Identity.create(DRAW)
    invitation = Invitation.create(met.anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    link, again = invitation.link, ghost(met.boris, mallory, 2)
    _, record = accept(link, invitation.record, again, (home(),), b"Boris", NOW, DRAW)
    try:
        found = invitation.open_accept(record, met.anna, NOW, DRAW)
    except Unopenable:
        return False
    return isinstance(found, Contact) and found.devices.root == met.boris.devices.root


def in_a_session() -> bool:
    """A list with Mallory's device comes in Boris's session (say, through a program beside his)."""
    met = meet("ghost-device")
    anna, boris = met.pair
    settle(anna, boris, NOW + DAY)
    mallory, _ = Identity.create(DRAW)
    boris.tell(ghost(met.boris, mallory, 2).devices)
    try:
        deliver(boris, anna, b"x")
    except Unopenable:
        return False
    return anna.peer_version == 2


def in_a_renewal() -> bool:
    """Mallory knows Anna's inbox, and says that Boris has another device."""
    met = meet("ghost-device")
    mallory, _ = Identity.create(DRAW)
    inbox = met.at_anna.mine.caps
    record = renewal.seal(ghost(met.boris, mallory, 9), inbox, met.invitation.link, DRAW)
    try:
        renewal.open_renewal(record, inbox, met.boris.devices.root, 1)
    except Unopenable:
        return False
    return True


@pytest.mark.parametrize("attack", [at_first_contact, in_a_session, in_a_renewal])
def test_a_device_that_the_root_did_not_sign_gets_nothing(attack) -> None:
    assert not attack()


@pytest.mark.parametrize("attack", [at_first_contact, in_a_session, in_a_renewal])
def test_twin_without_the_signature_it_is_taken(attack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    assert attack()
