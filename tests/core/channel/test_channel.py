"""A channel's link, posts and chain."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.caps import Home
from holdfast.core.channel import link as links
from holdfast.core.channel import posts
from holdfast.core.channel.chain import Chain
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import About, BadPost, Moved
from holdfast.core.seal import padding
from holdfast.core.seal.link import BadLink
from holdfast.core.seal.link import Link as Invitation
from holdfast.testing.channels import HOME, Writer
from holdfast.testing.entropy import seeded

SPEC = Path(__file__).parents[3] / "spec"


def test_a_link_reads_back_in_both_forms() -> None:
    link = Writer(homes=(HOME, Home("::1", 8443, b"p" * 16, b"k" * 32))).link
    for text in (link.text(), link.address()):
        read = Link.parse(f" {text}\n")
        assert (read, read.id, read.content_key) == (link, link.id, link.content_key)
        assert links.is_channel(text)
    assert link.address().startswith("https://relay.example/")
    assert link.log.append is None and link.log.owner is None and link.marks.read is None


def test_other_links_are_none_and_say_so() -> None:
    text = Writer().link.text()
    assert not links.is_channel("holdfast:AQAA") and not links.is_channel("hello")
    with pytest.raises(BadLink, match="not an invitation"):
        Link.parse("holdfast:AQAA")
    with pytest.raises(BadLink, match="newer"):
        Invitation.parse(text, 0)
    for bad in (text[:-1], text[:20], text.replace("holdfast:Q", "holdfast:R")):
        with pytest.raises(BadLink):
            Link.parse(bad)


def test_what_a_key_has_written_reads_back_and_nobody_else_could() -> None:
    writer, other = Writer(), Writer("other")
    record = writer.say("hello")
    assert len(record) in padding.CLASSES
    assert posts.read(writer.link, record) == writer.posts[0]
    forged = posts.write(writer.link, other.key, 1, posts.FIRST, 7, "said", b"x", writer.entropy)[1]
    swapped = Link(writer.link.secret, other.link.key, writer.link.homes)
    for link, bad in ((writer.link, forged), (other.link, record), (swapped, record)):
        with pytest.raises(BadPost):
            posts.read(link, bad)


def test_what_is_taken_back_goes_on_without_its_words() -> None:
    writer = Writer()
    bare = posts.read(writer.link, posts.withhold(writer.link, writer.say("no"), writer.entropy))
    assert bare.data is None and bare.hash == writer.posts[0].hash
    chain = Chain()
    assert chain.take(bare) == "new" and chain.take(writer.posts[0]) == "known"


def test_words_are_not_put_under_another_statement() -> None:
    writer = Writer()
    one = posts._unseal(writer.link, writer.say("yes"))
    two = posts._unseal(writer.link, writer.say("no"))
    mixed = posts._seal(writer.link, msgspec.structs.replace(one, data=two.data), writer.entropy)
    with pytest.raises(BadPost):
        posts.read(writer.link, mixed)


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
def test_any_order_with_repeats_is_the_same_chain(order: list[int], again: list[int]) -> None:
    writer = Writer()
    for number in range(6):
        writer.say(str(number))
    chain = Chain()
    assert [chain.take(writer.posts[i]) for i in order] == ["new"] * 6
    assert {chain.take(writer.posts[i]) for i in again} <= {"known"}
    assert chain.missing() == [] and chain.last == writer.chain.last


@given(st.sets(st.integers(1, 9), min_size=1))
def test_what_is_not_here_shows(here: set[int]) -> None:
    writer = Writer()
    for number in range(9):
        writer.say(str(number))
    writer.write(b"", "head")
    chain = Chain()
    for post in writer.posts:
        if post.number in here or post.kind == "head":
            chain.take(post)
    missing = {n for first, last in chain.missing() for n in range(first, last + 1)}
    assert missing == set(range(min(here), 10)) - here


@given(st.integers(1, 4), st.permutations(range(5)))
def test_two_posts_in_one_place_are_a_fork_in_any_order(place: int, order: list[int]) -> None:
    writer = Writer()
    for number in range(4):
        writer.say(str(number))
    came = [*writer.posts, posts.read(writer.link, writer.fork("other", place))]
    chain = Chain()
    assert "fork" in [chain.take(came[i]) for i in order]


def test_a_head_of_another_branch_is_a_fork() -> None:
    writer, chain = Writer(), Chain()
    writer.say("one")
    writer.write(b"", "head")
    chain.take(posts.read(writer.link, writer.fork("other", 1)))
    assert chain.take(writer.posts[1]) == "fork"
    early = Chain()
    assert early.take(writer.posts[1]) == "known" and early.missing() == [(1, 1)]
    assert early.take(posts.read(writer.link, writer.fork("other", 1))) == "fork"


def test_what_posts_of_their_own_kind_say_reads_back() -> None:
    about = About("News", "of the town", "holdfast:x", 3)
    assert posts.about(posts.encode(about)) == about
    moved = Moved(bytes(32), "holdfast:y")
    assert posts.moved(posts.encode(moved)) == moved


def test_a_mark_says_nothing_but_that_somebody_is_there() -> None:
    body = posts.mark(3 * posts.WEEK + 5, 2, seeded("mark"))
    assert posts.read_mark(body)[:2] == (3, 2)
    with pytest.raises(BadPost):
        posts.read_mark(body[:-1])


@given(st.binary(max_size=600))
def test_garbage_is_refused(garbage: bytes) -> None:
    writer = Writer()
    for read in (posts.about, posts.moved, lambda data: posts.read(writer.link, data)):
        with pytest.raises(BadPost):
            read(garbage)


def test_too_long_is_refused() -> None:
    with pytest.raises(padding.TooLong):
        Writer().write(bytes(posts.MAX_DATA + 1))
