"""link-phish (Signal's linked devices 2025, GhostPairing 2026): a code or a picture that somebody
shows never links a device, and a code that was got never without the person's word."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from node.living import Person, World

from holdfast.node import linking
from holdfast.node.rpc import ApiError
from holdfast.node.schema import DevicesChanged, Linking


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def state_of(person: Person, *states: str) -> Linking:
    found: list[Linking] = []

    async def there() -> bool:
        now = await person.node.linking()
        if now is not None and now.state in states:
            found.append(now)
        return bool(found)

    await person.wait(there)
    return found[0]


async def fresh(world: World, home: Path) -> Person:
    person = Person(home, ())
    await person.start()
    world._running.append(person)
    return person


async def phished(world: World, anna: Person, home: Path) -> Person:
    """Mallory has Anna's code, uses it on a machine of theirs, and says that all is well."""
    await anna.node.link_device()
    code = (await state_of(anna, "waiting")).code
    mallory = await fresh(world, home)
    await mallory.node.join_device(code, "Anna's tablet")
    await state_of(mallory, "compare")
    await mallory.node.confirm_link(True)
    return mallory


@pytest.mark.prove
async def test_what_somebody_shows_links_nothing(world: World) -> None:
    async with world:
        anna, *_ = await world.pair()
        mallory = await world.person("Mallory", await world.relay("theirs"))
        await mallory.node.link_device()
        code = (await state_of(mallory, "waiting")).code
        link = await mallory.node.create_invitation()
        await mallory.wait(lambda: mallory.has_open_invitation(link.id))
        with pytest.raises(ApiError, match="no invitation"):
            await anna.node.accept_invitation(code)
        with pytest.raises(ApiError, match="already"):
            await anna.node.join_device(code, "mine")
        await anna.node.accept_invitation(link.link)
        await mallory.contact_when(lambda c: c.state == "active")
        for person in (anna, mallory):
            assert len(await person.node.devices()) == 1
        assert (await anna.node.linking()) is None


async def test_a_code_alone_gives_nothing(world: World, tmp_path: Path) -> None:
    async with world:
        anna, boris, _, at_boris = await world.pair()
        mallory = await phished(world, anna, tmp_path / "mallory")
        assert (await state_of(anna, "compare")).name == "Anna's tablet"
        await asyncio.sleep(0.3)
        assert len(await anna.node.devices()) == 1
        assert await mallory.node.contacts() == []
        assert (await mallory.node.status()).phase == "linking"
        await anna.node.cancel_link()
        assert (await mallory.node.status()).name != "Anna"
        notes = [m.note for m in (await boris.node.messages(at_boris)).messages]
        assert "device-added" not in notes


@pytest.mark.prove
async def test_everybody_is_told_of_who_was_talked_into_it(world: World, tmp_path: Path) -> None:
    async with world:
        anna, boris, _, at_boris = await world.pair()
        await anna.node.link_device()
        second = await fresh(world, tmp_path / "second")
        await second.node.join_device((await state_of(anna, "waiting")).code, "second")
        for person in (anna, second):
            await state_of(person, "compare")
        for person in (anna, second):
            await person.node.confirm_link(True)
        await state_of(second, "done")
        second.events.clear()
        await phished(world, anna, tmp_path / "mallory")
        await state_of(anna, "compare")
        await anna.node.confirm_link(True)

        async def told() -> bool:
            return len(await second.node.devices()) == 3

        await second.wait(told)
        assert any(isinstance(event, DevicesChanged) for event in second.events)

        async def noted() -> bool:
            page = await boris.node.messages(at_boris)
            return sum(m.count for m in page.messages if m.note == "device-added") == 2

        await boris.wait(noted)


async def test_twin_without_the_persons_word_the_code_is_enough(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went = linking._went

    def without_asking(desk, work, id, kept, out):  # type: ignore[no-untyped-def]
        machine = desk.linking
        if kept.role == "old" and machine.state == "compare":
            out = out + machine.confirm(True, work.now)
        went(desk, work, id, kept, out)

    monkeypatch.setattr(linking, "_went", without_asking)
    async with world:
        anna, boris, _, at_boris = await world.pair()
        mallory = await phished(world, anna, tmp_path / "mallory")
        contact = await mallory.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "for Anna alone")
        await mallory.message_when(contact.id, lambda m: m.text == "for Anna alone")
        assert len(await anna.node.devices()) == 2
