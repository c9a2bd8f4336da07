"""Open groups through the nodes' API, over real relays on loopback."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from node.living import Person, World, given
from node.test_backup import WORD, again, lose
from node.test_channels import people

from holdfast.core.channel.link import Link
from holdfast.core.chat import content
from holdfast.node.rpc import ApiError
from holdfast.testing.channels import Stranger


async def group(owner: Person, *writers: Person) -> tuple[str, list[str]]:
    """An open group, and how each of its writers sees it."""
    made = await owner.node.create_channel("Square", "", "Olga")
    link = (await owner.node.channel(made.id)).link
    return made.id, [
        (await one.node.follow_channel(link, one.path.name.title())).id for one in writers
    ]


async def test_everybody_with_the_link_writes_and_the_owner_removes(world: World) -> None:
    async with world:
        owner, anna, boris, reader, late = await people(
            world, 1, "Owner", "Anna", "Boris", "Reader", "Late"
        )
        mine, (annas, boriss) = await group(owner, anna, boris)
        link = (await owner.node.channel(mine)).link
        readers = (await reader.node.accept_invitation(link)).id
        with pytest.raises(ApiError, match="name"):
            await reader.node.send(readers, "me too")
        first = await anna.node.send(annas, "who is here?")
        await anna.message_when(annas, lambda m: m.id == first.id and m.state == "sent")
        asked = await boris.message_when(boriss, lambda m: m.text == "who is here?")
        assert asked.author is not None and asked.author.name.startswith("Anna · ")
        await boris.node.send(boriss, "I am", reply_to=asked.id)
        got = await anna.message_when(annas, lambda m: m.text == "I am")
        assert got.reply_to is not None and got.reply_to.mine
        assert got.reply_to.text == "who is here?"
        await anna.node.edit(first.id, "who was here?")
        await owner.node.send(mine, "so am I")
        seen = await reader.message_when(readers, lambda m: m.text == "who was here?")
        assert seen.edited
        await reader.message_when(readers, lambda m: m.text == "so am I")
        # A removed message, here and for who comes later.
        there = await owner.message_when(mine, lambda m: m.text == "I am")
        with pytest.raises(ApiError):
            await reader.node.delete(got.id)
        await owner.node.delete(there.id)
        gone = await boris.message_when(boriss, lambda m: m.deleted)
        assert gone.mine and gone.removed_by is not None and gone.removed_by.name == "Square"
        # A silenced key: what it said goes, and what it says is not shown.
        assert there.author is not None
        await owner.node.silence_writer(mine, there.author.id)

        async def refused() -> bool:
            try:
                await boris.node.send(boriss, "again")
            except ApiError:
                return True
            return False

        await boris.wait(refused)
        await anna.node.send(annas, "bye")
        await reader.message_when(readers, lambda m: m.text == "bye")
        assert "again" not in await reader.texts(readers)
        with pytest.raises(ApiError):
            await anna.node.silence_writer(annas, there.author.id)
        lates = (await late.node.follow_channel(link)).id
        await late.message_when(lates, lambda m: m.text == "bye")
        assert "I am" not in [text for text in await late.texts(lates) if text]


async def test_after_a_start_one_writes_under_the_same_key(world: World) -> None:
    async with world:
        owner, anna = await people(world, 1, "Owner", "Anna")
        mine, (annas,) = await group(owner, anna)
        await owner.node.send(mine, "zero")
        await anna.message_when(annas, lambda m: m.text == "zero")
        await anna.node.send(annas, "one")
        one = await owner.message_when(mine, lambda m: m.text == "one")
        await anna.stop()
        await anna.start()
        await anna.node.send(annas, "two")
        two = await owner.message_when(mine, lambda m: m.text == "two")
        assert one.author == two.author and one.author is not None
        assert await anna.texts(annas) == await owner.texts(mine) == ["zero", "one", "two"]


async def test_what_comes_early_garbled_or_removed_changes_nothing(world: World) -> None:
    async with world:
        (owner,) = await people(world, 1, "Owner")
        mine, _ = await group(owner)
        link = Link.parse((await owner.node.channel(mine)).link)
        now = int(time.time() * 1000)
        one, two = Stranger(link), Stranger(link, "two")
        mid = bytes(16)
        await given(
            owner,
            mine,
            b"garbage",
            two.write(content.Edit(mid, now, "bent"), now),
            two.write(content.Delete(mid), now),
            one.write(content.Edit(mid, now, "changed"), now),
            one.say("first", now, mid),
            one.write(content.Remove(content.Ref(mid, False, one.writer), now), now),
            one.say("first", now, mid),
        )
        assert await owner.texts(mine) == ["changed"]
        (shown,) = (m for m in (await owner.node.messages(mine)).messages if m.kind == "text")
        await owner.node.delete(shown.id)
        await given(owner, mine, one.say("first", now, mid))
        assert await owner.texts(mine) == [""]


async def test_a_backup_has_the_key_and_what_was_removed(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner.backup"
    async with world:
        owner, anna = await people(world, 1, "Owner", "Anna")
        mine, (annas,) = await group(owner, anna)
        await owner.node.send(mine, "one")
        await anna.node.send(annas, "rude")
        rude = await owner.message_when(mine, lambda m: m.text == "rude")
        await owner.node.delete(rude.id)
        was = await anna.message_when(annas, lambda m: m.text == "one")
        await owner.node.back_up(WORD, str(file))
        await lose(world, owner)
        restored = await again(world, owner, file)
        await restored.node.send(mine, "two")
        now = await anna.message_when(annas, lambda m: m.text == "two")
        assert was.author is not None and now.author == was.author
        assert "rude" not in await restored.texts(mine)
