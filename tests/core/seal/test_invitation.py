from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.seal import hpke, padding
from holdfast.core.seal import invitation as module
from holdfast.core.seal.bundle import BadBundle, open_bundle
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.identity import Identity
from holdfast.core.seal.invitation import (
    GRACE,
    Contact,
    Inbox,
    Invitation,
    Repeat,
    Used,
    accept,
)
from holdfast.testing.pairs import DAY, NOW, deliver, home, meet, seeded

DRAW = seeded("invitation")
ANNA, BORIS, CLARA = (Identity.create(DRAW)[0] for _ in range(3))
HERE = (home("10.0.0.1"),)


def invite(many: bool = False, expires: int = NOW + DAY) -> Invitation:
    return Invitation.create(ANNA, (home(),), expires, b"Anna", NOW, DRAW, many)


def answer(invitation: Invitation, who: Identity = BORIS) -> tuple[Contact, bytes]:
    return accept(invitation.link, invitation.record, who, HERE, b"Boris", NOW, DRAW)


def reason(invitation: Invitation, record: bytes, now: int = NOW) -> str:
    with pytest.raises(BadBundle) as caught:
        open_bundle(invitation.link, record, now)
    return caught.value.reason


def test_both_know_each_other_and_the_inboxes_match() -> None:
    met = meet()
    assert met.at_anna.devices == met.boris.devices
    assert met.at_boris.devices == met.anna.devices
    assert (met.at_anna.profile, met.at_boris.profile) == (b"Boris", b"Anna")
    assert met.at_anna.mine == met.at_boris.theirs
    assert met.at_boris.theirs.homes == met.invitation.link.homes
    assert met.at_anna.theirs.caps == met.at_boris.mine.caps.only("append")
    anna, boris = met.pair
    assert deliver(boris, anna, b"while you slept").messages[0].content == b"while you slept"


def test_sizes_are_classes() -> None:
    met = meet()
    assert len(met.invitation.record) == 2048
    assert len(met.record) == 4096
    longest = Invitation.create(ANNA, (home(),), NOW + DAY, bytes(1024), NOW, DRAW)
    assert len(longest.record) in padding.CLASSES
    with pytest.raises(ValueError, match="1024"):
        Invitation.create(ANNA, (home(),), NOW + DAY, bytes(1025), NOW, DRAW)


def test_the_first_valid_answer_wins_and_a_repeat_changes_nothing() -> None:
    invitation = invite()
    _, first = answer(invitation)
    _, second = answer(invitation, CLARA)
    assert isinstance(invitation.open_accept(first, ANNA, NOW, DRAW), Contact)
    assert invitation.used
    stored = invitation.dump()
    again = Invitation.load(stored)
    assert isinstance(again.open_accept(first, ANNA, NOW, DRAW), Repeat)
    assert again.dump() == stored
    with pytest.raises(Used):
        again.open_accept(second, ANNA, NOW, DRAW)


def test_the_keys_are_gone_with_the_first_answer() -> None:
    invitation = invite()
    account, key = invitation._state.account, invitation._state.hpke_key
    assert account is not None
    assert key is not None
    assert key in invitation.dump()
    invitation.open_accept(answer(invitation)[1], ANNA, NOW, DRAW)
    assert key not in invitation.dump()
    assert account.pickle.encode() not in invitation.dump()


def test_revoking_deletes_the_keys() -> None:
    invitation = invite(many=True)
    _, record = answer(invitation)
    invitation.revoke()
    with pytest.raises(Used):
        Invitation.load(invitation.dump()).open_accept(record, ANNA, NOW, DRAW)


def test_one_link_for_many_makes_a_contact_each_and_none_twice() -> None:
    invitation = invite(many=True)
    records = [answer(invitation, who)[1] for who in (BORIS, CLARA)]
    contacts = [invitation.open_accept(record, ANNA, NOW, DRAW) for record in records]
    roots = [contact.devices.root for contact in contacts if isinstance(contact, Contact)]
    assert roots == [BORIS.party.root, CLARA.party.root]
    assert all(isinstance(contact, Contact) and contact.many for contact in contacts)
    invitation = Invitation.load(invitation.dump())
    assert [type(invitation.open_accept(record, ANNA, NOW, DRAW)) for record in records] == [
        Repeat,
        Repeat,
    ]


def test_an_answer_that_was_under_way_is_taken_for_a_week() -> None:
    invitation = invite()
    _, record = answer(invitation)
    late = NOW + DAY + GRACE
    with pytest.raises(Used):
        invitation.open_accept(record, ANNA, late, DRAW)
    assert isinstance(invitation.open_accept(record, ANNA, late - 1, DRAW), Contact)


