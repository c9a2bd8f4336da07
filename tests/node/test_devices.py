"""Several devices of one person, over real relays."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from random import Random

import pytest
from node.living import Person, World

from holdfast.node.database import row
from holdfast.node.rpc import ApiError
from holdfast.node.schema import Linking


async def fresh(world: World, home: Path) -> Person:
    """A node with nobody on it."""
    person = Person(home, ())
    await person.start()
    world._running.append(person)
    return person


async def linking_when(person: Person, *states: str) -> Linking:
    found: list[Linking] = []

    async def there() -> bool:
        shown = await person.node.linking()
        if shown is not None and shown.state in states:
            found.append(shown)
        return bool(found)

    await person.wait(there)
    return found[0]


async def compare(old: Person, new: Person) -> None:
    """Both see the same emoji, and say so."""
    first, second = await linking_when(old, "compare"), await linking_when(new, "compare")
    assert first.emoji == second.emoji and len(first.emoji) == 7
    await old.node.confirm_link(True)
    await new.node.confirm_link(True)
    await linking_when(old, "done")
    await linking_when(new, "done")


async def link(world: World, old: Person, name: str = "second", past: bool = True) -> Person:
    """A further device of a person's."""
    new = await fresh(world, old.path.with_name(f"{old.path.name}-{name}"))
    await old.node.link_device(past)
    code = (await linking_when(old, "waiting")).code
    assert (await new.node.status()).phase == "new"
    await new.node.join_device(code, name)
    assert (await new.node.status()).phase == "linking"
    await compare(old, new)
    assert (await new.node.status()).phase == "ready"
    return new


LONG = "🙂" * 14_985
"""As much as fits into one record, and no more."""


