import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.chat import content

mid = st.binary(min_size=16, max_size=16)
millis = st.integers(0, 2**53 - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
key = st.binary(min_size=32, max_size=32)
ref = st.builds(content.Ref, mid, st.booleans(), st.just(b"") | key)
timer = st.integers(0, 31_536_000)
homes = st.lists(words, min_size=1, max_size=content.MAX_HOMES).map(tuple)
contents = st.one_of(
    st.builds(content.Text, mid, millis, words, st.none() | ref, timer),
    st.builds(content.Text, mid, millis, words, mentions=st.tuples(key)),
    st.builds(
        content.Text,
        mid,
        millis,
        words,
        frank=st.builds(content.Frank, key, st.binary(min_size=64, max_size=64)),
    ),
    st.builds(content.Remove, ref, millis),
    st.builds(content.Poll, mid, millis, words, st.just(("yes", "no")), st.booleans(), timer),
    st.builds(content.Vote, ref, st.lists(st.integers(0, 11), max_size=12).map(tuple), millis),
    st.builds(content.Pin, ref, st.booleans(), millis),
    st.builds(
        content.GroupEntries,
        key,
        st.tuples(st.binary(max_size=90)),
        st.tuples(st.binary(max_size=9)),
    ),
    st.builds(
        content.GroupKey, key, st.tuples(key), key, st.binary(min_size=96, max_size=96), key, homes
    ),
    st.builds(content.GroupAsk, key, st.tuples(key, key)),
    st.builds(
        content.GroupHistory, key, st.tuples(st.builds(content.Told, key, mid, millis, words))
    ),
    st.builds(content.Edit, mid, millis, words),
    st.builds(content.Delete, mid),
    st.builds(content.React, ref, words.map(lambda text: text[:32]), millis),
    st.builds(content.Read, mid, millis),
    st.builds(content.SetTimer, timer, millis),
    st.builds(content.Profile, words.map(lambda text: text[:256])),
    st.builds(content.Verify, st.binary(max_size=512)),
    st.builds(content.Moved, homes),
    st.builds(content.Device, key, key, words),
    st.builds(content.Spare, homes),
    st.builds(
        content.Places,
        mid,
        st.lists(st.binary(min_size=6, max_size=18), max_size=8).map(tuple),
    ),
)


@given(contents)
def test_there_and_back(said: content.Known) -> None:
    assert content.decode(content.encode(said)) == said


@given(st.binary(max_size=400))
def test_garbage_is_malformed_or_unknown(data: bytes) -> None:
    try:
        content.decode(data)
    except content.Malformed as error:
        assert str(error) == "not a message of Holdfast"


def test_a_kind_of_a_newer_version_changes_nothing() -> None:
    data = msgspec.msgpack.encode(["quiz", b"x" * 16, ["yes", "no"]])
    assert content.decode(data) == content.Unknown("quiz")


def test_further_fields_of_a_newer_version_are_ignored() -> None:
    data = msgspec.msgpack.encode(["delete", b"m" * 16, "why"])
    assert content.decode(data) == content.Delete(b"m" * 16)


@pytest.mark.parametrize(
    "fields",
    [
        ["text", b"m" * 16, 1, "x" * 16_001],
        ["text", b"m" * 16, 1, ""],
        ["text", b"short", 1, "x"],
        ["text", b"m" * 16, -1, "x"],
        ["timer", 31_536_001, 1],
        ["profile", "x" * 257],
        ["verify", b"x" * 513],
        ["homes", []],
        ["homes", ["a"] * 4],
        ["spare", ["a" * 401]],
    ],
)
def test_everything_is_bounded(fields: list[object]) -> None:
    with pytest.raises(content.Malformed):
        content.decode(msgspec.msgpack.encode(fields))


@given(millis, st.booleans())
def test_typing_frames_have_one_size(at: int, on: bool) -> None:
    frame = content.Typing(1, at, on)
    data = content.encode_typing(frame)
    assert len(data) == content.TYPING_SIZE
    assert content.decode_typing(data) == frame


@given(st.binary(max_size=100))
def test_a_live_frame_of_garbage(data: bytes) -> None:
    try:
        content.decode_typing(data)
    except content.Malformed:
        pass
