"""channel-forge: somebody who only has the link speaks in a channel.

A link is public: it opens every post. A relay may be in league with who has it, so refusing the
append is not all that protects.
"""

from __future__ import annotations

import asyncio
import secrets

import pytest
from node.living import World, given, world

from holdfast.core.caps import Caps
from holdfast.core.channel import posts
from holdfast.core.channel.link import Link
from holdfast.core.chat import content
from holdfast.core.seal import keys
from holdfast.drive.logs import Appended, LogEvent, Logs, Refused
from holdfast.node import channel_state
from holdfast.paths import websocket
from holdfast.testing.channels import Writer

__all__ = ["world"]


def by_link(writer: Writer, number: int, prev: bytes) -> bytes:
    """A post by who has the link and a key of their own."""
    text = content.encode(content.Text(bytes(16), 7, "vote for me"))
    other = Writer("finder")
    return posts.write(writer.link, other.key, number, prev, 7, "said", text, other.entropy)[1]


async def spoken(world: World) -> bool:
    """Whether a reader is shown what the finder of the link wrote, at the end or in a place."""
    async with world:
        relay = await world.relay()
        writer = Writer(homes=(relay.home,))
        reader = await world.person("Reader", relay)
        theirs = (await reader.node.follow_channel(writer.link.text())).id
        genuine = writer.say("of the owner")
        await given(reader, theirs, genuine, by_link(writer, 2, writer.posts[0].hash))
        assert "of the owner" in await reader.texts(theirs)
        return "vote for me" in await reader.texts(theirs)


async def test_who_has_the_link_says_nothing(world: World) -> None:
    assert not await spoken(world)


async def test_twin_without_the_signature(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "verify", lambda *_: None)
    assert await spoken(world)


async def appended(world: World, gives: bool) -> bool:
    """Whether a relay takes a record from who has the link; `gives`: as if it held the role."""
    async with world:
        relay = await world.relay()
        owner = await world.person("Owner", relay)
        mine = (await owner.node.create_channel("News")).id
        sent = await owner.node.send(mine, "hello")
        await owner.message_when(mine, lambda m: m.id == sent.id and m.state == "sent")
        link = Link.parse((await owner.node.channel(mine)).link)
        role = await owner.node._do(
            lambda desk, work: channel_state.opened(desk, work, mine).kept.append
        )
        caps = Caps(link.log.locator, append=role if gives else link.log.read)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def hear(event: LogEvent) -> None:
            if isinstance(event, Appended | Refused) and not answer.done():
                answer.set_result(isinstance(event, Appended))

        logs = Logs(websocket.connect, lambda: 0, secrets.token_bytes, hear)
        try:
            logs.append(caps, relay.home, bytes(16), b"me too", 60)
            async with asyncio.timeout(60):
                return await answer
        finally:
            await logs.stop()


async def test_a_relay_takes_nothing_of_a_reader(world: World) -> None:
    assert not await appended(world, gives=False)


async def test_twin_with_the_role_in_the_link_it_would(world: World) -> None:
    assert await appended(world, gives=True)
