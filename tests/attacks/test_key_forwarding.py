"""key-forwarding: somebody asks for a group's key and is given it.

Elsewhere: matrix-js-sdk (CVE-2024-47080) forwarded keys of history to whoever asked in the right
way. Here a request is answered for members at this moment, by their root key, and what comes
with a key says nothing of who wrote what.
"""

import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import meet, person, relay, until

from holdfast.core.chat import content
from holdfast.node import group_giving, group_talk
from holdfast.node.database import row
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import Contact


async def asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Gleb knows Anna and is in no group; Boris was removed. Both, and the member Vera, ask
    Anna for the key of her group: who is given one."""
    given: set[str] = set()
    taking = group_talk.from_contact
    asking = False

    def watched(desk: Desk, work: Work, cid: str, said: group_talk.Said) -> None:
        if asking and isinstance(said, content.GroupKey):
            given.add(str(desk.get(work, "name")))
        taking(desk, work, cid, said)

    monkeypatch.setattr(group_talk, "from_contact", watched)
    async with contextlib.AsyncExitStack() as stack:
        home = await stack.enter_async_context(relay(tmp_path / "relay"))
        people = [
            await stack.enter_async_context(person(tmp_path / name, name, home))
            for name in ("Anna", "Boris", "Vera", "Gleb")
        ]
        anna, boris, vera, gleb = people
        for other in people[1:]:
            await meet(anna, other)
        group = (await anna.create_group("Friends", ["Boris", "Vera"])).id
        gid = await anna._do(
            lambda desk, work: work.db.execute(
                "SELECT root FROM contact WHERE id = ?", (group,)
            ).fetchone()[0]
        )
        await until(vera.contacts, lambda all: any(c.members == 3 for c in all))
        await anna.remove_member(group, "Boris")
        await until(vera.contacts, lambda all: any(c.members == 2 for c in all))
        asking = True
        for node, name in ((boris, "Boris"), (gleb, "Gleb"), (vera, "Vera")):
            await node._do(lambda desk, work: ask(desk, work, gid))
            # What Anna answers comes before what she writes after she has read the request.
            await node.send("Anna", f"{name} asks")
            await until(anna.contacts, lambda all, t=f"{name} asks": last(all, t))
            await anna.send(name, f"{name} was answered")
            await until(node.contacts, lambda all, t=f"{name} was answered": last(all, t))
    return given


def last(contacts: list[Contact], text: str) -> bool:
    """Whether this is the last that was written with somebody."""
    return any(one.last is not None and one.last.text == text for one in contacts)


def ask(desk: Desk, work: Work, gid: bytes) -> None:
    anna = "SELECT id FROM contact WHERE own_name = 'Anna'"
    (cid,) = row(work.db, anna)
    desk.say(work, cid, content.GroupAsk(gid, (gid,)))


async def test_a_member_is_answered_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await asks(tmp_path, monkeypatch) == {"Vera"}


async def test_twin_that_answers_every_contact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_giving, "may_have", lambda *_: True)

    def contact(desk: Desk, work: Work, group: object, root: bytes) -> list[str]:
        found = group_giving.contact_of(work, root)
        return [] if found is None else [found]

    monkeypatch.setattr(group_giving, "ways", contact)
    assert await asks(tmp_path, monkeypatch) == {"Boris", "Gleb", "Vera"}
