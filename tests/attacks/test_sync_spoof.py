"""sync-spoof (WhatsApp, CVE-2025-55177): what does not come from a device of one's own changes
nothing as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from node.living import Person, World

from holdfast.core.chat import content, sync
from holdfast.node import devices, receiving, syncing
from holdfast.node.database import row, rows

MID = b"m" * 16


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def roots(person: Person) -> tuple[bytes, dict[str, bytes]]:
    """A person's own root, and those of their contacts by name."""

    def job(desk, work):  # type: ignore[no-untyped-def]
        found = rows(work.db, "SELECT own_name, root FROM contact WHERE kind = 'person'")
        return desk.identity(work).devices.root, dict(found)

    return await person.node._do(job)


def spoofs(own: bytes, other: bytes, listed: bytes) -> list[sync.Known]:
    """One of each kind that a device could say."""
    text = content.encode(content.Text(MID, 1, "never said"))
    return [
        sync.Copy(other, True, 1, text),
        sync.Copy(other, False, 1, text),
        sync.Me("Somebody else"),
        sync.Person(other, listed, "Another name", "Another", 1, blocked=True),
        sync.Seen(other, MID),
        sync.Meet(other, bytes(32), bytes(32), "holdfast:"),
        sync.Past(other, (sync.Line(True, MID, "text", "nor this", 1, 1, "read"),)),
        sync.Welcome(listed, (), "Somebody else", "{}", ()),
        sync.Devices(listed, ()),
        sync.Gone(other),
    ]


async def say(person: Person, kind: str, *said: sync.Known) -> None:
    """Say it in a session of this kind, as a program that does not care would."""

    def job(desk, work):  # type: ignore[no-untyped-def]
        (id,) = row(work.db, "SELECT id FROM contact WHERE kind = ? ORDER BY added LIMIT 1", kind)
        for one in said:
            desk._seal(work, id, sync.encode(one))

    await person.node._do(job)


async def seen(anna: Person) -> tuple[object, ...]:
    """All that a spoof could change."""
    contacts = sorted((c.id, c.name, c.state, c.unread) for c in await anna.node.contacts())
    said = [[m.text for m in (await anna.node.messages(id)).messages] for id, *_ in contacts]
    return (await anna.node.status()).name, contacts, said, await anna.node.devices()


async def spoofed(world: World) -> tuple[bool, bool]:
    """Whether anything changed at Anna's when a contact, Mallory, spoke as a device of hers;
    whether something never said is in her conversation with Boris."""
    anna, boris, at_anna, _ = await world.pair()
    mallory = await world.person("Mallory", await world.relay("theirs"))
    await mallory.meet(anna)
    at_mallory = (await mallory.node.contacts())[0].id
    await boris.node.send((await boris.node.contacts())[0].id, "hello")
    await anna.message_when(at_anna, lambda m: m.text == "hello")
    own, others = await roots(anna)
    listed = await mallory.node._do(lambda desk, work: desk.identity(work).devices.encode())
    known = {c.name: c.id for c in await anna.node.contacts()}
    before = await seen(anna)
    await say(mallory, "person", *spoofs(own, others["Boris"], listed)[:-1])
    await mallory.node.send(at_mallory, "the end")
    await anna.message_when(known["Mallory"], lambda m: m.text == "the end")
    after = await seen(anna)
    never = "never said" in await anna.texts(at_anna)
    name, contacts, _, listed_devices = after
    unread = [(id, name, state) for id, name, state, _ in contacts]  # type: ignore[attr-defined]
    was = [(id, name, state) for id, name, state, _ in before[1]]  # type: ignore[attr-defined]
    changed = (name, unread, listed_devices) != (before[0], was, before[3])
    return changed or never or "nor this" in await anna.texts(at_anna), never


async def test_a_contact_is_no_device(world: World) -> None:
    async with world:
        assert await spoofed(world) == (False, False)


async def test_twin_where_every_session_is_read_so_it_works(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = receiving._take

    def both(desk, work, cid, data, outage, belongs=""):  # type: ignore[no-untyped-def]
        syncing.take(desk, work, cid, data)
        take(desk, work, cid, data, outage, belongs)

    monkeypatch.setattr(receiving, "_take", both)
    monkeypatch.setattr(syncing, "is_own", lambda desk, work, id: True)
    async with world:
        assert await spoofed(world) == (True, True)


async def removed(world: World, home: Path) -> list[str]:
    """What is in Anna's conversation after a removed device, which goes on, has spoken."""
    anna, boris, at_anna, at_boris = await world.pair()
    second = Person(home, ())
    await second.start()
    world._running.append(second)
    await anna.node.link_device()

    async def ready() -> bool:
        now = await anna.node.linking()
        return now is not None and now.state == "waiting"

    await anna.wait(ready)
    shown = await anna.node.linking()
    assert shown is not None
    await second.node.join_device(shown.code, "second")
    for person in (anna, second):

        async def compared(person: Person = person) -> bool:
            now = await person.node.linking()
            return now is not None and now.state == "compare"

        await person.wait(compared)
    for person in (anna, second):
        await person.node.confirm_link(True)
    await second.contact_when(lambda c: c.state == "active")
    await anna.node.remove_device((await anna.node.devices())[1].id)
    await boris.message_when(at_boris, lambda m: m.note == "device-removed")
    _, others = await roots(anna)
    text = content.encode(content.Text(MID, 1, "by the removed one"))
    await say(second, "own", sync.Copy(others["Boris"], True, 1, text))
    await boris.node.send(at_boris, "the end")
    await anna.message_when(at_anna, lambda m: m.text == "the end")
    return await anna.texts(at_anna)


@pytest.mark.prove
async def test_a_removed_device_is_none_either(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "relisted", lambda desk, work, found: None)  # it goes on
    async with world:
        assert await removed(world, tmp_path / "second") == ["the end"]
