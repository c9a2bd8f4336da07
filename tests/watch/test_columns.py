"""Columns of the journal: what entry by entry gives, and nothing of what is not entries."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.watch.columns import BadFrame, table
from holdfast.watch.journal import Entry, bodies, frame, frames

TEXTS = st.sampled_from(("", "VEL", "veltel", "ж" * 24, "x" * 31, "y" * 32, "z" * 48))
NUMBERS = st.sampled_from((0, 1, 127, 128, 255, 256, 32_768, 65_535))
ENTRIES = st.builds(
    Entry, st.integers(0, 2**32 - 1), st.sampled_from("cfma"), TEXTS, TEXTS, TEXTS, st.booleans(),
    TEXTS, NUMBERS, NUMBERS, st.binary(max_size=32), TEXTS, st.integers(0, 2**40),
    st.integers(0, 5),
)  # fmt: skip
NAMES = ("at", "source", "region", "operator", "function", "ok", "verdict", "rate", "control",
         "grade")  # fmt: skip


def rows(found):
    return list(zip(*(found[name].to_pylist() for name in NAMES), strict=True))


@settings(deadline=None)
@given(st.lists(st.lists(ENTRIES, max_size=6), max_size=4))
def test_the_same_as_entry_by_entry(groups):
    data = b"".join(map(frame, groups))
    slow = [one for _, entries in frames(data) for one in entries]
    found = rows(table([body for _, body in bodies(data)]))
    assert found == [tuple(getattr(one, name) for name in NAMES) for one in slow]


@pytest.mark.parametrize("count", [15, 16, 65_536])
def test_long_frames_have_longer_headers(count):
    one = Entry(300, "c", "VEL", "veltel", "calls", spent=b"n" * 16)
    found = rows(table([frame([one] * n)[8:] for n in (1, count, 2)]))
    assert len(found) == count + 3 and set(found) == {tuple(getattr(one, name) for name in NAMES)}


def test_entries_from_before_there_were_grades():
    one = Entry(300, "m", "VEL", "veltel", "calls", False, "freeze", 64, 128, b"n" * 16, "m", 4, 5)
    old = list(msgspec.structs.astuple(one))[:-1]
    new = list(msgspec.structs.astuple(one))
    found = rows(table([msgspec.msgpack.encode([old, new])]))
    assert [row[-1] for row in found] == [0, 5] and found[0][:-1] == found[1][:-1]


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.lists(ENTRIES, min_size=1, max_size=4))
def test_garbage(junk, at, entries):
    body = frame(entries)[8:]
    for each in (junk, body[:at], body[:at] + junk + body[at:]):
        try:
            found = table([each])
        except BadFrame:
            continue
        assert found.num_rows == len(msgspec.msgpack.decode(each))


def test_another_type_is_no_entry():
    one = list(msgspec.structs.astuple(Entry(300, "c", "VEL", "veltel", "calls")))
    for place, other in ((0, -1), (0, 2**33), (1, None), (2, 5), (5, "x"), (7, 1.5), (2, ["x"])):
        with pytest.raises(BadFrame):
            table([msgspec.msgpack.encode([[*one[:place], other, *one[place + 1 :]]])])
