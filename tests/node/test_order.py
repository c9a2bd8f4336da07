"""Members see the same, in the same order, whatever their relays bring first."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from node.living import World, found, trio

from holdfast.node import group_talk
from holdfast.node.database import rows


def transcript(desk, work, cid: str) -> list[tuple[object, ...]]:
    """What somebody sees, with names for whom they know by roots."""
    me = desk.identity(work).party.root
    return [
        (
            author or me,
            text,
            bool(deleted),
            bool(pinned),
            remover,
            sorted(
                (by or me, emoji)
                for by, emoji in rows(
                    work.db,
                    "SELECT author, emoji FROM reaction WHERE message = ? AND emoji <> ''",
                    id,
                )
            ),
            sorted(
                (by or me, choices)
                for by, choices in rows(
                    work.db, "SELECT author, choices FROM vote WHERE message = ?", id
                )
            ),
        )
        for id, author, text, deleted, pinned, remover in rows(
            work.db,
            "SELECT id, author, text, deleted, pinned, remover FROM message"
            " WHERE contact = ? AND kind = 'text' ORDER BY place, mid",
            cid,
        )
    ]


async def test_whatever_comes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    received = group_talk.received

    def holds(desk, work, cid, came):
        """Vera's relays hold back all that comes."""
        if desk.get(work, "name") == "Vera":
            held.append((cid, came))
        else:
            received(desk, work, cid, came)

    async with world:
        people = await trio(world)
        anna, boris, vera = people
        ids = await found(people)
        await vera.node.send(ids[2], "I am here")
        for person, id in zip(people[:2], ids, strict=False):
            await person.message_when(id, lambda m: m.text == "I am here")
        monkeypatch.setattr(group_talk, "received", holds)

        async def both(text: str) -> tuple[str, str]:
            """The message's id at Anna's and at Boris's."""
            at = [
                (await person.message_when(id, lambda m: m.text == text)).id
                for person, id in zip(people[:2], ids, strict=False)
            ]
            return at[0], at[1]

        asked = await boris.node.create_poll(ids[1], "When?", ["now", "later"])
        poll = await both("When?")
        await anna.node.vote(poll[0], [0])
        await anna.node.vote(poll[0], [1])
        await boris.node.vote(asked.id, [0])
        await boris.node.send(ids[1], "first")
        first = await both("first")
        await anna.node.react(first[0], "👍")
        await anna.node.react(first[0], None)
        await anna.node.react(first[0], "❤️")
        await boris.node.edit(first[1], "first, changed")
        await boris.node.edit(first[1], "first, changed twice")
        await anna.node.send(ids[0], "an answer")
        await both("an answer")
        await boris.node.send(ids[1], "taken back")
        gone = await both("taken back")
        await boris.node.delete(gone[1])
        await boris.node.send(ids[1], "ugly")
        ugly = await both("ugly")
        await anna.node.delete(ugly[0])
        await anna.node.pin(first[0])
        await anna.node.pin(first[0], False)
        await anna.node.pin(poll[0])
        await anna.node.send(ids[0], "the end")
        await both("the end")

        async def all_held() -> bool:
            return len({came.rid for _, came in held}) >= 21

        await vera.wait(all_held)
        mixed = list(held)
        Random(1).shuffle(mixed)

        def brings(desk, work) -> None:
            for record in mixed:
                received(desk, work, *record)

        await vera.node._do(brings)
        seen = [
            await person.node._do(lambda desk, work, id=id: transcript(desk, work, id))
            for person, id in zip(people, ids, strict=True)
        ]
        assert seen[0] == seen[1] == seen[2]
        assert [text for _, text, *_ in seen[0]] == [
            "I am here",
            "When?",
            "first, changed twice",
            "an answer",
            "",
            "",
            "the end",
        ]
        assert [m.text for m in (await vera.node.pinned(ids[2]))] == ["When?"]
        page = (await vera.node.messages(ids[2], limit=3)).messages
        assert [m.text for m in page] == ["", "", "the end"]
        before = (await vera.node.messages(ids[2], before=page[0].order, limit=2)).messages
        assert [m.text for m in before] == ["first, changed twice", "an answer"]
