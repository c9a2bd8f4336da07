"""receipt-probe (Careless Whisper, 2024): what refers to nothing known, or comes from somebody
who may not write, has no effect that could be observed: nothing answered, nothing shown."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))

from chatters import hear, meet, person, relay, until

from holdfast.core.caps import Home
from holdfast.core.chat import content
from holdfast.node import receiving
from holdfast.node.api import Node
from holdfast.node.schema import CallChanged, ContactChanged, MessageChanged

NOBODY = bytes(16)


def probes(now: int, home: Home) -> list[content.Known]:
    """One of each kind that refers to something, referring to nothing."""
    return [
        content.React(content.Ref(NOBODY, False), "👍", now),
        content.React(content.Ref(NOBODY, True), "👍", now),
        content.Edit(NOBODY, now, "x"),
        content.Delete(NOBODY),
        content.Read(NOBODY, now),
        content.Got(NOBODY),
        content.Answer(NOBODY, "ringing"),
        content.Answer(NOBODY, "accept", bytes(32), bytes(16)),
        content.Answer(NOBODY, "end"),
    ]


async def write(node: Node, what: content.Known) -> None:
    """Say something that the program itself would not."""
    keeper, engine = node._keeper, node._engine
    assert keeper is not None
    assert engine is not None
    (contact,) = await node.contacts()
    await keeper.run(lambda work: engine.desk.say(work, contact.id, what))


async def sent(node: Node) -> int:
    """How many records this node has made for its contact."""
    keeper, engine = node._keeper, node._engine
    assert keeper is not None
    assert engine is not None
    (contact,) = await node.contacts()
    return await keeper.run(lambda work: engine.desk.session(work, contact.id).sent)


async def reached(node: Node) -> int:
    keeper, engine = node._keeper, node._engine
    assert keeper is not None
    assert engine is not None
    (contact,) = await node.contacts()
    return await keeper.run(lambda work: engine.desk.session(work, contact.id).received)


async def probe(tmp_path: Path) -> tuple[int, list[object]]:
    """Anna probes Boris, whose receipts are off. How many records it made him send, and what
    he was shown."""
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
    ):
        await meet(anna, boris)
        await boris.update_settings(delivery_receipts=False, read_receipts=False)
        await asyncio.sleep(0.5)
        before, shown = await sent(boris), hear(boris)
        goal = await sent(anna)
        for what in probes((await anna.contacts())[0].added, home):
            await write(anna, what)
            goal += 1
        await until(lambda: reached(boris), lambda count: count >= goal)
        await asyncio.sleep(0.5)
        told = [e for e in shown if isinstance(e, MessageChanged | ContactChanged | CallChanged)]
        return await sent(boris) - before, list(told)


async def test_what_refers_to_nothing_causes_nothing(tmp_path: Path) -> None:
    assert await probe(tmp_path) == (0, [])


async def test_twin_that_answers_about_unknown_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = receiving._take

    def polite(desk, work, cid, data, outage, *more) -> None:
        take(desk, work, cid, data, outage, *more)
        said = content.decode(data)
        if isinstance(said, content.Answer):
            desk.say(work, cid, content.Answer(said.call, "end"))

    monkeypatch.setattr(receiving, "_take", polite)
    answers, _ = await probe(tmp_path)
    assert answers > 0


async def test_who_is_blocked_cannot_ring_or_be_answered(tmp_path: Path) -> None:
    async with (
        relay(tmp_path / "relay") as home,
        person(tmp_path / "anna", "Anna", home) as anna,
        person(tmp_path / "boris", "Boris", home) as boris,
    ):
        await meet(anna, boris)
        await boris.block_contact("Anna")
        await asyncio.sleep(0.3)
        before, shown = await sent(boris), hear(boris)
        made = await anna.start_call("Boris")
        await asyncio.sleep(0.5)
        assert (await anna.calls())[0].state == "calling"
        await anna.hang_up(made.id)
        await asyncio.sleep(0.2)
        assert await sent(boris) == before
        assert not [event for event in shown if isinstance(event, CallChanged)]
