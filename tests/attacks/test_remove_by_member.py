"""remove-by-member: somebody who leads no group removes what others wrote in it."""

import pytest
from node.living import Person, World, found, trio, world

from holdfast.core.chat import content
from holdfast.node import moderation

__all__ = ["world"]


async def removes(person: Person, group: str, text: str) -> None:
    """Says what the program itself would refuse to say."""
    here = await person.message_when(group, lambda m: m.text == text)

    def job(desk, work):  # type: ignore[no-untyped-def]
        author, mid = work.db.execute(
            "SELECT author, mid FROM message WHERE id = ?", (here.id,)
        ).fetchone()
        desk.say(work, group, content.Remove(content.Ref(mid, False, author), work.now))

    await person.node._do(job)
    await person.node.send(group, "after it")


async def gone(world: World) -> bool:
    """Whether Vera, a member, removes a message of Boris for Anna."""
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[1].node.send(ids[1], "of Boris")
        await removes(people[2], ids[2], "of Boris")
        await people[0].message_when(ids[0], lambda m: m.text == "after it")
        return "of Boris" not in await people[0].texts(ids[0])


async def test_a_member_removes_nothing(world: World) -> None:
    assert not await gone(world)


async def test_twin_without_the_rule(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderation, "may_remove", lambda *_: True)
    assert await gone(world)
