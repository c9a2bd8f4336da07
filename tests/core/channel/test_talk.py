"""What is said in an open group."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.channel import link as links
from holdfast.core.channel import posts, talk
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import BadPost
from holdfast.core.seal import padding
from holdfast.testing.channels import Stranger, Writer

GROUP = Writer(open=True).link


def test_its_link_is_another_one_than_a_channels() -> None:
    channel = Writer().link
    assert Link.parse(GROUP.text()) == GROUP and GROUP.open and not channel.open
    assert links.is_channel(GROUP.text()) and GROUP.id != channel.id
    assert GROUP.talk.append is not None and GROUP.talk.owner is None
    assert GROUP.log.append is None


@given(st.binary(max_size=900), st.text(max_size=20), st.integers(0, 2**53 - 1))
def test_what_is_said_reads_back(data: bytes, name: str, at: int) -> None:
    one = Stranger(GROUP)
    record = talk.write(GROUP, one.key, name, at, data, one.entropy)
    assert len(record) in padding.CLASSES
    assert talk.read(GROUP, record) == talk.Said(one.writer, at, name, data)


def test_nobody_speaks_for_another_or_in_another_group() -> None:
    one, two = Stranger(GROUP), Stranger(GROUP, "two")
    record = one.say("yes", 7)
    sealed = msgspec.msgpack.decode(posts.unseal(GROUP, record), type=talk._Sealed)
    said = msgspec.msgpack.decode(sealed.statement, type=talk._Statement)
    theirs = msgspec.msgpack.decode(posts.unseal(GROUP, two.say("no", 7)), type=talk._Sealed)
    renamed = msgspec.structs.replace(said, name=b"Owner")
    for forged in (
        msgspec.structs.replace(sealed, data=theirs.data),
        msgspec.structs.replace(sealed, signature=theirs.signature),
        msgspec.structs.replace(sealed, statement=theirs.statement),
        msgspec.structs.replace(sealed, statement=msgspec.msgpack.encode(renamed)),
    ):
        with pytest.raises(BadPost):
            talk.read(GROUP, posts.seal(GROUP, msgspec.msgpack.encode(forged), one.entropy))
    other = Link(GROUP.secret, Writer("other").link.key, GROUP.homes, True)
    for link in (other, Link(GROUP.secret, GROUP.key, GROUP.homes)):
        with pytest.raises(BadPost):
            talk.read(link, record)


@given(st.binary(max_size=600))
def test_garbage_is_refused_sealed_or_not(garbage: bytes) -> None:
    for record in (garbage, posts.seal(GROUP, garbage, Writer().entropy)):
        with pytest.raises(BadPost):
            talk.read(GROUP, record)


def test_too_long_is_refused() -> None:
    one = Stranger(GROUP)
    with pytest.raises(padding.TooLong):
        talk.write(GROUP, one.key, "x", 7, bytes(posts.MAX_DATA + 1), one.entropy)
