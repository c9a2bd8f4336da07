"""stranger-noise: somebody unknown rings, notifies, fills the disk or learns whether one is there.

Elsewhere: calls from unknown numbers as a way in (WhatsApp, 2019; FaceTime, 2019), delivery
receipts that tell a stranger when a phone is in use (Careless Whisper, 2024).
"""

import asyncio

import pytest
from node.living import Person, World, found, trio, world

from holdfast.core.chat import content
from holdfast.core.group import cards
from holdfast.core.seal import pairwise
from holdfast.node import blocking, group_cards, group_state, requests
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.schema import CallChanged, TypingChanged, VerificationChanged

__all__ = ["world"]
NOISE = (CallChanged, TypingChanged, VerificationChanged)


async def comes(anna: Person, boris: Person) -> tuple[str, str]:
    """Boris comes by a link for many: how each names the other."""
    made = await anna.node.create_invitation(many=True)
    await anna.wait(lambda: anna.has_open_invitation(made.id))
    await boris.node.accept_invitation(made.link)
    there = await boris.contact_when(lambda c: c.state == "active")
    return (await anna.contact_when(lambda c: c.name == "Boris")).id, there.id


async def all_he_can(boris: Person, to: str, wrote: int) -> None:
    """Boris writes, types, asks to compare, rings and hangs up."""
    for number in range(wrote):
        await boris.node.send(to, f"no. {number}")
    await boris.node.set_typing(to, True)
    await boris.node.start_verification(to)
    call = await boris.node.start_call(to)
    await asyncio.sleep(0.2)
    await boris.node.hang_up(call.id)
    await boris.node._do(lambda desk, work: desk.say(work, to, content.Profile("Boris the Loud")))


async def noise(world: World, patch: pytest.MonkeyPatch) -> tuple[set[str], int, set[str]]:
    """What made Anna's interface stir, how many messages are kept, and what Boris learns of his."""
    patch.setattr(pairwise, "ACK_DELAY", 0)
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        at_anna, at_boris = await comes(anna, boris)
        await all_he_can(boris, at_boris, requests.KEPT + 3)
        await anna.contact_when(lambda c: c.own_name == "Boris the Loud")
        kept = [m for m in (await anna.node.messages(at_anna)).messages if m.kind == "text"]
        await anna.node.mark_read(at_anna, kept[-1].id)
        await asyncio.sleep(0.4)
        states: set[str] = {
            m.state for m in (await boris.node.messages(at_boris)).messages if m.mine
        }
        loud = {type(event).__name__ for event in anna.events if isinstance(event, NOISE)}
        return loud, len(kept), states - {"received"}


async def test_a_stranger_makes_no_noise_and_learns_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud, kept, states = await noise(world, monkeypatch)
    assert (loud, kept) == (set(), requests.KEPT)
    assert states <= {"sent", "waiting"}


async def test_twin_that_takes_strangers_for_contacts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "ask", lambda *_: None)
    loud, kept, states = await noise(world, monkeypatch)
    assert loud == {"CallChanged", "TypingChanged", "VerificationChanged"}
    assert kept > requests.KEPT and "read" in states


async def test_once_accepted_they_are_a_contact_like_any_other(world: World) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        at_anna, at_boris = await comes(anna, boris)
        assert (await anna.node.contact(at_anna)).request
        assert not (await boris.node.contact(at_boris)).request
        sent = await boris.node.send(at_boris, "may I?")
        await anna.message_when(at_anna, lambda m: m.text == "may I?")
        await anna.stop()
        await anna.start()
        assert (await anna.node.contact(at_anna)).request
        assert not (await anna.node.accept_contact(at_anna)).request
        await boris.message_when(at_boris, lambda m: m.id == sent.id and m.state == "delivered")
        await boris.node.start_call(at_boris)

        async def rings() -> bool:
            return any(isinstance(event, CallChanged) for event in anna.events)

        await anna.wait(rings)


