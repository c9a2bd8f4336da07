"""no-fs: a device is seized, and what was recorded before opens with what it holds.

Elsewhere: Session's first protocol, Threema. Keys of records are gone once they were used; what is
in the history itself is another matter (rest-leak, disappearing messages).
"""

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import Pairwise
from holdfast.core.seal.waiting import Record
from holdfast.testing.pairs import DAY, NOW, deliver, meet, seeded, settle

DRAW = seeded("no-fs")


def opens(dump: bytes, blob: bytes) -> bool:
    """Whether whoever has a device's state opens a record of the wire, in no order at all and
    without any of our checks."""
    thief = Pairwise.load(dump)
    try:
        epoch, key_id, body = thief.outer.open(blob)
        return bool(thief._session.decrypt(Record.decode(epoch, key_id, body).olm))
    except (Unopenable, ValueError):
        return False


def recorded() -> tuple[list[bytes], list[bytes], bytes, bytes]:
    """What went to Boris and from him, and his device's state before and after all of it."""
    anna, boris = meet("no-fs").pair
    settle(anna, boris, NOW + DAY)
    before = boris.dump(DRAW)
    to, of = [], []
    for number in range(4):
        to.append(anna.seal(b"to Boris %d" % number, NOW, DRAW).blob)
        assert boris.open(to[-1], NOW).messages
    for number in range(4):
        of.append(boris.seal(b"of Boris %d" % number, NOW, DRAW).blob)
        assert anna.open(of[-1], NOW).messages
    deliver(anna, boris, b"last")
    return to, of, before, boris.dump(DRAW)


def test_a_seized_device_opens_nothing_of_before() -> None:
    to, of, _, after = recorded()
    assert not any(opens(after, blob) for blob in to + of)


def test_twin_a_device_that_keeps_its_states_opens_all_that_came() -> None:
    to, _, before, _ = recorded()
    assert all(opens(before, blob) for blob in to)
