"""Epochs, what is sealed under them, and Megolm sessions with an owner."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.group.entries import BadEntry, Remove, decode
from holdfast.core.group.epochs import Epoch, Epochs, place
from holdfast.core.group.senders import MOST, Inbound, Outbound, announced, read
from holdfast.core.seal.hpke import Unopenable
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import SECRET, act, add, fold, found, person, root, secret_of

DRAW = seeded("talk")
NOW = 1_800_000_000_000


def group():
    """A founding with its secret, and an entry that adds two people."""
    first = found()
    second = act(0, (first.hash,), first.hash, add(1, "admin"), add(2))
    roster = fold(first, second)
    epochs = Epochs(roster)
    assert epochs.hold((first.hash,), b"wrong".ljust(32)) is None
    assert epochs.hold((first.hash,), SECRET) is not None
    return roster, epochs, second


def begin(epoch: Epoch, who: int = 0, counter: int = 1) -> tuple[Outbound, bytes]:
    me = person(who)
    return Outbound.begin(epoch, me.party, me.account, counter, NOW, DRAW)


def test_a_newcomer_gets_the_new_secret_and_derives_later_ones() -> None:
    roster, epochs, second = group()
    epoch = epochs.now()
    assert epoch is not None and epoch.tips == (second.hash,)
    theirs = Epochs(fold(*roster.entries))
    theirs.hold(epoch.tips, epoch.secret)
    assert theirs.at(roster.past((roster.id,))) is None
    third = act(0, (second.hash,), roster.id, add(3))
    roster.add(third)
    theirs._roster.add(third)
    assert epochs.now() == theirs.now() != epoch


def test_a_removal_takes_a_fresh_secret() -> None:
    roster, epochs, second = group()
    epochs.now()
    out = act(0, (second.hash,), roster.id, Remove(root(2)))
    roster.add(out)
    assert epochs.now() is None
    assert epochs.hold((out.hash,), secret_of(0)) is not None
    assert epochs.now() is not None


def test_a_message_opens_once_for_ever() -> None:
    roster, epochs, _ = group()
    epoch = epochs.now()
    assert epoch is not None
    sender, key = begin(epoch)
    records = [sender.seal(epoch, b"%d" % n, DRAW) for n in range(10)]
    assert {len(record) for record in records} == {512} and len(key) == 1024
    kind, plain = epoch.open(key)
    assert kind == "sender"
    inbound = announced(epoch, plain, roster.view())
    for n in (0, 1, 2, 5, 4):
        assert inbound.open(read(epoch.open(records[n])[1])[1]) == b"%d" % n
    assert inbound.missing == 1
    inbound = Inbound.load(inbound.dump())
    for n in (0, 1, 2, 5, 4):
        with pytest.raises(Unopenable):
            inbound.open(read(epoch.open(records[n])[1])[1])
    assert inbound.open(read(epoch.open(records[3])[1])[1]) == b"3"
    assert inbound.missing == 0 and inbound.state.base == 6
    sender = Outbound.load(sender.dump(DRAW))
    assert sender.fits(epoch, NOW) and not sender.fits(epoch, NOW + 8 * 86_400_000)
    for _ in range(MOST - 10):
        sender.seal(epoch, b"", DRAW)
    assert not sender.fits(epoch, NOW)


def test_a_session_belongs_to_its_device_and_epoch() -> None:
    roster, epochs, second = group()
    epoch = epochs.now()
    assert epoch is not None
    _, key = begin(epoch, 5)
    with pytest.raises(Unopenable):
        announced(epoch, epoch.open(key)[1], roster.view())
    _, key = begin(epoch, 1)
    third = act(0, (second.hash,), roster.id, add(3))
    roster.add(third)
    later = epochs.now()
    assert later is not None
    with pytest.raises(Unopenable):
        later.open(key)
    with pytest.raises(Unopenable):
        announced(later, epoch.open(key)[1], roster.view())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=700), st.integers(0, 1023), st.integers(1, 255))
def test_garbage_is_refused(garbage: bytes, at: int, flip: int) -> None:
    roster, epochs, _ = group()
    epoch = epochs.now()
    assert epoch is not None
    _, key = begin(epoch)
    changed = bytearray(key)
    changed[at] ^= flip
    for record in (garbage, bytes(changed)):
        with pytest.raises(Unopenable):
            epoch.open(record)
    for reader in (read, lambda data: announced(epoch, data, roster.view())):
        with pytest.raises(Unopenable):
            reader(garbage)
    with pytest.raises(Unopenable):
        place(garbage)
    with pytest.raises(BadEntry):
        decode(garbage)
