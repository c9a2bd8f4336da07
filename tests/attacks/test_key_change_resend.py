"""key-change-resend: the peer's key changes, and what waits is encrypted again to the new one.

Elsewhere: WhatsApp 2017.
"""

import pytest

from holdfast.core.seal import pairwise
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.invitation import Contact, Invitation, Used, accept
from holdfast.core.seal.pairwise import KeyChanged, Pairwise
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded

DRAW = seeded("key-change-resend")
SECRET = b"for Boris alone"


def send_again(old: Pairwise, new: Pairwise, waiting: list[bytes]) -> list[bytes]:
    """What a node does when a contact comes with another session: the check, then sealing."""
    pairwise.require_same_device(old, new)
    return [new.seal(content, NOW, DRAW).blob for content in waiting]


def new_key_for_boris() -> bool:
    """Boris's root appears with another device, which is Mallory's (say, she restored his
    recovery file); Anna has a message that Boris has not acknowledged."""
    met = meet("key-change-resend")
    waiting = [SECRET]
    met.at_anna.pairwise.seal(SECRET, NOW, DRAW)
    mallory, _ = Identity.create(DRAW)
    again = Identity(met.boris.root, mallory.account, with_device(met.boris, mallory))
    invitation = Invitation.create(met.anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    at_mallory, record = accept(
        invitation.link, invitation.record, again, (home(),), b"Boris", NOW, DRAW
    )
    contact = invitation.open_accept(record, met.anna, NOW, DRAW)
    assert isinstance(contact, Contact)
    assert contact.devices.root == met.boris.party.root
    try:
        blobs = send_again(met.at_anna.pairwise, contact.pairwise, waiting)
    except KeyChanged:
        return False
    return at_mallory.pairwise.open(blobs[0], NOW).messages[0].content == SECRET


def with_device(owner: Identity, other: Identity) -> DeviceList:
    return DeviceList.sign(
        owner.root_key,
        owner.devices.recovery,
        (*owner.devices.devices, *other.devices.devices),
        owner.devices,
    )


def test_nothing_is_sent_again_to_another_key() -> None:
    assert not new_key_for_boris()


def test_twin_without_the_check_mallory_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairwise, "require_same_device", lambda old, new: None)
    assert new_key_for_boris()


def test_the_same_device_may_go_on() -> None:
    met = meet("key-change-resend")
    invitation = Invitation.create(met.anna, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    at_boris, record = accept(
        invitation.link, invitation.record, met.boris, (home(),), b"Boris", NOW, DRAW
    )
    contact = invitation.open_accept(record, met.anna, NOW, DRAW)
    assert isinstance(contact, Contact)
    (blob,) = send_again(met.at_anna.pairwise, contact.pairwise, [SECRET])
    assert at_boris.pairwise.open(blob, NOW).messages[0].content == SECRET


def answer_second() -> bool:
    """Mallory saw the link and answers after Boris, hoping to take his place."""
    met = meet("key-change-resend")
    mallory, _ = Identity.create(DRAW)
    _, record = accept(
        met.invitation.link, met.invitation.record, mallory, (home(),), b"Boris", NOW, DRAW
    )
    try:
        return isinstance(met.invitation.open_accept(record, met.anna, NOW, DRAW), Contact)
    except Used:
        return False


def test_a_second_answer_replaces_nobody() -> None:
    assert not answer_second()


def test_twin_with_the_keys_kept_the_second_answer_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Invitation, "revoke", lambda self: None)
    assert answer_second()


def test_a_request_to_resend_names_records_and_never_makes_new_ones() -> None:
    """What goes out again are the very bytes, which only the old device's ratchet opens."""
    met = meet("key-change-resend")
    anna, boris = met.pair
    kept = anna.seal(SECRET, NOW, DRAW)
    boris._ask = (1, 0)
    asked = anna.open(boris.control(NOW, DRAW).blob, NOW)
    assert asked.resend == ((1, 1),)
    assert anna.sent == kept.seq == 1
    mallory = meet("mallory").at_boris.pairwise
    with pytest.raises(Unopenable):
        mallory.open(kept.blob, NOW)
    assert boris.open(kept.blob, NOW).messages[0].content == SECRET
