import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.seal.hpke import Unopenable
from holdfast.core.seal.olm import Ciphertext
from holdfast.core.seal.waiting import MAX_BYTES, MAX_RECORDS, Record, Waiting


def record(seq: int, body: bytes = b"olm") -> Record:
    return Record(0, b"key", seq, 0, bytes(8), bytes(8), Ciphertext(1, body))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 255), st.binary())
def test_round_trip(seq: int, ack: int, kind: int, body: bytes) -> None:
    olm = Ciphertext(kind, body)
    found = Record.decode(3, b"key", Record.encode(seq, ack, b"p" * 8, b"e" * 8, olm))
    assert found == Record(3, b"key", seq, ack, b"p" * 8, b"e" * 8, olm)


@given(st.binary(max_size=32))
def test_too_short_for_a_record(body: bytes) -> None:
    with pytest.raises(Unopenable):
        Record.decode(0, b"key", body)


def test_what_is_held_comes_out_once_and_a_second_of_its_number_is_dropped() -> None:
    waiting = Waiting()
    waiting.put(record(5, b"first"), 0)
    waiting.put(record(5, b"second"), 0)
    assert waiting.gap(2) == (3, 4)
    assert waiting.pop(4) is None
    found = waiting.pop(5)
    assert found is not None
    assert found.olm.body == b"first"
    assert waiting.pop(5) is None
    assert (waiting.bytes, waiting.gap(2)) == (0, None)


def test_blobs_without_a_key_are_held_once() -> None:
    waiting = Waiting()
    for blob in (b"a", b"b", b"a"):
        waiting.put_early(blob)
    assert waiting.gap(2) == (3, 0)
    assert waiting.take_early() == [b"a", b"b"]
    assert (waiting.bytes, waiting.gap(2)) == (0, None)


def test_records_and_blobs_share_one_bound_in_number() -> None:
    waiting = Waiting()
    for n in range(MAX_RECORDS):
        if n % 2:
            waiting.put(record(n), 0)
        else:
            waiting.put_early(b"%d" % n)
    waiting.put(record(MAX_RECORDS), 0)
    waiting.put_early(b"one more")
    assert len(waiting.records) + len(waiting.early) == MAX_RECORDS


def test_records_and_blobs_share_one_bound_in_bytes() -> None:
    waiting = Waiting()
    waiting.put(record(1, bytes(MAX_BYTES // 2)), 0)
    waiting.put_early(bytes(MAX_BYTES // 2))
    waiting.put(record(2), 0)
    waiting.put_early(b"x")
    assert waiting.bytes == MAX_BYTES
    assert (len(waiting.records), len(waiting.early)) == (1, 1)


def test_a_number_far_ahead_is_not_held() -> None:
    waiting = Waiting()
    waiting.put(record(11 + MAX_RECORDS), 10)
    assert waiting.gap(10) is None
    waiting.put(record(10 + MAX_RECORDS), 10)
    assert waiting.gap(10) == (11, 9 + MAX_RECORDS)
