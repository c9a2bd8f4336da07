"""Groups through the nodes' API, over real relays on loopback."""

from __future__ import annotations

import io

import pytest
from chatters import served
from node.living import found, says, trio

from holdfast.node import group_talk, groups
from holdfast.node.rpc import ApiError


async def test_everyone_sees_it_and_is_heard(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        for person, id in zip(people, ids, strict=True):
            group = await person.node.group(id)
            assert [m.name for m in group.members] == ["Anna", "Boris", "Vera"]
            assert group.keys == "fresh" and not group.voided
        pairs = list(zip(people, ids, strict=True))
        for who in range(3):
            person, id = pairs[who]
            await says(person, id, f"from {who}", *(p for p in pairs if p[0] is not person))
        sent = (await people[1].node.messages(ids[1])).messages[-2]
        assert sent.mine and sent.state == "sent"


async def test_a_newcomer_reads_what_comes_and_nothing_before(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people[:3])
        pairs = list(zip(people, ids, strict=False))
        await says(people[1], ids[1], "before", pairs[0], pairs[2])
        await people[0].node.add_members(ids[0], ["Gleb"])
        gleb = (await people[3].contact_when(lambda c: c.name == "Friends")).id
        await people[1].message_when(ids[1], lambda m: m.note == "group-added")
        await says(people[1], ids[1], "after", pairs[0], pairs[2], (people[3], gleb))
        await says(people[3], gleb, "hello", *pairs[:3])
        assert await people[3].texts(gleb) == ["after", "hello"]


async def test_who_is_removed_reads_no_more(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await says(people[2], ids[2], "before", pairs[0], pairs[1], pairs[3])
        await people[0].node.remove_member(ids[0], "Gleb")
        await people[3].contact_when(lambda c: c.id == ids[3] and c.state == "removed")
        await people[1].message_when(ids[1], lambda m: m.note == "group-removed")
        await says(people[1], ids[1], "among us", pairs[0], pairs[2])
        assert "among us" not in await people[3].texts(ids[3])
        with pytest.raises(ApiError):
            await people[3].node.send(ids[3], "me too")
        with pytest.raises(ApiError):
            await people[1].node.remove_member(ids[1], "Vera")


async def test_replies_reactions_edits_and_taking_back(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        first = await people[1].node.send(ids[1], "Who comes?")
        got = await people[2].message_when(ids[2], lambda m: m.text == "Who comes?")
        await people[2].node.send(ids[2], "I do", reply_to=got.id)
        await people[2].node.react(got.id, "👍")
        answer = await people[1].message_when(ids[1], lambda m: m.text == "I do")
        assert answer.reply_to is not None and answer.reply_to.mine
        third = await people[0].message_when(ids[0], lambda m: m.text == "I do")
        assert third.reply_to is not None and third.reply_to.author is not None
        assert third.reply_to.author.name == "Boris"
        seen = await people[0].message_when(ids[0], lambda m: bool(m.reactions))
        assert [(r.emoji, r.name) for r in seen.reactions] == [("👍", "Vera")]
        await people[0].node.react(seen.id, "👍")
        await people[1].message_when(ids[1], lambda m: len(m.reactions) == 2)
        await people[1].node.edit(first.id, "Who comes at six?")
        await people[0].message_when(ids[0], lambda m: m.text == "Who comes at six?")
        with pytest.raises(ApiError):
            await people[0].node.edit(seen.id, "mine")
        await people[1].node.delete(first.id)
        await people[2].message_when(ids[2], lambda m: m.id == got.id and m.deleted)


async def test_roles_settings_and_leaving(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[0].node.set_role(ids[0], "Boris", "admin")
        await people[1].message_when(ids[1], lambda m: m.note == "group-admin")
        await people[1].node.set_group(ids[1], title="Choir", timer=3600)
        await people[2].contact_when(lambda c: c.name == "Choir" and c.timer == 3600)
        with pytest.raises(ApiError):
            await people[2].node.set_group(ids[2], title="Mine")
        with pytest.raises(ApiError):
            await people[0].node.leave_group(ids[0])
        await people[0].node.set_role(ids[0], "Boris", "owner")
        left = await people[0].node.leave_group(ids[0])
        assert left.state == "left"
        await people[2].message_when(ids[2], lambda m: m.note == "group-left")
        group = await people[2].node.group(ids[2])
        assert [(m.name, m.role) for m in group.members] == [("Boris", "owner"), ("Vera", "member")]


async def test_it_goes_on_after_a_restart(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[2].stop()
        await people[1].node.send(ids[1], "while you were away")
        await people[0].node.add_members(ids[0], [])
        await people[2].start()
        await people[2].message_when(ids[2], lambda m: m.text == "while you were away")
        pairs = list(zip(people, ids, strict=True))
        await says(people[2], ids[2], "back", pairs[0], pairs[1])


async def test_a_removal_reaches_those_whom_the_remover_does_not_know(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        for person, id in pairs:
            await says(
                person, id, f"I am {person.path.name}", *(p for p in pairs if p[0] != person)
            )
        await people[0].node.set_role(ids[0], "Boris", "admin")
        await people[1].message_when(ids[1], lambda m: m.note == "group-admin")
        await people[0].stop()
        # Boris knows Anna alone, and she is away; Vera and Gleb are no contacts of his.
        await people[1].node.remove_member(ids[1], "Gleb")
        await people[2].message_when(ids[2], lambda m: m.note == "group-removed")
        await says(people[1], ids[1], "only us", pairs[2])
        await says(people[2], ids[2], "yes", pairs[1])
        await people[0].start()
        await people[0].message_when(ids[0], lambda m: m.text == "yes")
        assert "only us" not in await people[3].texts(ids[3])


async def test_many_find_the_roster_in_the_log(world, monkeypatch) -> None:
    monkeypatch.setattr(groups, "ONCE", 0)
    async with world:
        people = await trio(world)
        await people[2].stop()
        made = await people[0].node.create_group("Friends", ["Boris", "Vera"])
        there = await people[1].contact_when(lambda c: c.name == "Friends" and c.members == 3)
        await people[0].node.send(made.id, "at once")
        await people[2].start()
        last = await people[2].contact_when(lambda c: c.name == "Friends" and c.members == 3)
        for person, id in ((people[1], there.id), (people[2], last.id)):
            await person.message_when(id, lambda m: m.text == "at once")
        await says(people[2], last.id, "here", (people[0], made.id), (people[1], there.id))


async def test_who_left_can_be_added_again(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await people[2].node.leave_group(ids[2])
        await people[0].message_when(ids[0], lambda m: m.note == "group-left")
        assert (await people[0].node.group(ids[0])).keys == "renew"
        await people[0].node.renew_group(ids[0])
        assert (await people[0].node.group(ids[0])).keys == "fresh"
        await says(people[1], ids[1], "without you", pairs[0])
        await people[0].node.add_members(ids[0], ["Vera"])
        await people[2].contact_when(lambda c: c.id == ids[2] and c.state == "active")
        await says(people[1], ids[1], "with you", pairs[0], pairs[2])
        await says(people[2], ids[2], "again", pairs[0], pairs[1])
        assert "without you" not in await people[2].texts(ids[2])


async def test_links_lead_into_a_group_at_once_or_by_an_admins_word(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        relay = world._running[0]
        for number, approve in enumerate((False, True)):
            invitation = await people[0].node.create_group_link(ids[0], approve=approve)
            await people[0].wait(lambda id=invitation.id: people[0].has_open_invitation(id))
            name = ("Gleb", "Dora")[number]
            comer = await world.person(name, relay)
            await comer.node.accept_invitation(invitation.link)
            if approve:

                async def asks() -> bool:
                    return bool((await people[0].node.group(ids[0])).requests)

                await people[0].wait(asks)
                assert len((await people[0].node.group(ids[0])).members) == 4
                await people[0].node.answer_request(ids[0], name, True)
            there = await comer.contact_when(lambda c: c.kind == "group" and bool(c.members))
            # Vera and who came are no contacts of each other.
            await says(comer, there.id, f"{name} here", (people[2], ids[2]))
            await says(people[2], ids[2], f"welcome {name}", (comer, there.id))
        with pytest.raises(ApiError):
            await people[2].node.create_group_link(ids[2])


async def test_polls_pins_and_naming_somebody(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        asked = await people[1].node.create_poll(ids[1], "When?", ["Friday", "Saturday"])
        got = await people[2].message_when(ids[2], lambda m: m.text == "When?")
        assert got.poll is not None and not got.poll.many
        await people[2].node.vote(got.id, [1])
        third = await people[0].message_when(ids[0], lambda m: bool(m.poll and m.poll.voters == 1))
        await people[0].node.vote(third.id, [1])
        seen = await people[1].message_when(ids[1], lambda m: bool(m.poll and m.poll.voters == 2))
        assert seen.poll is not None
        assert [(o.votes, sorted(o.names)) for o in seen.poll.options] == [
            (0, []),
            (2, ["Anna", "Vera"]),
        ]
        await people[2].node.vote(got.id, [0])
        await people[1].message_when(
            ids[1], lambda m: bool(m.poll and [o.votes for o in m.poll.options] == [1, 1])
        )
        for choices in ([0, 1], [2]):
            with pytest.raises(ApiError):
                await people[1].node.vote(asked.id, choices)

        await people[0].node.pin(third.id)
        await people[2].message_when(ids[2], lambda m: m.pinned)
        assert [m.text for m in await people[2].node.pinned(ids[2])] == ["When?"]
        with pytest.raises(ApiError):
            await people[2].node.pin(got.id, False)
        await people[1].node.send(ids[1], "@Vera, do you hear?")
        named = await people[2].message_when(ids[2], lambda m: m.text.startswith("@Vera"))
        other = await people[0].message_when(ids[0], lambda m: m.text.startswith("@Vera"))
        assert named.mention and not other.mention


async def test_slow_mode_and_what_newcomers_are_told(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people[:3])
        pairs = list(zip(people, ids, strict=False))
        await says(people[1], ids[1], "one", pairs[0], pairs[2])
        await says(people[2], ids[2], "two", pairs[0], pairs[1])
        await people[0].node.set_group(ids[0], slow=600, history=1)

        async def slowed() -> bool:
            return (await people[1].node.group(ids[1])).slow == 600

        await people[1].wait(slowed)
        with pytest.raises(ApiError) as refused:
            await people[1].node.send(ids[1], "at once")
        assert refused.value.code == "rate"
        await says(people[0], ids[0], "admins may", pairs[1], pairs[2])
        await says(people[0], ids[0], "at any time", pairs[1], pairs[2])
        await people[0].node.add_members(ids[0], ["Gleb"])
        gleb = (await people[3].contact_when(lambda c: c.kind == "group")).id
        told = await people[3].message_when(gleb, lambda m: m.note == "told")
        assert told.text == "at any time" and told.author is not None
        assert await people[3].texts(gleb) == ["at any time"]


async def test_a_file_reaches_everybody(world, tmp_path) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        data = bytes(range(256)) * 400
        async with served(people[1].node, people[1].path) as client:
            upload = await client.upload(io.BytesIO(data), len(data))
            await client.node.send_file(ids[1], upload, "notes.bin")
        for person, id in ((people[0], ids[0]), (people[2], ids[2])):
            got = await person.message_when(
                id, lambda m: m.file is not None and m.file.state == "whole"
            )
            assert got.author is not None and got.author.name == "Boris"
            target = io.BytesIO()
            async with served(person.node, person.path) as client:
                await client.download(got.id, target)
            assert target.getvalue() == data


async def test_members_write_to_each_other_through_the_group(world) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await says(people[2], ids[2], "I am Vera", *pairs[:2])
        await people[1].node.write_to_member(ids[1], "Vera")
        vera = await people[1].contact_when(lambda c: c.name == "Vera" and c.state == "active")
        assert not vera.via and not vera.verified
        await people[1].node.send(vera.id, "between us")
        boris = await people[2].contact_when(lambda c: c.name == "Boris" and c.kind == "person")
        assert boris.via == ids[2]
        await people[2].message_when(boris.id, lambda m: m.text == "between us")
        assert "between us" not in await people[0].texts(ids[0])
        with pytest.raises(ApiError):
            await people[1].node.write_to_member(ids[1], "Anna")


async def test_what_no_relay_brings_is_a_gap_that_is_seen(world, monkeypatch) -> None:
    monkeypatch.setattr(group_talk, "MISSING", 0)
    opened, hidden = group_talk._message, []

    def hides(desk, work, group, epoch, plain, outage):
        """Vera's relay keeps the second message that she would open to itself."""
        if desk.get(work, "name") == "Vera":
            hidden.append(plain)
            if len(hidden) == 2:
                return True
        return opened(desk, work, group, epoch, plain, outage)

    monkeypatch.setattr(group_talk, "_message", hides)
    async with world:
        people = await trio(world)
        ids = await found(people)
        for text in ("one", "two", "three"):
            await people[1].node.send(ids[1], text)
        await people[2].message_when(ids[2], lambda m: m.text == "three")
        assert await people[2].texts(ids[2]) == ["one", "three"]
        for _ in range(2):
            await people[2].node._do(group_talk.sweep)
        page = await people[2].node.messages(ids[2])
        lost = [m for m in page.messages if m.note == "lost"]
        assert [(m.count, m.author and m.author.name) for m in lost] == [(1, "Boris")]


async def test_the_owners_node_renews_the_key_after_somebody_left(world, monkeypatch) -> None:
    monkeypatch.setattr(group_talk, "LEAVING", 0)
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[2].node.leave_group(ids[2])
        for person, id in zip(people[:2], ids, strict=False):
            await person.message_when(id, lambda m: m.note == "group-left")
        assert (await people[1].node.group(ids[1])).keys == "renew"
        for person in (people[1], people[0]):
            await person.node._do(group_talk.sweep)
        assert (await people[0].node.group(ids[0])).keys == "fresh"

        async def fresh() -> bool:
            return (await people[1].node.group(ids[1])).keys == "fresh"

        await people[1].wait(fresh)
        await says(people[1], ids[1], "among us", (people[0], ids[0]))
