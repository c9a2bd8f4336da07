"""error-oracle: what a failure looks like tells its cause, and so about key or plaintext.

Elsewhere: MTProto timing, Bridgefy padding.
"""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.seal import hpke, padding, pairwise, trail
from holdfast.core.seal.inner import Inner
from holdfast.core.seal.invitation import Invitation, Used
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.waiting import Record
from holdfast.testing.pairs import DAY, NOW, home, meet, seeded, settle

DRAW = seeded("error-oracle")


def bad_records(anna: Pairwise, boris: Pairwise) -> dict[str, bytes]:
    """Records for Anna that fail at every stage, by name of the stage."""
    outer = boris.outer

    def sealed(body: bytes, padded: bytes | None = None) -> bytes:
        if padded is None:
            return outer.seal(body, DRAW)
        header, nonce = b"\2\0", DRAW(12)
        aead: AESGCM = outer._key(0, mine=True)[0]
        return header + nonce + aead.encrypt(nonce, padded, header)

    twin = Pairwise.load(boris.dump(DRAW))
    good = twin.seal(b"good", NOW, DRAW).blob
    body = anna.outer.open(good)[2]
    lying = Pairwise.load(boris.dump(DRAW))
    lying._contexts[lying.outer.key_id, True] = bytes(32)
    garbled = Pairwise.load(boris.dump(DRAW))
    olm = garbled._session.encrypt(b"not an inside at all".ljust(90, b"!"))
    ends = trail.newest(garbled._state.said), trail.newest(garbled._state.heard)
    inside = Record.encode(garbled.sent + 1, garbled.received, *ends, olm)
    return {
        "empty": b"",
        "not a class": good[:-1],
        "unknown kind": b"\7" + good[1:],
        "unknown key": bytes([2, 9]) + good[2:],
        "outer tag": good[:-1] + bytes([good[-1] ^ 1]),
        "hpke after the opening": b"\1" + good[1:],
        "padding": sealed(b"", b"\0\0\0\1x".ljust(482, b"x")),
        "no sequence": sealed(b"short"),
        "olm kind": sealed(body[:32] + b"\5" + body[33:]),
        "olm mac": sealed(body[:-1] + bytes([body[-1] ^ 1])),
        "olm key": sealed(body.replace(anna_key(body), bytes(32))),
        "context": lying.seal(b"x", NOW, DRAW).blob,
        "inside": sealed(inside),
    }


def anna_key(body: bytes) -> bytes:
    """The ratchet key in an Olm message behind the sequence."""
    return body[33 + 3 : 33 + 35]


def distinct_outcomes() -> set[tuple[object, ...]]:
    """All that can be seen from outside after each of them: error, state, what is due."""
    anna, boris = meet("error-oracle").pair
    settle(anna, boris, NOW + DAY)
    seen: set[tuple[object, ...]] = set()
    for blob in bad_records(anna, boris).values():
        before = anna._session.dump(bytes(32)), anna.received, anna.sent
        try:
            anna.open(blob, NOW)
        except Exception as error:
            outcome = type(error), str(error), error.args, error.__cause__
        else:
            raise AssertionError("it opened")
        changed = before != (anna._session.dump(bytes(32)), anna.received, anna.sent)
        seen.add((*outcome, changed, anna.due(), anna.gap, anna.frozen))
    return seen


def test_all_failures_are_one() -> None:
    (only,) = distinct_outcomes()
    assert only[0] is hpke.Unopenable
    assert only[4] is False


def test_twin_with_the_causes_let_through_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairwise, "alike", lambda error: error)
    assert len(distinct_outcomes()) >= 3


def test_the_stages_are_reached() -> None:
    """Each name stands for its own cause, or the test above would compare one with itself."""
    anna, boris = meet("error-oracle").pair
    settle(anna, boris, NOW + DAY)
    records = bad_records(anna, boris)
    for name in ("no sequence", "olm kind", "olm mac", "olm key", "context", "inside"):
        anna.outer.open(records[name])
    for name in ("context", "inside"):
        record = anna.outer.open(records[name])[2]
        assert len(record) > 100
    assert Inner.decode(Inner(1, 1, bytes(32), bytes(32)).encode()).seq == 1


def test_answers_that_fail_look_alike_and_use_nothing_up() -> None:
    met = meet("error-oracle", many=True)
    other = meet("another", many=True)
    key = hpke.HpkeKey(met.invitation._state.hpke_key or b"")
    me = met.anna.party
    info = hpke.info("accept", me.root, me.device, key.public, met.invitation.link.accept.conv_id)
    inside = padding.unpad(key.open(met.record, info))
    broken = padding.pad(inside[:-1] + bytes([inside[-1] ^ 1]), hpke.OVERHEAD)
    records = [
        b"",
        met.record[:-1],
        met.record[:-1] + bytes([met.record[-1] ^ 1]),
        other.record,
        hpke.seal(key.public, info, broken),
        hpke.seal(key.public, info, padding.pad(b"\xc1", hpke.OVERHEAD)),
    ]
    before = met.invitation.dump()
    seen = set()
    for record in records:
        try:
            met.invitation.open_accept(record, met.anna, NOW, DRAW)
        except ValueError as error:
            seen.add((type(error), str(error), error.args))
    assert seen == {(hpke.Unopenable, "this does not open", ("this does not open",))}
    assert met.invitation.dump() == before
    gone = Invitation.create(met.anna, (home(),), NOW + DAY, b"", NOW, DRAW)
    gone.revoke()
    for record in records:
        with pytest.raises(Used):
            gone.open_accept(record, met.anna, NOW, DRAW)
