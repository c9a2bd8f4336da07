"""first-contact-mitm: somebody who saw the link, or carries what is sent, puts in other keys.

Elsewhere: Bridgefy 2022, bitchat 2025.
"""

import pytest
import vodozemac

from holdfast.core.caps import b64
from holdfast.core.seal import bundle, invitation, keys, keyset, verification
from holdfast.core.seal.bundle import BadBundle
from holdfast.core.seal.emoji import EMOJI
from holdfast.core.seal.hpke import HpkeKey
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import Invitation
from holdfast.core.seal.verification import Verification
from holdfast.testing.pairs import DAY, NOW, home, seeded

DRAW = seeded("first-contact-mitm")
ANNA, BORIS, MALLORY = (Identity.create(DRAW)[0] for _ in range(3))


def swap_the_bundle() -> bool:
    """Mallory knows the whole link and is its relay; she signs a bundle of her own."""
    invited = Invitation.create(ANNA, (home(),), NOW + DAY, b"Anna", NOW, DRAW)
    link = invited.link
    _, one_time = MALLORY.account.with_key(DRAW, False)
    public = HpkeKey.make(DRAW(96)).public
    signed = keyset.sign(
        MALLORY, "invite/1", public, link.accept.conv_id, b"Anna", NOW, link.expires, one_time
    )
    record = bundle.seal_bundle(link.secret, signed, DRAW)
    try:
        contact, _ = invitation.accept(link, record, BORIS, (home(),), b"Boris", NOW, DRAW)
    except BadBundle:
        return False
    return contact.devices.root == MALLORY.party.root and contact.profile == b"Anna"


def test_a_swapped_bundle_aborts() -> None:
    assert not swap_the_bundle()


def test_twin_without_the_hash_in_the_link_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "require_promised", lambda link, record: None)
    assert swap_the_bundle()


def choose_the_emoji(wanted: int) -> bool:
    """Mallory promises one key to Anna, sees Anna's, then grinds for another that gives the
    first emoji she wants; the other six only cost more of the same."""
    anna = Verification(ANNA.party, MALLORY.party)
    mallory = Verification(MALLORY.party, ANNA.party)
    (ask,) = anna.start(NOW, DRAW)
    mallory.handle(ask, NOW)
    (promise,) = mallory.start(NOW, DRAW)
    (shown,) = anna.handle(promise, NOW)
    key = verification._decoder.decode(shown)
    assert isinstance(key, verification.Show)
    while True:
        sas = vodozemac.Sas()
        mine = sas.public_key.to_bytes()
        about = keys.digest("sas-emoji/1", key.key, mine, mallory._transcript, b"")
        strings = sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_bytes(key.key))
        if strings.bytes(b64(about)).emoji_indices[0] == wanted:
            break
    anna.handle(Verification._say(verification.Show(key.name, mine)), NOW)
    return anna.state == "compare" and anna.emoji[0] == EMOJI[wanted]


def test_a_key_chosen_after_seeing_the_other_is_a_mismatch() -> None:
    assert not choose_the_emoji(7)


def test_twin_without_the_commitment_emoji_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Verification, "_kept_promise", lambda self, key: True)
    assert choose_the_emoji(7)


def test_two_conversations_relayed_by_mallory_show_different_emoji_or_none() -> None:
    """Anna and Boris each believe to compare with the other, over Mallory's two sessions."""
    anna = Verification(ANNA.party, MALLORY.party)
    boris = Verification(BORIS.party, MALLORY.party)
    (ask,) = anna.start(NOW, DRAW)
    boris.handle(ask, NOW)
    (promise,) = boris.start(NOW, DRAW)
    (shown,) = anna.handle(promise, NOW)
    (answer,) = boris.handle(shown, NOW)
    anna.handle(answer, NOW)
    assert anna.state == "mismatch"


def test_the_verified_mark_is_a_key_and_no_name() -> None:
    anna, mallory = Verification(ANNA.party, MALLORY.party), Verification(MALLORY.party, ANNA.party)
    to_mallory = anna.start(NOW, DRAW)
    mallory.handle(to_mallory[0], NOW)
    to_anna = mallory.start(NOW, DRAW)
    for _ in range(2):
        to_mallory = [out for body in to_anna for out in anna.handle(body, NOW)]
        to_anna = [out for body in to_mallory for out in mallory.handle(body, NOW)]
    anna.confirm(True, NOW)
    for body in mallory.confirm(True, NOW):
        anna.handle(body, NOW)
    assert anna.verified == MALLORY.party.root
    assert anna.verified != BORIS.party.root
