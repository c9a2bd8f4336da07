"""Files as sealed chunks under one root."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core import wire
from holdfast.core.caps import OVERHEAD as ENVELOPE
from holdfast.core.seal.chunks import (
    LARGE,
    MAX_SIZE,
    OVERHEAD,
    SMALL,
    SMALL_FILE,
    BadChunk,
    FileKeys,
    Tree,
    chunk_size,
    count,
    leaf,
    read_record,
    record,
)

SECRET = bytes(range(32))
SMALLEST = 256


def salt(index: int) -> bytes:
    return hashlib.sha256(index.to_bytes(4, "big")).digest()[:16]


def sealed(keys: FileKeys, data: bytes) -> list[bytes]:
    size = keys.chunk
    return [keys.seal(i, data[i * size : (i + 1) * size], salt(i)) for i in range(keys.count)]


@given(st.integers(0, 4000), st.integers(SMALLEST, 700), st.randoms())
def test_any_file_comes_back_from_its_records_in_any_order(size, chunk, random) -> None:
    data = random.randbytes(size)
    keys = FileKeys(SECRET, size, chunk)
    parts = sealed(keys, data)
    tree = Tree([leaf(part) for part in parts])
    records = [record(i, tree.proof(i), part) for i, part in enumerate(parts)]
    random.shuffle(records)
    found = dict(read_record(keys, tree.root, one) for one in records)
    assert b"".join(keys.open(i, found[i]) for i in range(keys.count)) == data


@given(st.binary(max_size=2000))
def test_garbage_is_no_chunk(data: bytes) -> None:
    keys = FileKeys(SECRET, 1000, 300)
    with pytest.raises(BadChunk):
        read_record(keys, bytes(32), data)
    for index in (-1, 0, 3, 4):
        with pytest.raises(BadChunk):
            keys.open(index, data)


@given(st.integers(0, 7), st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_bit_is_no_chunk(index: int, place: int, change: int) -> None:
    keys = FileKeys(SECRET, 8 * 300 - 17, 300)
    parts = sealed(keys, bytes(keys.size))
    tree = Tree([leaf(part) for part in parts])
    one = bytearray(record(index, tree.proof(index), parts[index]))
    one[place % len(one)] ^= change
    with pytest.raises(BadChunk):
        read_record(keys, tree.root, bytes(one))


def test_a_chunk_has_its_place_its_file_and_its_length() -> None:
    keys = FileKeys(SECRET, 900, 300)
    parts = sealed(keys, bytes(900))
    for others in (
        FileKeys(SECRET, 901, 300),  # another length: another number of chunks or last one
        FileKeys(SECRET, 899, 300),
        FileKeys(bytes(32), 900, 300),
    ):
        for index in range(min(keys.count, others.count)):
            with pytest.raises(BadChunk):
                others.open(index, parts[index])
    with pytest.raises(BadChunk):
        keys.open(1, parts[0])
    with pytest.raises(BadChunk):
        keys.open(0, parts[0][:-1])


def test_the_root_holds_against_whoever_knows_the_secret() -> None:
    keys = FileKeys(SECRET, 900, 300)
    parts = sealed(keys, bytes(900))
    tree = Tree([leaf(part) for part in parts])
    forged = keys.seal(1, b"\1" * 300, bytes(16))
    with pytest.raises(BadChunk):
        read_record(keys, tree.root, record(1, tree.proof(1), forged))


@pytest.mark.parametrize("leaves", [1, 2, 3, 5, 8, 1000])
def test_the_tree_is_that_of_certificate_transparency(leaves: int) -> None:
    """RFC 9162 section 2.1.1, computed from its recursive definition."""

    def mth(hashes: list[bytes]) -> bytes:
        if len(hashes) == 1:
            return hashes[0]
        half = 1
        while half * 2 < len(hashes):
            half *= 2
        return hashlib.sha256(b"\1" + mth(hashes[:half]) + mth(hashes[half:])).digest()

    hashes = [leaf(bytes([i % 256])) for i in range(leaves)]
    assert Tree(hashes).root == mth(hashes)


def test_the_largest_file_fits_into_records() -> None:
    assert chunk_size(SMALL_FILE) == SMALL
    assert chunk_size(SMALL_FILE + 1) == LARGE
    depth = (count(MAX_SIZE, LARGE) - 1).bit_length()
    assert 4 + 32 * depth + LARGE + OVERHEAD + ENVELOPE <= wire.MAX_BODY


def test_lengths_on_a_relay_tell_a_power_of_two() -> None:
    lengths = {FileKeys(SECRET, size, SMALL).sealed_length(0) for size in range(SMALL + 1)}
    assert len(lengths) == 7


def test_no_file_has_absurd_measures() -> None:
    for size, chunk in ((-1, 300), (MAX_SIZE + 1, 300), (5, 0), (5, LARGE + 1)):
        with pytest.raises(ValueError):
            FileKeys(SECRET, size, chunk)
    keys = FileKeys(SECRET, 900, 300)
    with pytest.raises(ValueError):
        keys.seal(0, bytes(299), bytes(16))


def test_logs_and_record_ids_are_all_different() -> None:
    keys = FileKeys(SECRET, 10 * LARGE, LARGE)
    assert len({keys.caps(part).locator for part in range(8)}) == 8
    assert len({keys.rid(index) for index in range(100)}) == 100


def test_who_is_given_a_file_reads_its_logs_and_no_more() -> None:
    given, sender = FileKeys(SECRET, 900, 300), FileKeys(SECRET, 900, 300, bytes(32))
    assert sender.caps(1).only("read") == given.caps(1)
    assert (given.caps(1).append, given.caps(1).owner) == (None, None)
    roles = {sender.caps(part).append for part in (0, 1)} | {sender.caps(0).owner}
    assert len(roles) == 3 and None not in roles
