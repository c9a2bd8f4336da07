"""repost-crash: a member posts another's message again as new, or posts what ends a process.

Elsewhere: Briar (2023).
"""

import pytest

from holdfast.core.group import senders
from holdfast.core.group.epochs import Epoch, place
from holdfast.core.group.senders import Inbound, announced, read
from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.padding import CLASSES
from holdfast.testing.entropy import seeded
from holdfast.testing.groups import act, add, begin, talking

DRAW = seeded("repost")


def shown(inbound: Inbound, epoch: Epoch, records: list[bytes]) -> list[bytes]:
    said = []
    for record in records:
        try:
            said.append(inbound.open(read(epoch.open(record)[1])[1]))
        except Unopenable:
            continue
    return said


def posted_again(restart: bool) -> int:
    """How often one message is shown that a member posts three times more, sealed anew so that
    no bytes are the same."""
    roster, _, epoch = talking()
    outbound, plain = begin(epoch, 1)
    inbound = announced(epoch, plain, roster.view())
    first = outbound.seal(epoch, b"pay 100", DRAW)
    again = [epoch.seal("message", epoch.open(first)[1], DRAW) for _ in range(3)]
    assert len({first, *again}) == 4
    said = shown(inbound, epoch, [first])
    if restart:
        inbound = Inbound.load(inbound.dump())
    return len(said + shown(inbound, epoch, again))


@pytest.mark.parametrize("restart", [False, True])
def test_a_message_is_shown_once(restart: bool) -> None:
    assert posted_again(restart) == 1


def test_twin_that_forgets_what_was_opened_shows_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inbound, "_done", lambda self, index: None)
    assert posted_again(False) == 4


def under_the_next_epoch() -> bool:
    """A member announces and posts another's session again after somebody was added."""
    roster, epochs, epoch = talking()
    outbound, plain = begin(epoch, 1)
    record = outbound.seal(epoch, b"pay 100", DRAW)
    roster.add(act(0, roster.tips, roster.id, add(5)))
    later = epochs.now()
    assert later is not None and later != epoch
    try:
        inbound = announced(later, plain, roster.view())
    except Unopenable:
        return False
    return bool(shown(inbound, later, [later.seal("message", epoch.open(record)[1], DRAW)]))


def test_what_was_said_under_one_epoch_is_not_said_under_the_next() -> None:
    assert not under_the_next_epoch()


def test_twin_without_the_epoch_in_statement_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "_require", lambda *_: None)
    monkeypatch.setattr(senders, "prefix", lambda *_: bytes(48))
    assert under_the_next_epoch()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 65_535, 65_536, 66_000, 262_144])
def test_no_size_ends_anything(size: int) -> None:
    _, _, epoch = talking()
    for record in (bytes(size), b"\x03" * size, b"\x01" + epoch.id + bytes(max(0, size - 33))):
        if len(record) not in CLASSES:
            with pytest.raises(Unopenable):
                place(record)
        with pytest.raises(Unopenable):
            epoch.open(record)
    deep = b"\x91" * 60_000
    for reader in (read, lambda data: announced(epoch, data, talking()[0].view())):
        with pytest.raises(Unopenable):
            reader(deep)
