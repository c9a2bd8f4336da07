"""remove-by-member: somebody who leads no group removes what others wrote in it."""

import pytest
from node.living import Person, World, found, trio, world

from holdfast.core.chat import content
from holdfast.node import moderation

__all__ = ["world"]


async def removes(person: Person, group: str, text: str, after: str) -> None:
    """Says what the program itself would refuse to say."""
    here = await person.message_when(group, lambda m: m.text == text)

    def job(desk, work):  # type: ignore[no-untyped-def]
        author, mid = work.db.execute(
            "SELECT author, mid FROM message WHERE id = ?", (here.id,)
        ).fetchone()
        desk.say(work, group, content.Remove(content.Ref(mid, False, author), work.now))

    await person.node._do(job)
    await person.node.send(group, after)


async def test_a_member_removes_nothing_and_in_the_twin_without_the_rule_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vera, who leads nothing, removes a message of Boris."""
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[1].node.send(ids[1], "of Boris")
        await removes(people[2], ids[2], "of Boris", "after it")
        await people[0].message_when(ids[0], lambda m: m.text == "after it")
        assert "of Boris" in await people[0].texts(ids[0])
        monkeypatch.setattr(moderation, "may_remove", lambda *_: True)
        await removes(people[2], ids[2], "of Boris", "after that")
        await people[0].message_when(ids[0], lambda m: m.text == "after that")
        assert "of Boris" not in await people[0].texts(ids[0])
