"""low-order-dh: a key of low order makes a shared secret, or a signature, anybody's.

Elsewhere: vodozemac before 0.10 (2026).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec
import pytest

from holdfast.core.seal import hpke, identity, keys, keyset, olm, verification
from holdfast.core.seal.hpke import HpkeKey, Unopenable
from holdfast.core.seal.identity import Device, DeviceList, Identity
from holdfast.core.seal.invitation import Contact
from holdfast.core.seal.keys import LOW_CURVE25519, LOW_ED25519, BadKey, P
from holdfast.core.seal.keyset import KeySet, SignedKeys
from holdfast.core.seal.olm import AccountState, Ciphertext, Session
from holdfast.core.seal.verification import Verification
from holdfast.testing.pairs import NOW, deliver, meet, seeded

DRAW = seeded("low-order-dh")
ANNA, BORIS = (Identity.create(DRAW)[0] for _ in range(2))


def encodings(numbers: frozenset[int]) -> list[bytes]:
    """Each low coordinate, also plus P where 255 bits hold it, with and without the top bit."""
    values = sorted(numbers) + sorted(n + P for n in numbers if n + P < 2**255)
    return [(n | top).to_bytes(32, "little") for n in values for top in (0, 1 << 255)]


CURVE: Final = encodings(LOW_CURVE25519)
EDWARDS: Final = encodings(LOW_ED25519)
NEUTRAL: Final = (1).to_bytes(32, "little")


def signed_list(**changed: bytes) -> bytes:
    """A device list with a key exchanged, signed again by its owner as far as possible."""
    device = Device(
        changed.get("device", BORIS.party.device), changed.get("curve25519", BORIS.party.curve25519)
    )
    body = msgspec.msgpack.encode(
        identity._ListBody(
            1,
            changed.get("root", BORIS.party.root),
            changed.get("recovery", BORIS.devices.recovery),
            bytes(32),
            (device,),
        )
    )
    return msgspec.msgpack.encode((body, keys.sign(BORIS.root_key, "devices/1", body)))


def signed_keys(**changed: bytes) -> SignedKeys:
    me = BORIS.party
    body = msgspec.msgpack.encode(
        KeySet(
            hpke.SUITE_NAME,
            me.root,
            changed.get("device", me.device),
            changed.get("curve25519", me.curve25519),
            changed.get("hpke_key", HpkeKey.make(DRAW(96)).public),
            b"",
            False,
            NOW,
            NOW,
            me.head,
            bytes(16),
            b"",
        )
    )
    return SignedKeys(body, BORIS.account.sign("accept/1", body), BORIS.devices.encode())


@pytest.mark.parametrize("key", EDWARDS, ids=bytes.hex)
def test_every_ed25519_slot_refuses(key: bytes) -> None:
    for slot in ("root", "recovery", "device"):
        with pytest.raises(BadKey):
            DeviceList.decode(signed_list(**{slot: key}))
    with pytest.raises(BadKey):
        keyset.verify(signed_keys(device=key), "accept/1", bytes(16))


@pytest.mark.parametrize("key", CURVE, ids=bytes.hex)
def test_every_curve25519_slot_refuses(key: bytes) -> None:
    with pytest.raises(BadKey):
        DeviceList.decode(signed_list(curve25519=key))
    with pytest.raises(BadKey):
        keyset.verify(signed_keys(curve25519=key), "accept/1", bytes(16))
    half = HpkeKey.make(DRAW(96)).public[:1184] + key
    with pytest.raises(BadKey):
        keyset.verify(signed_keys(hpke_key=half), "accept/1", bytes(16))
    with pytest.raises(BadKey):
        hpke.seal(half, b"", b"")
    for pair in ((key, ANNA.account.curve25519), (ANNA.account.curve25519, key)):
        with pytest.raises(BadKey):
            Session.outbound(BORIS.account, *pair)


@pytest.mark.parametrize("key", CURVE, ids=bytes.hex)
def test_an_ephemeral_key_of_low_order_is_refused(key: bytes) -> None:
    pair = HpkeKey.make(DRAW(96))
    sealed = hpke.seal(pair.public, b"", b"x")
    with pytest.raises(Unopenable):
        pair.open(sealed[:1088] + key + sealed[1120:], b"")


@pytest.mark.parametrize("key", CURVE, ids=bytes.hex)
def test_every_key_inside_an_olm_message_is_looked_at_first(key: bytes) -> None:
    copy, one_time = ANNA.account.with_key(DRAW, False)
    session = Session.outbound(BORIS.account, ANNA.account.curve25519, one_time)
    message = session.encrypt(b"hello")
    for slot in message.keys:
        changed = Ciphertext(message.kind, message.body.replace(slot, key))
        with pytest.raises(Unopenable):
            olm.require_keys(changed)
        with pytest.raises(Unopenable):
            Session.inbound(copy, BORIS.account.curve25519, changed)
    theirs, _ = Session.inbound(copy, BORIS.account.curve25519, message)
    answer = theirs.encrypt(b"answer")
    with pytest.raises(Unopenable):
        session.decrypt(Ciphertext(answer.kind, answer.body.replace(answer.keys[0], key)))
    assert session.decrypt(answer) == b"answer"


@pytest.mark.parametrize("key", CURVE, ids=bytes.hex)
def test_a_comparison_with_a_key_of_low_order_is_cancelled(key: bytes) -> None:
    anna, boris = Verification(ANNA.party, BORIS.party), Verification(BORIS.party, ANNA.party)
    (ask,) = anna.start(NOW, DRAW)
    boris.handle(ask, NOW)
    boris.start(NOW, DRAW)
    boris.handle(Verification._say(verification.Show(boris._id, key)), NOW)
    assert boris.state == "cancelled"


@pytest.mark.parametrize("key", CURVE[:4], ids=bytes.hex)
def test_an_offer_with_a_key_of_low_order_is_refused(key: bytes) -> None:
    anna, boris = meet().pair
    deliver(anna, boris, b"1")
    deliver(boris, anna, b"2")
    half = HpkeKey.make(DRAW(96)).public[:1184] + key
    boris.outer.offer = lambda entropy: half  # type: ignore[method-assign]
    boris.outer.state.count = 50
    with pytest.raises(Unopenable):
        anna.open(boris.seal(b"offer", NOW, DRAW).blob, NOW)
    assert anna._state.outer.asked is None


def forge_a_root() -> bool:
    """Without any secret: a list under the neutral point, whose signature anybody can write."""
    body = msgspec.msgpack.encode(
        identity._ListBody(
            1, NEUTRAL, BORIS.devices.recovery, bytes(32), (BORIS.devices.devices[0],)
        )
    )
    try:
        forged = DeviceList.decode(msgspec.msgpack.encode((body, NEUTRAL + bytes(32))))
    except BadKey:
        return False
    return forged.root == NEUTRAL


def keep_an_all_zero_device() -> bool:
    """A device whose secret with everybody is known reaches the state of a contact."""
    try:
        kept = DeviceList.decode(signed_list(curve25519=bytes(32)))
    except BadKey:
        return False
    return kept.devices[0].curve25519 == bytes(32)


ATTACKS: Final[list[tuple[Callable[[], bool], str]]] = [
    (forge_a_root, "require_ed25519"),
    (keep_an_all_zero_device, "require_curve25519"),
]


@pytest.mark.parametrize(("attack", "defence"), ATTACKS)
def test_it_fails(attack: Callable[[], bool], defence: str) -> None:
    assert not attack()


@pytest.mark.parametrize(("attack", "defence"), ATTACKS)
def test_twin_without_the_check_it_succeeds(
    attack: Callable[[], bool], defence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, defence, lambda key: key)
    assert attack()


def test_honest_keys_still_meet() -> None:
    met = meet("honest")
    assert isinstance(met.at_anna, Contact)
    assert replace(met.at_anna, profile=b"") != met.at_anna
    assert AccountState.create(DRAW).curve25519 not in CURVE
