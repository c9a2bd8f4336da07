import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.chat import content, sync
from holdfast.core.seal.identity import MAX_DEVICES

mid = st.binary(min_size=16, max_size=16)
key = st.binary(min_size=32, max_size=32)
millis = st.integers(0, 2**53 - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
short = st.text("abc", max_size=16)
listed = st.binary(max_size=300)
names = st.lists(st.builds(sync.Named, key, words, millis), max_size=MAX_DEVICES).map(tuple)
line = st.builds(
    sync.Line,
    st.booleans(),
    mid,
    short,
    words,
    millis,
    millis,
    short,
    reactions=st.lists(st.builds(sync.Emoji, st.booleans(), short, millis, key), max_size=3).map(
        tuple
    ),
    author=key,
    order=millis,
)
said = st.one_of(
    st.builds(
        sync.Welcome, listed, names, words, words, st.lists(words, max_size=3).map(tuple),
        st.booleans(), millis,
    ),
    st.builds(sync.Devices, listed, names),
    st.builds(sync.Me, words),
    st.builds(sync.Person, key, listed, words, words, millis, st.integers(0, 31_536_000)),
    st.builds(sync.Gone, key),
    st.builds(sync.Blocked, st.lists(key, max_size=3).map(tuple), st.booleans()),
    st.builds(sync.Meet, key, key, key, words),
    st.builds(sync.Met, key),
    st.builds(sync.Copy, key, st.booleans(), millis, listed),
    st.builds(sync.Seen, key, mid),
    st.builds(sync.Hidden, key, st.booleans(), mid),
    st.builds(sync.Group, listed),
    st.builds(sync.Channel, words, key),
    st.builds(sync.Past, key, st.lists(line, max_size=4).map(tuple), millis),
)  # fmt: skip


@given(said)
def test_there_and_back(what: sync.Known) -> None:
    assert sync.decode(sync.encode(what)) == what


@given(said)
def test_a_contact_that_says_it_says_nothing(what: sync.Known) -> None:
    assert isinstance(content.decode(sync.encode(what)), content.Unknown)


@given(st.binary(max_size=400))
def test_garbage_is_malformed_or_unknown(data: bytes) -> None:
    try:
        sync.decode(data)
    except content.Malformed as error:
        assert str(error) == "nothing that devices tell each other"


def test_what_is_out_of_bounds_is_refused() -> None:
    for what in (
        ["gone", b"r" * 31],
        ["seen", b"r" * 32, b"m"],
        ["copy", b"r" * 32, True, -1, b""],
    ):
        with pytest.raises(content.Malformed):
            sync.decode(msgspec.msgpack.encode(what))
    assert isinstance(sync.decode(msgspec.msgpack.encode(["newer", 1])), content.Unknown)


def test_the_page_has_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "spec" / "devices.md").read_text()
    for name, value in (
        ("Devices of a person", MAX_DEVICES),
        ("Messages in one part of a history", sync.MAX_PAGE),
        ("People in one `blocked`", sync.MAX_BLOCKED),
        ("Reactions of one message in a history", sync.MAX_REACTIONS),
    ):
        assert f"| {name} | {value} |" in page
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(sync.Known)}
    assert kinds == set(re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE))
