"""reorder-drop: a relay holds records back and lets them go in another order.

Elsewhere: MTProto 2022, LINE. Olm itself recovers at most 40 skipped messages.
"""

import pytest

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.pairwise import Pairwise
from holdfast.testing.pairs import DAY, NOW, meet, seeded, settle

DRAW = seeded("reorder-drop")


def hold_back(records: int) -> bool:
    """The relay shows the newest record first and the others after it. True if something is
    lost, out of order or doubled and no gap is shown."""
    anna, boris = meet("reorder-drop").pair
    settle(anna, boris, NOW + DAY)
    wrote = [b"%d" % n for n in range(records)]
    blobs = [boris.seal(content, NOW, DRAW).blob for content in wrote]
    read: list[bytes] = []
    for blob in [blobs[-1], *blobs[:-1]]:
        try:
            read += [message.content for message in anna.open(blob, NOW).messages]
        except Unopenable:
            continue
    return read != wrote and anna.gap is None


@pytest.mark.parametrize("records", [2, 61, 2100])
def test_nothing_is_lost(records: int) -> None:
    assert not hold_back(records)


@pytest.mark.parametrize("records", [2, 61, 2100])
def test_twin_fed_as_they_come_records_are_lost_in_silence(
    records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pairwise, "_is_next", lambda self, seq: True)
    assert hold_back(records)


def test_what_never_comes_is_a_gap_that_is_asked_for() -> None:
    anna, boris = meet("reorder-drop").pair
    settle(anna, boris, NOW + DAY)
    dropped = boris.seal(b"dropped", NOW, DRAW)
    anna.open(boris.seal(b"after", NOW, DRAW).blob, NOW)
    assert anna.gap == (dropped.seq, dropped.seq)
    anna.caught_up(NOW)
    asked = boris.open(anna.control(NOW, DRAW).blob, NOW)
    assert asked.resend == ((dropped.seq, dropped.seq),)
    read = anna.open(dropped.blob, NOW).messages
    assert [message.content for message in read] == [b"dropped", b"after"]
