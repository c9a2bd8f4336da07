"""cross-protocol: bytes made for one purpose are accepted for another.

Elsewhere: Threema, Delta Chat 2024.
"""

from collections.abc import Callable

import msgspec
import pytest

from holdfast.core import caps
from holdfast.core.seal import hpke, invitation, keys, keyset, renewal, rest
from holdfast.core.seal.bundle import open_bundle
from holdfast.core.seal.hpke import HpkeKey, Unopenable
from holdfast.core.seal.identity import DeviceList, Identity
from holdfast.core.seal.inner import Inner
from holdfast.core.seal.invitation import Contact, Invitation
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.keyset import Purpose, SignedKeys
from holdfast.core.seal.link import Link
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.verification import Verification
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded, settle

DRAW = seeded("cross-protocol")
PURPOSES = ("devices/1", "invite/1", "accept/1", "renewal/1")
KEY_SETS: tuple[Purpose, ...] = ("invite/1", "accept/1")
Reader = Callable[[bytes], bool]


def everything() -> dict[str, tuple[bytes, Reader]]:
    """Every kind of bytes that Holdfast seals, signs or stores, and what reads each kind:
    true, false or an error for what is accepted and what is not."""
    met = meet("cross-protocol", many=True)
    anna, boris = met.pair
    keyed_anna, keyed_boris = meet("cross-protocol keyed").pair
    settle(keyed_anna, keyed_boris, NOW + DAY)
    clara, _ = Identity.create(DRAW)
    link, rows = met.invitation.link, rest.Rows(bytes(32))
    envelope = caps.Envelope(bytes(32), bytes(32))
    _, answer = invitation.accept(
        link, met.invitation.record, clara, (home(),), b"Clara", NOW, DRAW
    )
    public = HpkeKey.make(DRAW(96)).public
    signed = {
        purpose: msgspec.msgpack.encode(
            keyset.sign(met.anna, purpose, public, bytes(16), b"", NOW, NOW)
        )
        for purpose in KEY_SETS
    }

    def key_set(purpose: Purpose) -> Reader:
        def read(data: bytes) -> bool:
            found = msgspec.msgpack.decode(data, type=SignedKeys)
            return bool(keyset.verify(found, purpose, bytes(16)))

        return read

    def step(data: bytes) -> bool:
        machine = Verification(met.anna.party, met.boris.party)
        machine.handle(data, NOW)
        return machine.state == "asked"

    (ask,) = Verification(met.boris.party, met.anna.party).start(NOW, DRAW)
    return {
        "link": (link.text().encode(), lambda data: bool(Link.parse(data.decode("ascii"), NOW))),
        "bundle": (
            met.invitation.record,
            lambda data: bool(open_bundle(link, data, NOW)),
        ),
        "answer": (
            answer,
            lambda data: isinstance(met.invitation.open_accept(data, met.anna, NOW, DRAW), Contact),
        ),
        "opening record": (
            boris.seal(b"x", NOW, DRAW).blob,
            lambda data: bool(anna.open(data, NOW).messages),
        ),
        "keyed record": (
            keyed_boris.seal(b"x", NOW, DRAW).blob,
            lambda data: bool(keyed_anna.open(data, NOW).messages),
        ),
        "device list": (met.anna.devices.encode(), lambda data: bool(DeviceList.decode(data))),
        "inviter's keys": (signed["invite/1"], key_set("invite/1")),
        "acceptor's keys": (signed["accept/1"], key_set("accept/1")),
        "inside": (
            Inner(1, 0, bytes(32), b"context of this pair, 32 bytes!!").encode(),
            lambda data: Inner.decode(data).context == b"context of this pair, 32 bytes!!",
        ),
        "step": (ask, step),
        "row": (
            rows.wrap("sessions", b"1", 1, b"x", DRAW),
            lambda data: bool(rows.unwrap("sessions", b"1", 1, data)),
        ),
        "database key": (
            rest.wrap_key(bytes(32), "p", DRAW),
            lambda data: bool(rest.unwrap_key(data, "p")),
        ),
        "identity": (met.anna.dump(), lambda data: bool(Identity.load(data))),
        "invitation": (met.invitation.dump(), lambda data: bool(Invitation.load(data))),
        "session": (keyed_anna.dump(DRAW), lambda data: bool(Pairwise.load(data))),
        "renewal": (
            renewal.seal(met.boris, met.at_anna.mine.caps, link, DRAW),
            lambda data: bool(
                renewal.open_renewal(data, met.at_anna.mine.caps, met.boris.devices.root, 0)
            ),
        ),
        "home's record": (
            envelope.seal(bytes(16), b"x", bytes(12)),
            lambda data: bool(envelope.open(data)),
        ),
    }


def accepted(read: Reader, data: bytes) -> bool:
    try:
        return read(data)
    except ValueError:
        return False


def crossed() -> set[tuple[str, str]]:
    """Pairs of a kind of bytes and another kind's reader that took them."""
    kinds = everything()
    return {
        (made, reader)
        for made, (data, _) in kinds.items()
        for reader, (_, read) in kinds.items()
        if made != reader and accepted(read, data)
    }


def test_every_kind_is_read_by_its_own_reader() -> None:
    for name, (data, read) in everything().items():
        assert accepted(read, data), name


def test_no_kind_is_accepted_as_another() -> None:
    assert crossed() == set()


def test_twin_without_the_purpose_in_a_signature_keys_cross(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "signed_bytes", lambda purpose, body: body)
    assert crossed() == {
        ("inviter's keys", "acceptor's keys"),
        ("acceptor's keys", "inviter's keys"),
    }


def signatures_crossed() -> int:
    """How many (made for, verified as) pairs of different purposes verify."""
    root = meet().anna.root_key
    count = 0
    for made in PURPOSES:
        signature = keys.sign(root, made, b"the same body")
        for other in PURPOSES:
            try:
                keys.verify(keys.public_bytes(root), other, b"the same body", signature)
            except BadKey:
                continue
            count += made != other
    return count


def test_a_signature_verifies_for_its_own_purpose_only() -> None:
    assert signatures_crossed() == 0


def test_twin_signatures_without_a_purpose_all_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "signed_bytes", lambda purpose, body: body)
    assert signatures_crossed() == len(PURPOSES) * (len(PURPOSES) - 1)


def envelopes_crossed() -> int:
    """How many HPKE envelopes open for another purpose, person, device or conversation."""
    key = HpkeKey.make(bytes(range(96)))
    places = [
        (purpose, root * 32, device * 32, conversation * 16)
        for purpose in ("accept", "message", "rotate")
        for root in (b"r", b"R")
        for device in (b"d", b"D")
        for conversation in (b"c", b"C")
    ]
    count = 0
    for made in places:
        purpose, root, device, conv_id = made
        info = hpke.info(purpose, root, device, key.public, conv_id)
        sealed = hpke.seal(key.public, info, b"x")
        for other in places:
            purpose, root, device, conv_id = other
            try:
                key.open(sealed, hpke.info(purpose, root, device, key.public, conv_id))
            except Unopenable:
                continue
            count += made != other
    return count


def test_an_envelope_opens_in_its_own_place_only() -> None:
    assert envelopes_crossed() == 0


def test_twin_without_info_every_envelope_opens_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hpke, "info", lambda *place: b"")
    assert envelopes_crossed() == 24 * 23
