"""Channels through the nodes' API, over real relays on loopback."""

from __future__ import annotations

import io

import pytest
from node.chatters import served
from node.living import Person, World
from node.test_devices import link

from holdfast.node import channel_feed
from holdfast.node.database import row
from holdfast.node.rpc import ApiError


async def people(world: World, relays: int, *names: str) -> list[Person]:
    """People at so many relays."""
    at = [await world.relay(f"relay{number}") for number in range(relays)]
    return [await world.person(name, *at) for name in names]


async def channel(owner: Person, *readers: Person) -> tuple[str, list[str]]:
    """A channel, and how each of its readers sees it."""
    made = await owner.node.create_channel("Town news", "What happens here")
    link = (await owner.node.channel(made.id)).link
    return made.id, [(await reader.node.accept_invitation(link)).id for reader in readers]


async def test_what_its_owner_posts_changes_and_takes_back_is_read(world: World) -> None:
    async with world:
        owner, reader = await people(world, 2, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        first = await owner.node.send(mine, "bridge closed")
        await owner.message_when(mine, lambda m: m.id == first.id and m.state == "sent")
        second = await owner.node.send(mine, "rumour")
        await reader.message_when(theirs, lambda m: m.text == "rumour")
        await owner.node.edit(first.id, "bridge open")
        await owner.node.delete(second.id)
        await reader.message_when(theirs, lambda m: m.deleted)
        assert await reader.texts(theirs) == ["bridge open", ""]
        shown = await reader.node.channel(theirs)
        assert (shown.title, shown.about, shown.mine) == ("Town news", "What happens here", False)
        assert (shown.posts, shown.first, shown.missing, shown.forked) == (5, 1, [], 0)
        seen = await reader.node.contact(theirs)
        assert (seen.kind, seen.unread, seen.leads) == ("channel", 2, False)
        last = (await reader.node.messages(theirs)).messages[-1]
        assert (await reader.node.mark_read(theirs, last.id)).unread == 0


async def test_a_file_is_read_by_all_comes_late_and_is_taken_back(world: World) -> None:
    async with world:
        owner, reader, late = await people(world, 2, "Owner", "Reader", "Late")
        mine, (theirs,) = await channel(owner, reader)
        data = bytes(range(256)) * 400
        async with served(owner.node, owner.path) as client:
            upload = await client.upload(io.BytesIO(data), len(data))
            sent = await client.node.send_file(mine, upload, "proof.bin")
        whole = lambda m: m.file is not None and m.file.state == "whole"  # noqa: E731
        await reader.message_when(theirs, whole)
        shown = await late.node.follow_channel((await owner.node.channel(mine)).link)
        got = await late.message_when(shown.id, whole)
        target = io.BytesIO()
        async with served(late.node, late.path) as client:
            await client.download(got.id, target)
        assert target.getvalue() == data
        await owner.message_when(mine, lambda m: m.file is not None and m.file.state == "sent")
        await owner.node.delete(sent.id)
        for who, id in ((reader, theirs), (late, shown.id)):
            await who.message_when(id, lambda m: m.deleted)


async def test_a_file_stays_as_long_as_its_post(world: World) -> None:
    async with world:
        (owner,) = await people(world, 1, "Owner")
        mine, _ = await channel(owner)
        async with served(owner.node, owner.path) as client:
            upload = await client.upload(io.BytesIO(b"proof"), 5)
            await client.node.send_file(mine, upload, "proof.txt")
        sent = lambda m: m.file is not None and m.file.state == "sent"  # noqa: E731
        await owner.message_when(mine, sent)
        owner.shift = channel_feed.AGAIN
        await owner.node._do(channel_feed.tick)
        state = await owner.node._do(
            lambda desk, work: row(
                work.db, "SELECT f.state, h.upto FROM file f LEFT JOIN file_home h ON h.file = f.id"
            )
        )
        assert state == ("sending", None)
        await owner.message_when(mine, sent)


async def test_a_reader_writes_nothing(world: World) -> None:
    async with world:
        owner, reader = await people(world, 1, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        await owner.node.send(mine, "hello")
        came = await reader.message_when(theirs, lambda m: m.text == "hello")
        for does in (
            reader.node.send(theirs, "me too"),
            reader.node.react(came.id, "👍"),
            reader.node.set_channel(theirs, title="Mine"),
            reader.node.move_channel(theirs),
            reader.node.pin(came.id),
            reader.node.start_verification(theirs),
        ):
            with pytest.raises(ApiError):
                await does
        assert await owner.texts(mine) == ["hello"]


async def test_all_of_it_is_there_after_a_start_and_for_who_comes_late(world: World) -> None:
    async with world:
        owner, reader, late = await people(world, 2, "Owner", "Reader", "Late")
        mine, (theirs,) = await channel(owner, reader)
        await owner.node.send(mine, "one")
        await reader.message_when(theirs, lambda m: m.text == "one")
        await reader.stop()
        await owner.node.send(mine, "two")
        await owner.stop()
        await owner.start()
        await owner.node.send(mine, "three")
        await reader.start()
        await reader.message_when(theirs, lambda m: m.text == "three")
        shown = await late.node.follow_channel((await owner.node.channel(mine)).link)
        await late.message_when(shown.id, lambda m: m.text == "three")
        for who, id in ((reader, theirs), (late, shown.id)):
            assert await who.texts(id) == ["one", "two", "three"]
            assert (await who.node.channel(id)).missing == []


async def test_readers_are_counted_and_not_known(world: World, monkeypatch) -> None:
    monkeypatch.setattr(channel_feed, "FIRST_MARK", 0)
    async with world:
        owner, *readers = await people(world, 2, "Owner", "One", "Two")
        mine, _ = await channel(owner, *readers)
        for reader in readers:
            await reader.node._do(channel_feed.tick)
            await reader.node._do(channel_feed.tick)  # once a week, however often it is asked

        async def counted() -> bool:
            return (await owner.node.channel(mine)).readers == 2

        await owner.wait(counted)
        stored = await owner.node._do(
            lambda desk, work: work.db.execute("SELECT * FROM channel_mark").fetchall()
        )
        assert len(stored) == 2


async def test_it_goes_on_under_another_link_and_readers_know_it(world: World) -> None:
    async with world:
        owner, reader = await people(world, 1, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        new = await owner.node.move_channel(mine)
        await reader.message_when(theirs, lambda m: m.note == "channel-moved")
        shown = await reader.node.channel(theirs)
        assert shown.ended and not shown.moved
        with pytest.raises(ApiError, match="moved"):
            await owner.node.send(mine, "here still")
        link = (await owner.node.channel(new.id)).link
        fresh = await reader.node.follow_channel(link)
        await reader.message_when(
            fresh.id, lambda m: m.note == "channel-from" and m.text == "Town news"
        )
        public = await owner.node.move_channel(new.id, public=True)
        await reader.message_when(fresh.id, lambda m: m.note == "channel-moved")
        last = (await owner.node.channel(public.id)).link
        assert (await reader.node.channel(fresh.id)).moved == last


async def test_comments_go_to_a_group(world: World) -> None:
    async with world:
        owner, reader = await people(world, 1, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        group = await owner.node.create_group("Talk", [])
        await owner.node.set_channel(mine, comments="Talk")

        async def told() -> bool:
            return bool((await reader.node.channel(theirs)).comments)

        await reader.wait(told)
        link = (await reader.node.channel(theirs)).comments
        opened = next(i for i in await owner.node.invitations() if i.link == link)
        await owner.wait(lambda: owner.has_open_invitation(opened.id))
        await reader.node.accept_invitation(link)
        await reader.contact_when(lambda c: c.kind == "group" and c.name == "Talk")
        assert (await owner.node.group(group.id)).title == "Talk"


async def test_who_stops_reading_keeps_nothing_and_an_end_is_one(world: World) -> None:
    async with world:
        owner, reader = await people(world, 1, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        link = (await owner.node.channel(mine)).link
        await owner.node.send(mine, "hello")
        await reader.message_when(theirs, lambda m: m.text == "hello")
        await reader.node.delete_contact(theirs)
        assert await reader.node.contacts() == []
        again = await reader.node.follow_channel(link)
        await reader.message_when(again.id, lambda m: m.text == "hello")
        await owner.node.delete_contact(mine)
        assert await owner.node.contacts() == []


async def test_a_channel_is_read_on_all_devices_and_written_on_one(world: World) -> None:
    async with world:
        owner, reader = await people(world, 1, "Owner", "Reader")
        mine, (theirs,) = await channel(owner, reader)
        await owner.node.send(mine, "bridge closed")
        await reader.message_when(theirs, lambda m: m.text == "bridge closed")
        second = await link(world, reader)
        there = (await second.contact_when(lambda c: c.kind == "channel")).id
        got = await second.message_when(there, lambda m: m.text == "bridge closed")
        assert not got.mine
        await second.node.mark_read(there, got.id)
        await reader.contact_when(lambda c: c.id == theirs and not c.unread)
        # The owner's other device: its posts are mine there, and it says where to write.
        other = await link(world, owner, past=False)
        at_other = (await other.contact_when(lambda c: c.kind == "channel")).id
        own = await other.message_when(at_other, lambda m: m.text == "bridge closed")
        assert own.mine and own.state == "sent"
        noted = [m.note for m in (await other.node.messages(at_other)).messages if m.note]
        assert noted == []
        shown, first = await other.node.channel(at_other), (await owner.node.devices())[0]
        assert (shown.mine, shown.device) == (False, first.id)
        for attempt in (
            other.node.send(at_other, "from here"),
            other.node.edit(own.id, "open"),
            other.node.delete(own.id),
        ):
            with pytest.raises(ApiError, match="another device of yours"):
                await attempt
        await owner.node.send(mine, "bridge open")
        assert (await other.message_when(at_other, lambda m: m.text == "bridge open")).mine
        assert (await other.node.contact(at_other)).unread == 0
        # One that is made there is written there.
        made = await other.node.create_channel("From the field")
        here = await owner.contact_when(lambda c: c.own_name == "From the field")
        assert (await owner.node.channel(here.id)).device == (await other.node.devices())[1].id
        await other.node.send(made.id, "hello")
        await owner.message_when(here.id, lambda m: m.text == "hello" and m.mine)
        # Not read any more: nowhere; but no other device ends what is written on one.
        await second.node.delete_contact(there)

        async def left() -> bool:
            return not [c for c in await reader.node.contacts() if c.kind == "channel"]

        await reader.wait(left)
        await other.node.delete_contact(at_other)
        await owner.node.send(mine, "still here")
        await owner.message_when(mine, lambda m: m.text == "still here" and m.state == "sent")
