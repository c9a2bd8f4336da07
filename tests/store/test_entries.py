"""Segments: what is read is what was written, up to where a crash or the disk cut it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.store import entries

SEED, SEGMENT = 0x1234_5678, 7
RECORD = entries.entry(entries.RECORD, 5, 6, 7, b"body") + b"body"
BAD = RECORD.replace(b"body", b"Body")

bodies = st.lists(st.binary(max_size=200), min_size=1, max_size=5)


def segment(batches: list[list[bytes]], number: int = SEGMENT) -> tuple[bytes, list[int]]:
    """A segment's bytes and where its batches end."""
    data, ends, seq = b"", [], 0
    for count, records in enumerate(batches, 1):
        parts: list[bytes] = []
        for body in records:
            seq += 1
            parts += (entries.entry(entries.RECORD, 9, seq, 1_000 + seq, body), body)
        data += entries.batch(number, count, parts, SEED) + b"".join(parts)
        ends.append(len(data))
    return data, ends


def read(data: bytes) -> list[tuple[int, bytes] | None]:
    """Sequence numbers and bodies; None for what the disk changed."""
    view = memoryview(data)
    out: list[tuple[int, bytes] | None] = []
    for part in entries.scan(view, SEGMENT, SEED):
        for found in entries.entries(view, part):
            if found is None:
                out.append(None)
            else:
                kind, key, seq, time, at, size = found
                assert (kind, key, time) == (entries.RECORD, 9, 1_000 + seq)
                body = entries.body_of(data[at : at + entries.HEAD.size + size], key, seq)
                out.append((seq, body))
    return out


def numbered(batches: list[list[bytes]]) -> list[tuple[int, bytes]]:
    return list(enumerate((body for records in batches for body in records), 1))


@given(st.lists(bodies, max_size=5))
def test_round_trip(batches: list[list[bytes]]) -> None:
    assert read(segment(batches)[0]) == numbered(batches)


@given(st.lists(bodies, min_size=1, max_size=5), st.data())
def test_what_a_crash_cut_short_is_not_there(
    batches: list[list[bytes]], data: st.DataObject
) -> None:
    whole, ends = segment(batches)
    size = data.draw(st.integers(0, len(whole)))
    kept = sum(end <= size for end in ends)
    assert read(whole[:size]) == numbered(batches[:kept])


@given(st.lists(bodies, min_size=2, max_size=5), st.data())
def test_one_flipped_bit_costs_at_most_one_batch_behind_which_others_are_found(
    batches: list[list[bytes]], data: st.DataObject
) -> None:
    whole, ends = segment(batches)
    at = data.draw(st.integers(0, ends[-2] - 1))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    hit = next(number for number, end in enumerate(ends) if at < end)
    expected = numbered(batches)
    first = sum(map(len, batches[:hit]))
    last = first + len(batches[hit])
    found = read(bytes(flipped))
    assert found[:first] == expected[:first]
    assert [each for each in found[first:] if each][-(len(expected) - last) :] == expected[last:]
    assert {each for each in found if each} <= set(expected), "nothing is there that was not"


def test_a_flipped_bit_in_a_body_costs_that_record_alone() -> None:
    whole, _ = segment([[b"first", b"second", b"third"], [b"later"]])
    flipped = whole.replace(b"second", b"secoNd")
    assert read(flipped) == [(1, b"first"), None, (3, b"third"), (4, b"later")]


@given(st.binary(max_size=2_000))
def test_garbage_holds_nothing(data: bytes) -> None:
    assert read(data) == []


def test_a_body_that_looks_like_batches_is_a_body() -> None:
    """Whoever has a record stored does not know the seed."""
    forged = entries.entry(entries.DROP, 9, 0, 0, b"")
    trap = entries.batch(SEGMENT, 2, [forged], seed=0) + forged
    whole, _ = segment([[b"x" * 600, trap]])
    torn = bytearray(whole)
    torn[100] ^= 1  # the crash lost a sector in front of it
    assert read(bytes(torn)) == []
    known = entries.batch(SEGMENT, 2, [forged], SEED) + forged
    whole, _ = segment([[b"x" * 600, known]])
    torn = bytearray(whole)
    torn[100] ^= 1
    assert read(bytes(torn)) != []  # twin: who knew it could


def test_another_segments_batches_are_not_this_ones() -> None:
    assert read(segment([[b"other"]], SEGMENT + 1)[0]) == []


@pytest.mark.parametrize(
    ("data", "key", "seq"),
    [
        (RECORD, 6, 6),
        (RECORD, 5, 7),
        (RECORD[:-1], 5, 6),
        (RECORD[:9], 5, 6),
        (b"", 5, 6),
        (BAD, 5, 6),
    ],
)
def test_a_record_read_alone_is_checked(data: bytes, key: int, seq: int) -> None:
    assert entries.body_of(RECORD, 5, 6) == b"body"
    with pytest.raises(entries.Damaged):
        entries.body_of(data, key, seq)
