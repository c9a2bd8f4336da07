"""Reporting to those who lead a group, and removing for all, over real relays."""

from __future__ import annotations

import pytest
from node.living import found, reported, says, trio

from holdfast.core.chat import content
from holdfast.node.rpc import ApiError


async def test_a_report_reaches_who_leads_with_proof_and_is_answered(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await people[0].node.set_role(ids[0], "Gleb", "admin")
        await people[3].message_when(ids[3], lambda m: m.note == "group-admin")
        wrote = await people[1].node.send(ids[1], "something ugly")
        ugly = await people[2].message_when(ids[2], lambda m: m.text == "something ugly")
        await people[1].node.edit(wrote.id, "something nice")
        await people[2].message_when(ids[2], lambda m: m.text == "something nice")
        await people[2].node.report_message(ugly.id, "he means me")
        for admin in (0, 3):
            (report,) = await reported(*pairs[admin])
            assert (report.by.name, report.author.name) == ("Vera", "Boris")
            assert report.text == "something ugly\n→ something nice"
            assert report.words == "he means me" and report.message
        await people[2].node.report_message(ugly.id, "again")
        await says(people[2], ids[2], "hello", *pairs[:2], pairs[3])
        assert not (await people[1].node.group(ids[1])).reports
        (report,) = (await people[0].node.group(ids[0])).reports
        await people[0].node.answer_report(ids[0], report.id, remove=True, expel=True)
        for who in (1, 2, 3):
            gone = await people[who].message_when(ids[who], lambda m: m.deleted)
            assert gone.removed_by is not None and gone.removed_by.name == "Anna"
            assert not gone.text and gone.mine == (who == 1)
        await people[1].contact_when(lambda c: c.id == ids[1] and c.state == "removed")
        assert not (await people[0].node.group(ids[0])).reports
        with pytest.raises(ApiError):
            await people[0].node.answer_report(ids[0], report.id)
        with pytest.raises(ApiError):
            await people[2].node.report_message(ugly.id)


async def test_who_leads_removes_others_messages_and_nobody_the_owners(world) -> None:
    async with world:
        people = await trio(world, "Gleb")
        ids = await found(people)
        pairs = list(zip(people, ids, strict=True))
        await people[0].node.set_role(ids[0], "Gleb", "admin")
        await people[3].message_when(ids[3], lambda m: m.note == "group-admin")
        await says(people[1], ids[1], "of a member", pairs[0], *pairs[2:])
        await says(people[0], ids[0], "of the owner", *pairs[1:])
        for who, text in ((2, "of a member"), (3, "of the owner")):
            here = await people[who].message_when(ids[who], lambda m, text=text: m.text == text)
            with pytest.raises(ApiError):
                await people[who].node.delete(here.id)
        here = await people[3].message_when(ids[3], lambda m: m.text == "of a member")
        gone = await people[3].node.delete(here.id)
        assert gone is not None and gone.deleted and gone.removed_by is not None
        mine = await people[1].message_when(ids[1], lambda m: m.deleted)
        assert mine.mine and mine.removed_by is not None and mine.removed_by.name == "Gleb"
        await people[2].message_when(ids[2], lambda m: m.deleted)
        # Who leads alone cannot be reported to anybody.
        await people[0].node.set_role(ids[0], "Gleb", "member")
        await people[1].message_when(ids[1], lambda m: m.note == "group-member")
        there = await people[1].message_when(ids[1], lambda m: m.text == "of the owner")
        with pytest.raises(ApiError, match="nobody else leads"):
            await people[1].node.report_message(there.id)


async def test_what_a_stranger_writes_from_within_is_reported_until_one_answers(world) -> None:
    async with world:
        people = await trio(world)
        anna, boris, vera = people
        ids = await found(people)
        await says(vera, ids[2], "I am Vera", (anna, ids[0]), (boris, ids[1]))
        await boris.node.write_to_member(ids[1], "Vera")
        at_boris = (await boris.contact_when(lambda c: c.name == "Vera" and c.state == "active")).id
        at_vera = (await vera.contact_when(lambda c: c.name == "Boris" and c.request)).id
        await boris.node.send(at_boris, "psst, ugly")
        ugly = await vera.message_when(at_vera, lambda m: m.text == "psst, ugly")

        def unproved(desk, work) -> None:
            desk.say(work, at_boris, content.Text(b"n" * 16, work.now, "without a proof"))

        await boris.node._do(unproved)
        await vera.node.report_message(ugly.id, "he writes to me")
        (report,) = await reported(anna, ids[0])
        assert (report.by.name, report.author.name) == ("Vera", "Boris")
        assert (report.text, report.words) == ("psst, ugly", "he writes to me")
        assert report.private and not report.message
        with pytest.raises(ApiError):
            await anna.node.answer_report(ids[0], report.id, remove=True)
        await anna.node.answer_report(ids[0], report.id)
        # An answer ends it: what is said between the two from then on is theirs alone.
        await vera.node.send(at_vera, "what is it?")
        await boris.message_when(at_boris, lambda m: m.text == "what is it?")
        await boris.node.send(at_boris, "sorry")
        sorry = await vera.message_when(at_vera, lambda m: m.text == "sorry")
        assert "without a proof" not in await vera.texts(at_vera)
        with pytest.raises(ApiError, match="nothing is kept"):
            await vera.node.report_message(sorry.id)
