import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.outer import KEYED, OPENING, ROTATE_MESSAGES, ROTATE_MILLIS
from holdfast.core.seal.pairwise import Pairwise
from holdfast.testing.pairs import DAY, NOW, deliver, meet, seeded, settle

DRAW = seeded("outer")


def opened(seed: str = "opened") -> tuple[Pairwise, Pairwise]:
    anna, boris = meet(seed).pair
    settle(anna, boris, NOW + DAY)
    return anna, boris


def epochs(*ends: Pairwise) -> list[int]:
    return [end._state.outer.epoch for end in ends]


def keys(end: Pairwise) -> list[int]:
    return sorted(end._state.outer.keys)


def test_everything_is_wrapped_until_each_has_heard_from_the_other() -> None:
    anna, boris = meet().pair
    assert boris.seal(b"1", NOW, DRAW).blob[0] == OPENING
    blob = anna.seal(b"2", NOW, DRAW).blob
    assert blob[0] == OPENING
    boris.open(blob, NOW)
    blob = boris.seal(b"3", NOW, DRAW).blob
    assert blob[0] == KEYED


def test_the_opening_keys_go_as_soon_as_nothing_can_be_missing() -> None:
    anna, boris = meet().pair
    late = boris.seal(b"late", NOW, DRAW)
    boris.open(anna.seal(b"hello", NOW, DRAW).blob, NOW)
    keyed = boris.seal(b"keyed", NOW, DRAW)
    anna.open(keyed.blob, NOW)
    assert anna._state.outer.mine is not None
    assert [m.content for m in anna.open(late.blob, NOW).messages] == [b"late", b"keyed"]
    assert anna._state.outer.mine is None
    boris.open(anna.seal(b"keyed", NOW, DRAW).blob, NOW)
    assert boris._state.outer.mine is None


def test_the_opening_needs_no_messages_of_people() -> None:
    assert epochs(*opened()) == [0, 0]


def test_a_new_key_after_fifty_records() -> None:
    anna, boris = opened()
    for _ in range(ROTATE_MESSAGES):
        deliver(anna, boris, b"x")
    assert epochs(anna, boris) == [0, 0]
    settle(anna, boris, NOW + DAY)
    assert epochs(anna, boris) == [1, 1]
    assert (keys(anna), keys(boris)) == ([0, 1], [1])
    settle(anna, boris, NOW + 2 * DAY)
    assert keys(anna) == keys(boris) == [1]


def test_a_new_key_after_seven_days_once_the_old_was_used() -> None:
    anna, boris = opened()
    assert boris.due() is not None
    deliver(boris, anna, b"x")
    settle(anna, boris, NOW + ROTATE_MILLIS - 1)
    assert epochs(anna, boris) == [0, 0]
    settle(anna, boris, NOW + DAY + ROTATE_MILLIS)
    assert epochs(anna, boris) == [1, 1]


def test_only_one_side_offers_so_two_offers_never_cross() -> None:
    anna, boris = opened()
    for _ in range(3 * ROTATE_MESSAGES):
        deliver(anna, boris, b"x")
        assert anna._state.outer.offered is None
        assert anna.outer.wants_offer(NOW + 8 * DAY) == ""


def test_records_under_the_next_key_wait_for_the_one_that_brings_it() -> None:
    anna, boris = opened()
    for _ in range(ROTATE_MESSAGES):
        deliver(anna, boris, b"x")
    anna.open(boris.control(NOW, DRAW).blob, NOW)
    answer = anna.control(NOW, DRAW).blob
    after = [anna.seal(b"%d" % n, NOW, DRAW).blob for n in range(3)]
    for blob in reversed(after):
        assert boris.open(blob, NOW).messages == ()
    assert boris.gap == (boris.received + 1, 0)
    got = boris.open(answer, NOW).messages
    assert [m.content for m in got] == [b"0", b"1", b"2"]
    assert boris.gap is None


def test_old_records_still_open_until_none_can_be_missing() -> None:
    anna, boris = opened()
    for _ in range(ROTATE_MESSAGES):
        deliver(anna, boris, b"x")
    anna.open(boris.control(NOW, DRAW).blob, NOW)
    slow = boris.seal(b"slow", NOW, DRAW).blob
    boris.open(anna.control(NOW, DRAW).blob, NOW)
    fast = boris.seal(b"fast", NOW, DRAW).blob
    assert anna.open(fast, NOW).messages == ()
    assert keys(anna) == [0, 1]
    assert [m.content for m in anna.open(slow, NOW).messages] == [b"slow", b"fast"]
    assert keys(anna) == [1]


def test_without_receipts_a_rotation_waits_for_a_message() -> None:
    anna, boris = opened()
    for _ in range(ROTATE_MESSAGES):
        deliver(anna, boris, b"x")
    assert boris.due(receipts=True) == 0
    assert boris.due(receipts=False) == boris._state.outer.since + ROTATE_MILLIS
    blob = boris.seal(b"mine", NOW, DRAW).blob
    assert len(blob) == 2048
    anna.open(blob, NOW)
    assert anna.due(receipts=False) is None
    assert anna.due(receipts=True) == 0
    boris.open(anna.seal(b"answered along the way", NOW, DRAW).blob, NOW)
    assert epochs(anna, boris) == [1, 1]


@settings(max_examples=30)
@given(st.binary(max_size=600), st.booleans())
def test_garbage_is_refused(data: bytes, fill: bool) -> None:
    anna, _ = opened("garbage")
    for start in (b"", b"\1", b"\2\0", b"\2\1"):
        blob = (start + data)[:512].ljust(512, b"\0") if fill else start + data
        with pytest.raises(Unopenable):
            anna.open(blob, NOW)
