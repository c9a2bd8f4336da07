"""channel-lies: a relay leaves posts out, turns them round, repeats them, or shows two pasts.

Elsewhere: public channels whose server decides what was said; equivocation (SUNDR, 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from node.living import World, given, world

from holdfast.core.channel import posts
from holdfast.core.channel.chain import Chain
from holdfast.core.channel.link import Link
from holdfast.core.channel.posts import Post
from holdfast.core.chat import content
from holdfast.core.seal import keys
from holdfast.node import channel_feed
from holdfast.testing.channels import Writer

__all__ = ["world"]


def withheld(writer: Writer) -> list[bytes]:
    """The second is left out."""
    one, _, three = [writer.say(text) for text in ("one", "two", "three")]
    return [one, three]


def last_withheld(writer: Writer) -> list[bytes]:
    """The last one is left out, and what its owner's node says later is not."""
    one, _ = writer.say("one"), writer.say("two")
    return [one, writer.write(b"", "head")]


def turned(writer: Writer) -> list[bytes]:
    """The third before the second."""
    one, two, three = [writer.say(text) for text in ("one", "two", "three")]
    return [one, three, two]


def repeated(writer: Writer) -> list[bytes]:
    """A change that was changed since comes again."""
    mid = bytes(16)
    said: list[content.Known] = [
        content.Text(mid, 1, "zero"),
        content.Edit(mid, 2, "one"),
        content.Edit(mid, 3, "two"),
    ]
    records = [writer.write(content.encode(one)) for one in said]
    return [*records, records[1]]


def forked(writer: Writer) -> list[bytes]:
    """Two posts in one place, both signed: the owner's machine was set back, or the key is lost."""
    return [writer.say("one"), writer.say("two"), writer.fork("other", 2)]


async def noticed(world: World, lie: Callable[[Writer], list[bytes]]) -> bool:
    """Whether a reader has the truth, or sees that it is not whole."""
    async with world:
        relay = await world.relay()
        writer = Writer(homes=(relay.home,))
        reader = await world.person("Reader", relay)
        theirs = (await reader.node.follow_channel(writer.link.text())).id
        await given(reader, theirs, *lie(writer))
        await reader.node._do(lambda desk, work: channel_feed.caught_up(desk, work, theirs))
        shown = await reader.node.channel(theirs)
        texts = await reader.texts(theirs)
        notes = {m.note for m in (await reader.node.messages(theirs)).messages}
        if lie is turned:
            return texts == ["one", "two", "three"]
        if lie is repeated:
            return texts == ["two"]
        if lie is forked:
            return bool(shown.forked) and "channel-fork" in notes and texts == ["one", "two"]
        return bool(shown.missing)


LIES = (withheld, last_withheld, turned, repeated, forked)


@pytest.mark.parametrize("lie", LIES)
async def test_it_shows(world: World, lie: Callable[[Writer], list[bytes]]) -> None:
    assert await noticed(world, lie)


@pytest.mark.parametrize("lie", LIES)
async def test_twin_without_numbers_and_hashes(
    world: World, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Writer], list[bytes]]
) -> None:
    """Signed posts as a feed has them: what comes is what was said, in the order of its coming."""
    real, came = posts.read, Chain()

    def read(link: Link, record: bytes) -> Post:
        number, prev = came.last
        post = real(link, record)
        if post.kind == "head":
            return replace(post, number=0, hash=posts.FIRST)
        fresh = replace(
            post, number=number + 1, prev=prev, hash=keys.digest("twin", number.to_bytes(4, "big"))
        )
        came.take(fresh)
        return fresh

    monkeypatch.setattr(posts, "read", read)
    assert not await noticed(world, lie)