async def test_the_longest_message_stops_nothing_between_devices(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await boris.node.send(at_boris, LONG)
        await anna.message_when(at_anna, lambda m: m.text == LONG)
        second = await link(world, anna)
        contact = await second.contact_when(lambda c: c.state == "active")
        told = await second.message_when(contact.id, lambda m: not m.mine)
        assert told.text.endswith("…") and LONG.startswith(told.text[:-1])

        def passes(desk, work):  # type: ignore[no-untyped-def]
            (own,) = row(work.db, "SELECT id FROM contact WHERE kind = 'own'")
            work.db.execute("INSERT OR IGNORE INTO passing VALUES (?, ?)", (at_anna, own))

        await anna.node._do(passes)
        await boris.node.send(at_boris, LONG)
        await boris.node.send(at_boris, "behind it")
        await anna.message_when(at_anna, lambda m: m.text == "behind it")


async def test_two_devices_of_one_person(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await anna.node.rename_contact(at_anna, "My Boris")
        await anna.node.send(at_anna, "before")
        await boris.message_when(at_boris, lambda m: m.text == "before")
        second = await link(world, anna)
        assert [d.name for d in await anna.node.devices()] == ["", "second"]
        assert [(d.here, d.first) for d in await second.node.devices()] == [
            (False, True),
            (True, False),
        ]
        contact = await second.contact_when(lambda c: c.state == "active")
        assert (contact.name, (await second.node.status()).name) == ("My Boris", "Anna")
        # From Boris to both, and from each to Boris and the other.
        await boris.node.send(at_boris, "to both of you")
        await anna.message_when(at_anna, lambda m: m.text == "to both of you")
        came = await second.message_when(contact.id, lambda m: m.text == "to both of you")
        await second.node.send(contact.id, "from the second")
        await boris.message_when(at_boris, lambda m: m.text == "from the second")
        mine = await anna.message_when(at_anna, lambda m: m.text == "from the second")
        assert mine.mine
        sent = await anna.node.send(at_anna, "from the first")
        await boris.message_when(at_boris, lambda m: m.text == "from the first")
        mine = await second.message_when(contact.id, lambda m: m.text == "from the first")
        assert mine.mine
        await anna.node.edit(sent.id, "changed on the first")
        await second.message_when(contact.id, lambda m: m.text == "changed on the first")
        await boris.message_when(at_boris, lambda m: m.text == "changed on the first")
        await second.node.mark_read(contact.id, came.id)
        await anna.contact_when(lambda c: not c.unread)
        notes = [m.note for m in (await boris.node.messages(at_boris)).messages]
        assert "device-added" in notes and "key-changed" not in notes
        assert len(await boris.node.contacts()) == 1


@pytest.mark.prove
async def test_what_was_said_before_is_given_if_asked_for(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        for number in range(30):
            await anna.node.send(at_anna, f"number {number}")
        last = await boris.message_when(at_boris, lambda m: m.text == "number 29")
        await boris.node.react(last.id, "👍")
        await anna.message_when(at_anna, lambda m: bool(m.reactions))
        second = await link(world, anna)
        (contact,) = await second.node.contacts()
        got = await second.message_when(contact.id, lambda m: m.text == "number 29")
        assert [r.emoji for r in got.reactions] == ["👍"]
        await boris.node.send(at_boris, "now")
        await second.message_when(contact.id, lambda m: m.text == "now")
        assert await second.texts(contact.id) == [*(f"number {n}" for n in range(30)), "now"]
        third = await link(world, anna, "third", past=False)
        contact = await third.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "later")
        await third.message_when(contact.id, lambda m: m.text == "later")
        assert await third.texts(contact.id) == ["later"]
        # The other two have found each other as well.
        await third.node.send(contact.id, "from the third")
        await second.message_when(
            (await second.node.contacts())[0].id, lambda m: m.text == "from the third"
        )


async def test_a_removed_device_reads_nothing_more(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        second = await link(world, anna)
        contact = await second.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "still")
        await second.message_when(contact.id, lambda m: m.text == "still")
        with pytest.raises(ApiError, match="first device"):
            await second.node.remove_device((await second.node.devices())[0].id)
        with pytest.raises(ApiError, match="first device"):
            await second.node.back_up("a long passphrase")
        with pytest.raises(ApiError, match="first device"):
            await second.node.link_device()
        left = await anna.node.remove_device((await anna.node.devices())[1].id)
        assert len(left) == 1
        await boris.message_when(at_boris, lambda m: m.note == "device-removed")
        await second.contact_when(lambda c: c.state == "unlinked")
        assert (await second.node.status()).unlinked
        await boris.node.send(at_boris, "for the first alone")
        await anna.message_when(at_anna, lambda m: m.text == "for the first alone")
        await anna.node.send(at_anna, "nor this")
        await boris.message_when(at_boris, lambda m: m.text == "nor this")
        assert await second.texts(contact.id) == ["still"]
        with pytest.raises(ApiError, match="removed"):
            await second.node.send(contact.id, "hello?")


@pytest.mark.prove
async def test_nothing_is_given_to_who_is_not_confirmed(world: World, tmp_path: Path) -> None:
    async with world:
        anna, *_ = await world.pair()
        await anna.node.link_device()
        code = (await linking_when(anna, "waiting")).code
        with pytest.raises(ApiError, match="no invitation"):
            await anna.node.accept_invitation(code)
        other = await fresh(world, tmp_path / "other")
        await other.node.join_device(code, "other")
        await linking_when(other, "compare")
        await linking_when(anna, "compare")
        await other.node.confirm_link(True)
        await anna.node.confirm_link(False)
        await linking_when(other, "mismatch")
        assert (await anna.node.linking()).state == "mismatch"  # type: ignore[union-attr]
        assert len(await anna.node.devices()) == 1
        assert await other.node.contacts() == []
        await other.node.cancel_link()
        assert (await other.node.status()).phase == "new"
        await other.node.set_up("Somebody else")
        assert (await other.node.status()).name == "Somebody else"


async def test_both_are_killed_while_they_compare(world: World, tmp_path: Path) -> None:
    async with world:
        anna, boris, _, at_boris = await world.pair()
        await anna.node.link_device()
        code = (await linking_when(anna, "waiting")).code
        new = await fresh(world, tmp_path / "new")
        await new.node.join_device(code, secrets.token_hex(4))
        await linking_when(new, "compare")
        for person in (new, anna):
            await person.stop()
            await person.start()
        assert (await new.node.status()).phase == "linking"
        await linking_when(anna, "compare")
        await compare(anna, new)
        contact = await new.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "there you are")
        await new.message_when(contact.id, lambda m: m.text == "there you are")


async def test_what_a_relay_loses_is_said_again_to_an_own_device(world: World) -> None:
    """A record stays until the device has it: that a relay took it is no word of the device's."""
    async with world:
        anna, boris, at_anna, _ = await world.pair()
        second = await link(world, anna)
        await second.contact_when(lambda c: c.state == "active")
        await boris.message_when(
            (await boris.node.contacts())[0].id, lambda m: m.note == "device-added"
        )
        await second.stop()
        world._running.remove(second)
        sent = await anna.node.send(at_anna, "while the second is off")

        def kept(desk, work):  # type: ignore[no-untyped-def]
            asked = (
                "SELECT (SELECT count(*) FROM unsent), (SELECT count(*) FROM outgoing o"
                " JOIN contact c ON c.id = o.contact WHERE c.kind = 'own')"
            )
            return work.db.execute(asked).fetchone()

        await anna.message_when(at_anna, lambda m: m.id == sent.id and m.state == "delivered")

        async def taken() -> bool:
            return bool((await anna.node._do(kept))[0] == 0)

        await anna.wait(taken)
        assert (await anna.node._do(kept))[1] > 0


async def test_who_is_blocked_on_one_device_is_blocked_on_all(world: World) -> None:
    """Contacts, who waits to be accepted, and members of groups, which one device alone has."""
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        vera, clara = await world.person("Vera", relay), await world.person("Clara", relay)
        await anna.meet(boris)
        await boris.meet(vera)
        await boris.node.create_group("Friends", ["Anna", "Vera"])
        there = await anna.contact_when(lambda c: c.name == "Friends" and c.members == 3)
        vera_there = next(
            m for m in (await anna.node.group(there.id)).members if not m.contact and not m.me
        )
        await anna.node.block_member(there.id, vera_there.id)
        second = await link(world, anna, past=False)
        at_boris = await second.contact_when(lambda c: c.name == "Boris" and c.state == "active")
        links = {}
        for person in (anna, second):
            made = await person.node.create_invitation(many=True)
            await person.wait(lambda p=person, id=made.id: p.has_open_invitation(id))
            links[person] = made.link
        # Vera, whom the first blocked before, gets no answer from the second.
        await vera.node.accept_invitation(links[second])
        # Clara waits at both; accepted by one she is a contact of the other.
        for person in (second, anna):
            await clara.node.accept_invitation(links[person])
            assert (await person.contact_when(lambda c: c.name == "Clara")).request
            await clara.node.delete_contact("Anna")
        assert not [c for c in await second.node.contacts() if c.name == "Vera"]
        await anna.node.accept_contact("Clara")
        await second.contact_when(lambda c: c.name == "Clara" and not c.request)
        await second.node.block_contact("Clara")
        await anna.contact_when(lambda c: c.name == "Clara" and c.state == "blocked")
        # Whom the first blocks in a group, the second does not hear either.
        await anna.node.block_member(there.id, "Boris")
        await second.contact_when(lambda c: c.id == at_boris.id and c.state == "blocked")
        await anna.node.block_member(there.id, "Boris", False)
        await second.contact_when(lambda c: c.id == at_boris.id and c.state == "active")
        assert (await anna.node.contact("Boris")).state == "active"


@pytest.mark.prove
async def test_two_people_with_two_devices_each(world: World) -> None:
    """Each of four devices hears what any of them says."""
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        second = await link(world, anna, past=False)
        other = await link(world, boris, "other", past=False)
        at_second = (await second.contact_when(lambda c: c.state == "active")).id
        at_other = (await other.contact_when(lambda c: c.state == "active")).id
        everywhere = ((anna, at_anna), (second, at_second), (boris, at_boris), (other, at_other))
        for number, (person, contact) in enumerate(everywhere):
            await person.node.send(contact, f"said by {number}")
        for person, contact in everywhere:
            for number in range(4):
                await person.message_when(contact, lambda m, n=number: m.text == f"said by {n}")
            said = await person.texts(contact)
            assert sorted(said) == [f"said by {number}" for number in range(4)]


@pytest.mark.prove
async def test_another_device_takes_the_place_of_the_one_that_was_met(world: World) -> None:
    async with world:
        relay = await world.relay()
        anna, boris = await world.person("Anna", relay), await world.person("Boris", relay)
        second = await link(world, anna)
        at_second, at_boris = await second.meet(boris)
        at_anna = await anna.contact_when(lambda c: c.state == "active")
        await anna.node.send(at_anna.id, "from the first")
        await boris.message_when(at_boris.id, lambda m: m.text == "from the first")
        await anna.node.remove_device((await anna.node.devices())[1].id)
        await boris.message_when(at_boris.id, lambda m: m.note == "device-removed")
        await boris.node.send(at_boris.id, "to the first")
        await anna.message_when(at_anna.id, lambda m: m.text == "to the first")
        await anna.node.send(at_anna.id, "and back")
        await boris.message_when(at_boris.id, lambda m: m.text == "and back")
        assert [c.state for c in await boris.node.contacts()] == ["active"]
        assert "to the first" not in await second.texts(at_second.id)


@pytest.mark.prove
async def test_what_is_done_on_one_shows_on_the_other(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        second = await link(world, anna)
        contact = await second.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "first")
        mine = await anna.message_when(at_anna, lambda m: m.text == "first")
        await second.message_when(contact.id, lambda m: m.text == "first")
        await anna.node.react(mine.id, "👍")
        await second.message_when(contact.id, lambda m: bool(m.reactions))
        sent = await second.node.send(contact.id, "oops")
        here = await anna.message_when(at_anna, lambda m: m.text == "oops")
        await anna.node.delete(here.id)
        await second.message_when(contact.id, lambda m: m.id == sent.id and m.deleted)
        await boris.message_when(at_boris, lambda m: m.deleted)
        await anna.node.rename_contact(at_anna, "B.")
        await second.contact_when(lambda c: c.name == "B.")
        await second.node.block_contact(contact.id)
        await anna.contact_when(lambda c: c.state == "blocked")
        await second.node.block_contact(contact.id, False)
        await anna.contact_when(lambda c: c.state == "active")
        await anna.node.rename_me("Anna Z.")
        await boris.contact_when(lambda c: c.own_name == "Anna Z.")

        async def renamed() -> bool:
            return (await second.node.status()).name == "Anna Z."

        await second.wait(renamed)
        device = (await second.node.devices())[1]
        await second.node.rename_device(device.id, "The laptop")

        async def called() -> bool:
            return (await anna.node.devices())[1].name == "The laptop"

        await anna.wait(called)
        await anna.node.delete_contact(at_anna)

        async def gone() -> bool:
            return not await second.node.contacts()

        await second.wait(gone)


async def in_call(person: Person, *states: str) -> str:
    """The id of a call that is in one of these states; none at all for no state."""
    found: list[str] = []

    async def there() -> bool:
        calls = await person.node.calls()
        found[:] = [call.id for call in calls if call.state in states]
        return bool(found) if states else not calls

    await person.wait(there)
    return found[0] if found else ""


@pytest.mark.prove
async def test_a_call_rings_everywhere_until_one_device_answers(world: World) -> None:
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        second = await link(world, anna)
        contact = await second.contact_when(lambda c: c.state == "active")
        await boris.message_when(at_boris, lambda m: m.note == "device-added")

        async def both() -> bool:
            def job(desk, work):  # type: ignore[no-untyped-def]
                asked = "SELECT count(*) FROM contact WHERE kind = 'device' AND state = 'active'"
                return work.db.execute(asked).fetchone() == (1,)

            return bool(await boris.node._do(job))

        await boris.wait(both)
        for answers, other in ((second, anna), (anna, second)):
            call = await boris.node.start_call(at_boris)
            await in_call(other, "ringing")
            await answers.node.accept_call(await in_call(answers, "ringing"))
            await in_call(other)
            for person in (boris, answers):
                await in_call(person, "talking")
            await boris.node.hang_up(call.id)
            for person in (boris, answers):
                await in_call(person)
        for person, id in ((anna, at_anna), (second, contact.id)):
            entries = [m.call for m in (await person.node.messages(id)).messages if m.call]
            assert [entry.outcome for entry in entries] == ["talked"]
            assert not [c for c in await person.node.contacts() if c.unread]
        # Nobody takes it: it ends on both.
        await boris.node.start_call(at_boris)
        for person in (anna, second):
            await in_call(person, "ringing")
        await boris.node.hang_up(await in_call(boris, "ringing", "calling"))
        for person in (anna, second, boris):
            await in_call(person)
        # And from the second.
        await second.node.start_call(contact.id)
        await boris.node.accept_call(await in_call(boris, "ringing"))
        for person in (second, boris):
            await in_call(person, "talking")
        await second.node.hang_up(await in_call(second, "talking"))
        await in_call(boris)
        assert len(await boris.node.contacts()) == 1


async def play(seed: int, count: int, directory: Path) -> int:
    """Two people with two devices each write `count` texts, while devices go off and come again:
    in the end each of the four has every text once."""
    dice = Random(seed)
    async with World(directory) as world:
        anna, boris, at_anna, at_boris = await world.pair()
        second, other = await link(world, anna, past=False), await link(world, boris, past=False)
        devices = {anna: at_anna, boris: at_boris}
        for person in (second, other):
            devices[person] = (await person.contact_when(lambda c: c.state == "active")).id
        off: set[Person] = set()
        said = []
        for number in range(count):
            person = dice.choice(list(devices))
            if person in off:
                await person.start()
                off.discard(person)
            said.append(f"text {number}")
            await person.node.send(devices[person], said[-1])
            if dice.random() < 0.3:
                await person.stop()
                off.add(person)
        for person in off:
            await person.start()
        for person, contact in devices.items():

            async def complete(person: Person = person, contact: str = contact) -> bool:
                return len(await person.texts(contact)) >= len(said)

            await person.wait(complete)
            assert sorted(await person.texts(contact)) == sorted(said)
    return count


def prove(seed: int, count: int, directory: Path) -> dict[str, int]:
    """`count` texts of four devices that go off and come again."""
    return {"texts": asyncio.run(play(seed, count, directory))}


@pytest.mark.prove
def test_a_sample(tmp_path: Path) -> None:
    assert prove(1, 30, tmp_path) == {"texts": 30}


@pytest.mark.prove
async def test_groups_go_on_when_a_device_is_linked(world: World) -> None:
    """It is in them, and in those that are founded later."""
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        group = await anna.node.create_group("Friends", [at_anna])
        there = await boris.contact_when(lambda c: c.kind == "group")
        second = await link(world, anna)
        await second.contact_when(lambda c: c.state == "active")
        await boris.message_when(at_boris, lambda m: m.note == "device-added")
        await anna.node.send(group.id, "still here")
        await boris.message_when(there.id, lambda m: m.text == "still here")
        await anna.node.set_group(group.id, title="Old friends")
        await boris.contact_when(lambda c: c.name == "Old friends")
        await boris.node.send(there.id, "so are we")
        await anna.message_when(group.id, lambda m: m.text == "so are we")
        at_second = await second.contact_when(lambda c: c.name == "Old friends")
        await second.message_when(at_second.id, lambda m: m.text == "so are we")
        other = await anna.node.create_group("Others", [at_anna])
        theirs = await boris.contact_when(lambda c: c.name == "Others")
        await boris.node.send(theirs.id, "new")
        await anna.message_when(other.id, lambda m: m.text == "new")
        await anna.node.remove_member(group.id, (await anna.node.group(group.id)).members[1].id)
        await boris.contact_when(lambda c: c.state == "removed")