async def test_who_writes_from_within_a_group_waits_as_well(world: World) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[2].node.send(ids[2], "I am Vera")
        await people[1].message_when(ids[1], lambda m: m.text == "I am Vera")
        await people[1].node.write_to_member(ids[1], "Vera")
        vera = await people[1].contact_when(lambda c: c.name == "Vera" and c.state == "active")
        assert not vera.request
        boris = await people[2].contact_when(lambda c: c.name == "Boris" and c.kind == "person")
        await people[1].node.send(vera.id, "between us")
        await people[2].message_when(boris.id, lambda m: m.text == "between us")
        assert (await people[2].node.contact(boris.id)).request
        # A group of theirs waits too; an answer accepts.
        await people[1].node.create_group("Sect", ["Vera"])
        sect = await people[2].contact_when(lambda c: c.name == "Sect" and c.members == 2)
        assert sect.request
        await people[2].node.send(boris.id, "yes")
        assert not (await people[2].node.contact(boris.id)).request
        assert (await people[2].node.contact(sect.id)).request
        await people[2].node.send(sect.id, "well")
        assert not (await people[2].node.contact(sect.id)).request


async def comes_again(world: World) -> str:
    """What Boris, whom Anna has blocked, is to her once he has answered her link another time."""
    async with world:
        relay = await world.relay()
        anna = await world.person("Anna", relay)
        boris, clara = await world.person("Boris", relay), await world.person("Clara", relay)
        made = await anna.node.create_invitation(many=True)
        await anna.wait(lambda: anna.has_open_invitation(made.id))
        await boris.node.accept_invitation(made.link)
        at_boris = await boris.contact_when(lambda c: c.state == "active")
        at_anna = await anna.contact_when(lambda c: c.name == "Boris")
        await anna.node.accept_contact(at_anna.id)
        await anna.node.block_contact(at_anna.id)
        await boris.node.delete_contact(at_boris.id)
        await boris.node.accept_invitation(made.link)
        await boris.contact_when(lambda c: c.state in ("joining", "active"))
        # What comes behind his answer in the same log was read after it.
        await clara.node.accept_invitation(made.link)
        await anna.contact_when(lambda c: c.name == "Clara")
        return (await anna.node.contact(at_anna.id)).state


async def test_who_is_blocked_stays_so_whatever_they_answer(world: World) -> None:
    assert await comes_again(world) == "blocked"


async def test_twin_that_hears_whoever_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "is_blocked", lambda *_: False)
    assert await comes_again(world) == "active"


async def test_a_letter_that_leads_to_a_contact_changes_nothing(world: World) -> None:
    """A member passes on, as their own, an invitation of somebody whom the reader knows and has
    blocked: the conversation with them stays, and stays blocked."""
    async with world:
        anna, boris, vera = people = await trio(world)
        ids = await found(people)
        at_anna = await vera.contact_when(lambda c: c.name == "Anna" and c.kind == "person")
        await vera.node.block_contact(at_anna.id)
        before = len((await vera.node.messages(at_anna.id)).messages)
        made = await anna.node.create_invitation()
        await anna.wait(lambda: anna.has_open_invitation(made.id))
        links = iter([made.link])

        async def passed_on() -> None:
            def job(desk: Desk, work: Work) -> None:
                group = group_state.opened(desk, work, ids[1])
                (card,) = (c for c in group_cards.cards(work, group).values() if c.name == "Vera")
                sealed = cards.letter(card, next(links).encode())
                desk.say(work, ids[1], content.Introduce(card.root, sealed))

            await boris.node._do(job)

        await vera.node.send(ids[2], "I am Vera")
        await boris.message_when(ids[1], lambda m: m.text == "I am Vera")
        await passed_on()
        await boris.node.send(ids[1], "behind the letter")
        await vera.message_when(ids[2], lambda m: m.text == "behind the letter")
        await asyncio.gather(*vera.node._accepting)
        assert (await vera.node.contact(at_anna.id)).state == "blocked"
        assert len((await vera.node.messages(at_anna.id)).messages) == before
        assert not [c for c in await vera.node.contacts() if c.name == "Boris"]


async def test_what_a_blocked_member_says_is_not_taken(world: World) -> None:
    async with world:
        people = await trio(world)
        ids = await found(people)
        group = await people[2].node.block_member(ids[2], "Boris")
        assert [m.name for m in group.members if m.blocked] == ["Boris"]
        await people[1].node.send(ids[1], "do you hear?")
        await people[0].message_when(ids[0], lambda m: m.text == "do you hear?")
        await people[0].node.send(ids[0], "we do")
        await people[2].message_when(ids[2], lambda m: m.text == "we do")
        assert await people[2].texts(ids[2]) == ["we do"]
        await people[2].node.block_member(ids[2], "Boris", False)
        await people[1].node.send(ids[1], "and now?")
        await people[2].message_when(ids[2], lambda m: m.text == "and now?")
