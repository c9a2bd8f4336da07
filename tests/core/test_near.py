"""Who is on the local network, and the line between two contacts there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.near import (
    AROUND,
    HOUR,
    LARGEST,
    OPENING_MS,
    PING_MS,
    SILENT_MS,
    TAG,
    TOGETHER,
    BadLine,
    Came,
    Event,
    Line,
    Peer,
    Placed,
    Ready,
    Taken,
    announced,
    found,
)
from holdfast.testing.entropy import seeded

NOW = 1_700_000_000_000
A, B, C = (bytes((number,)) * 32 for number in (1, 2, 3))
BORIS = Peer.of("boris", mine=A, theirs=B)
ANNA = Peer.of("anna", mine=B, theirs=A)
STRANGER = Peer.of("boris", mine=C, theirs=B)


def tags(strings: list[bytes]) -> set[bytes]:
    data = [one[at : at + TAG] for one in strings for at in range(0, len(one), TAG)]
    assert len(data) == len(set(data))
    return set(data)


def test_a_contact_finds_who_announces_and_nobody_else_does() -> None:
    said = announced([BORIS], NOW, seeded(str(1)))
    assert found([ANNA], said, NOW) == [ANNA]
    assert found([ANNA], said, NOW + AROUND * HOUR) == [ANNA]
    assert found([ANNA], said, NOW + (AROUND + 1) * HOUR) == []
    assert found([BORIS, STRANGER], said, NOW) == []  # not even what one says oneself


def test_tags_change_with_the_hour_are_told_apart_by_direction_and_filled_up() -> None:
    now, later = (
        announced([BORIS], NOW, seeded(str(1))),
        announced([BORIS], NOW + HOUR, seeded(str(2))),
    )
    assert not tags(now) & tags(later)
    assert not tags(now) & tags(announced([ANNA], NOW, seeded(str(3))))
    many = [Peer.of(str(number), A, bytes((number,)) * 32) for number in range(2, 200)]
    sizes = [
        len(tags(announced(many[:count], NOW, seeded(str(count))))) for count in range(0, 198, 3)
    ]
    assert set(sizes) == {TOGETHER * times for times in range(1, 5)}
    assert all(len(one) < 250 for one in announced(many, NOW, seeded(str(9))))


class Two:
    """Both ends, and what came to each."""

    def __init__(self, caller: Peer = BORIS, called: Peer = ANNA) -> None:
        self.known: set[bytes] = set()
        self.one = Line([caller], NOW, seeded(str(1)), caller)
        self.other = Line([STRANGER, called], NOW, seeded(str(2)), known=self.known)
        self.came: dict[Line, list[Event]] = {self.one: [], self.other: []}

    def carry(self, now: int = NOW, piece: int = 1 << 20) -> None:
        for _ in range(4):
            for near, far in ((self.one, self.other), (self.other, self.one)):
                data = near.take()
                for at in range(0, len(data), piece):
                    self.came[far] += far.received(data[at : at + piece], now)


@given(piece=st.integers(1, 60), blob=st.binary(min_size=1, max_size=300))
def test_records_go_both_ways_however_the_bytes_are_cut(piece: int, blob: bytes) -> None:
    two = Two()
    two.carry(piece=piece)
    assert two.came == {two.one: [Ready("boris")], two.other: [Ready("anna")]}
    two.one.record(b"r" * 16, blob)
    two.other.place(b"c" * 16, 4_242)
    two.carry(piece=piece)
    two.other.taken(b"r" * 16)
    two.carry(piece=piece)
    assert two.came[two.other][1:] == [Came(b"r" * 16, blob)]
    assert two.came[two.one][1:] == [Placed(b"c" * 16, 4_242), Taken(b"r" * 16)]


def test_a_stranger_gets_no_word() -> None:
    two = Two(caller=STRANGER)
    two.other = Line([ANNA], NOW, seeded(str(2)))
    with pytest.raises(BadLine):
        two.other.received(two.one.take(), NOW)
    assert two.other.take() == b""


def test_first_words_are_taken_once() -> None:
    two = Two()
    words = two.one.take()
    again = Line([ANNA], NOW, seeded(str(3)), known=two.known)
    two.other.received(words, NOW)
    with pytest.raises(BadLine):
        again.received(words, NOW)
    late = Line([ANNA], NOW, seeded(str(4)))
    with pytest.raises(BadLine):
        late.received(words, NOW + (AROUND + 1) * HOUR)


def test_who_repeats_what_was_said_is_not_ready() -> None:
    two = Two()
    words = two.one.take()
    two.other.received(words, NOW)
    answer = two.other.take()
    fresh = Line([BORIS], NOW, seeded(str(7)), BORIS)
    fresh.take()
    with pytest.raises(BadLine):
        fresh.received(answer, NOW)
    assert not two.other.ready


def test_a_changed_byte_ends_it_and_an_endless_frame_is_not_kept() -> None:
    two = Two()
    two.carry()
    two.one.record(b"r" * 16, b"words")
    data = bytearray(two.one.take())
    data[-1] ^= 1
    with pytest.raises(BadLine):
        two.other.received(bytes(data), NOW)
    two = Two()
    two.carry()
    with pytest.raises(BadLine):
        two.other.received((LARGEST + 1).to_bytes(3, "big"), NOW)


def test_silence_ends_it() -> None:
    two = Two()
    with pytest.raises(BadLine):
        two.other.tick(NOW + OPENING_MS + 1)
    two = Two()
    two.carry()
    two.one.tick(NOW + PING_MS)
    two.carry(NOW + PING_MS)
    two.other.tick(NOW + SILENT_MS + 1)  # it heard the ping
    with pytest.raises(BadLine):
        two.one.tick(NOW + SILENT_MS + 1)


@given(st.binary(max_size=200))
def test_garbage_ends_it_or_waits(data: bytes) -> None:
    for line in (Line([ANNA], NOW, seeded(str(1))), Line([BORIS], NOW, seeded(str(1)), BORIS)):
        try:
            assert line.received(data, NOW) == []
        except BadLine:
            pass
        assert not line.ready
    found([ANNA], [data], NOW)
