"""What a member can prove of another's message, and what nobody can."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.group import franking
from holdfast.core.group.franking import Proof
from holdfast.core.group.senders import announced
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import begin, person, proved, root, talking

DRAW = seeded("franking")


def test_every_message_that_opens_is_proved_whatever_the_order() -> None:
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    records = [outbound.seal(epoch, b"no. %d" % n * (n + 1), DRAW) for n in range(5)]
    for n in (0, 1, 3, 2, 4):
        proof = proved(epoch, inbound, records[n])
        said = franking.opened(proof, roster.id)
        assert (said.root, said.index, said.content) == (root(2), n, b"no. %d" % n * (n + 1))
        assert said.device == person(2).party.device
        again = franking.opened(
            msgspec.msgpack.decode(msgspec.msgpack.encode(proof), type=Proof), roster.id
        )
        assert again == said


def test_the_key_of_one_message_opens_no_other() -> None:
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    first, second = (
        proved(epoch, inbound, outbound.seal(epoch, said, DRAW)) for said in (b"one", b"two")
    )
    for one, other in ((first, second), (second, first)):
        with pytest.raises(Unopenable):
            franking.opened(msgspec.structs.replace(one, key=other.key), roster.id)
    with pytest.raises(Unopenable):
        franking.opened(first, bytes(32))


def test_a_report_is_read_in_its_group_alone() -> None:
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    proof = proved(epoch, inbound, outbound.seal(epoch, b"ugly", DRAW))
    me = person(3)
    data = franking.sign(roster.id, me.party, "this hurts", (proof,), 7, me.account)
    report = franking.read(data, roster.id)
    assert (report.root, report.words, report.proofs) == (root(3), "this hurts", (proof,))
    with pytest.raises(Unopenable):
        franking.read(data, bytes(32))


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 10_000), st.integers(1, 255))
def test_garbage_proves_nothing(garbage: bytes, at: int, flip: int) -> None:
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 2)
    inbound = announced(epoch, plain, roster.view())
    proof = proved(epoch, inbound, outbound.seal(epoch, b"ugly", DRAW))
    me = person(3)
    data = bytearray(franking.sign(roster.id, me.party, "", (proof,), 7, me.account))
    data[at % len(data)] ^= flip
    for other in (garbage, bytes(data)):
        with pytest.raises(Unopenable):
            franking.read(other, roster.id)
    message = bytearray(proof.message)
    message[at % len(message)] ^= flip
    for other in (garbage, bytes(message), proof.message[: at % len(message)], b"\x03\x08\x80"):
        with pytest.raises(Unopenable):
            franking.opened(msgspec.structs.replace(proof, message=other), roster.id)
    with pytest.raises(Unopenable):
        franking.opened(msgspec.structs.replace(proof, statement=garbage), roster.id)
