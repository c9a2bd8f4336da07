"""session-owner-confusion: a group session passes for another device's.

Elsewhere: Matrix (Nebuchadnezzar, 2022), where a key that came by one channel was taken for the
owner's. A session here has the owner whose device signed it for this group and epoch, and each
message says whose it is.
"""

import msgspec
import pytest

from holdfast.core.group import senders
from holdfast.core.group.epochs import Epoch
from holdfast.core.group.senders import Inbound, announced, read
from holdfast.core.seal import keys
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import begin, person, talking

DRAW = seeded("owner")


def claimed(epoch: Epoch, plain: bytes, sign: bool) -> bytes:
    """Person 3 announces somebody's session as their own; with their signature, or with the one
    that was there."""
    signed = msgspec.msgpack.decode(plain, type=senders._Signed)
    said = msgspec.msgpack.decode(signed.body, type=senders.Statement)
    me = person(3)
    body = msgspec.msgpack.encode(
        msgspec.structs.replace(said, root=me.party.root, device=me.party.device)
    )
    signature = me.account.sign(senders.PURPOSE, body) if sign else signed.signature
    return msgspec.msgpack.encode(senders._Signed(body, signature, signed.key))


def stolen() -> bool:
    """Person 3 takes the session of person 1, whose key every member has; whether what person 1
    says is then shown as theirs."""
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 1)
    theft: Inbound = announced(epoch, claimed(epoch, plain, True), roster.view())
    record = outbound.seal(epoch, b"I resign", DRAW)
    try:
        said = theft.open(read(epoch.open(record)[1])[1])
    except Unopenable:
        return False
    return said.endswith(b"I resign") and theft.state.root == person(3).party.root


def test_what_another_device_says_is_not_shown_under_ones_own_name() -> None:
    assert not stolen()


def test_twin_without_the_owner_in_each_message_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "prefix", lambda *_: bytes(48))
    assert stolen()


def unsigned() -> bool:
    """The same with the signature that was there."""
    roster, _, epoch = talking()
    _, plain = begin(epoch, 1)
    try:
        announced(epoch, claimed(epoch, plain, False), roster.view())
    except Unopenable:
        return False
    return True


def test_a_session_without_its_devices_signature_is_refused() -> None:
    assert not unsigned()


def test_twin_without_the_signature_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    assert unsigned()


@pytest.mark.parametrize("kind", ["entries", "message", "card", "keys", "ask"])
def test_a_record_of_one_kind_is_nothing_to_the_reader_of_another(kind: str) -> None:
    roster, _, epoch = talking()
    _, plain = begin(epoch, 1)
    other = epoch.seal(kind, plain, DRAW)  # type: ignore[arg-type]
    assert epoch.open(other)[0] == kind
    changed = bytes([2]) + other[1:]
    with pytest.raises(Unopenable):
        epoch.open(changed)
    assert announced(epoch, plain, roster.view()).state.root == person(1).party.root
