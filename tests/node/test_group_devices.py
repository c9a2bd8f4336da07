"""Groups on several devices of one person, over real relays."""

from __future__ import annotations

import pytest
from node.living import Person, World, found, says, trio
from node.test_devices import link

from holdfast.node import devices, group_state
from holdfast.node.rpc import ApiError


async def group_of(person: Person, name: str = "Friends") -> str:
    """How a person's node calls the group that it is in."""
    return (await person.contact_when(lambda c: c.name == name and c.kind == "group")).id


async def ready(person: Person, id: str) -> None:
    async def fresh() -> bool:
        return (await person.node.group(id)).keys == "fresh"

    await person.wait(fresh)


async def test_each_device_reads_and_writes_in_a_group(world: World) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await says(people[1], ids[1], "before", pairs[0], pairs[2])
        second = await link(world, people[1], past=False)
        there = await group_of(second)
        await ready(second, there)
        assert [m.name for m in (await second.node.group(there)).members if m.me] == ["Boris"]
        everywhere = [*pairs, (second, there)]
        first = await people[2].node.send(ids[2], "who comes?")
        for person, id in everywhere:
            await person.message_when(id, lambda m: m.text == "who comes?")
        sent = await second.node.send(there, "from the second")
        for person, id in pairs:
            got = await person.message_when(id, lambda m: m.text == "from the second")
            assert got.mine == (person is people[1])
        await people[1].node.send(ids[1], "from the first")
        mine = await second.message_when(there, lambda m: m.text == "from the first")
        assert mine.mine and mine.state == "sent"
        # What is changed on one device is changed on the other, and only mine.
        await second.node.edit(sent.id, "changed on the second")
        for person, id in pairs:
            await person.message_when(id, lambda m: m.text == "changed on the second")
        theirs = await second.message_when(there, lambda m: m.text == "who comes?")
        await second.node.react(theirs.id, "👍")
        seen = await people[1].message_when(ids[1], lambda m: bool(m.reactions))
        assert [r.mine for r in seen.reactions] == [True]
        await second.node.mark_read(there, theirs.id)
        await people[1].contact_when(lambda c: c.id == ids[1] and not c.unread)
        assert await second.texts(there) == [
            "who comes?",
            "changed on the second",
            "from the first",
        ]
        assert first.state != "received"
        # One that is founded later is on both as well.
        made = await second.node.create_group("Choir", [])
        choir = await group_of(people[1], "Choir")
        await second.node.send(made.id, "sing")
        assert (await people[1].message_when(choir, lambda m: m.text == "sing")).mine


async def as_told(person: Person, id: str) -> list[object]:
    """What a history keeps of each message."""
    return [
        (
            m.mine,
            m.text,
            m.deleted,
            m.author and m.author.name,
            m.reply_to and (m.reply_to.text, m.reply_to.mine),
            [(r.emoji, r.mine, r.name) for r in m.reactions],
        )
        for m in (await person.node.messages(id)).messages
        if m.kind == "text"
    ]


async def test_a_new_device_is_told_what_was_said_in_a_group(world: World) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await says(*pairs[0], "first", pairs[1], pairs[2])
        mine = await people[1].node.send(ids[1], "second")
        asked = await people[0].message_when(ids[0], lambda m: m.text == "second")
        answer = await people[0].node.send(ids[0], "third", reply_to=asked.id)
        await people[2].message_when(ids[2], lambda m: m.text == "third")
        await people[2].node.react(
            (await people[2].message_when(ids[2], lambda m: m.text == "second")).id, "👍"
        )
        wiped = await people[1].node.send(ids[1], "regretted")
        await people[1].node.delete(wiped.id)
        await people[1].message_when(ids[1], lambda m: m.id == mine.id and bool(m.reactions))
        await people[1].message_when(ids[1], lambda m: m.text == "third")
        second = await link(world, people[1])
        there = await group_of(second)

        async def told() -> bool:
            return len(await second.texts(there)) == 4

        await second.wait(told)
        await ready(second, there)
        assert await as_told(second, there) == await as_told(*pairs[1])
        assert answer.text == "third"
        # What comes stands behind it, and what is old can be answered and changed.
        await says(*pairs[0], "after", pairs[1], (second, there))
        old = await second.message_when(there, lambda m: m.text == "second")
        await second.node.edit(old.id, "second, changed")
        for who, id in pairs:
            await who.message_when(id, lambda m: m.text == "second, changed")
        assert (await second.texts(there))[-1] == "after"


@pytest.mark.parametrize("leads", [True, False])
async def test_a_removed_device_reads_nothing_more_of_a_group(
    world: World, monkeypatch: pytest.MonkeyPatch, leads: bool
) -> None:
    """Not even one whose program goes on as if it had not heard of it, be it a leader's or a
    member's."""
    async with world:
        people = await trio(world)
        ids = await found(people)
        who = 0 if leads else 1
        pairs = list(zip(people, ids, strict=True))
        others = [pair for number, pair in enumerate(pairs) if number != who]
        second = await link(world, people[who], past=False)
        there = await group_of(second)
        await ready(second, there)
        await says(*others[0], "still", pairs[who], others[1], (second, there))
        monkeypatch.setattr(devices, "_unlinked", lambda *_: None)
        await people[who].node.remove_device((await people[who].node.devices())[1].id)

        async def knows(person: Person, id: str) -> bool:
            def job(desk, work):  # type: ignore[no-untyped-def]
                group = group_state.opened(desk, work, id)
                root = people_root
                listed = group.view.devices(root)
                assert listed is not None
                return len(listed.devices) == 1 and group.epochs.now() is not None

            return bool(await person.node._do(job))

        people_root = await people[who].node._do(lambda desk, work: desk.identity(work).party.root)
        for person, id in others:
            await person.wait(lambda p=person, i=id: knows(p, i))
        await says(*others[0], "among us", pairs[who], others[1])
        await says(*pairs[who], "from the one that is left", *others)
        # It may say something yet under what it has; nobody is shown it.
        try:
            await second.node.send(there, "I am still here")
        except ApiError:
            pass
        await says(*others[1], "the last", pairs[who], others[0])
        for person, id in pairs:
            assert "I am still here" not in await person.texts(id)
        heard = await second.texts(there)
        assert "still" in heard and not {"among us", "the last"} & set(heard)


async def test_a_device_that_hears_of_its_removal_keeps_no_key_of_a_group(world: World) -> None:
    async with world:
        people = await trio(world)
        await found(people)
        second = await link(world, people[0], past=False)
        there = await group_of(second)
        await ready(second, there)
        await people[0].node.remove_device((await people[0].node.devices())[1].id)
        await second.contact_when(lambda c: c.id == there and c.state == "unlinked")
        held = await second.node._do(
            lambda desk, work: group_state.opened(desk, work, there).keys.epochs
        )
        assert held == []
        with pytest.raises(ApiError, match="removed"):
            await second.node.send(there, "hello?")
