import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.keys import BadKey
from holdfast.core.seal.olm import NORMAL, PREKEY, AccountState, Ciphertext, Session
from holdfast.testing.pairs import seeded

DRAW = seeded("olm")
ANNA = AccountState.create(DRAW)
BORIS = AccountState.create(DRAW)


def session(many: bool = False) -> tuple[AccountState, Session, Ciphertext]:
    copy, one_time = ANNA.with_key(DRAW, many)
    mine = Session.outbound(BORIS, ANNA.curve25519, one_time)
    return copy, mine, mine.encrypt(b"first")


def test_each_copy_keeps_the_device_and_holds_a_key_of_its_own() -> None:
    (one, first), (two, second) = ANNA.with_key(DRAW, False), ANNA.with_key(DRAW, True)
    assert one.curve25519 == two.curve25519 == ANNA.curve25519
    assert one.ed25519 == two.ed25519 == ANNA.ed25519
    assert first != second


def test_only_the_copy_with_the_key_opens_the_first_message() -> None:
    copy, mine, message = session()
    theirs, plain = Session.inbound(copy, BORIS.curve25519, message)
    assert (plain, theirs.id) == (b"first", mine.id)
    for other in (ANNA, ANNA.with_key(DRAW, False)[0], ANNA.with_key(DRAW, True)[0]):
        with pytest.raises(Unopenable):
            Session.inbound(other, BORIS.curve25519, message)


def test_the_sender_must_be_who_it_is_said_to_be() -> None:
    copy, _, message = session()
    with pytest.raises(Unopenable):
        Session.inbound(copy, ANNA.curve25519, message)


def test_a_fallback_key_opens_a_replay_so_session_ids_have_to_be_kept() -> None:
    copy, _, message = session(many=True)
    first, _ = Session.inbound(copy, BORIS.curve25519, message)
    again, _ = Session.inbound(copy, BORIS.curve25519, message)
    assert first.id == again.id


def test_every_key_of_a_message_is_found() -> None:
    copy, mine, message = session()
    one_time, _, identity, ratchet = message.keys
    assert identity == BORIS.curve25519
    assert one_time in message.body
    theirs, _ = Session.inbound(copy, BORIS.curve25519, message)
    assert message.place == (ratchet, 0)
    assert mine.encrypt(b"second").place == (ratchet, 1)
    answer = theirs.encrypt(b"answer")
    assert answer.kind == NORMAL
    assert len(answer.keys) == 1
    assert answer.place[1] == 0
    assert mine.decrypt(answer) == b"answer"


def test_a_failed_message_changes_nothing() -> None:
    copy, mine, message = session()
    theirs, _ = Session.inbound(copy, BORIS.curve25519, message)
    answer = theirs.encrypt(b"answer")
    before = mine.dump(bytes(32))
    for body in (b"", answer.body[:-1], answer.body[:-1] + b"\0", b"\x03" + bytes(40)):
        with pytest.raises(Unopenable):
            mine.decrypt(Ciphertext(NORMAL, body))
    assert mine.dump(bytes(32)) == before
    assert mine.decrypt(answer) == b"answer"


def test_a_prekey_message_in_another_wrapping_is_refused() -> None:
    copy, mine, message = session()
    theirs, _ = Session.inbound(copy, BORIS.curve25519, message)
    second = mine.encrypt(b"second")
    for key in second.keys[:3]:
        wrapped = Ciphertext(PREKEY, second.body.replace(key, ANNA.curve25519))
        with pytest.raises(Unopenable):
            theirs.decrypt(wrapped)
    assert theirs.decrypt(second) == b"second"


def test_no_session_with_an_unusable_key() -> None:
    with pytest.raises(BadKey):
        Session.outbound(BORIS, ANNA.curve25519, bytes(32))
    with pytest.raises(BadKey):
        Session.outbound(BORIS, bytes(32), ANNA.curve25519)


@given(st.sampled_from([PREKEY, NORMAL]), st.binary(max_size=300))
def test_garbage_is_refused(kind: int, body: bytes) -> None:
    message = Ciphertext(kind, body)
    for read in (lambda: message.keys, lambda: message.place):
        try:
            read()
        except Unopenable:
            pass
    copy, _ = ANNA.with_key(DRAW, True)
    with pytest.raises(Unopenable):
        Session.inbound(copy, BORIS.curve25519, message)
