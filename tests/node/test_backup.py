"""A backup, and a new machine that begins with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from node.living import Person, World, found, says, trio

from holdfast.node import backup, blocking, effects, renewing
from holdfast.node.database import open_database, rows
from holdfast.node.desk import Desk
from holdfast.node.keeper import Work
from holdfast.node.rpc import ApiError
from holdfast.node.schema import BackupProgress

WORD = "correct horse"


async def again(world: World, person: Person, file: Path, shift: int = 0) -> Person:
    """The person on a new machine, so many milliseconds later."""
    restored = Person(person.path.with_name(person.path.name + "-again"), ())
    restored.shift = shift
    await restored.start()
    world._running.append(restored)
    await restored.node.restore(WORD, str(file))
    return restored


async def lose(world: World, person: Person) -> None:
    """The machine is gone, with everything on it."""
    world.leave(person)
    await person.stop()
    shutil.rmtree(person.path)


async def lost(world: World, file: Path) -> tuple[Person, Person, str]:
    """Anna, of whom there is a backup alone, and Boris, with what he calls her."""
    anna, boris, _, at_boris = await world.pair()
    await anna.node.back_up(WORD, str(file))
    await lose(world, anna)
    return anna, boris, at_boris


async def test_a_person_goes_on_with_a_new_device(world: World, tmp_path: Path) -> None:
    file = tmp_path / "anna.backup"
    async with world:
        anna, boris, at_anna, at_boris = await world.pair()
        await anna.node.rename_contact(at_anna, "My Boris")
        await anna.node.send(at_anna, "hello")
        await boris.message_when(at_boris, lambda m: m.text == "hello")
        await boris.node.send(at_boris, "hello yourself")
        answer = await anna.message_when(at_anna, lambda m: m.text == "hello yourself")
        await anna.node.react(answer.id, "👍")
        made = await anna.node.back_up(WORD, str(file))
        assert (made.path, made.contacts, made.messages) == (str(file), 1, 2)
        assert made.size == file.stat().st_size
        assert [e for e in anna.events if isinstance(e, BackupProgress)][-1].done > 0
        await lose(world, anna)
        await boris.node.send(at_boris, "are you there?")

        anna = await again(world, anna, file)
        status = await anna.node.status()
        assert (status.name, status.phase) == ("Anna", "ready")
        (contact,) = await anna.node.contacts()
        assert contact.name == "My Boris"
        assert await anna.texts(contact.id) == ["hello", "hello yourself"]
        (found,) = [m for m in (await anna.node.messages(contact.id)).messages if m.reactions]
        assert found.text == "hello yourself"
        await anna.contact_when(lambda c: c.state == "active")
        await boris.contact_when(lambda c: c.state == "active")
        await anna.node.send(contact.id, "here again")
        await boris.message_when(at_boris, lambda m: m.text == "here again")
        await boris.node.send(at_boris, "good")
        await anna.message_when(contact.id, lambda m: m.text == "good")
        # Nothing was sealed again for the new device without anybody's word.
        at_his = (await boris.node.messages(at_boris)).messages
        assert [m.state for m in at_his if m.text == "are you there?"] == ["unsent"]
        assert "key-changed" in [m.note for m in at_his]
        assert await boris.texts(at_boris) == [
            "hello",
            "hello yourself",
            "are you there?",
            "here again",
            "good",
        ]
        assert not await anna.node.invitations()


async def test_a_backup_can_be_used_twice(world: World, tmp_path: Path) -> None:
    """Lost again before another backup was made: contacts follow again."""
    file = tmp_path / "anna.backup"
    async with world:
        anna, boris, at_boris = await lost(world, file)
        for shift in (0, 120_000):
            restored = await again(world, anna, file, shift)
            mine = await restored.contact_when(lambda c: c.state == "active")
            await restored.node.send(mine.id, f"again {shift}")
            await boris.message_when(at_boris, lambda m, s=shift: m.text == f"again {s}")
            await lose(world, restored)


async def test_a_node_that_was_off_hears_of_it_later(world: World, tmp_path: Path) -> None:
    file = tmp_path / "anna.backup"
    async with world:
        anna, boris, at_boris = await lost(world, file)
        await boris.stop()
        anna = await again(world, anna, file)
        (contact,) = await anna.node.contacts()
        assert contact.state == "restored"
        with pytest.raises(ApiError, match="backup"):
            await anna.node.send(contact.id, "too early")
        await anna.stop()
        await anna.start()
        await boris.start()
        await anna.contact_when(lambda c: c.state == "active")
        await boris.contact_when(lambda c: c.state == "active")
        await boris.node.send(at_boris, "welcome back")
        await anna.message_when(contact.id, lambda m: m.text == "welcome back")


async def test_a_contact_is_told_once(world: World, tmp_path: Path) -> None:
    """However long they are away, and however often this node starts."""
    file = tmp_path / "anna.backup"
    async with world:
        anna, boris, _ = await lost(world, file)
        await boris.stop()
        anna = await again(world, anna, file)

        async def told() -> bool:
            asked = "SELECT 1 FROM meta WHERE name LIKE 'told/%'"
            return bool(await anna.node._do(lambda desk, work: rows(work.db, asked)))

        def said(desk: Desk, work: Work) -> list[object]:
            renewing.resume(desk, work)
            left, work.after[:] = list(work.after), []
            return [one for one in left if isinstance(one, effects.Append)]

        await anna.wait(told)
        assert await anna.node._do(said) == []
        await anna.stop()
        await anna.start()
        assert await anna.node._do(said) == []
        await boris.start()
        await anna.contact_when(lambda c: c.state == "active")


async def test_two_who_both_lost_everything_meet_again(world: World, tmp_path: Path) -> None:
    async with world:
        people = list((await world.pair())[:2])
        for person in people:
            await person.node.back_up(WORD, str(tmp_path / f"{person.path.name}.backup"))
        for person in people:
            await lose(world, person)
        anna, boris = [
            await again(world, person, tmp_path / f"{person.path.name}.backup") for person in people
        ]
        at_anna = await anna.contact_when(lambda c: c.state == "active")
        at_boris = await boris.contact_when(lambda c: c.state == "active")
        await anna.node.send(at_anna.id, "you too?")
        await boris.message_when(at_boris.id, lambda m: m.text == "you too?")
        await boris.node.send(at_boris.id, "me too")
        await anna.message_when(at_anna.id, lambda m: m.text == "me too")


async def test_a_deleted_contact_is_heard_no_more(world: World, tmp_path: Path) -> None:
    file = tmp_path / "anna.backup"
    async with world:
        anna, boris, at_boris = await lost(world, file)
        anna = await again(world, anna, file)
        await anna.contact_when(lambda c: c.state == "active")
        await boris.contact_when(lambda c: c.state == "active")
        await boris.node.delete_contact(at_boris)
        kept = await boris.node._do(
            lambda desk, work: rows(work.db, "SELECT name FROM meta WHERE name LIKE '%/%'")
        )
        assert not [name for (name,) in kept if at_boris in name]


@pytest.mark.parametrize("who", [0, 1])
async def test_a_member_is_one_again_and_so_is_an_owner(
    world: World, tmp_path: Path, who: int
) -> None:
    """Without anybody adding them; also for members who are no contacts of theirs."""
    file = tmp_path / "lost.backup"
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[0].node.send(ids[0], "to all of you")
        for person, id in zip(people[1:], ids[1:], strict=True):
            await person.message_when(id, lambda m: m.text == "to all of you")
        gone = people[who]
        await gone.node.back_up(WORD, str(file))
        await lose(world, gone)
        teller = 0 if who else 1
        await people[teller].node.send(ids[teller], "while you were lost")
        back = people[who] = await again(world, gone, file)
        group = await back.contact_when(lambda c: c.kind == "group")
        assert (group.id, group.state) == (ids[who], "active")
        assert await back.texts(group.id) == ["to all of you"]
        await back.node.send(group.id, "it is me again")
        pairs = list(zip(people, ids, strict=True))
        for person, id in pairs:
            if person is not back:
                got = await person.message_when(id, lambda m: m.text == "it is me again")
                assert got.author is not None and got.author.name.lower() == gone.path.name
        await people[2].node.send(ids[2], "welcome")
        for person, id in pairs[:2]:
            await person.message_when(id, lambda m: m.text == "welcome")
        shown = await people[2].node.group(ids[2])
        assert shown.keys == "renew" and not shown.voided
        assert [m.name for m in shown.members] == ["Anna", "Boris", "Vera"]
        if who == 0:
            await back.node.renew_group(ids[0])
            await says(people[2], ids[2], "with a new key", (people[1], ids[1]))
            await back.message_when(ids[0], lambda m: m.text == "with a new key")


async def test_who_was_removed_meanwhile_stays_out(world: World, tmp_path: Path) -> None:
    file = tmp_path / "boris.backup"
    async with world:
        people = await trio(world)
        ids = await found(people)
        await people[1].node.back_up(WORD, str(file))
        await lose(world, people[1])
        await people[0].node.remove_member(ids[0], "Boris")
        await people[2].message_when(ids[2], lambda m: m.note == "group-removed")
        back = await again(world, people[1], file)
        await back.contact_when(lambda c: c.kind == "person" and c.state == "active")
        await people[0].contact_when(lambda c: c.name == "Boris" and c.state == "active")
        await people[0].node.send(ids[0], "among us")
        await people[2].message_when(ids[2], lambda m: m.text == "among us")
        assert [m.name for m in (await people[2].node.group(ids[2])).members] == ["Anna", "Vera"]
        assert "among us" not in await back.texts(ids[1])
        await back.node.delete_contact(ids[1])
        assert [c.kind for c in await back.node.contacts()] == ["person"]


async def test_the_blocked_stay_blocked(world: World, tmp_path: Path) -> None:
    file, nobody = tmp_path / "anna.backup", bytes(range(32))
    async with world:
        anna, _, at_anna, _ = await world.pair()
        await anna.node.block_contact(at_anna)
        await anna.node._do(lambda desk, work: blocking.somebody(desk, work, nobody, True))
        await anna.node.back_up(WORD, str(file))
        await lose(world, anna)
        anna = await again(world, anna, file)
        (contact,) = await anna.node.contacts()
        assert contact.state == "blocked"
        assert await anna.node._do(lambda _, work: blocking.is_blocked(work, nobody))
        await anna.node.block_contact(contact.id, False)
        assert (await anna.node.contact(contact.id)).state == "restored"


async def test_what_is_no_backup(world: World, tmp_path: Path) -> None:
    file, other = tmp_path / "anna.backup", tmp_path / "other"
    async with world:
        anna, *_ = await world.pair()
        await anna.node.back_up(WORD, str(file))
        whole = file.read_bytes()
        with pytest.raises(ApiError, match="exists already"):
            await anna.node.back_up(WORD, str(file))
        with pytest.raises(ApiError, match="whole path"):
            await anna.node.back_up(WORD, "anna.backup")
        with pytest.raises(ApiError) as refused:
            await anna.node.restore(WORD, str(file))
        assert refused.value.code == "phase"
        newcomer = Person(tmp_path / "new", ())
        await newcomer.start()
        world._running.append(newcomer)
        spoilt = bytearray(whole)
        spoilt[-5_000] ^= 1
        for data, word, says in (
            (b"", WORD, "no backup"),
            (b"PK" + whole, WORD, "no backup"),
            (whole, "wrong", "passphrase"),
            (whole[:-1], WORD, "cut off"),
            (whole[: len(whole) // 2], WORD, "cut off"),
            (whole[: len(backup.MAGIC) + 20], WORD, "damaged|cut off"),
            (bytes(spoilt), WORD, "damaged"),
        ):
            other.write_bytes(data)
            with pytest.raises(ApiError, match=says):
                await newcomer.node.restore(word, str(other))
            assert (await newcomer.node.status()).phase == "new"
        with pytest.raises(ApiError, match="no such file"):
            await newcomer.node.restore(WORD, str(tmp_path / "nowhere"))
        await newcomer.node.restore(WORD, str(file))
        assert (await newcomer.node.status()).name == "Anna"


async def test_no_ratchet_and_no_plain_text_is_in_it(world: World, tmp_path: Path) -> None:
    file = tmp_path / "anna.backup"
    async with world:
        anna, _, at_anna, _ = await world.pair()
        await anna.node.send(at_anna, "canary-in-a-message")
        await anna.node.back_up(WORD, str(file))
        assert b"canary" not in file.read_bytes()
        (tmp_path / "parts").mkdir()
        key = backup.read(file, tmp_path / "parts", WORD)
        copy = open_database(tmp_path / "parts" / backup.DATABASE, key)
        assert copy.execute("SELECT session, accept FROM contact").fetchall() == [(b"", None)]
        for table in ("invitation", "outgoing", "unsent", "wanted", "position", "leaving"):
            assert not copy.execute(f"SELECT * FROM {table}").fetchall()
        names = {name for (name,) in copy.execute("SELECT name FROM meta")}
        assert names <= {"name", "settings", "cursor", "person"}
        copy.close()
        assert not (anna.path / "backup" / "parts").exists()


async def test_channels_go_on_where_they_were(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner.backup"
    async with world:
        relay = await world.relay()
        owner, reader = await world.person("Owner", relay), await world.person("Reader", relay)
        mine = (await owner.node.create_channel("News")).id
        link = (await owner.node.channel(mine)).link
        theirs = (await reader.node.follow_channel(link)).id
        await owner.node.send(mine, "one")
        await owner.node.back_up(WORD, str(file))
        two = await owner.node.send(mine, "two")
        await owner.node.edit(two.id, "two, changed")
        await reader.message_when(theirs, lambda m: m.text == "two, changed")
        await lose(world, owner)
        restored = await again(world, owner, file)
        back = await restored.message_when(mine, lambda m: m.text == "two, changed")
        assert back.mine

        async def posts() -> bool:
            try:
                await restored.node.send(mine, "three")
            except ApiError:
                return False
            return True

        await restored.wait(posts)
        await restored.node.delete(back.id)
        await reader.message_when(theirs, lambda m: m.deleted)
        shown = await reader.node.channel(theirs)
        assert await reader.texts(theirs) == ["one", "", "three"]
        assert (shown.forked, shown.missing) == (0, [])
        assert (await restored.node.channel(mine)).link == link