def test_what_is_wrong_with_a_bundle_is_said() -> None:
    invitation, other = invite(), invite()
    assert reason(invitation, other.record) == "damaged"
    assert reason(invitation, invitation.record[:-1]) == "damaged"
    assert reason(invitation, b"") == "damaged"
    assert reason(invitation, invitation.record, NOW + DAY) == "expired"
    with pytest.raises(BadBundle) as caught:
        answer(invitation, ANNA)
    assert caught.value.reason == "own-link"


def test_a_link_that_says_other_than_its_bundle_is_refused() -> None:
    invitation = invite()
    for link in (
        replace(invitation.link, many=True),
        replace(invitation.link, expires=invitation.link.expires + 1),
    ):
        with pytest.raises(BadBundle):
            open_bundle(link, invitation.record, NOW)


def test_an_answer_to_another_invitation_is_ignored() -> None:
    invitation, other = invite(), invite()
    with pytest.raises(Unopenable):
        invitation.open_accept(answer(other)[1], ANNA, NOW, DRAW)
    assert not invitation.used


def test_the_inviter_is_never_sent_to_foreign_homes() -> None:
    invitation = invite()
    elsewhere = replace(invitation.link, homes=(home("evil.example"),))
    _, record = accept(elsewhere, invitation.record, BORIS, HERE, b"", NOW, DRAW)
    with pytest.raises(Unopenable):
        invitation.open_accept(record, ANNA, NOW, DRAW)


def resealed(invitation: Invitation, record: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """An answer opened with the invitation's key, changed in its details, sealed again."""
    key = hpke.HpkeKey(invitation._state.hpke_key or b"")
    me = ANNA.party
    info = hpke.info("accept", me.root, me.device, key.public, invitation.link.accept.conv_id)
    details, olm = msgspec.msgpack.decode(padding.unpad(key.open(record, info)))
    fields = msgspec.msgpack.decode(details)
    change(fields)
    plain = msgspec.msgpack.encode((msgspec.msgpack.encode(fields), olm))
    return hpke.seal(key.public, info, padding.pad(plain, hpke.OVERHEAD))


def test_olm_vouches_for_all_of_an_answer() -> None:
    """Who knows the link can seal to its key, and so wrap another's Olm message anew."""
    invitation = invite(many=True)
    _, record = answer(invitation)

    def elsewhere(fields: list[Any]) -> None:
        fields[2][4] = [str(home("evil.example"))]

    with pytest.raises(Unopenable):
        invitation.open_accept(resealed(invitation, record, elsewhere), ANNA, NOW, DRAW)
    same = resealed(invitation, record, lambda fields: None)
    assert isinstance(invitation.open_accept(same, ANNA, NOW, DRAW), Contact)


@pytest.mark.parametrize("role", ["read", "owner"])
def test_an_inbox_comes_with_every_role(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    invitation = invite()
    write = module._write_inbox

    def without(inbox: Inbox) -> Any:
        return msgspec.structs.replace(write(inbox), **{role: None})

    monkeypatch.setattr(module, "_write_inbox", without)
    _, record = answer(invitation)
    with pytest.raises(Unopenable):
        invitation.open_accept(record, ANNA, NOW, DRAW)


def test_a_link_for_many_is_not_for_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    invitation = invite(many=True)
    records = [answer(invitation)[1] for _ in range(3)]
    for record in records[:2]:
        assert isinstance(invitation.open_accept(record, ANNA, NOW, DRAW), Contact)
    with pytest.raises(Used):
        invitation.open_accept(records[2], ANNA, NOW, DRAW)


@settings(max_examples=30)
@given(st.binary(max_size=5000), st.sampled_from([None, *padding.CLASSES[:4]]))
def test_garbage_is_ignored_and_uses_nothing_up(data: bytes, size: int | None) -> None:
    invitation = invite()
    record = data if size is None else data[:size].ljust(size, b"\0")
    with pytest.raises(Unopenable):
        invitation.open_accept(record, ANNA, NOW, DRAW)
    assert not invitation.used
    assert reason(invitation, record) == "damaged"


@settings(max_examples=30)
@given(st.integers(0, 4095), st.integers(1, 255))
def test_a_changed_answer_is_ignored(at: int, bits: int) -> None:
    invitation = invite()
    record = bytearray(answer(invitation)[1])
    record[at] ^= bits
    with pytest.raises(Unopenable):
        invitation.open_accept(bytes(record), ANNA, NOW, DRAW)
    assert not invitation.used


@given(st.binary(max_size=500))
def test_a_damaged_store_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        Invitation.load(data)


def test_no_secret_is_in_what_is_printed() -> None:
    invitation = invite()
    assert invitation.link.text()[9:40] not in repr(invitation)
