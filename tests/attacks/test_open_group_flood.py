"""open-group-flood: one key fills an open group, and goes on after its owner has enough of it."""

from __future__ import annotations

import time

import pytest
from node.living import World, given, world

from holdfast.core.channel.link import Link
from holdfast.node import open_talk
from holdfast.testing.channels import Stranger

__all__ = ["world"]

MANY = open_talk.AN_HOUR + 20


async def shown(world: World) -> tuple[int, list[str]]:
    """How many messages of the flood the group's owner sees, and what once its key is silenced."""
    async with world:
        relay = await world.relay()
        owner = await world.person("Owner", relay)
        mine = (await owner.node.create_channel("Square", name="Olga")).id
        link = Link.parse((await owner.node.channel(mine)).link)
        flood, other = Stranger(link, "flood"), Stranger(link, "other")
        # The middle of an hour that is over.
        now = (int(time.time() * 1000) // open_talk.HOUR - 1) * open_talk.HOUR + 7
        await given(owner, mine, *(flood.say("buy", now) for _ in range(MANY)))
        await given(owner, mine, other.say("hello", now))
        texts = await owner.texts(mine)
        assert "hello" in texts
        page = await owner.node.messages(mine, limit=200)
        writer = next(m.author for m in page.messages if m.text == "buy")
        assert writer is not None
        await owner.node.silence_writer(mine, writer.id)
        await given(owner, mine, flood.say("buy more", now + open_talk.HOUR))
        return texts.count("buy"), [text for text in await owner.texts(mine) if text]


async def test_a_flood_is_cut_and_its_key_silenced(world: World) -> None:
    assert await shown(world) == (open_talk.AN_HOUR, ["hello"])


async def test_twin_without_limit_and_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_talk, "AN_HOUR", MANY)
    monkeypatch.setattr(open_talk, "is_out", lambda *_: False)
    many, left = await shown(world)
    assert many == MANY and "buy more" in left
